"""Where a file is: a path on local disk, or a key in any store that Airflow's object storage knows."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import stat
import tempfile
import time
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, NamedTuple, cast
from urllib.parse import unquote

from airflow_provider.core.text import clean, redact
from airflow_provider.exceptions import InvalidInputError, ProviderError, TransferError

log = logging.getLogger(__name__)

# Two characters at least, so that a Windows drive is not taken for a scheme.
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]+)://")
_ONE_SLASH = re.compile(r"^(file|local):(?=/(?!/))", re.IGNORECASE)
"""RFC 8089 also writes a local file like this: ``file:/data/a.txt``."""
_LOST_SLASH = re.compile(r"^(?!(?:file|local):)([A-Za-z][A-Za-z0-9+.\-]+):/(?!/)", re.IGNORECASE)
"""What becomes of the URL of a store in a ``pathlib.Path``."""
_NO_PORT = re.compile(r":(?!\d*$)")
_LOCAL_SCHEMES = frozenset({"file", "local"})
_WEB_SCHEMES = frozenset({"http", "https"})
"""fsspec could open them; but paths go into logs and XCom, and web addresses may be signed."""

READ_BLOCK_BYTES = 8 * 1024 * 1024
"""
How much an object store is asked for at a time. s3fs would ask for 50 MiB, which is most of a worker's slack.
"""

Kind = Literal["file", "directory", "other"]
"""``other``: a device, a pipe or a socket."""

_VERSIONS = ("ETag", "etag", "LastModified", "last_modified", "mtime", "modified", "updated", "created")
"""What stores call the version of an object, or the time of its last change; the first that there is."""

_NO_FILE = (errno.ELOOP, errno.ENAMETOOLONG)
"""Of a link that leads to itself, and of a name that no file can have."""

_LASTING = frozenset(
    {errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EROFS, *_NO_FILE}
)
"""Why a folder cannot be written to, now and later."""

_NO_WAIT = getattr(os, "O_NONBLOCK", 0)

TICK = 2.0
"""Seconds in which a file may change twice without another time of its last change."""

MAX_NAME_BYTES = 200
"""File systems allow 255; the name of the part file beside it is longer."""

_SEPARATORS = re.compile(r"[/\\]")
_DRIVE = re.compile(r"^[A-Za-z]:")
_FORBIDDEN = frozenset('<>:"|?*')


class HiddenError(TransferError):
    """A store does not say whether there is something."""


class Stat(NamedTuple):
    """
    What is known of a file without reading it.

    :param size: bytes.
    :param version: another one after every change; empty where that cannot be told.
    """

    kind: Kind
    size: int
    version: str = ""


@dataclass(frozen=True)
class Location:
    """
    One file or folder, local or in a store. Made by :func:`locate`.

    :param url: how users write it: a plain path for local files, else ``scheme://conn_id@bucket/key``. Used
        in messages and manifests; a downstream task can open it without being told the connection again.
    :param path: the path as the file system itself understands it.
    :param fs: the fsspec file system; ``None`` for local disk.
    """

    url: str
    path: str
    fs: Any = None

    @property
    def is_local(self) -> bool:
        return self.fs is None

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rsplit("/", 1)[-1]

    def child(self, name: str) -> Location:
        """Return the location of ``name`` in this folder. ``name`` is trusted: see :func:`target_path`."""
        return Location(f"{self.url.rstrip('/')}/{name}", f"{self.path.rstrip('/')}/{name}", self.fs)

    def sibling(self, name: str) -> Location:
        """Return the location of ``name`` beside this file."""
        cut = len(self.name)
        return Location(
            f"{self.url.rstrip('/')[:-cut]}{name}", f"{self.path.rstrip('/')[:-cut]}{name}", self.fs
        )

    def stat(self) -> Stat | None:
        """
        Return what is known without reading it, or ``None`` when there is nothing.

        :raises HiddenError: the store does not say whether there is something.
        :raises TransferError: the store could not be asked.
        """
        with storage_errors("cannot look at", self):
            try:
                return _stat_on_disk(self.path) if self.fs is None else _stat_in_store(self.fs, self.path)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError as error:
                # s3fs raises the first, gcsfs the second.
                forbidden = isinstance(error, PermissionError) or str(error).startswith("Forbidden")
                if self.fs is not None and forbidden:
                    raise HiddenError(
                        f"cannot look at {self}: {_brief(error)}. Stores say so also of what is not there: "
                        "S3 does without `s3:ListBucket`, Google without `storage.objects.get`."
                    ) from error
                if error.errno in _NO_FILE:
                    return None
                raise

    def names(self) -> list[str]:
        """
        Return the names of what is in this folder; none when there is no such folder.

        :raises TransferError: it cannot be listed.
        """
        with storage_errors("cannot list", self):
            try:
                if self.fs is None:
                    return os.listdir(self.path)
                self.fs.invalidate_cache()
                return [path.rstrip("/").rsplit("/", 1)[-1] for path in self.fs.ls(self.path, detail=False)]
            except FileNotFoundError:
                return []

    def remove(self) -> None:
        with storage_errors("cannot remove", self):
            if self.fs is None:
                os.unlink(self.path)
            else:
                self.fs.rm_file(self.path)

    def open(self) -> BinaryIO:
        """Open for reading: binary, seekable, in blocks of bounded size."""
        if self.fs is None:
            # A file that was replaced by a pipe would block here until somebody writes to it.
            fd = os.open(self.path, os.O_RDONLY | _NO_WAIT)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                raise OSError(errno.EINVAL, "Not a regular file")
            return os.fdopen(fd, "rb")
        # MemoryFileSystem hands out the one stored object, whose position all readers would share.
        if "memory" in protocols(self.fs):
            import io

            return io.BytesIO(self.fs.cat_file(self.path))
        return cast(
            "BinaryIO",
            self.fs.open(self.path, "rb", block_size=READ_BLOCK_BYTES, cache_type="readahead"),
        )

    def sha256(self) -> str:
        """Return the SHA-256 of what is there now, read in constant memory."""
        digest = hashlib.sha256()
        with storage_errors("cannot read", self), self.open() as stream:
            while data := stream.read(1024 * 1024):
                digest.update(data)
        return digest.hexdigest()

    def __str__(self) -> str:
        return self.url


def _stat_on_disk(path: str) -> Stat:
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        return Stat("directory", 0)
    # With the change time: a copy that keeps its modification time has another one.
    version = f"{found.st_mtime_ns}-{found.st_ctime_ns}" if time.time() - found.st_ctime >= TICK else ""
    return Stat("file" if stat.S_ISREG(found.st_mode) else "other", found.st_size, version)


def _stat_in_store(fs: Any, path: str) -> Stat:
    # Airflow keeps one file system per process, and its listings outlive what other tasks wrote.
    fs.invalidate_cache()
    info = fs.info(path)
    if info["type"] == "directory":
        return Stat("directory", 0)
    version = next((str(info[name]) for name in _VERSIONS if info.get(name)), "")
    return Stat("file", int(info["size"] or 0), version)


def locate(value: object, *, conn_id: str | None = None, argument: str = "path") -> Location:
    """
    Turn what users write into a :class:`Location`. Touches no file.

    :param value: as :func:`path_text` takes it: local path, ``file://`` URL (percent-encoded, as Airflow's
        asset URIs are), or a URL of any scheme that Airflow or fsspec knows, with or without ``conn_id@``.
    :param conn_id: Airflow connection for URLs that name none. Ignored for local paths.
    :param argument: the operator argument, for the error.
    :raises InvalidInputError: no path, an unknown scheme, a password in a URL, or a connection that does not
        exist.
    """
    text = path_text(argument, value)
    text = _ONE_SLASH.sub(r"\1://", text)
    match = _SCHEME.match(text)
    if match is None:
        return _local(text)
    scheme, rest = match[1].lower(), text[match.end() :]
    if scheme in _LOCAL_SCHEMES:
        # file://localhost/x and file:///x are the same file; Airflow also allows a connection id there.
        authority, slash, tail = rest.partition("/")
        local = slash + tail if authority == "localhost" or "@" in authority else rest
        return _local(path_text(argument, unquote(local, errors="surrogateescape")))
    userinfo, at, host = rest.partition("/")[0].rpartition("@")
    # A secret may have a slash, and then looks like a port that is no number.
    if ":" in userinfo or _NO_PORT.search(host.rpartition("]")[2]):
        raise wrong(
            argument,
            f"a key and a secret stand in a {scheme}:// URL, and paths go into logs and XCom. Only the id of "
            f"an Airflow connection may stand before the @: {scheme}://conn_id@bucket/key.",
        )
    if at and host.endswith(".core.windows.net"):
        raise wrong(
            argument,
            f"{scheme}://{userinfo}@{host} is Azure's way to write it. Here the id of an Airflow connection, "
            f"which names the account, stands before the @: abfs://conn_id@{userinfo}/key.",
        )
    if at:
        rest = host + rest[len(userinfo) + 1 + len(host) :]
        conn_id = userinfo or conn_id
    return _remote(scheme, rest, conn_id, argument)


def locate_source(value: object, *, conn_id: str | None = None, argument: str = "path") -> Location:
    """
    Turn what users write into the :class:`Location` of something to read.

    A store's key may have any character, so its URL is taken as it is written; one that names nothing is
    taken for percent-encoded, as Airflow's asset URIs are.

    :raises InvalidInputError: as :func:`locate`.
    :raises TransferError: the store could not be asked.
    """
    location = locate(value, conn_id=conn_id, argument=argument)
    if location.is_local or "%" not in location.path or location.stat() is not None:
        return location
    return Location(unquote(location.url), unquote(location.path), location.fs)


def path_text(argument: str, value: object) -> str:
    """
    Return a path as the text that templates, records and XCom can hold.

    :param value: text, ``os.PathLike`` such as ``pathlib.Path``, or an ``ObjectStoragePath``, whose
        connection becomes part of the URL.
    :raises InvalidInputError: it is none of these, is blank, or has characters that no file name can have.
    """
    # Asked of the class: on an ObjectStoragePath the attribute connects to the store.
    if hasattr(type(value), "fs") and hasattr(type(value), "protocol"):
        value = _object_storage_url(value)
    if not isinstance(value, (str, os.PathLike)):
        raise wrong(argument, f"{type(value).__name__} is not a path; give a local path or a URL.")
    text = os.fspath(value)
    # An upstream task without XCom is rendered as "None".
    if not isinstance(text, str) or text.strip() in ("", "None") or "\0" in text:
        raise wrong(argument, f"{text!r} is not a path.")
    refuse_broken_name(argument, text)
    if lost := _LOST_SLASH.match(text):
        raise wrong(
            argument,
            f"{lost[0]}... is a URL that has lost a slash, as it does in a pathlib.Path: give a text, or an "
            "ObjectStoragePath.",
        )
    return text


def wrong(argument: str, why: str) -> InvalidInputError:
    """Return the error for what an argument names."""
    return InvalidInputError(f"{argument}: {why}", parameter=argument)


def refuse_broken_name(argument: str, name: str) -> None:
    """Raise ``InvalidInputError`` for a name that is not UTF-8: no service, log or record can hold it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise wrong(
            argument, f"the name {name!a} is not UTF-8, so it cannot be sent or recorded. Rename the file."
        ) from None


