"""
The requests half: sessions, one attempt to send, and what the library's exceptions mean.

Imported when the first request is sent: importing requests costs a Dag file time that it does not need.
"""

from __future__ import annotations

import http.client
import io
import os
import socket
import time
from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3
import urllib3.connection
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy

from airflow_provider.core.http.connection import ConnectionSettings, is_loopback, is_proxy_url
from airflow_provider.core.http.responses import MAX_JSON_BYTES, Request, Response, malformed
from airflow_provider.core.text import keep_queries_out_of_logs, snippet
from airflow_provider.exceptions import (
    ConfigurationError,
    MalformedResponseError,
    ProviderError,
    TransportError,
)

LONGEST_ANSWER: Final = 4
"""
Read timeouts that an answer may take: a server that sends a byte now and then must not hold a task for ever.
"""

_MOST_INTERIM: Final = 20
_MOST_BLANK: Final = 20


class _TimedReader(io.RawIOBase):
    """
    The bytes of a socket, with a total time: its own timeout is for a single read.

    :param raw: as ``sock.makefile("rb", buffering=0)`` returns it; closed with this reader.
    :param sock: its timeout is the one for a single read.
    """

    def __init__(self, raw: Any, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self._timeout = sock.gettimeout()
        self._deadline: float | None = None

    def limit(self) -> None:
        """Let all that follows take :data:`LONGEST_ANSWER` times the timeout of the socket."""
        if self._timeout is not None:
            self._deadline = time.monotonic() + LONGEST_ANSWER * self._timeout

    def lift(self) -> None:
        """Let what follows take any time, as long as something comes."""
        self._deadline = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        """
        Read once.

        :raises TimeoutError: nothing came in time, or the time is over.
        """
        if self._deadline is not None and self._timeout is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"more than {LONGEST_ANSWER * self._timeout:g} s for one answer")
            self._sock.settimeout(min(left, self._timeout))
        try:
            count: int | None = self._raw.readinto(buffer)
        finally:
            # The socket may serve the next request.
            if self._sock.fileno() >= 0:
                self._sock.settimeout(self._timeout)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _FinalResponse(http.client.HTTPResponse):
    """
    The response after all interim ones. http.client skips a 100 only: it would take a 103 for the answer, and
    the answer for that to the next request.

    As aiohttp does, it takes blank lines before the answer and the version HTTP/2, and limits the time of a
    whole head.
    """

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.timed = _TimedReader(self.fp.detach(), sock)
        self.timed.limit()
        self.fp = io.BufferedReader(self.timed)

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(_MOST_BLANK):
            if self.fp.peek(1)[:1] not in (b"\r", b"\n"):
                break
            self.fp.read(1)
        version, status, reason = super()._read_status()  # type: ignore[misc]
        return "HTTP/1.1" if version in ("HTTP/2", "HTTP/2.0") else version, status, reason

    def begin(self) -> None:
        super().begin()
        passed = 0
        while 101 < self.status < 200:
            if (passed := passed + 1) > _MOST_INTERIM:
                raise http.client.BadStatusLine(f"{passed} interim responses")
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        self.timed.lift()


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _FinalResponse


class _SecureConnection(urllib3.connection.HTTPSConnection):
    response_class = _FinalResponse


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS: Final = {"http": _Pool, "https": _SecurePool}


