"""What a file is, from its bytes."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

UNKNOWN = "application/octet-stream"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

_HEAD = 64 * 1024
_STARTS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\x1a\x45\xdf\xa3", "video/x-matroska"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/msword"),
)
_RIFF = {b"WEBP": "image/webp", b"AVI ": "video/x-msvideo", b"WAVE": "audio/wav"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heim", b"heis"}
_QUICKTIME_ATOMS = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}

#: Declared types that the same bytes may honestly carry.
_SAME = (
    {"video/mp4", "video/quicktime"},
    {"audio/wav", "audio/x-wav"},
)

#: Content type by file name, for a part that states none.
BY_EXTENSION = {
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "mov": "video/quicktime",
    "avi": "video/x-msvideo",
    "mkv": "video/x-matroska",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "aac": "audio/aac",
    "ogg": "audio/ogg",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "doc": "application/msword",
    "docx": DOCX,
    "txt": "text/plain",
}


def type_by_name(filename: str) -> str | None:
    """The content type that a file name suggests."""
    return BY_EXTENSION.get(filename.rpartition(".")[2].lower())


def detect(path: Path) -> str:
    """The content type of a file by its bytes alone; :data:`UNKNOWN` when nothing fits."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], UNKNOWN)
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in _HEIF_BRANDS:
            return "image/heic"
        return "video/quicktime" if brand == b"qt  " else "video/mp4"
    if head[4:8] in _QUICKTIME_ATOMS:
        return "video/quicktime"
    if b"%PDF-" in head[:1024]:
        return "application/pdf"
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        # The layer bits tell an MPEG audio frame from an ADTS (AAC) one.
        return "audio/mpeg" if head[1] & 0x06 else "audio/aac"
    if head[:4] == b"PK\x03\x04":
        return _zip_kind(path)
    return _text_kind(head)


def matches(declared: str, detected: str) -> bool:
    """Whether bytes of the detected type may carry the declared one."""
    if declared == detected or (declared == "text/plain" and detected == "image/svg+xml"):
        return True
    return any(declared in same and detected in same for same in _SAME)


def _zip_kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            # Word on the web numbers its main part.
            word = any(re.fullmatch(r"word/document\d*\.xml", name) for name in archive.namelist())
            return DOCX if word else "application/zip"
    except zipfile.BadZipFile:
        return "application/zip"


def _text_kind(head: bytes) -> str:
    if b"\x00" in head:
        return UNKNOWN
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The sample may end inside a character.
        if error.start < len(head) - 4 or len(head) < _HEAD:
            return UNKNOWN
        text = head[: error.start].decode("utf-8")
    return "image/svg+xml" if "<svg" in text[:4096].lower() else "text/plain"
