"""Where a file is: a path on local disk, or a key in any store that Airflow's object storage knows."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, cast

from airflow_provider.exceptions import InvalidInputError, ProviderError, TransferError

# Two characters at least, so that a Windows drive is not taken for a scheme.
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]+)://")
_LOCAL_SCHEMES = frozenset({"file", "local"})
_WEB_SCHEMES = frozenset({"http", "https"})
"""fsspec could open them; but paths go into logs and XCom, and web addresses may be signed."""

READ_BLOCK_BYTES = 8 * 1024 * 1024
"""
How much an object store is asked for at a time. s3fs would ask for 50 MiB, which is most of a worker's slack.
"""

Kind = Literal["file", "directory"]


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
        """
        Return the location of ``name`` in this folder. ``name`` is trusted: see ``targets.target_path``.
        """
        return Location(f"{self.url.rstrip('/')}/{name}", f"{self.path.rstrip('/')}/{name}", self.fs)

    def sibling(self, name: str) -> Location:
        """Return the location of ``name`` beside this file."""
        cut = len(self.name)
        return Location(
            f"{self.url.rstrip('/')[:-cut]}{name}", f"{self.path.rstrip('/')[:-cut]}{name}", self.fs
        )

    def stat(self) -> tuple[Kind, int] | None:
        """
        Return kind and size in bytes, or ``None`` when there is nothing.

        :raises TransferError: the store could not be asked.
        """
        with storage_errors("cannot look at", self):
            try:
                if self.fs is None:
                    return (
                        ("directory", 0) if os.path.isdir(self.path) else ("file", os.stat(self.path).st_size)
                    )
                # Airflow keeps one file system per process, and its listings outlive what other tasks wrote.
                self.fs.invalidate_cache()
                info = self.fs.info(self.path)
            except (FileNotFoundError, NotADirectoryError):
                return None
            if info["type"] == "directory":
                return ("directory", 0)
            return ("file", int(info["size"] or 0))

    def open(self) -> BinaryIO:
        """Open for reading: binary, seekable, in blocks of bounded size."""
        if self.fs is None:
            return open(self.path, "rb")
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


def locate(value: object, *, conn_id: str | None = None, argument: str = "path") -> Location:
    """
    Turn what users write into a :class:`Location`. Touches no file.

    :param value: local path, ``file://`` URL, ``os.PathLike``, ``ObjectStoragePath``, or a URL of any
        scheme that Airflow or fsspec knows, with or without ``conn_id@``.
    :param conn_id: Airflow connection for URLs that name none. Ignored for local paths.
    :param argument: the operator argument, for the error.
    :raises InvalidInputError: no path, an unknown scheme, or a connection that does not exist.
    """
    # Asked of the class: on an ObjectStoragePath the attribute connects to the store.
    if hasattr(type(value), "fs") and hasattr(type(value), "protocol"):
        return _from_object_storage_path(value, argument)
    if not isinstance(value, (str, os.PathLike)):
        raise InvalidInputError(
            f"{argument}: {type(value).__name__} is not a path; give a local path or a URL.",
            parameter=argument,
        )
    text = os.fspath(value)
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise InvalidInputError(f"{argument}: {text!r} is not a path.", parameter=argument)
    match = _SCHEME.match(text)
    if match is None:
        return _local(text)
    scheme, rest = match[1].lower(), text[match.end() :]
    if scheme in _LOCAL_SCHEMES:
        # file://localhost/x and file:///x are the same file; Airflow also allows a connection id there.
        authority, slash, tail = rest.partition("/")
        return _local(slash + tail if authority == "localhost" or "@" in authority else rest)
    userinfo, at, host = rest.partition("/")[0].rpartition("@")
    if at:
        rest = host + rest[len(userinfo) + 1 + len(host) :]
        conn_id = userinfo or conn_id
    return _remote(scheme, rest, conn_id, argument)


def _local(text: str) -> Location:
    path = os.path.abspath(os.path.expanduser(text))
    return Location(path, path)


def _remote(scheme: str, rest: str, conn_id: str | None, argument: str) -> Location:
    if scheme in _WEB_SCHEMES:
        host = re.split(r"[/?#]", rest, maxsplit=1)[0]
        raise InvalidInputError(
            f"{argument}: a web address (of {host}) is no file of a store; give the store's own address, or "
            "fetch the file first.",
            parameter=argument,
        )
    url = f"{scheme}://{conn_id}@{rest}" if conn_id else f"{scheme}://{rest}"
    from airflow.sdk import ObjectStoragePath

    try:
        # 3.1 lets conn_id=None hide the one in the URL, so it is passed only when there is one.
        path: Any = ObjectStoragePath(f"{scheme}://{rest}", **({"conn_id": conn_id} if conn_id else {}))
        fs = path.fs
    except ValueError:
        # Airflow knows the schemes of installed providers; fsspec knows more (memory, sftp, ...).
        fs = None if conn_id else _plain_fsspec(scheme)
        if fs is None:
            raise InvalidInputError(
                f"{argument}: nothing installed here can open {scheme}:// (for {url}). Install the provider "
                "of that store with its file system, for example apache-airflow-providers-amazon[s3fs].",
                parameter=argument,
            ) from None
    except ImportError as error:
        raise InvalidInputError(f"{argument}: cannot open {url}: {error}", parameter=argument) from None
    except Exception as error:
        raise InvalidInputError(
            f"{argument}: cannot open the store of {url}: {type(error).__name__}: {_brief(error)}",
            parameter=argument,
        ) from error
    return Location(url, fs._strip_protocol(f"{scheme}://{rest}"), fs)


def _plain_fsspec(scheme: str) -> Any:
    import fsspec  # type: ignore[import-untyped]

    try:
        return fsspec.filesystem(scheme)
    except (ValueError, ImportError, TypeError):
        return None


def _from_object_storage_path(value: Any, argument: str) -> Location:
    protocol = value.protocol or "file"
    if protocol in _LOCAL_SCHEMES:
        return _local(value.path)
    conn_id = getattr(value, "conn_id", None) or dict(getattr(value, "storage_options", {})).get("conn_id")
    return _remote(protocol, value.path.lstrip("/"), conn_id, argument)


def protocols(fs: Any) -> tuple[str, ...]:
    """Return the schemes that a file system answers to."""
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _brief(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())[:300]


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
