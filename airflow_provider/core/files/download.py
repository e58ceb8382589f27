"""Downloads from signed links: streamed, resumed, checked, and visible only when whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Unpack

from airflow_provider.core.files.atomic import AtomicFile, open_atomic, other_content, size_of_target
from airflow_provider.core.files.locations import Location, locate
from airflow_provider.core.files.manifest import Digest
from airflow_provider.core.files.media_types import DOCX, office_type
from airflow_provider.core.files.storage_http import (
    LINK_REFUSED,
    MAX_REFUSALS,
    Broken,
    LinkError,
    Progress,
    Transfer,
    TransferOptions,
    body_length,
    human_bytes,
    is_encoded,
    read_body,
    refused,
    safe_url,
)
from airflow_provider.core.http.retry import TRANSIENT_STATUS, retry_after
from airflow_provider.core.text import clean
from airflow_provider.exceptions import TransferError

if TYPE_CHECKING:
    from requests import Response, Session

CHUNK_BYTES = 1024 * 1024
"""Largest piece held in memory."""

MAX_BYTES = 2 * 1024**3

EXPANDED_RATIO = 100
EXPANDED_BYTES = 64 * 1024 * 1024
"""A document may expand to so many times its size and so many bytes; real ones stay far below."""

ExpectedType = Literal["pdf", "docx"]

MEDIA_TYPES: dict[str, str] = {"pdf": "application/pdf", "docx": DOCX}


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
    session: Session,
    link_factory: Callable[[], str | DownloadLink],
    target: Any,
    *,
    expected_type: ExpectedType | None,
    overwrite: bool = False,
    conn_id: str | None = None,
    max_bytes: int = MAX_BYTES,
    **options: Unpack[TransferOptions],
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
    or has ended is replaced by asking ``link_factory`` again. Everything together takes an hour at most.

    The digest of the remote file is not known before it is fetched, so a file that exists is compared when
    the download is complete and before anything is renamed: the same size and SHA-256 means done, without
    rewriting it. A different one is replaced when ``overwrite`` is true, and else an error; if the
    announced length already differs, the error comes before the body is fetched.

    :param session: see :class:`storage_http.Transfer`.
    :param link_factory: returns a link; called once at the start and again for a fresh one. Links are
        followed over https only, over http to this machine.
    :param target: local path or URL of a store (``s3://conn@bucket/key``).
    :param expected_type: ``pdf`` or ``docx`` check the content; ``None`` takes anything whose length is
        certain.
    :param overwrite: see above. Default ``False``.
    :param conn_id: Airflow connection for a target URL that names none.
    :param max_bytes: largest file that is taken, default 2 GiB.
    :param options: see :class:`TransferOptions`.
    :returns: a manifest: ``path``, ``bytes``, ``sha256``, ``media_type``.
    :raises InvalidInputError: ``target`` is not a path that can be opened, a folder or a device.
    :raises TransferError: no whole file of the expected type came within the attempts and the time, it is
        too large, or ``target`` holds something else. Names target and host, never the signature.
    """
    location = locate(target, conn_id=conn_id, argument="target")
    existing = size_of_target(location, overwrite=overwrite)
    file = open_atomic(location, readable=expected_type == "docx")
    # A part is worth keeping after trouble on the way, not after it has turned out to be the wrong file.
    keep = True
    try:
        run = _Download(
            session=session,
            link_factory=link_factory,
            location=location,
            file=file,
            existing=None if overwrite else existing,
            need_length=expected_type is None,
            max_bytes=max_bytes,
            **options,
        )
        host = run.fetch()
        keep = False
        name = f"what {host} sent for {location}"
        written = file.finish(
            overwrite=overwrite,
            check=lambda digest, opener: check_content(
                expected_type, digest, opener, name=name, in_time=lambda: run.check_time(host)
            ),
        )
    except _Useless:
        keep = False
        raise
    finally:
        file.close(keep=keep)
    if not written:
        run.log.info("%s already holds the same %d bytes; left as it is.", location, file.digest.size)
    return file.manifest(MEDIA_TYPES.get(expected_type or "") or run.media_type)


class _Useless(TransferError):
    """What has arrived is of no use to another attempt."""


