"""
Sources: the files to send, on disk or in a store, found and checked before the first byte leaves.

Type and size are checked here as the services check them, so that nobody uploads, or pays for, what would
be refused. ``filetype`` recognises magic numbers; its answer is one type or none. (``puremagic`` returns a
ranked list of guesses and cannot tell a zip from a DOCX without the name.) The rules below add what it does
not know: texts, and what is inside containers.
"""

from __future__ import annotations

import codecs
import os
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from airflow_provider.compat import AirflowSkipException
from airflow_provider.core.files.globs import local_matches
from airflow_provider.core.files.locations import (
    Location,
    locate,
    locate_source,
    refuse_broken_name,
    storage_errors,
)
from airflow_provider.core.files.storage_http import human_bytes
from airflow_provider.core.text import clean
from airflow_provider.exceptions import InvalidInputError, TransferError

_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Source:
    """
    One file to send.

    :param name: base name, as the vendor will show it.
    :param size: bytes, at the time it was resolved.
    :param location: where it is.
    :param version: another one after every change; empty where that cannot be told.
    """

    name: str
    size: int
    location: Location
    version: str = ""

    @property
    def path(self) -> str:
        """Local path or URL with its ``conn_id@``, for messages, fingerprints and manifests."""
        return self.location.url

    @property
    def shown(self) -> str:
        """Base name for logs: a file may be named with control characters."""
        return clean(self.name)

    @cached_property
    def media_type(self) -> str:
        """
        Media type by content, for example ``video/mp4``; ``application/octet-stream`` when not recognised.

        :raises TransferError: the file cannot be read.
        """
        with self.open() as stream, storage_errors("cannot read", self.location):
            return sniff(stream, self.name)

    def open(self) -> BinaryIO:
        """
        Open for reading: a binary, seekable stream that holds a bounded part of the file in memory.

        :raises TransferError: the file is gone, cannot be read, or has another size than when it was checked.
        """
        with storage_errors("cannot read", self.location):
            stream = self.location.open()
            found = stream.seek(0, os.SEEK_END)
            stream.seek(0)
        if found != self.size:
            stream.close()
            raise TransferError(
                f"{self.path} changed while it was being sent: it has {found} bytes now, and had {self.size} "
                "when it was checked. Send it when nothing writes to it."
            )
        return stream


@dataclass(frozen=True)
class Limits:
    """
    What a service accepts.

    :param max_bytes: allowed media types, each with the largest file in bytes.
    :param service: who sets the limit, for the error.
    """

    max_bytes: Mapping[str, int]
    service: str = "the service"


def list_of_files(argument: str, files: Any) -> Iterable[Any]:
    """
    Return files that are given as a list.

    :raises InvalidInputError: they are not: a bare path would be read letter by letter.
    """
    if isinstance(files, str | bytes | os.PathLike | Mapping) or not isinstance(files, Iterable):
        raise InvalidInputError(
            f"{argument}: a list of files is needed, not {type(files).__name__} ({files!r}). "
            "Put a single file in brackets.",
            parameter=argument,
        )
    return files