def _object_storage_url(path: Any) -> str:
    protocol = path.protocol or "file"
    if protocol in _LOCAL_SCHEMES:
        return str(path.path)
    conn_id = getattr(path, "conn_id", None) or dict(getattr(path, "storage_options", {})).get("conn_id")
    return f"{protocol}://{f'{conn_id}@' if conn_id else ''}{path.path.lstrip('/')}"


def _local(text: str) -> Location:
    path = os.path.abspath(os.path.expanduser(text))
    return Location(path, path)


def _remote(scheme: str, rest: str, conn_id: str | None, argument: str) -> Location:
    if scheme in _WEB_SCHEMES:
        host = re.split(r"[/?#]", rest, maxsplit=1)[0]
        raise wrong(
            argument,
            f"a web address (of {host}) is no file of a store; give the store's own address, or "
            "fetch the file first.",
        )
    url = f"{scheme}://{conn_id}@{rest}" if conn_id else f"{scheme}://{rest}"
    shown = redact(url)
    from airflow.sdk import ObjectStoragePath

    try:
        # 3.1 lets conn_id=None hide the one in the URL, so it is passed only when there is one.
        path: Any = ObjectStoragePath(f"{scheme}://{rest}", **({"conn_id": conn_id} if conn_id else {}))
        fs = path.fs
    except ValueError:
        # Airflow knows the schemes of installed providers; fsspec knows more (memory, sftp, ...).
        fs = None if conn_id else _plain_fsspec(scheme)
        if fs is None:
            raise wrong(
                argument,
                f"nothing installed here can open {scheme}:// (for {shown}). Install the "
                "provider of that store with its file system, for example "
                "apache-airflow-providers-amazon[s3fs].",
            ) from None
    except ImportError as why:
        raise wrong(argument, f"cannot open {shown}: {why}") from None
    except Exception as error:
        raise wrong(
            argument, f"cannot open the store of {shown}: {type(error).__name__}: {_brief(error)}"
        ) from error
    if "?versionId=" in rest and "s3" in protocols(fs):
        raise wrong(
            argument,
            f"{shown} names a version, which s3fs would leave out: the newest would be read, or replaced. "
            "Copy that version to a key of its own.",
        )
    return Location(url, fs._strip_protocol(f"{scheme}://{rest}"), fs)


