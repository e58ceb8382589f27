"""What is to be sent: files on disk or in a store, found and checked before the first byte leaves."""

from __future__ import annotations

import glob as local_glob
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO

from airflow_provider.core.files.location import Location, locate, storage_errors
from airflow_provider.core.files.media_types import canonical_type, sniff, type_of_name
from airflow_provider.core.files.progress import human_bytes
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