def resolve_sources(
    files: Iterable[Any],
    *,
    conn_id: str | None = None,
    argument: str = "files",
    if_none: str = "fail",
) -> list[Source]:
    """
    Find every file that ``files`` names and check that each can be sent.

    :param files: local paths, ``os.PathLike``, URLs of any store (``s3://conn@bucket/key``),
        ``ObjectStoragePath`` objects, globs (``*``, ``?``, ``[...]``, ``**``) of either kind, or dicts with
        ``path`` such as the manifests of this package. The order is kept, matches of one glob are sorted, a
        file named twice is taken once, and so is one that ``**`` reaches through a link to its folder.
    :param conn_id: Airflow connection for URLs that name none.
    :param argument: operator argument, for errors.
    :param if_none: ``skip`` for a list that is empty, or of globs of which none matches anything; by default
        an error like a glob that matches nothing beside files that are there.
    :returns: at least one source.
    :raises AirflowSkipException: there is none, and ``if_none`` is ``skip``.
    :raises InvalidInputError: a bare string, an empty list, a file that is missing, empty or a folder, or a
        glob that matches nothing. The message names the argument and the file.
    :raises TransferError: a store could not be asked.
    """
    found: dict[str, Source] = {}
    unmatched = []
    for item in list_of_files(argument, files):
        named, locations = _expand(item, conn_id, argument)
        if not locations:
            unmatched.append(named.url)
        for location in locations:
            if location.url not in found:
                found[location.url] = _source(location, argument)
    if found and not unmatched:
        return list(found.values())
    reason = f"no file matches {', '.join(unmatched)}." if unmatched else "the list of files is empty."
    if if_none == "skip" and not found:
        raise AirflowSkipException(f"{argument}: {reason}")
    raise InvalidInputError(f"{argument}: {reason}", parameter=argument)


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
    spelling = next((allowed for allowed in limits.max_bytes if canonical_type(allowed) == found), None)
    if named in _TEXTS and found == UNKNOWN:
        why = (
            f"is named like {named}, but is no text in UTF-8, UTF-16 or a one-byte code page. Save it as "
            "UTF-8, or send the file that was meant."
        )
    elif named is not None and named != found:
        why = f"is named like {named} but contains {found}. Rename it, or send the file that was meant."
    elif spelling is None:
        accepted = ", ".join(sorted(limits.max_bytes))
        why = f"is {found}, which {limits.service} does not accept. Accepted: {accepted}."
    elif source.size > (largest := limits.max_bytes[spelling]):
        why = (
            f"has {source.size} bytes ({human_bytes(source.size)}); {limits.service} accepts {spelling} up "
            f"to {largest} bytes ({human_bytes(largest)})."
        )
    else:
        return spelling
    raise InvalidInputError(f"{argument}: {source.path} {why}", parameter=argument)


def _expand(item: Any, conn_id: str | None, argument: str) -> tuple[Location, list[Location]]:
    """Return an item and the files that it names: none for a glob that matches nothing."""
    if isinstance(item, Mapping):
        if "path" not in item:
            raise InvalidInputError(
                f"{argument}: a dict needs a 'path'; this one has {sorted(map(str, item))}.",
                parameter=argument,
            )
        location = locate(item["path"], conn_id=conn_id, argument=argument)
        return location, [location]
    location = locate_source(item, conn_id=conn_id, argument=argument)
    # A file may have brackets in its name: what exists is taken literally.
    if _MAGIC.isdisjoint(location.path) or location.stat() is not None:
        return location, [location]
    with storage_errors("cannot list", location):
        matches = _glob(location)
    files = [match for match in matches if (stat := match.stat()) is not None and stat.kind == "file"]
    return location, files


def _glob(location: Location) -> list[Location]:
    if location.is_local:
        return [Location(path, path) for path in local_matches(location.path)]
    # The pattern's own URL up to its path is the prefix of every match: scheme, connection, and root slash
    # or none.
    prefix = location.url[: len(location.url) - len(location.path.lstrip("/"))]
    return [
        Location(prefix + key.lstrip("/"), key, location.fs)
        for key in sorted(location.fs.glob(location.path))
    ]


def _source(location: Location, argument: str) -> Source:
    stat = location.stat()
    if stat is not None:
        refuse_broken_name(argument, location.url)
    if stat is None:
        why = "does not exist"
    elif stat.kind == "other":
        why = "is no regular file"
    elif stat.kind == "directory":
        glob = f"{location.url.rstrip('/')}/*"
        why = f"is a folder; name its files or use a glob such as {glob}"
    elif stat.size == 0:
        why = "is empty (0 bytes)"
    elif location.is_local and not os.access(location.path, os.R_OK):
        why = "cannot be read: permission denied"
    else:
        return Source(location.name, stat.size, location, stat.version)
    raise InvalidInputError(f"{argument}: {location.url} {why}.", parameter=argument)


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

_TEXTS = frozenset(
    {"text/plain", "text/csv", "text/markdown", "text/html", "application/json", "application/xml"}
)
_OFFICE_PARTS = (("word/document.xml", DOCX), ("xl/workbook.xml", XLSX), ("ppt/presentation.xml", PPTX))
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
    return named if named in _TEXTS else "text/plain"


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
    return "video/ogg" if head.startswith(b"OggS") and b"theora" in head[:512] else None


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
