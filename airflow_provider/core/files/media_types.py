"""
What a file is, by its bytes and by its name.

``filetype`` recognises magic numbers; its answer is one type or none. The alternative, ``puremagic``, is
released more often but returns a ranked list of guesses: without the name it cannot tell a zip from a DOCX
or WebM from Matroska, and it takes a text that begins with "RIFF" for a video. Magic numbers do not change,
so the precise library wins. Neither looks inside containers; the rules below do that for the ones both
vendors care about.
"""

from __future__ import annotations

import codecs
import re
import struct
from pathlib import PurePosixPath
from typing import BinaryIO

SNIFF_BYTES = 64 * 1024

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
UNKNOWN = "application/octet-stream"

# One name per type; vendors list some under several.
_ALIASES = {
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "audio/x-aac": "audio/aac",
    "audio/aacp": "audio/aac",
    "application/ogg": "audio/ogg",
    "audio/opus": "audio/ogg",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "video/avi": "video/x-msvideo",
    "video/x-m4v": "video/mp4",
    "application/x-pdf": "application/pdf",
}

# The platform's own table (module mimetypes) differs between machines; a check must not.
_BY_SUFFIX = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".qt": "video/quicktime",
    ".avi": "video/x-msvideo", ".mkv": "video/x-matroska", ".webm": "video/webm", ".mp3": "audio/mpeg",
    ".wav": "audio/wav", ".aac": "audio/aac", ".ogg": "audio/ogg", ".oga": "audio/ogg",
    ".opus": "audio/ogg", ".ogv": "video/ogg", ".m4a": "audio/mp4", ".flac": "audio/x-flac",
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".jpe": "image/jpeg", ".png": "image/png",
    ".gif": "image/gif", ".webp": "image/webp", ".svg": "image/svg+xml", ".heic": "image/heic",
    ".heif": "image/heif", ".avif": "image/avif", ".tif": "image/tiff", ".tiff": "image/tiff",
    ".bmp": "image/bmp", ".pdf": "application/pdf", ".doc": "application/msword", ".docx": DOCX,
    ".xls": "application/vnd.ms-excel", ".ppt": "application/vnd.ms-powerpoint",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".zip": "application/zip", ".txt": "text/plain", ".text": "text/plain", ".log": "text/plain",
    ".csv": "text/csv", ".md": "text/markdown", ".html": "text/html", ".htm": "text/html",
    ".json": "application/json", ".jsonl": "application/jsonl", ".xml": "application/xml",
    ".parquet": "application/vnd.apache.parquet",
}  # fmt: skip

