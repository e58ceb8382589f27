"""Downloads from signed links: streamed, resumed, checked, and visible only when whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from airflow_provider.core.files.atomic import AtomicFile, open_atomic, size_of_target
from airflow_provider.core.files.locations import Location, locate
from airflow_provider.core.files.manifest import Digest, make_manifest
from airflow_provider.core.files.storage_http import (
    DEFAULT_TIMEOUT,
    LINK_REFUSED,
    MAX_REFUSALS,
    TRY_AGAIN,
    Broken,
    LinkError,
    Progress,
    Timeout,
    body_length,
    describe,
    is_encoded,
    new_session,
    read_body,
    refused,
    retry_seconds,
    safe_url,
    send,
)
from airflow_provider.exceptions import TransferError

if TYPE_CHECKING:
    from requests import Response, Session


CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class DownloadLink:
    """
    A signed link.

    :param url: never logged with its query string.
    :param expires_at: epoch seconds at which it ends; ``None`` when not known.
    """

    url: str
    expires_at: float | None = None

    def __repr__(self) -> str:
        return f"DownloadLink({safe_url(self.url)})"


def download(
    session: Session | None,
    link_factory: Callable[[], str | DownloadLink],
    target: Any,
    *,
    expected_type: ExpectedType | None,
    overwrite: bool = False,
    conn_id: str | None = None,
    expires_at: float | None = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    chunk_size: int = CHUNK_BYTES,
    max_attempts: int = 5,
    max_seconds: float = 3600.0,
    media_type: str | None = None,
    log: logging.Logger | None = None,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """
    Fetch what a signed link leads to into ``target``: the whole file, or a clear error and the target as it
    was.

    A local target is written to ``.name.part`` beside it, synced and renamed. An object is uploaded without
    being visible and completed at the end; a DOCX on its way to a store goes through a local temporary
    file, because a zip can be checked only as a whole. Length, type and SHA-256 are taken on the way, in
    constant memory.

    A broken connection is continued with ``Range`` and ``If-Range`` when the host gave a strong ETag and a
    length; otherwise it starts over. A part left on local disk by a killed process is continued by the next
    one under the same condition, and only as far as its recorded digest proves it. A link that is refused
    or has ended is replaced by asking ``link_factory`` again.

    The digest of the remote file is not known before it is fetched, so a file that exists is compared when
    the download is complete and before anything is renamed: the same size and SHA-256 means done, without
    rewriting it. A different one is replaced when ``overwrite`` is true, and else an error; if the
    announced length already differs, the error comes before the body is fetched.

    :param session: for its connections, proxies and certificates; of its headers only ``User-Agent`` is
        sent, never a key. ``None`` makes one. Its adapters should not retry by themselves: urllib3 logs
        links when it does.
    :param link_factory: returns a link; called once at the start and again for a fresh one.
    :param target: local path or URL of a store (``s3://conn@bucket/key``).
    :param expected_type: ``pdf`` or ``docx`` check the content; ``None`` takes anything whose length is
        certain.
    :param overwrite: see above. Default ``False``.
    :param conn_id: Airflow connection for a target URL that names none.
    :param expires_at: epoch seconds at which the first link ends, when ``link_factory`` returns bare strings.
    :param timeout: seconds to connect, and seconds without a single byte.
    :param chunk_size: largest piece held in memory, default 1 MiB.
    :param max_attempts: failures in a row that bring no new byte, default 5.
    :param max_seconds: for everything together, default one hour.
    :param media_type: for the manifest; default by ``expected_type``, else what the host says.
    :param log: repetitions and the progress of long downloads are written there.
    :param clock: monotonic seconds.
    :param now: epoch seconds, compared with ``expires_at``.
    :param sleep: waits between attempts.
    :returns: a manifest: ``path``, ``bytes``, ``sha256``, ``media_type``.
    :raises InvalidInputError: ``target`` is not a path that can be opened.
    :raises TransferError: no whole file of the expected type came within the attempts and the time, or
        ``target`` holds something else. Names target and host, never the signature.
    """
    location = locate(target, conn_id=conn_id, argument="target")
    existing = size_of_target(location)
    log = log or logging.getLogger(__name__)
    own = session or new_session()
    whole = open_atomic(location, readable=expected_type == "docx")
    run = _Download(
        session=own,
        link_factory=link_factory,
        location=location,
        whole=whole,
        existing=None if overwrite else existing,
        need_length=expected_type is None,
        expires_at=expires_at,
        timeout=timeout,
        chunk_size=chunk_size,
        max_attempts=max_attempts,
        max_seconds=max_seconds,
        log=log,
        clock=clock,
        now=now,
        sleep=sleep,
    )
    # A part is worth keeping after trouble on the way, not after it has turned out to be the wrong file.
    keep = True
    try:
        host = run.fetch()
        keep = False
        written = whole.finish(
            overwrite=overwrite,
            check=lambda digest, opener: check_content(
                expected_type, digest, opener, name=f"what {host} sent for {location}"
            ),
        )
    except _Useless:
        keep = False
        raise
    finally:
        whole.close(keep=keep)
        if session is None:
            own.close()
    if not written:
        log.info("%s already holds the same %d bytes; left as it is.", location, whole.digest.size)
    return make_manifest(
        location.url,
        whole.digest.size,
        whole.digest.sha256(),
        media_type or MEDIA_TYPES.get(expected_type or "") or run.media_type,
    )


class _Useless(TransferError):
    """What has arrived is of no use to another attempt."""


class _LinkRefused(Exception):
    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


@dataclass(kw_only=True)
class _Download:
    session: Session
    link_factory: Callable[[], str | DownloadLink]
    location: Location
    whole: AtomicFile
    existing: int | None
    need_length: bool
    expires_at: float | None
    timeout: Timeout
    chunk_size: int
    max_attempts: int
    max_seconds: float
    log: logging.Logger
    clock: Callable[[], float]
    now: Callable[[], float]
    sleep: Callable[[float], None]
    media_type: str = "application/octet-stream"

    def __post_init__(self) -> None:
        self._deadline = self.clock() + self.max_seconds
        self._progress = Progress(f"Download of {self.location.name}", None, self.log, clock=self.clock)

    def fetch(self) -> str:
        """Bring every byte into the target; return ``host/path`` for messages."""
        failures = refusals = 0
        furthest = self.whole.digest.size
        link = self._link()
        if self.whole.digest.size:
            self.log.info(
                "Download of %s goes on at byte %d of a part left by an earlier attempt.",
                self.location,
                self.whole.digest.size,
            )
        while True:
            if link.expires_at is not None and self.now() >= link.expires_at:
                # Used even if it looks expired as well: then it is this clock that is wrong.
                link = self._link()
            outcome: Broken | _LinkRefused
            try:
                self._attempt(link.url)
                self._progress.finish()
                return safe_url(link.url)
            except (Broken, _LinkRefused) as error:
                outcome = error
            # Raised outside the except block: a chained traceback would print the signed link.
            if isinstance(outcome, _LinkRefused):
                refusals += 1
                if refusals > MAX_REFUSALS:
                    raise refused(f"cannot download {self.location} from", link.url, outcome.response)
                status = outcome.response.status_code
                self.log.warning(
                    "Download of %s: the link was refused with %d; asking for a fresh one.",
                    self.location,
                    status,
                )
                link = self._link()
                continue
            arrived = self.whole.digest.size
            if arrived > furthest:
                # An attempt that had to start over is progress only if it came further than all before.
                furthest, failures, refusals = arrived, 0, 0
            failures += 1
            if outcome.start_over or self.whole.checkpoint is None:
                self.whole.restart()
            if failures >= self.max_attempts:
                raise self._failed(
                    link, f"{outcome.reason}; {failures} attempts brought nothing more", arrived
                )
            seconds = retry_seconds(outcome.response, failures)
            if self.clock() + seconds >= self._deadline:
                allowed = f"the {self.max_seconds:.0f} s allowed are over"
                raise self._failed(link, f"{outcome.reason}; {allowed}", arrived)
            self.log.warning(
                "Download of %s from %s: %s (%d bytes arrived); attempt %d of %d in %.0f s.",
                self.location,
                safe_url(link.url),
                outcome.reason,
                arrived,
                failures + 1,
                self.max_attempts,
                seconds,
            )
            self.sleep(seconds)

    def _link(self) -> DownloadLink:
        link = self.link_factory()
        if isinstance(link, str):
            link, self.expires_at = DownloadLink(link, self.expires_at), None
        return link

    def _failed(self, link: DownloadLink, reason: str, arrived: int) -> TransferError:
        return TransferError(
            f"cannot download {self.location} from {safe_url(link.url)}: {reason} ({arrived} bytes arrived)."
        )

    def _attempt(self, url: str) -> None:
        whole = self.whole
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        start = whole.digest.size
        if whole.checkpoint is not None and start:
            # A part that is complete still has to prove that it is: ask for its last byte.
            start = min(start, whole.checkpoint.total - 1)
            headers["Range"] = f"bytes={start}-"
            headers["If-Range"] = whole.checkpoint.etag
        response = self._get(url, headers)
        try:
            self._receive(response, url, start if "Range" in headers else None)
        finally:
            response.close()

    def _get(self, url: str, headers: dict[str, str]) -> Response:
        import requests

        reason = ""
        try:
            return send(self.session, "GET", url, headers=headers, timeout=self.timeout, follow=True)
        except requests.RequestException as error:
            reason = describe(error)
        except LinkError as error:
            raise _Useless(
                f"cannot download {self.location} from {safe_url(url)}: the link cannot be used: {error}."
            ) from None
        raise Broken(reason)

    def _receive(self, response: Response, url: str, start: int | None) -> None:
        status = response.status_code
        if status in LINK_REFUSED:
            raise _LinkRefused(response)
        if status in TRY_AGAIN:
            raise Broken(f"the storage host answered {status}", response)
        if status == 416 and start is not None:
            raise Broken("the storage host has no such range", start_over=True)
        skip = 0
        total: int | None
        if status == 206 and start is not None:
            total = self._check_range(response, start)
            skip = self.whole.digest.size - start
        elif status == 200:
            total = self._begin(response, url)
        else:
            raise refused(f"cannot download {self.location} from", url, response)
        if total is not None and self.existing is not None and total != self.existing:
            raise _Useless(
                f"{self.location} holds other content ({self.existing} bytes; the new file has {total}). "
                "Set overwrite=True to replace it, or choose another path."
            )
        self._progress.reset(self.whole.digest.size)
        self._progress.total = total
        for data in read_body(response, self.chunk_size):
            self.whole.write(data[skip:])
            self._progress.advance(max(len(data) - skip, 0))
            skip = max(skip - len(data), 0)
            if self.clock() >= self._deadline:
                raise TransferError(
                    f"cannot download {self.location} from {safe_url(url)}: only {self.whole.digest.size} of "
                    f"{total or 'unknown'} bytes came in the {self.max_seconds:.0f} s allowed."
                )
        if total is not None and self.whole.digest.size != total:
            raise Broken(f"the body ended at {self.whole.digest.size} of {total} bytes")

    def _begin(self, response: Response, url: str) -> int | None:
        """Start with a full answer: take its type, length and identity."""
        if self.whole.digest.size:
            self.log.info(
                "Download of %s starts over: the file changed, or its host cannot resume.", self.location
            )
            self.whole.restart()
        self.media_type = response.headers.get("Content-Type", self.media_type).split(";", 1)[0].strip()
        if is_encoded(response):
            # Lengths and ranges then speak of the compressed bytes; what is written is not those.
            self.whole.identify(None, None)
            return None
        total = body_length(response)
        chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        if total is None and not chunked and self.need_length:
            raise _Useless(
                f"cannot download {self.location} from {safe_url(url)}: its host announces no length, "
                "so a file that was cut short could not be told from a whole one."
            )
        etag = response.headers.get("ETag", "")
        # A weak ETag does not promise the same bytes.
        self.whole.identify(etag if etag.startswith('"') and len(etag) > 2 else None, total)
        return total

    def _check_range(self, response: Response, start: int) -> int:
        """Return the length of the entity if this is the range that was asked for, of the same entity."""
        checkpoint = self.whole.checkpoint
        assert checkpoint is not None
        total = checkpoint.total
        if (
            response.headers.get("Content-Range", "").strip() != f"bytes {start}-{total - 1}/{total}"
            or response.headers.get("ETag", checkpoint.etag) != checkpoint.etag
            or is_encoded(response)
        ):
            reason = "the storage host answered with another range than it was asked for"
            raise Broken(reason, start_over=True)
        return total


ExpectedType = Literal["pdf", "docx"]

MEDIA_TYPES: dict[str, str] = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}


def check_content(
    expected_type: ExpectedType | None, digest: Digest, opener: Callable[[], BinaryIO], *, name: str
) -> None:
    """
    Check that the bytes are a whole document of the expected type.

    A PDF must begin with ``%PDF-`` (readers allow up to 1,024 bytes before it, so do we) and have ``%%EOF``
    near its end. A DOCX must be a zip whose directory is complete, whose members all pass their CRC, and
    that has the document part.

    :param expected_type: ``None`` accepts anything.
    :param digest: of the whole file.
    :param opener: opens the file for reading, seekable; called for DOCX only.
    :param name: for the error.
    :raises TransferError: the content is something else, or cut short.
    """
    if expected_type == "pdf":
        if b"%PDF-" not in digest.head:
            raise TransferError(f"{name} is not a PDF: it begins with {_shown(digest.head)}.")
        if b"%%EOF" not in digest.tail:
            raise TransferError(
                f"{name} is a PDF without its end marker: it was cut short at {digest.size} bytes."
            )
    elif expected_type == "docx":
        if not digest.head.startswith(b"PK"):
            raise TransferError(f"{name} is not a DOCX: it begins with {_shown(digest.head)}.")
        _check_docx(opener, name, digest.size)


def _check_docx(opener: Callable[[], BinaryIO], name: str, size: int) -> None:
    import zipfile
    import zlib

    try:
        with opener() as stream, zipfile.ZipFile(stream) as archive:
            bad = archive.testzip()
            names = set(archive.namelist())
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise TransferError(
            f"{name} is not a whole DOCX: {error} ({size} bytes arrived; it was cut short or damaged)."
        ) from None
    if bad is not None:
        raise TransferError(f"{name} is a damaged DOCX: {bad!r} fails its checksum.")
    if "word/document.xml" not in names:
        raise TransferError(f"{name} is a zip file but not a DOCX: it has no word/document.xml.")


def _shown(head: bytes) -> str:
    # An error page of a storage host can echo the signed request, so only its first few bytes are shown.
    return repr(head[:16])
