"""
The aiohttp half: the client, one attempt to send, and what the library's exceptions mean.

Imported when the first request is sent: importing aiohttp costs a Dag file time that it does not need.
"""

from __future__ import annotations

import os
import ssl
from typing import Any, Final

import aiohttp
import yarl
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from airflow_provider.core.http.connection import LONGEST_IDLE, ConnectionSettings
from airflow_provider.core.http.responses import MAX_JSON_BYTES, Request, Response
from airflow_provider.core.http.sessions import LONGEST_ANSWER, environment_proxy, lost, too_long
from airflow_provider.exceptions import ConfigurationError, TransportError

MOST_CONNECTIONS: Final = 100

LONGEST_HEADER: Final = 65_536
"""Longest status line and header that is read, in bytes."""


class UnreadableAnswerError(TransportError):
    """
    aiohttp refuses to read an answer that requests may be able to read. ``lasting`` says whether the same is
    expected of all answers of the service.
    """

    lasting: bool = True


def new_async_client(settings: ConnectionSettings) -> aiohttp.ClientSession:
    """
    Return a client for the API of a connection. Call it in a running event loop; the caller closes it.

    It carries no key (each request does), keeps no cookies and reads no ``.netrc``. aiohttp repeats a GET or
    DELETE once by itself when a kept connection turns out to be closed. Proxies and CA bundle are
    the same as in the synchronous half: the connection's, else the environment's, and no proxy for plain http
    to this machine.

    :raises ConfigurationError: the environment names a proxy that aiohttp cannot use.
    """
    timeout = aiohttp.ClientTimeout(
        total=settings.connect_timeout + LONGEST_ANSWER * settings.read_timeout,
        sock_connect=settings.connect_timeout,
        sock_read=settings.read_timeout,
    )
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=_tls(settings), limit=MOST_CONNECTIONS, keepalive_timeout=LONGEST_IDLE
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=timeout,
        # Not trust_env: it would also send what .netrc holds for the host.
        trust_env=False,
        proxy=environment_proxy(settings),
        # As much as http.client takes; the default of 8,190 bytes fails every poll behind a chatty gateway.
        max_line_size=LONGEST_HEADER,
        max_field_size=LONGEST_HEADER,
    )


def _tls(settings: ConnectionSettings) -> ssl.SSLContext | bool:
    if settings.verify is False:
        return False
    if settings.base_url.startswith("http:"):
        return True
    if settings.verify is True:
        bundle = (
            os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
        )
    else:
        bundle = str(settings.verify)
    try:
        if os.path.isdir(bundle):
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise ConfigurationError(
            f"Connection {settings.conn_id!r}: the CA bundle {bundle!r} cannot be used ({error}). Correct "
            "`verify` in the connection's extra, or REQUESTS_CA_BUNDLE in the environment.",
            parameter="verify",
        ) from error


async def send(client: aiohttp.ClientSession, request: Request, settings: ConnectionSettings) -> Response:
    """
    Make one attempt and read the response whole. Redirects are not followed.

    :raises TransportError: no answer, or a broken one.
    :raises UnreadableAnswerError: aiohttp takes the answer for a broken one, which need not be so.
    :raises MalformedResponseError: the body is too long.
    """
    options: dict[str, Any] = {}
    if request.read_timeout is not None:
        options["timeout"] = aiohttp.ClientTimeout(
            total=settings.connect_timeout + request.read_timeout,
            sock_connect=settings.connect_timeout,
            sock_read=request.read_timeout,
        )
    url = yarl.URL(request.url, encoded=True)
    try:
        async with client.request(
            request.method, url, headers=request.headers, allow_redirects=False, **options
        ) as response:
            return await _read_response(response, request)
    except UnreadableAnswerError:
        raise
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        # What a proxy refuses is an error that quotes its URL, with the password.
        shown = None if isinstance(error, aiohttp.ClientHttpProxyError) else error
        trouble = _failure(error, request)
        if _is_unreadable(error):
            unreadable = UnreadableAnswerError(
                str(trouble), request_id=request.request_id, endpoint=request.endpoint
            )
            unreadable.lasting = not _is_cut(error)
            raise unreadable from error
        raise trouble from shown


def _failure(error: Exception, request: Request) -> TransportError:
    """Name what an aiohttp exception means, and whether the request can have arrived."""
    unreached = aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError | aiohttp.ConnectionTimeoutError
    return lost(
        request,
        error,
        str(error),
        sent=not isinstance(error, unreached),
        tls=isinstance(error, aiohttp.ClientSSLError),
        late=isinstance(error, TimeoutError),
    )


def _is_unreadable(error: Exception) -> bool:
    """Whether the answer came and breaks a rule of HTTP, or its body is not encoded as its header says."""
    if isinstance(error, aiohttp.ClientPayloadError):
        return _is_cut(error) or isinstance(error.__cause__, aiohttp.http_exceptions.ContentEncodingError)
    return isinstance(error, aiohttp.ClientResponseError) and not isinstance(
        error, aiohttp.ClientHttpProxyError
    )


def _is_cut(error: Exception) -> bool:
    """Whether the last chunk does not end as it should; requests reads no further than its length."""
    return isinstance(error.__cause__, aiohttp.http_exceptions.TransferEncodingError)


async def _read_response(response: aiohttp.ClientResponse, request: Request) -> Response:
    encodings = ",".join(response.headers.getall("Content-Encoding", ())).lower()
    if encodings != "gzip" and "gzip" in encodings:
        raise UnreadableAnswerError(
            f"{request.endpoint} answered in {encodings}",
            request_id=request.request_id,
            endpoint=request.endpoint,
        )
    announced = response.content_length
    if announced is not None and announced <= MAX_JSON_BYTES and not encodings:
        body = await response.read()
    else:
        pieces, size = [], 0
        async for piece in response.content.iter_chunked(64 * 1024):
            size += len(piece)
            if size > MAX_JSON_BYTES:
                raise too_long(request)
            pieces.append(piece)
        body = b"".join(pieces)
    # aiohttp looks header names up in any case.
    return Response(request.endpoint, response.status, response.headers, body, request.request_id)
