"""
Media types of files by their content.

``filetype`` recognises magic numbers; its answer is one type or none. (``puremagic`` returns a ranked list of
guesses and cannot tell a zip from a DOCX without the name.) The rules below add what it does not know: texts,
and what is inside containers.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import BinaryIO

SNIFF_BYTES = 64 * 1024

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
UNKNOWN = "application/octet-stream"

# One name per type; vendors and filetype list some under several.
_ALIASES = {
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "image/jpg": "image/jpeg",
    "video/avi": "video/x-msvideo",
    "video/x-m4v": "video/mp4",
}

# The platform's own table (module mimetypes) differs between machines; a check must not.
_BY_SUFFIX = {
    ".mp4": "video/mp4", ".mov": "video/quicktime", ".avi": "video/x-msvideo", ".mkv": "video/x-matroska",
    ".webm": "video/webm", ".mp3": "audio/mpeg", ".wav": "audio/wav", ".aac": "audio/aac",
    ".ogg": "audio/ogg", ".ogv": "video/ogg", ".m4a": "audio/mp4", ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp",
    ".svg": "image/svg+xml", ".heic": "image/heic", ".bmp": "image/bmp", ".pdf": "application/pdf",
    ".doc": "application/msword", ".docx": DOCX, ".xls": "application/vnd.ms-excel", ".xlsx": XLSX,
    ".pptx": PPTX, ".zip": "application/zip", ".txt": "text/plain", ".csv": "text/csv",
    ".md": "text/markdown", ".html": "text/html", ".htm": "text/html", ".json": "application/json",
    ".xml": "application/xml",
}  # fmt: skip

TEXTS = frozenset(
    {"text/plain", "text/csv", "text/markdown", "text/html", "application/json", "application/xml"}
)
"""Types that are told apart by the name alone."""

# Office on the web numbers the main part: word/document2.xml.
_OFFICE_PART = re.compile(r"(word/document|xl/workbook|ppt/presentation)\d*\.xml")
_OFFICE_TYPES = {"word/document": DOCX, "xl/workbook": XLSX, "ppt/presentation": PPTX}
_OLE_STREAMS = (
    ("WordDocument", "application/msword"),
    ("Workbook", "application/vnd.ms-excel"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
)
# First characters of the brand of an ISO media file; all other brands are MP4.
_ISO_BRANDS = {
    b"qt": "video/quicktime", b"M4A": "audio/mp4", b"M4B": "audio/mp4", b"avi": "image/avif",
    b"he": "image/heic", b"mif": "image/heif", b"msf": "image/heif", b"3g": "video/3gpp",
}  # fmt: skip
_QUICKTIME_ATOMS = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
# Atomic: what stands before the root element is passed once. With backtracking, the time doubles with every
# comment of a text that is no SVG.
_SVG = re.compile(
    r"\s*+(?:(?><\?xml.*?\?>)\s*+|(?><!--.*?-->)\s*+|(?><!DOCTYPE[^>\[]*+(?:\[.*?\])?\s*+>)\s*+)*+"
    r"<(?:\w+:)?svg[\s>/]",
    re.S,
)
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\v\f\r\x1a\x1b")


def canonical_type(media_type: str) -> str:
    """Return the one name that is used here for ``media_type``: no parameters, no aliases."""
    plain = media_type.split(";", 1)[0].strip().lower()
    return _ALIASES.get(plain, plain)


def type_of_name(name: str) -> str | None:
    """Return the media type that the suffix of a name stands for; ``None`` when that is not known."""
    return _BY_SUFFIX.get(PurePosixPath(name).suffix.lower())


def sniff(stream: BinaryIO, name: str) -> str:
    """
    Return the media type of a file by its content.

    The name decides only where the content cannot: which kind of text it is.

    :param stream: seekable; at most 64 KiB are read, plus the directory of a zip or of an old Office file.
    :returns: canonical media type; ``application/octet-stream`` when nothing is recognised.
    """
    import filetype  # type: ignore[import-untyped]

    stream.seek(0)
    head = stream.read(SNIFF_BYTES)
    # Text goes before magic numbers: some are letters that a text may begin with ("BM", "MZ", "ID3"), and no
    # binary format gets by without control characters.
    found = (
        _document_in_text(head)
        or _text(head, name)
        or _container(head, stream)
        or _mpeg_audio(head, stream)
        or filetype.guess_mime(head[:8192])
        or UNKNOWN
    )
    return canonical_type(found)


def _document_in_text(head: bytes) -> str | None:
    # Readers accept a PDF whose header is within the first 1,024 bytes.
    start = head[:1024]
    if start.lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(b"%PDF-") or (b"%PDF-" in start and b"\0" in head):
        return "application/pdf"
    if head.startswith(b"{\\rtf"):
        return "application/rtf"
    return "application/postscript" if head.startswith(b"%!PS") else None


def _text(head: bytes, name: str) -> str | None:
    text = _decoded(head)
    if text is None:
        return None
    if _SVG.match(text.lstrip("\ufeff")):
        return "image/svg+xml"
    named = type_of_name(name)
    return named if named in TEXTS else "text/plain"


def _decoded(head: bytes) -> str | None:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif any(byte in _CONTROL for byte in head):
        return None
    else:
        encoding = "utf-8"
    try:
        # Incremental: the last character may be cut by the sample.
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        # Older text files are in a one-byte code page: no control characters, and mostly ASCII.
        old = encoding == "utf-8" and sum(byte > 127 for byte in head) * 3 <= len(head)
        return head.decode("latin-1") if old else None


def _container(head: bytes, stream: BinaryIO) -> str | None:
    if head.startswith(b"PK\x03\x04"):
        return _office_zip(stream) or "application/zip"
    if head.startswith(bytes.fromhex("d0cf11e0a1b11ae1")):
        return _office_ole(head, stream)
    if head[4:8] == b"ftyp":
        return next((kind for brand, kind in _ISO_BRANDS.items() if head[8:].startswith(brand)), "video/mp4")
    if head[4:8] in _QUICKTIME_ATOMS and struct.unpack(">I", head[:4])[0] >= 8:
        return "video/quicktime"
    if head.startswith((b"RF64", b"BW64")) and head[8:12] == b"WAVE":
        return "audio/wav"
    return "video/ogg" if head.startswith(b"OggS") and b"theora" in head[:512] else None


def _office_zip(stream: BinaryIO) -> str | None:
    import zipfile

    try:
        stream.seek(0)
        with zipfile.ZipFile(stream) as archive:
            return office_type(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return None


def office_type(names: Iterable[str]) -> str | None:
    """Return the media type of an Office document, by the names of what is in the zip file."""
    found = {part[1] for name in names if (part := _OFFICE_PART.fullmatch(name))}
    return next((media_type for part, media_type in _OFFICE_TYPES.items() if part in found), None)


def _office_ole(head: bytes, stream: BinaryIO) -> str:
    # Word, Excel, PowerPoint, Outlook and installers share this container; its directory names the streams.
    # Layout: [MS-CFB] 2.2, sector shift at 0x1E, first directory sector at 0x30.
    if len(head) >= 512:
        shift, first = struct.unpack("<H", head[0x1E:0x20])[0], struct.unpack("<I", head[0x30:0x34])[0]
        if shift in (9, 12):
            stream.seek((first + 1) << shift)
            directory = stream.read(4096)
            for name, media_type in _OLE_STREAMS:
                if name.encode("utf-16-le") + b"\0\0" in directory:
                    return media_type
    return "application/x-ole-storage"


def _mpeg_audio(head: bytes, stream: BinaryIO) -> str | None:
    tagged = head.startswith(b"ID3") and len(head) >= 10
    if tagged:
        # An ID3 tag stands before MP3 and before AAC alike; the frame behind it tells which.
        stream.seek(10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]))
        head = stream.read(4)
    if len(head) >= 4 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "audio/aac"
    # Sync, a layer, and neither bit rate nor sampling rate that cannot be.
    frame = (
        len(head) >= 4 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] >> 1 & 3 and head[1] < 0xFE
    )
    return "audio/mpeg" if tagged or (frame and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3) else None