@dataclass(kw_only=True)
class _Download(Transfer):
    link_factory: Callable[[], str | DownloadLink]
    location: Location
    file: AtomicFile
    existing: int | None
    need_length: bool
    max_bytes: int
    media_type: str = "application/octet-stream"

    def __post_init__(self) -> None:
        self._began = self.clock()
        self._progress = Progress(f"Download of {self.location.name}", None, self.log, clock=self.clock)

    def fetch(self) -> str:
        """Bring every byte into the target; return ``host/path`` for messages."""
        failures = refusals = 0
        furthest = self.file.digest.size
        link = self._link()
        if furthest:
            self.log.info(
                "Download of %s goes on at byte %d of a part left by an earlier attempt.",
                self.location,
                furthest,
            )
        while True:
            if link.expires_at is not None and self.now() >= link.expires_at:
                # Used even if it looks expired as well: then it is this clock that is wrong.
                link = self._link()
            try:
                refusal = self._attempt(link.url)
            except Broken as error:
                broken = error
            else:
                if refusal is None:
                    self._progress.finish()
                    return safe_url(link.url)
                refusals += 1
                if refusals > MAX_REFUSALS:
                    raise refused(f"cannot download {self.location} from", link.url, refusal)
                self.log.warning(
                    "Download of %s: the link was refused with %d; asking for a fresh one.",
                    self.location,
                    refusal.status_code,
                )
                link = self._link()
                continue
            arrived = self.file.digest.size
            if arrived > furthest:
                # An attempt that had to start over is progress only if it came further than all before.
                furthest, failures, refusals = arrived, 0, 0
            if broken.start_over or self.file.checkpoint is None:
                self.file.restart()
            pause = self.retries.next_pause(failures, asked=broken.asked, elapsed=self.clock() - self._began)
            failures += 1
            if pause is None:
                why = (
                    f"{failures} attempts brought nothing more"
                    if failures > self.max_retries
                    else f"the {self.retries.total:.0f} s allowed are over"
                )
                raise self._failed(link.url, f"{broken.reason}; {why} ({arrived} bytes arrived)")
            what = f"Download of {self.location} from {safe_url(link.url)}"
            self.wait(pause, failures, f"{what}: {broken.reason} ({arrived} bytes arrived)")

    def check_time(self, where: str) -> None:
        """Raise :class:`TransferError` when the time is over; ``where`` is a link or what was fetched."""
        allowed = self.retries.total
        if self.clock() - self._began >= allowed:
            came = f"only {self.file.digest.size} of {self._progress.total or 'unknown'} bytes"
            raise self._failed(where, f"{came} came and were checked in the {allowed:.0f} s allowed")

    def _link(self) -> DownloadLink:
        link = self.link_factory()
        return DownloadLink(link) if isinstance(link, str) else link

    def _failed(self, url: str, reason: str, kind: type[TransferError] = TransferError) -> TransferError:
        return kind(f"cannot download {self.location} from {safe_url(url)}: {reason}.")

    def _attempt(self, url: str) -> Response | None:
        """Fetch what is left; return the response if the link was refused."""
        file = self.file
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        start = None
        if file.checkpoint is not None and file.digest.size:
            # A part that is complete still has to prove that it is: ask for its last byte.
            start = min(file.digest.size, file.checkpoint.total - 1)
            headers["Range"] = f"bytes={start}-"
            headers["If-Range"] = file.checkpoint.etag
        try:
            response = self.send("GET", url, headers, follow=True)
        except LinkError as error:
            raise self._failed(url, f"the link cannot be used: {error}", _Useless) from None
        with response:
            if response.status_code in LINK_REFUSED:
                return response
            self._receive(response, url, start)
        return None

    def _receive(self, response: Response, url: str, start: int | None) -> None:
        status = response.status_code
        if status in TRANSIENT_STATUS:
            raise Broken(f"the storage host answered {status}", asked=retry_after(response.headers))
        if status == 416 and start is not None:
            raise Broken("the storage host has no such range", start_over=True)
        skip = 0
        total: int | None
        if status == 206 and start is not None:
            total = self._check_range(response, start)
            skip = self.file.digest.size - start
        elif status == 200:
            total = self._begin(response, url)
        else:
            raise refused(f"cannot download {self.location} from", url, response)
        self._check_size(url, total or 0)
        if total is not None and self.existing is not None and total != self.existing:
            raise _Useless(other_content(self.location, self.existing, total))
        self._progress.reset(self.file.digest.size)
        self._progress.total = total
        for data in read_body(response, CHUNK_BYTES):
            self.file.write(data[skip:])
            self._progress.advance(max(len(data) - skip, 0))
            skip = max(skip - len(data), 0)
            self._check_size(url, self.file.digest.size)
            self.check_time(url)
        if total is not None and self.file.digest.size != total:
            raise Broken(f"the body ended at {self.file.digest.size} of {total} bytes")

    def _check_size(self, url: str, size: int) -> None:
        if size > self.max_bytes:
            reason = f"it has {size} bytes or more; at most {self.max_bytes} ({human_bytes(self.max_bytes)})"
            raise self._failed(url, f"{reason} are taken", _Useless)

    def _begin(self, response: Response, url: str) -> int | None:
        """Start with a full answer: take its type, length and identity."""
        if self.file.digest.size:
            self.log.info(
                "Download of %s starts over: the file changed, or its host cannot resume.", self.location
            )
            self.file.restart()
        self.media_type = response.headers.get("Content-Type", self.media_type).split(";", 1)[0].strip()
        if is_encoded(response):
            # Lengths and ranges are then those of the compressed bytes, and not of what is written.
            self.file.identify(None, None)
            return None
        total = body_length(response)
        chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        if total is None and not chunked and self.need_length:
            reason = "its host announces no length, so a file cut short could not be told from a whole one"
            raise self._failed(url, reason, _Useless)
        etag = response.headers.get("ETag", "")
        # A weak ETag does not promise the same bytes.
        self.file.identify(etag if etag.startswith('"') and len(etag) > 2 else None, total)
        return total

    def _check_range(self, response: Response, start: int) -> int:
        """Return the length of the entity if this is the range that was asked for, of the same entity."""
        checkpoint = self.file.checkpoint
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


