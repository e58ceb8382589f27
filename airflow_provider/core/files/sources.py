"""
Sources: the files to send, on disk or in a store, found and checked before the first byte leaves.

Type and size are checked here as the services check them, so that nobody uploads, or pays for, what would
be refused.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, BinaryIO

from airflow_provider.compat import AirflowSkipException
from airflow_provider.core.arguments import in_order, is_list_of_files
from airflow_provider.core.files.locations import (
    Location,
    locate,
    locate_source,
    refuse_broken_name,
    storage_errors,
    wrong,
)
from airflow_provider.core.files.media_types import TEXTS, UNKNOWN, canonical_type, sniff, type_of_name
from airflow_provider.core.files.storage_http import human_bytes
from airflow_provider.core.text import clean
from airflow_provider.exceptions import ApiError, TransferError

_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Source:
    """
    One file to send.

    :param name: base name, as the vendor will show it.
    :param size: bytes, at the time it was resolved.
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

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Let the error of a service that does not take the file name it: one of many may be meant."""
        try:
            yield
        except ApiError as error:
            error.args = (f"{self.path}: {error}", *error.args[1:])
            raise


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
    Return the files of a list, or of a set in a fixed order.

    :raises InvalidInputError: they are not: a bare path would be read letter by letter, and an iterator is
        empty when it is read again.
    """
    if not is_list_of_files(files):
        advice = (
            "It can be read only once: make a list of it, with list(...)."
            if isinstance(files, Iterator)
            else "Put a single file in brackets."
        )
        raise wrong(argument, f"a list of files is needed, not {type(files).__name__} ({files!r}). {advice}")
    return in_order(files)


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
    :param if_none: ``skip`` to skip the task when the list is empty or none of its globs matches anything;
        default ``fail``: an error, as for one glob of several that matches nothing.
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
    if any("{" in each for each in unmatched):
        reason += " Braces stand for themselves: give a glob for each of their parts."
    if any("[" in each for each in unmatched):
        reason += " Brackets stand for one of the characters in them: write [[] for a bracket in a name."
    if if_none == "skip" and not found:
        raise AirflowSkipException(f"{argument}: {reason}")
    raise wrong(argument, reason)


def check_limits(source: Source, limits: Limits, *, argument: str = "files") -> str:
    """
    Check type and size of ``source`` against what a service accepts.

    The type is the one the content shows. A name whose suffix stands for another type is refused too:
    services check both, and one of the two is a mistake. A name without a known suffix is fine.

    :param argument: operator argument, for errors.
    :returns: the media type to declare, in the spelling that ``limits`` uses.
    :raises InvalidInputError: content and name disagree, the type is not accepted, or the file is too
        large. The message names the file, the type found, the types allowed, the size and the limit.
    """
    found = source.media_type
    named = type_of_name(source.name)
    spelling = next((allowed for allowed in limits.max_bytes if canonical_type(allowed) == found), None)
    if named in TEXTS and found == UNKNOWN:
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
    raise wrong(argument, f"{source.path} {why}")


def _expand(item: Any, conn_id: str | None, argument: str) -> tuple[Location, list[Location]]:
    """Return an item and the files that it names: none for a glob that matches nothing."""
    if isinstance(item, Mapping):
        if "path" not in item:
            raise wrong(argument, f"a dict needs a 'path'; this one has {sorted(map(str, item))}.")
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
        return [Location(path, path) for path in sorted(set(_matches(location.path)))]
    # The pattern's own URL up to its path is the prefix of every match: scheme, connection, and root slash
    # or none.
    prefix = location.url[: len(location.url) - len(location.path.lstrip("/"))]
    return [
        Location(prefix + key.lstrip("/"), key, location.fs)
        for key in sorted(location.fs.glob(location.path))
        if not _is_hidden(key, location.path)
    ]


def _is_hidden(key: str, pattern: str) -> bool:
    """Whether a wildcard has matched a name with a leading dot, which on disk none does."""
    named = [part for part in pattern.split("/") if part.startswith(".")]
    return any(
        part.startswith(".") and not any(fnmatchcase(part, each) for each in named) for part in key.split("/")
    )


def _matches(pattern: str) -> Iterator[str]:
    """
    Yield what an absolute pattern names: ``*``, ``?``, ``[...]`` and ``**``, none of which stands for a name
    with a leading dot.

    Links to folders are followed. ``glob`` would follow one that leads back again and again: the same files
    under ever longer names, and with two such links no end.
    """
    root, recursive, rest = f"{pattern}/".partition("/**/")
    if not recursive:
        yield from glob.iglob(pattern)
        return
    rest = rest.rstrip("/") or "*"
    for start in glob.iglob(root or "/"):
        for folder in _folders(start):
            yield from _matches(os.path.join(glob.escape(folder), rest))


def _folders(start: str) -> Iterator[str]:
    seen = {os.path.realpath(start)}

    def is_new(folder: str) -> bool:
        real = os.path.realpath(folder)
        new = real not in seen
        seen.add(real)
        return new

    for folder, names, _ in os.walk(start, followlinks=True):
        yield folder
        # The folder itself before links to it, so that its files have their own names.
        names.sort(key=lambda name: (os.path.islink(os.path.join(folder, name)), name))
        names[:] = [n for n in names if not n.startswith(".") and is_new(os.path.join(folder, n))]


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
    raise wrong(argument, f"{location.url} {why}.")
