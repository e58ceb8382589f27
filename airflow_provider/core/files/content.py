"""Is this really a finished PDF or DOCX? A truncated report that looks finished is worse than none."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Literal

from airflow_provider.core.files.digest import Digest
from airflow_provider.exceptions import TransferError

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
