"""
Requests to storage hosts behind signed links: nothing of the API session goes along, nothing of a link leaks.

Also what uploads and downloads share: how they are repeated, and their progress in the log.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, TypedDict, Unpack
from urllib.parse import urljoin, urlsplit

from airflow_provider.core.http.retry import RetryPolicy
from airflow_provider.core.text import clean, keep_queries_out_of_logs
from airflow_provider.exceptions import TransferError

if TYPE_CHECKING:
    from requests import Response, Session

    from airflow_provider.core.http.connection import ConnectionSettings

LINK_REFUSED = frozenset({400, 401, 403, 404, 410})
"""
How storage hosts refuse a link that has expired: S3 and Azure 403, Google 400 or 403, CDNs 401, 404 or 410.
"""

MAX_REFUSALS = 2
"""Fresh links that are asked for in a row before a refusal is believed."""

MAX_REDIRECTS = 5
MAX_SECONDS = 3600.0
"""Longest time that a download, or the pauses of an upload, may take."""

LOG_EVERY_SECONDS = 10.0

Timeout = tuple[float, float]
DEFAULT_TIMEOUT: Timeout = (10.0, 60.0)
"""Seconds to connect, and seconds without a single byte."""

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,20}):", re.I)


class TransferOptions(TypedDict, total=False):
    """
    How ``download`` and ``put_blob`` go about it.

    :param timeout: seconds to connect, and seconds without a single byte; default :data:`DEFAULT_TIMEOUT`.
    :param max_retries: failures in a row that bring nothing new, after the first; default 4. What a host says
        in ``Retry-After`` is kept to.
    :param api_url: base URL of the API that gives the links. Loopback, link-local and private addresses are
        asked only when the API is at one itself. Default: the link's own host decides.
    :param log: repetitions and the progress of a long transfer are written there.
    :param clock: monotonic seconds.
    :param now: epoch seconds, compared with when a link ends.
    """

    timeout: Timeout
    max_retries: int
    api_url: str | None
    log: logging.Logger
    clock: Callable[[], float]
    now: Callable[[], float]
    sleep: Callable[[float], None]


def transfer_options(settings: ConnectionSettings, **more: Unpack[TransferOptions]) -> TransferOptions:
    """Return what the settings of a connection say about transfers, and more."""
    return {
        "timeout": (settings.connect_timeout, settings.read_timeout),
        "max_retries": settings.max_retries,
        "api_url": settings.base_url,
        **more,
    }


@dataclass(kw_only=True)
class Transfer:
    """
    A file on its way; see :class:`TransferOptions`.

    :param session: for its connections, proxies and certificates; of its headers only ``User-Agent`` is sent,
        never a key. Its adapters should not retry by themselves: urllib3 logs links when it does.
    """

    session: Session
    timeout: Timeout = DEFAULT_TIMEOUT
    max_retries: int = 4
    api_url: str | None = None
    log: logging.Logger = field(default_factory=lambda: logging.getLogger(__name__))
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    @property
    def retries(self) -> RetryPolicy:
        """No jitter: transfers do not start at the same time."""
        return RetryPolicy(max_retries=self.max_retries, total=MAX_SECONDS, jitter=0.0)

    def send(
        self, method: str, url: str, headers: Mapping[str, str], *, data: Any = None, follow: bool = False
    ) -> Response:
        """
        Send one request with the session's connections, proxies and certificates, and nothing else of it.

        The session may be the one of a hook: its default headers hold the API key. Neither those, nor its
        ``auth``, cookies and parameters, nor a ``.netrc`` entry are ever sent to a storage host.

        :param follow: follow up to five redirects, to the same scheme or from http to https, never down.
        :returns: the response, unread; the caller closes it.
        :raises Broken: no answer.
        :raises LinkError: not a usable link, or a redirect that may not be followed.
        """
        import requests
        import urllib3

        keep_queries_out_of_logs()
        session = self.session
        home = url if self.api_url is None else self.api_url
        for redirects in range(MAX_REDIRECTS + 1):
            check_link(url, home=home)
            try:
                prepared = requests.Request(method, url, headers=dict(headers), data=data).prepare()
            except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, ValueError):
                raise LinkError("it is not a valid URL") from None
            # The host as the library reads it.
            check_link(str(prepared.url), home=home, resolve=redirects > 0)
            agent = session.headers.get("User-Agent")
            if agent is not None:
                prepared.headers.setdefault("User-Agent", str(agent))
            settings = session.merge_environment_settings(url, {}, True, None, None)
            reason = ""
            try:
                response = session.send(prepared, timeout=self.timeout, allow_redirects=False, **settings)
            except urllib3.exceptions.LocationValueError:
                # A label of its host is empty or too long; requests lets this one out.
                raise LinkError("it names no host that can exist") from None
            except requests.RequestException as error:
                reason = _name_of(error)
            if reason:
                # Raised outside the except block: a chained traceback would print the signed link.
                raise Broken(reason)
            if not follow or not response.is_redirect:
                return response
            response.close()
            url = _redirected(url, response.headers["Location"])
        raise LinkError(f"it redirects more than {MAX_REDIRECTS} times")

    def wait(self, pause: float, failures: int, trouble: str) -> None:
        """Wait before another attempt, and say why."""
        attempt, most = failures + 1, self.max_retries + 1
        self.log.warning("%s; attempt %d of %d in %.0f s.", trouble, attempt, most, pause)
        self.sleep(pause)


class LinkError(Exception):
    """A link cannot be used at all. Internal: turned into ``TransferError`` with the name of the file."""


def safe_url(url: str) -> str:
    """Return ``host/path`` of a signed link: no query string, no user, so that it can be logged."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "?"
    return clean(f"{parts.hostname or '?'}{port}{parts.path}", 300)