_OFFICE_PARTS = (
    ("word/document.xml", DOCX),
    ("xl/workbook.xml", _BY_SUFFIX[".xlsx"]),
    ("ppt/presentation.xml", _BY_SUFFIX[".pptx"]),
)
_OLE_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")
_OLE_STREAMS = (
    ("WordDocument", "application/msword"),
    ("Workbook", "application/vnd.ms-excel"),
    ("Book", "application/vnd.ms-excel"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
)
_QUICKTIME_ATOMS = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
# Atomic: what stands before the root element is passed once. With backtracking, the time doubles with every
# comment of a text that is no SVG.
_SVG = re.compile(
    r"\s*+(?:(?><\?xml.*?\?>)\s*+|(?><!--.*?-->)\s*+|(?><!DOCTYPE[^>\[]*+(?:\[.*?\])?\s*+>)\s*+)*+"
    r"<(?:\w+:)?svg[\s>/]",
    re.S,
)


def canonical_type(media_type: str) -> str:
    """Return the one name that is used here for ``media_type``: no parameters, no aliases."""
    plain = media_type.split(";", 1)[0].strip().lower()
    return _ALIASES.get(plain, plain)


def type_of_name(name: str) -> str | None:
    """
    Return the media type that the suffix of ``name`` stands for; ``None`` when it stands for none we know.
    """
    return _BY_SUFFIX.get(PurePosixPath(name).suffix.lower())


def sniff(stream: BinaryIO, name: str) -> str:
    """
    Return the media type of a file by its content.

    The name decides only where the content cannot: which kind of text it is.

    :param stream: seekable; at most 64 KiB are read, plus the directory of a zip or of an old Office file.
    :param name: base name.
    :returns: canonical media type; ``application/octet-stream`` when nothing is recognised.
    """
    stream.seek(0)
    head = stream.read(SNIFF_BYTES)
    # Text goes before magic numbers: some are letters that a text may begin with ("BM", "MZ", "ID3"), and no
    # binary format gets by without control characters.
    found = (
        _document_in_text(head)
        or _text(head, name)
        or _container(head, stream)
        or _audio_frames(head, stream)
        or _by_magic(head)
        or UNKNOWN
    )
    return canonical_type(found)


def _document_in_text(head: bytes) -> str | None:
    if head[:1024].lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(b"%PDF-"):
        return "application/pdf"
    if head.startswith(b"{\\rtf"):
        return "application/rtf"
    if head.startswith(b"%!PS"):
        return "application/postscript"
    return None


def _container(head: bytes, stream: BinaryIO) -> str | None:
    if head.startswith(b"PK\x03\x04"):
        return _office_zip(stream) or "application/zip"
    if head.startswith(_OLE_MAGIC):
        return _office_ole(head, stream)
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    if head[4:8] in _QUICKTIME_ATOMS and struct.unpack(">I", head[:4])[0] >= 8:
        return "video/quicktime"
    if head.startswith(b"OggS"):
        return "video/ogg" if b"theora" in head[:512] else "audio/ogg"
    # Readers accept a PDF whose header is within the first 1,024 bytes.
    if b"%PDF-" in head[:1024] and b"\0" in head:
        return "application/pdf"
    return None


def _iso_media(head: bytes) -> str | None:
    size = struct.unpack(">I", head[:4])[0]
    brands = {head[8:12]} | {head[at : at + 4] for at in range(16, min(size, 256, len(head) - 3), 4)}
    major = head[8:12]
    if major == b"qt  ":
        return "video/quicktime"
    if major in (b"M4A ", b"M4B ", b"M4P "):
        return "audio/mp4"
    if brands & {b"avif", b"avis"}:
        return "image/avif"
    if brands & {b"heic", b"heix", b"hevc", b"heim", b"heis"}:
        return "image/heic"
    if major in (b"mif1", b"msf1"):
        return "image/heif"
    if major[:3] in (b"3gp", b"3g2"):
        return "video/3gpp" if major[:3] == b"3gp" else "video/3gpp2"
    return "video/mp4"


def _audio_frames(head: bytes, stream: BinaryIO) -> str | None:
    at = 0
    if head.startswith(b"ID3") and len(head) >= 10:
        # An ID3 tag stands before MP3 and before AAC alike; the frame behind it tells which.
        at = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
        stream.seek(at)
        head = stream.read(4)
        if len(head) < 2 or head[0] != 0xFF:
            return "audio/mpeg"
    if head.startswith(b"ADIF"):
        return "audio/aac"
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or head[:2] in (b"\xff\xfe", b"\xff\xff"):
        return None
    layer = head[1] >> 1 & 3
    if layer == 0:
        return "audio/aac" if head[1] & 0xF0 == 0xF0 else None
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    return "audio/mpeg" if bitrate != 15 and rate != 3 else None


def _office_zip(stream: BinaryIO) -> str | None:
    import zipfile

    try:
        stream.seek(0)
        with zipfile.ZipFile(stream) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return None
    return next((media_type for part, media_type in _OFFICE_PARTS if part in names), None)


def _office_ole(head: bytes, stream: BinaryIO) -> str:
    # Word, Excel, PowerPoint, Outlook and installers share this container; its directory names the streams.
    # Layout: [MS-CFB] 2.2, sector shift at 0x1E, first directory sector at 0x30.
    if len(head) >= 512:
        shift = struct.unpack("<H", head[0x1E:0x20])[0]
        first = struct.unpack("<I", head[0x30:0x34])[0]
        if shift in (9, 12):
            stream.seek((first + 1) << shift)
            directory = stream.read(4096)
            for name, media_type in _OLE_STREAMS:
                if any(
                    directory[at : at + 64].rstrip(b"\0").rstrip() == name.encode("utf-16-le").rstrip(b"\0")
                    for at in range(0, len(directory), 128)
                ):
                    return media_type
    return "application/x-ole-storage"


def _by_magic(head: bytes) -> str | None:
    import filetype  # type: ignore[import-untyped]

    kind = filetype.guess(head[:8192])
    return None if kind is None else str(kind.mime)


def _text(head: bytes, name: str) -> str | None:
    text = _decoded(head)
    if text is None:
        return None
    if _SVG.match(text.lstrip("\ufeff")):
        return "image/svg+xml"
    named = type_of_name(name)
    if named is not None and (named.startswith("text/") or named in _TEXT_APPLICATIONS):
        return named
    return "text/plain"


_TEXT_APPLICATIONS = frozenset({"application/json", "application/jsonl", "application/xml"})


def _decoded(head: bytes) -> str | None:
    for bom, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if head.startswith(bom):
            try:
                return codecs.getincrementaldecoder(encoding)().decode(head)
            except UnicodeDecodeError:
                return None
    if any(byte in _CONTROL for byte in head):
        return None
    try:
        # Incremental: the last character may be cut by the sample.
        return codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        # Older text files are in a one-byte code page: no control characters, and mostly ASCII.
        return head.decode("latin-1") if sum(byte > 127 for byte in head) * 3 <= len(head) else None


_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\v\f\r\x1a\x1b")