class _Adapter(HTTPAdapter):
    """Opens connections of the classes above, with and without a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class Session(requests.Session):
    """
    A pooled session that carries no key, no cookies and no retries of its own.

    The environment may name proxies and a CA bundle, as always with requests. Where the connection says
    something, the connection wins; requests would prefer the environment. Plain http to this machine takes no
    proxy: the key would leave the machine in clear. A ``.netrc`` never adds an ``Authorization`` header: the
    APIs take ``X-API-Key`` and signed links carry their own permission.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        super().__init__()
        environment_proxy(settings)
        keep_queries_out_of_logs()
        self.verify = settings.verify
        self.proxies = dict(settings.proxies)
        # A truthy ``auth`` that adds nothing: without one requests reads .netrc.
        self.auth = _no_auth
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _Adapter(pool_connections=4, pool_maxsize=16, max_retries=0)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        """Drop ``Authorization`` on a redirect; requests would look up the new host in .netrc."""
        prepared_request.headers.pop("Authorization", None)

    def resolve_redirects(self, *args: Any, yield_requests: bool = False, **kwargs: Any) -> Iterator[Any]:
        """
        Follow redirects where that was asked for.

        Where it was not, requests reads ``Location`` all the same, and raises what its parser does.
        """
        if yield_requests:
            return iter(())
        followed: Iterator[Any] = super().resolve_redirects(*args, **kwargs)
        return followed

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Merge settings and environment, the settings first."""
        if verify is None and self.verify is not True:
            verify = self.verify
        merged = super().merge_environment_settings(url, dict(proxies or {}), stream, verify, cert)
        parts = urlsplit(url)
        if parts.scheme == "http" and is_loopback(parts.hostname or ""):
            merged["proxies"] = {}
        elif self.proxies:
            merged["proxies"] = {**self.proxies, **(proxies or {})}
        return merged


def environment_proxy(settings: ConnectionSettings) -> str | None:
    """
    Return the proxy for the API, ``None`` for none: the connection's, else the environment's. Plain http to
    this machine takes none.

    :raises ConfigurationError: the environment names one that is no http or https URL. Workers might use it,
        triggers could not: what one half of a wait cannot reach must not be paid for by the other.
    """
    parts = urlsplit(settings.base_url)
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return None
    proxies = dict(settings.proxies) or get_environ_proxies(settings.base_url)
    proxy: str | None = select_proxy(settings.base_url, proxies)
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    if proxy and not is_proxy_url(proxy):
        names = [
            name
            for name, value in os.environ.items()
            if name.lower() in (f"{parts.scheme}_proxy", "all_proxy") and value and proxy.endswith(value)
        ]
        named = " and ".join(f"`{name}`" for name in names) or "the environment"
        raise ConfigurationError(
            f"Connection {settings.conn_id!r}: {named} names a proxy that is not an http or https URL "
            f"({proxy.partition(':')[0]}). Set `proxies` in the connection's extra, or exclude the host with "
            "NO_PROXY. In a password quote what a URL reads otherwise: `/` is `%2F`, `@` is `%40`.",
            parameter="proxies",
        )
    return proxy or None


def send(session: requests.Session, request: Request, settings: ConnectionSettings) -> requests.Response:
    """
    Make one attempt and return the response with its body unread. Redirects are not followed.

    :raises TransportError: no answer.
    :raises ConfigurationError: the host, a proxy or a certificate cannot be used.
    """
    try:
        return session.request(
            request.method,
            request.url,
            headers=request.headers,
            data=request.data,
            timeout=(settings.connect_timeout, request.read_timeout or settings.read_timeout),
            allow_redirects=False,
            stream=True,
        )
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _failure(error, request) from error


def read_response(response: requests.Response, request: Request) -> Response:
    """
    Read a streamed response whole and give its connection back.

    :raises TransportError: the body was cut short, or took longer than a few read timeouts.
    :raises MalformedResponseError: the body is longer than :data:`MAX_JSON_BYTES`.
    """
    if isinstance(original := getattr(response.raw, "_original_response", None), _FinalResponse):
        original.timed.limit()
    pieces, size = [], 0
    for piece in read_pieces(response, request, 64 * 1024):
        size += len(piece)
        if size > MAX_JSON_BYTES:
            response.close()
            raise too_long(request)
        pieces.append(piece)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Response(request.endpoint, response.status_code, headers, b"".join(pieces), request.request_id)


def read_pieces(response: requests.Response, request: Request, chunk_size: int) -> Iterator[bytes]:
    """
    Yield the body of a streamed response and give its connection back.

    :raises TransportError: the body was cut short.
    """
    with response:
        try:
            yield from response.iter_content(chunk_size)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # A chunk of a negative length is a ValueError of http.client's.
            raise _failure(error, request) from error


def _failure(error: Exception, request: Request) -> ProviderError:
    """Name what a requests or urllib3 exception means, and whether the request can have arrived."""
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return ConfigurationError(
            f"{request.endpoint} was not sent: the host or a proxy cannot be used ({type(error).__name__}). "
            "Correct the connection's host, or the proxies in its extra or in the environment.",
            parameter="host",
            endpoint=request.endpoint,
        )
    if not isinstance(error, requests.RequestException) and "certificate" in str(error).lower():
        return ConfigurationError(
            f"{request.endpoint} was not sent: {snippet(str(error), request.secrets)}. Correct `verify` in "
            "the connection's extra, or REQUESTS_CA_BUNDLE in the environment.",
            parameter="verify",
            endpoint=request.endpoint,
        )
    reason = _reason(error)
    return lost(
        request,
        error,
        str(reason),
        sent=not _never_connected(error, reason),
        tls=isinstance(error, requests.exceptions.SSLError),
        # While a body is read, requests raises ``ConnectionError`` for it.
        late=isinstance(error, requests.Timeout) or isinstance(reason, urllib3.exceptions.ReadTimeoutError),
    )


def _never_connected(error: Exception, reason: Any) -> bool:
    # requests sends ``ConnectionError`` for a refused connection and for a lost answer alike; the difference
    # is in what urllib3 gave as the reason. In doubt the request counts as sent.
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    if type(reason) is OSError and str(reason).startswith("Tunnel connection failed"):
        return True  # The proxy refused to CONNECT.
    if isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError):
        return True
    return isinstance(reason, urllib3.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(reason)


def _reason(error: Exception) -> Any:
    # MaxRetryError quotes the whole URL, a signed one included; its reason does not.
    cause = error.args[0] if error.args else error
    reason = cause.reason if isinstance(cause, urllib3.exceptions.MaxRetryError) else cause
    # With a proxy, urllib3 says "Unable to connect to proxy" also of an answer that was lost long after.
    return reason.original_error if isinstance(reason, urllib3.exceptions.ProxyError) else reason


def lost(
    request: Request, error: Exception, said: str, *, sent: bool, tls: bool, late: bool
) -> TransportError:
    """
    Return the error for a request without a usable answer, in the words of both halves.

    :param sent: whether the request can have arrived.
    """
    what = "got no whole answer" if sent else "could not connect"
    if tls:
        what = "failed in TLS (for a private certificate authority set `verify` in the connection's extra)"
    elif late:
        what += " in time"
    given = f" (request id {request.request_id})" if request.request_id else ""
    return TransportError(
        f"{request.endpoint} {what}: {type(error).__name__}: {snippet(said, request.secrets)}{given}",
        sent=sent,
        request_id=request.request_id,
        endpoint=request.endpoint,
    )


def too_long(request: Request) -> MalformedResponseError:
    """Return the error for an answer of which no more is read."""
    return malformed(request.endpoint, f"more than {MAX_JSON_BYTES} bytes", request_id=request.request_id)
