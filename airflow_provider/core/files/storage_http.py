"""
Requests to storage hosts behind signed links: nothing of the API session goes along, nothing of the link
leaks.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from airflow_provider.exceptions import TransferError

if TYPE_CHECKING:
    from requests import Response, Session


LINK_REFUSED = frozenset({400, 401, 403, 404, 410})
"""
How storage hosts refuse a link that has expired: S3 and Azure 403, Google 400 or 403, CDNs 401, 404 or 410.
"""

TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})

MAX_REFUSALS = 2
"""Fresh links that are asked for in a row before a refusal is believed."""

MAX_REDIRECTS = 5
MAX_RETRY_SECONDS = 30.0

Timeout = tuple[float, float]
DEFAULT_TIMEOUT: Timeout = (10.0, 60.0)
"""Seconds to connect, and seconds without a single byte."""


class LinkError(Exception):
    """A link cannot be used at all. Internal: turned into ``TransferError`` with the name of the file."""


def safe_url(url: str) -> str:
    """Return ``host/path`` of a signed link: no query string, no user, so that it can be logged."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "?"
    return f"{parts.hostname or '?'}{port}{parts.path}"


class Broken(Exception):
    """
    An answer ended early or was not usable; another attempt may do better.

    :param reason: for the log, without the link.
    :param response: to ask for its ``Retry-After``.
    :param start_over: what has arrived so far is of no use.
    """

    def __init__(self, reason: str, response: Response | None = None, *, start_over: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.response = response
        self.start_over = start_over


def keep_queries_out_of_logs() -> None:
    """
    Keep query strings out of what urllib3 logs in this process, at ``DEBUG`` every request's path and query.

    The query of a signed link is all that it takes to read or write the file.
    """
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(_without_queries)


def _without_queries(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(_without_query(argument) for argument in record.args)
    return True


def _without_query(argument: object) -> object:
    if not isinstance(argument, str) or "?" not in argument:
        return argument
    return f"{argument.partition('?')[0]}?***"


def new_session() -> Session:
    """Return a plain session for storage hosts."""
    import requests

    return requests.Session()


def send(
    session: Session,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    timeout: Timeout,
    data: Any = None,
    follow: bool = False,
) -> Response:
    """
    Send one request with the session's connections, proxies and certificates, and nothing else of it.

    The session may be the one of a hook: its default headers hold the API key. Neither those, nor its
    ``auth``, cookies and parameters, nor a ``.netrc`` entry are ever sent to a storage host.

    :param follow: follow up to five redirects, to the same scheme or from http to https, never down.
    :returns: the response, unread; the caller closes it.
    :raises requests.RequestException: no answer.
    :raises LinkError: not a usable link, or a redirect that may not be followed.
    """
    import requests

    keep_queries_out_of_logs()
    for _ in range(MAX_REDIRECTS + 1):
        scheme = _scheme(url)
        if scheme not in ("http", "https"):
            raise LinkError(f"its scheme is {scheme or 'missing'}, not http or https")
        try:
            prepared = requests.Request(method, url, headers=dict(headers), data=data).prepare()
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, ValueError):
            raise LinkError("it is not a valid URL") from None
        agent = session.headers.get("User-Agent")
        if agent is not None:
            prepared.headers.setdefault("User-Agent", str(agent))
        settings = session.merge_environment_settings(url, {}, True, None, None)
        response = session.send(prepared, timeout=timeout, allow_redirects=False, **settings)
        if not follow or not response.is_redirect:
            return response
        response.close()
        target = _joined(url, response.headers["Location"])
        target_scheme = _scheme(target)
        if target_scheme not in (scheme, "https"):
            raise LinkError(f"it redirects from {scheme} to {target_scheme} ({safe_url(target)})")
        url = target
    raise LinkError(f"it redirects more than {MAX_REDIRECTS} times")


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower() if ":" in url else ""


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise LinkError("it redirects to something that is not a URL") from None


def retry_seconds(response: Response | None, failures: int) -> float:
    """
    Return how long to wait before the next attempt: what the host asks for, else 1, 2, 4... at most 30 s.
    """
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    if asked.isascii() and asked.isdigit():
        return min(float(asked), MAX_RETRY_SECONDS)
    return min(2.0 ** max(failures - 1, 0), MAX_RETRY_SECONDS)


def drain(response: Response) -> None:
    """Read the short answer to an upload, so that its connection can be used again, and close it."""
    with contextlib.suppress(Exception):
        response.raw.read(64 * 1024, decode_content=False)
    response.close()


def describe(error: Exception) -> str:
    """
    Name a network error without quoting it: ``requests`` writes the whole signed link into its messages.
    """
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
    reason = response.headers.get("x-ms-error-code") or response.reason or ""
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
            reason = describe(error)
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


LOG_EVERY_SECONDS = 10.0


class Progress:
    """
    Count bytes and write a line when enough time has passed.

    :param what: subject of the line, for example ``"Upload of clip.mp4"``. Never a signed link.
    :param total: bytes expected; ``None`` when the other side did not say.
    :param log: where to write, at INFO.
    :param done: bytes that are already there, from an earlier attempt. They do not count for the rate.
    :param every: seconds between lines, default 10. A transfer shorter than that writes none.
    :param on_progress: called with ``(done, total)`` for every piece; for heartbeats or a user's own display.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        log: logging.Logger,
        *,
        done: int = 0,
        every: float = LOG_EVERY_SECONDS,
        on_progress: Callable[[int, int | None], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what = what
        self.total = total
        self.done = done
        self._log = log
        self._every = every
        self._on_progress = on_progress
        self._clock = clock
        self._began = self._last = clock()
        self._moved = 0
        self._logged = False

    def advance(self, count: int) -> None:
        """Count ``count`` more bytes."""
        self.done += count
        self._moved += count
        now = self._clock()
        if now - self._last >= self._every:
            self._last = now
            self._logged = True
            self._log.info("%s: %s", self.what, self._line(now))
        if self._on_progress is not None:
            self._on_progress(self.done, self.total)

    def reset(self, done: int) -> None:
        """Go back to ``done`` bytes: a piece has to be sent or fetched again."""
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