class Broken(Exception):
    """
    An answer ended early or was not usable; another attempt may do better.

    :param reason: for the log, without the link.
    :param asked: seconds that the host asks to wait.
    :param start_over: what has arrived so far is of no use.
    """

    def __init__(self, reason: str, *, asked: float | None = None, start_over: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.asked = asked
        self.start_over = start_over


def check_link(url: str, *, home: str, resolve: bool = False) -> None:
    """
    Refuse a link that a service has no business to give.

    :param home: a URL of whoever gave it.
    :param resolve: ask for the addresses of a host name as well. The first link may name a storage host that
        a private network answers for; a redirect may not lead there.
    :raises LinkError: neither https nor this machine, a user in it, or an address inside while ``home`` is
        outside.
    """
    scheme = _scheme(url)
    from airflow_provider.core.http.connection import is_loopback

    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise LinkError("it is not a valid URL") from None
    if scheme not in ("http", "https"):
        raise LinkError(f"its scheme is {scheme or 'missing'}, not https")
    if not host:
        raise LinkError("it names no host")
    if "@" in parts.netloc:
        raise LinkError("it names a user")
    if scheme == "http" and not is_loopback(host):
        raise LinkError("its scheme is http, and only https is followed")
    if _is_inside(host, resolve=resolve) and not _is_inside(urlsplit(home).hostname or "", resolve=True):
        raise LinkError("it leads to an address of a private network")


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _is_inside(host: str, *, resolve: bool) -> bool:
    return any(not address.is_global for address in _addresses(host, resolve=resolve))


def _addresses(host: str, *, resolve: bool = False) -> list[_Address]:
    host = host.partition("%")[0].rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        host = "127.0.0.1"
    try:
        # A resolver also reads `127.1`, `0x7f000001` and `2130706433` as addresses.
        found: list[_Address] = [ipaddress.ip_address(host if ":" in host else socket.inet_aton(host))]
    except (ValueError, OSError):
        if not resolve:
            return []
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, ValueError):
            # Behind a proxy, names may be known to the proxy alone.
            return []
        found = [ipaddress.ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers]
    return [getattr(address, "ipv4_mapped", None) or address for address in found]


def _scheme(url: str) -> str:
    match = _SCHEME.match(url)
    return match[1].lower() if match else ""