def check_content(
    expected_type: ExpectedType | None,
    digest: Digest,
    opener: Callable[[], BinaryIO],
    *,
    name: str,
    in_time: Callable[[], None] = lambda: None,
) -> None:
    """
    Check that the bytes are a whole document of the expected type: a truncated report that looks finished is
    worse than none.

    A PDF must begin with ``%PDF-`` (readers allow up to 1,024 bytes before it, so do we) and have ``%%EOF``
    near its end. A DOCX must be a zip whose directory is complete, whose members all pass their CRC and do
    not expand out of all proportion, and that has the document part.

    :param expected_type: ``None`` accepts anything.
    :param opener: opens the file for reading, seekable; called for DOCX only.
    :param in_time: called again and again; raises when the check takes too long.
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
        _check_docx(opener, name, digest.size, in_time)


def _check_docx(opener: Callable[[], BinaryIO], name: str, size: int, in_time: Callable[[], None]) -> None:
    import zipfile
    import zlib

    left = EXPANDED_BYTES + EXPANDED_RATIO * size
    try:
        with opener() as stream, zipfile.ZipFile(stream) as archive:
            for member in archive.infolist():
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise TransferError(f"{name} is no DOCX that a word processor would open.")
                with archive.open(member) as content:
                    # Reading to the end checks the CRC.
                    while data := content.read(CHUNK_BYTES):
                        in_time()
                        left -= len(data)
                        if left < 0:
                            raise TransferError(
                                f"{name} is refused: its {size} bytes unpack to more than "
                                f"{human_bytes(EXPANDED_BYTES + EXPANDED_RATIO * size)}."
                            )
                in_time()
            found = office_type(archive.namelist())
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise TransferError(
            f"{name} is not a whole DOCX: {clean(error, 200)} ({size} bytes arrived; it was cut short or "
            "damaged)."
        ) from None
    if found != DOCX:
        raise TransferError(f"{name} is a zip file but not a DOCX: it has no word/document.xml.")


def _shown(head: bytes) -> str:
    # An error page of a storage host can echo the signed request, so only its first few bytes are shown.
    return repr(head[:16])