def _plain_fsspec(scheme: str) -> Any:
    import fsspec  # type: ignore[import-untyped]

    try:
        return fsspec.filesystem(scheme)
    except Exception:  # whatever its file system raises without arguments
        return None


def protocols(fs: Any) -> tuple[str, ...]:
    """Return the schemes that a file system answers to."""
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _brief(error: BaseException) -> str:
    return clean(getattr(error, "strerror", None) or error, 300)


@contextmanager
def storage_errors(doing: str, location: Location | str) -> Iterator[None]:
    """
    Turn what a disk or a store raises into one error that names the file.

    Stores raise what their client library raises: ``OSError``, but also ``ClientError``, ``HttpError`` or
    bare ``Exception``. A user should need to catch none of them.
    """
    try:
        yield
    except ProviderError:
        raise
    except OSError as error:
        hint = " The disk is full." if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise TransferError(f"{doing} {location}: {type(error).__name__}: {_brief(error)}.{hint}") from error
    except Exception as error:
        raise TransferError(f"{doing} {location}: {type(error).__name__}: {_brief(error)}") from error


def target_path(folder: Any, filename: str, *, conn_id: str | None = None) -> str:
    """
    Return where ``filename`` goes in ``folder``: always directly in it.

    :param folder: trusted: local folder or URL of a store, as the Dag author wrote it.
    :param filename: not trusted: may come from a template or from the service. What tries to leave the
        folder is refused; other separators, control and invisible characters and ``<>:"|?*`` become ``_``;
        leading dots and trailing dots and spaces go; what is longer than 200 bytes is cut, with a digest
        that keeps it unique.
    :returns: local path or URL.
    :raises InvalidInputError: an absolute path, a drive letter, ``..``, a NUL, nothing left of the name, or
        a symbolic link of that name that leads out of the folder.
    """
    location = locate(folder, conn_id=conn_id, argument="folder").child(safe_name(filename))
    if location.is_local:
        root = os.path.realpath(os.path.dirname(location.path))
        real = os.path.realpath(location.path)
        if os.path.dirname(real) != root and not real.startswith(root.rstrip(os.sep) + os.sep):
            raise InvalidInputError(
                f"filename: {location.path} is a symbolic link that leads out of its folder, to {real}.",
                parameter="filename",
            )
    return location.url