def _redirected(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
    except ValueError:
        raise LinkError("it redirects to something that is not a URL") from None
    scheme, target_scheme = _scheme(url), _scheme(target)
    if target_scheme not in (scheme, "https"):
        raise LinkError(f"it redirects from {scheme} to {target_scheme or 'another scheme'}")
    return target


def _name_of(error: Exception) -> str:
    """Name a network error without quoting it: messages of ``requests`` hold the whole signed link."""
    import requests

    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "the connection could not be made in time"
    if isinstance(error, requests.exceptions.Timeout) or "Timeout" in type(error).__name__:
        return "no bytes came within the read timeout"
    if isinstance(error, requests.exceptions.SSLError):
        return "the TLS connection failed"
    return f"the connection broke ({type(error).__name__})"


def refused(doing: str, url: str, response: Response) -> TransferError:
    """Return the error for an answer that no repetition will change."""
    reason = clean(response.headers.get("x-ms-error-code") or response.reason, 60)
    return TransferError(
        f"{doing} {safe_url(url)}: the storage host answered {response.status_code} {reason}".rstrip() + ".",
        http_status=response.status_code,
    )


def read_body(response: Response, chunk_size: int) -> Iterator[bytes]:
    """
    Yield the body as it comes, at most ``chunk_size`` bytes at a time.

    :raises Broken: it broke off.
    """
    import urllib3

    raw = response.raw
    encoded = is_encoded(response)
    # read(n) waits for n bytes, so a trickle would hide from the caller's deadline; read1 returns what came.
    read = raw.read if encoded else getattr(raw, "read1", raw.read)
    reason = ""
    while True:
        try:
            data = read(chunk_size, decode_content=encoded)
        except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
            reason = _name_of(error)
            break
        if not data:
            break
        yield data
    length = body_length(response)
    if not reason and encoded and length is not None and raw.tell() != length:
        reason = f"the body ended at {raw.tell()} of {length} compressed bytes"
    if reason:
        raise Broken(reason)


def is_encoded(response: Response) -> bool:
    """Tell whether the bytes on the wire are compressed, although that was not asked for."""
    return response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")


def body_length(response: Response) -> int | None:
    """Return the announced length in bytes, ``None`` when there is none."""
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


class Progress:
    """
    Progress of a long transfer: one line every ten seconds, none for a transfer that is shorter.

    :param what: subject of the line, for example ``"Upload of clip.mp4"``. Never a signed link.
    :param total: bytes expected; ``None`` when the other side did not say.
    :param log: where to write, at INFO.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        log: logging.Logger,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what = what
        self.total = total
        self.done = 0
        self._log = log
        self._clock = clock
        self._began = self._last = clock()
        self._moved = 0
        self._logged = False

    def advance(self, count: int) -> None:
        self.done += count
        self._moved += count
        now = self._clock()
        if now - self._last >= LOG_EVERY_SECONDS:
            self._last = now
            self._logged = True
            self._log.info("%s: %s", self.what, self._line(now))

    def reset(self, done: int) -> None:
        """Go on from ``done`` bytes, from earlier or after a step back; the rate does not count them."""
        self.done = done

    def finish(self) -> None:
        """Write the last line, if there was a first."""
        if self._logged:
            seconds = self._clock() - self._began
            self._log.info("%s: done, %s in %s", self.what, human_bytes(self.done), _human_seconds(seconds))

    def _line(self, now: float) -> str:
        seconds = max(now - self._began, 1e-9)
        rate = self._moved / seconds
        if not self.total:
            return f"{human_bytes(self.done)}, {human_bytes(rate)}/s"
        percent = 100 * self.done // self.total
        left = max(self.total - self.done, 0)
        remaining = _human_seconds(left / rate) if rate else "unknown"
        return f"{percent}% of {human_bytes(self.total)}, {human_bytes(rate)}/s, {remaining} remaining"


def human_bytes(count: float) -> str:
    """Return ``count`` bytes for people: ``512 B``, ``10.0 MB``. Decimal units, as the vendors write them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def _human_seconds(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
