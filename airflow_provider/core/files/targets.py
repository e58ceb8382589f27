"""Where results may be written: names that stay inside their folder, folders that can be written to."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import unicodedata
import uuid
from typing import Any

from airflow_provider.core.files.location import Location, locate, storage_errors
from airflow_provider.exceptions import InvalidInputError

MAX_NAME_BYTES = 200
"""File systems allow 255; the name of the part file beside it is longer."""

_SEPARATORS = re.compile(r"[/\\]")
_DRIVE = re.compile(r"^[A-Za-z]:")
_FORBIDDEN = frozenset('<>:"|?*')

log = logging.getLogger(__name__)


def target_path(folder: Any, filename: str, *, conn_id: str | None = None, argument: str = "filename") -> str:
    """
    Return where ``filename`` goes in ``folder``: always directly in it.

    :param folder: trusted: local folder or URL of a store, as the Dag author wrote it.
    :param filename: not trusted: may come from a template or from the service. What tries to leave the
        folder is refused; other separators, control and invisible characters and ``<>:"|?*`` become ``_``;
        leading dots and trailing dots and spaces go; what is longer than 200 bytes is cut, with a digest
        that keeps it unique.
    :param conn_id: Airflow connection for a folder URL that names none.
    :param argument: operator argument, for the error.
    :returns: local path or URL.
    :raises InvalidInputError: an absolute path, a drive letter, ``..``, a NUL, nothing left of the name, or
        a symbolic link of that name that leads out of the folder.
    """
    location = locate(folder, conn_id=conn_id, argument="folder").child(
        safe_name(filename, argument=argument)
    )
    if location.is_local:
        root = os.path.realpath(os.path.dirname(location.path))
        real = os.path.realpath(location.path)
        if os.path.dirname(real) != root and not real.startswith(root.rstrip(os.sep) + os.sep):
            raise InvalidInputError(
                f"{argument}: {location.path} is a symbolic link that leads out of its folder, to {real}.",
                parameter=argument,
            )
    return location.url


def safe_name(filename: str, *, argument: str = "filename") -> str:
    """Return ``filename`` as one safe path component. See :func:`target_path`."""
    if "\0" in filename:
        raise InvalidInputError(f"{argument}: {filename!r} is not a file name.", parameter=argument)
    parts = _SEPARATORS.split(filename)
    if (
        (len(parts) > 1 and not parts[0])
        or ".." in [part.strip() for part in parts]
        or _DRIVE.match(filename)
    ):
        raise InvalidInputError(
            f"{argument}: {filename!r} leads out of the target folder; give a plain file name.",
            parameter=argument,
        )
    name = "".join(
        "_" if char in _FORBIDDEN or unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char
        for char in unicodedata.normalize("NFC", _SEPARATORS.sub("_", filename))
    )
    name = name.lstrip(". ").rstrip(". ")
    if not name:
        raise InvalidInputError(f"{argument}: {filename!r} leaves no file name.", parameter=argument)
    return _shortened(name)


def probe_writable(folder: Any, *, conn_id: str | None = None, argument: str = "folder") -> None:
    """
    Write a small object to ``folder`` and remove it, so that a missing permission shows before anything is
    paid for.

    Local folders are created as needed. An object that may be written but not removed is left with a
    warning: some buckets are write-only.

    :param folder: local folder or URL of a store.
    :param conn_id: Airflow connection for a URL that names none.
    :param argument: operator argument, for the error.
    :raises InvalidInputError: the folder cannot be written to, and a retry will not help.
    :raises TransferError: the store did not answer, which may pass.
    """
    location = locate(folder, conn_id=conn_id, argument=argument)
    probe = location.child(f".probe-{uuid.uuid4().hex}")
    try:
        if location.is_local:
            _probe_disk(location, probe)
        else:
            with storage_errors("cannot write to", location):
                _probe_store(probe)
    except (PermissionError, FileNotFoundError, NotADirectoryError, FileExistsError) as error:
        raise _not_writable(location, error, argument) from error
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP):
            with storage_errors("cannot write to", location):
                raise
        raise _not_writable(location, error, argument) from error


def _probe_disk(folder: Location, probe: Location) -> None:
    os.makedirs(folder.path, exist_ok=True)
    fd = os.open(probe.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, b"probe")
    finally:
        os.close(fd)
        os.unlink(probe.path)


def _probe_store(probe: Location) -> None:
    probe.fs.pipe_file(probe.path, b"probe")
    try:
        probe.fs.rm_file(probe.path)
    except Exception as error:
        log.warning("%s was written as a probe and cannot be removed: %s", probe, type(error).__name__)


def _not_writable(location: Location, error: OSError, argument: str) -> InvalidInputError:
    return InvalidInputError(
        f"{argument}: {location} cannot be written to: {error.strerror or error}.", parameter=argument
    )


def _shortened(name: str) -> str:
    encoded = name.encode()
    if len(encoded) <= MAX_NAME_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    tail = f"{dot}{suffix}" if stem and len(suffix.encode()) <= 16 else ""
    tail = f"-{hashlib.sha256(encoded).hexdigest()[:12]}{tail}"
    return encoded[: MAX_NAME_BYTES - len(tail.encode())].decode(errors="ignore") + tail