def safe_name(filename: str) -> str:
    """Return ``filename`` as one safe path component. See :func:`target_path`."""
    if "\0" in filename:
        raise InvalidInputError(f"filename: {filename!r} is not a file name.", parameter="filename")
    parts = _SEPARATORS.split(filename)
    if (
        (len(parts) > 1 and not parts[0])
        or ".." in [part.strip() for part in parts]
        or _DRIVE.match(filename)
    ):
        raise InvalidInputError(
            f"filename: {filename!r} leads out of the target folder; give a plain file name.",
            parameter="filename",
        )
    name = "".join(
        "_" if char in _FORBIDDEN or unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char
        for char in unicodedata.normalize("NFC", _SEPARATORS.sub("_", filename))
    )
    name = name.lstrip(". ").rstrip(". ")
    if not name or re.match(r"\s+\.", filename):
        raise InvalidInputError(f"filename: {filename!r} leaves no file name.", parameter="filename")
    return _shortened(name)


def probe_writable(folder: Any, *, conn_id: str | None = None, argument: str = "folder") -> None:
    """
    Write a small object to ``folder`` and remove it, so that a missing permission shows before anything is
    paid for.

    Local folders are created as needed. An object that may be written but not removed is left with a
    warning: some buckets are write-only.

    :param folder: local folder or URL of a store.
    :raises InvalidInputError: the folder cannot be written to, and a retry will not help.
    :raises TransferError: the store did not answer, which may pass.
    """
    location = locate(folder, conn_id=conn_id, argument=argument)
    with storage_errors("cannot write to", location):
        if location.is_local:
            try:
                os.makedirs(location.path, exist_ok=True)
                with tempfile.NamedTemporaryFile(prefix=".probe-", dir=location.path, buffering=0) as file:
                    file.write(b"probe")
            except OSError as error:
                if error.errno not in _LASTING:
                    raise
                raise wrong(argument, f"{location} cannot be written to: {error.strerror}.") from error
            return
        probe = location.child(f".probe-{uuid.uuid4().hex}")
        location.fs.pipe_file(probe.path, b"probe")
        try:
            location.fs.rm_file(probe.path)
        except Exception as error:
            log.warning("%s was written as a probe and cannot be removed: %s", probe, type(error).__name__)


def _shortened(name: str) -> str:
    encoded = name.encode()
    if len(encoded) <= MAX_NAME_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    tail = f"{dot}{suffix}" if stem and len(suffix.encode()) <= 16 else ""
    tail = f"-{hashlib.sha256(encoded).hexdigest()[:12]}{tail}"
    return encoded[: MAX_NAME_BYTES - len(tail.encode())].decode(errors="ignore") + tail
