"""What is to be sent: files on disk or in a store, found and checked before the first byte leaves."""

from __future__ import annotations

import codecs
import glob as local_glob
import os
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from airflow_provider.core.files.locations import Location, locate, storage_errors
from airflow_provider.core.files.storage_http import human_bytes
from airflow_provider.exceptions import InvalidInputError

_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Source:
    """
    One file to send.

    :param name: base name, as the vendor will show it.
    :param size: bytes, at the time it was resolved.
    :param location: where it is.
    """

    name: str
    size: int
    location: Location

    @property
    def path(self) -> str:
        """Local path or URL with its ``conn_id@``, for messages, fingerprints and manifests."""
        return self.location.url

    @cached_property
    def media_type(self) -> str:
        """
        Media type by content, for example ``video/mp4``; ``application/octet-stream`` when not recognised.

        :raises TransferError: the file cannot be read.
        """
        with storage_errors("cannot read", self.location), self.open() as stream:
            return sniff(stream, self.name)

    def open(self) -> BinaryIO:
        """Open for reading: a binary, seekable stream that holds a bounded part of the file in memory."""
        return self.location.open()


@dataclass(frozen=True)
class Limits:
    """
    What a service accepts.

    :param max_bytes: allowed media types, each with the largest file in bytes.
    :param service: who sets the limit, for the error.
    """

    max_bytes: Mapping[str, int]
    service: str = "the service"


def resolve_sources(
    files: Iterable[Any], *, conn_id: str | None = None, argument: str = "files"
) -> list[Source]:
    """
    Find every file that ``files`` names and check that each can be sent.

    :param files: local paths, ``os.PathLike``, URLs of any store (``s3://conn@bucket/key``),
        ``ObjectStoragePath`` objects, globs (``*``, ``?``, ``[...]``, ``**``) of either kind, or dicts with
        ``path`` such as the manifests of this package. The order is kept, matches of one glob are sorted, a
        file named twice is taken once.
    :param conn_id: Airflow connection for URLs that name none.
    :param argument: operator argument, for errors.
    :returns: at least one source.
    :raises InvalidInputError: a bare string, an empty list, a file that is missing, empty or a folder, or a
        glob that matches nothing. The message names the argument and the file.
    :raises TransferError: a store could not be asked.
    """
    if isinstance(files, (str, bytes, os.PathLike, Mapping)) or not isinstance(files, Iterable):
        raise InvalidInputError(
            f"{argument}: a list of files is needed, not {type(files).__name__} ({files!r}). "
            "Put a single file in brackets.",
            parameter=argument,
        )
    found: dict[str, Source] = {}
    for item in files:
        for location in _expand(item, conn_id, argument):
            if location.url not in found:
                found[location.url] = _source(location, argument)
    if not found:
        raise InvalidInputError(f"{argument}: the list of files is empty.", parameter=argument)
    return list(found.values())


def check_limits(source: Source, limits: Limits, *, argument: str = "files") -> str:
    """
    Check type and size of ``source`` against what a service accepts.

    The type is the one the content shows. A name whose suffix stands for another type is refused too:
    services check both, and one of the two is a mistake. A name without a known suffix is fine.

    :param source: from :func:`resolve_sources`.
    :param limits: of the service.
    :param argument: operator argument, for errors.
    :returns: the media type to declare, in the spelling that ``limits`` uses.
    :raises InvalidInputError: content and name disagree, the type is not accepted, or the file is too
        large. The message names the file, the type found, the types allowed, the size and the limit.
    """
    found = source.media_type
    named = type_of_name(source.name)
    if named is not None and named != found:
        raise InvalidInputError(
            f"{argument}: {source.path} is named like {named} but contains {found}. "
            "Rename it, or send the file that was meant.",
            parameter=argument,
        )
    by_type: dict[str, str] = {}
    for allowed in limits.max_bytes:
        by_type.setdefault(canonical_type(allowed), allowed)
    spelling = by_type.get(found)
    if spelling is None:
        raise InvalidInputError(
            f"{argument}: {source.path} is {found}, which {limits.service} does not accept. "
            f"Accepted: {', '.join(sorted(limits.max_bytes))}.",
            parameter=argument,
        )
    largest = limits.max_bytes[spelling]
    if source.size > largest:
        raise InvalidInputError(
            f"{argument}: {source.path} has {source.size} bytes ({human_bytes(source.size)}); "
            f"{limits.service} accepts {spelling} up to {largest} bytes ({human_bytes(largest)}).",
            parameter=argument,
        )
    return spelling


def _expand(item: Any, conn_id: str | None, argument: str) -> list[Location]:
    if isinstance(item, Mapping):
        if not isinstance(item.get("path"), str):
            raise InvalidInputError(
                f"{argument}: a dict needs a 'path'; this one has {sorted(map(str, item))}.",
                parameter=argument,
            )
        return [locate(item["path"], conn_id=conn_id, argument=argument)]
    location = locate(item, conn_id=conn_id, argument=argument)
    # A file may have brackets in its name: what exists is taken literally.
    if _MAGIC.isdisjoint(location.path) or location.stat() is not None:
        return [location]
    with storage_errors("cannot list", location):
        matches = _glob(location)
    files = [match for match in matches if (stat := match.stat()) is not None and stat[0] == "file"]
    if not files:
        raise InvalidInputError(f"{argument}: no file matches {location.url}.", parameter=argument)
    return files


def _glob(location: Location) -> list[Location]:
    if location.is_local:
        return [Location(path, path) for path in sorted(local_glob.glob(location.path, recursive=True))]
    # The pattern's own URL up to its path is the prefix of every match: scheme, connection, and root slash
    # or none.
    prefix = location.url[: len(location.url) - len(location.path.lstrip("/"))]
    return [
        Location(prefix + key.lstrip("/"), key, location.fs)
        for key in sorted(location.fs.glob(location.path))
    ]


def _source(location: Location, argument: str) -> Source:
    stat = location.stat()
    if stat is None:
        raise InvalidInputError(f"{argument}: {location.url} does not exist.", parameter=argument)
    kind, size = stat
    if kind == "directory":
        raise InvalidInputError(
            f"{argument}: {location.url} is a folder; name its files or use a glob such as {location.url}/*.",
            parameter=argument,
        )
    if size == 0:
        raise InvalidInputError(f"{argument}: {location.url} is empty (0 bytes).", parameter=argument)
    if location.is_local and not os.access(location.path, os.R_OK):
        raise InvalidInputError(
            f"{argument}: {location.url} cannot be read: permission denied.", parameter=argument
        )
    return Source(location.name, size, location)


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
