"""
The unfinished local file beside its target: ``.name.part``.

Owned by one process at a time through ``flock``, which the kernel releases when the process dies, so that a
part left by a killed task is free at once and no stale lock has to be broken. Whoever finds it taken writes
to a name of its own instead. A small ``.name.part.json`` beside it says what the bytes are: the entity they
came from and the digest of a prefix. A part that does not prove to be a prefix of that entity is not
continued.

The folder may be one that others write to. Only a part that is ours is continued (a regular file of this user
under one name), links are never followed, and nobody else can read a part before it is published.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import stat
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from airflow_provider.core.files.manifest import Digest
from airflow_provider.exceptions import InvalidInputError

fcntl: Any
try:
    import fcntl
except ImportError:  # no POSIX locks: every part gets a name of its own and none is continued
    fcntl = None

WRITE_BUFFER_BYTES = 1024 * 1024
_MAX_NAME_BYTES = 255
_MAX_SIDECAR_BYTES = 16 * 1024 * 1024
_NEVER_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_OPEN_FLAGS = os.O_RDWR | _NEVER_FOLLOW


@dataclass(frozen=True)
class Checkpoint:
    """
    What is proven about the beginning of a part.

    :param etag: strong ETag of the entity, with its quotes.
    :param total: its length in bytes.
    :param offset: how many bytes of it are described here.
    :param sha256: their digest. A disk that lost bytes in a power cut does not have it, so no fsync is
        needed on the way.
    """

    etag: str
    total: int
    offset: int
    sha256: str


class PartialFile:
    """
    The part of one target, locked, open for writing at its end.

    :param target: absolute path of the target.
    :raises InvalidInputError: the part is a symbolic link.
    :raises OSError: the folder cannot be written to.
    """

    def __init__(self, target: str) -> None:
        # A symbolic link stays: what it leads to is replaced.
        self.target = os.path.realpath(target)
        self._folder, name = os.path.split(self.target)
        os.makedirs(self._folder, exist_ok=True)
        base = os.path.join(self._folder, _part_name(name))
        _remove_abandoned(base)
        self.path = base
        fd = _open_locked(base)
        # On a mounted share all files may be somebody else's; what cannot be taken again is not left.
        self._resumable = fd is not None and _is_ours(fd)
        if fd is None:
            self.path = f"{base}.{uuid.uuid4().hex[:12]}"
            fd = _open_locked(self.path)
            if fd is None:
                fd = os.open(self.path, _OPEN_FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        self._sidecar = f"{self.path}.json"
        self._file = os.fdopen(fd, "r+b", buffering=WRITE_BUFFER_BYTES)

    def recover(self) -> tuple[Digest, Checkpoint | None]:
        """
        Keep what is proven of a part left by another process, drop the rest.

        :returns: the digest of what is kept, and its checkpoint; an empty digest and ``None`` when nothing
            is.
        """
        checkpoint = self._read_sidecar() if self._resumable else None
        if checkpoint is not None:
            digest = Digest()
            self._file.seek(0)
            while data := self._file.read(min(WRITE_BUFFER_BYTES, checkpoint.offset - digest.size)):
                digest.update(data)
            if (digest.size, digest.sha256()) == (checkpoint.offset, checkpoint.sha256):
                self._file.truncate(checkpoint.offset)
                self._file.seek(checkpoint.offset)
                self._remove_sidecar()
                self.save(checkpoint)
                return digest, checkpoint
        self.clear()
        return Digest(), None

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def clear(self) -> None:
        """Start from nothing."""
        self._remove_sidecar()
        self._file.seek(0)
        self._file.truncate(0)

    def save(self, checkpoint: Checkpoint) -> None:
        """Record that the first ``checkpoint.offset`` bytes are good, so that a later process can go on."""
        if not self._resumable:
            return
        self._file.flush()
        try:
            fd = os.open(self._sidecar, _NEVER_FOLLOW | os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError:
            # Somebody put a link, a folder or a file of theirs there.
            self._resumable = False
            return
        # A line more, and the last good one counts. Renaming a new file over the old one is the usual way,
        # but ext4 then writes out everything that waits, which made a download seven times slower.
        with open(fd, "a", encoding="utf-8") as stream:
            if _is_ours(fd):
                stream.write(json.dumps(asdict(checkpoint)) + "\n")
            else:
                self._resumable = False

    def open(self) -> BinaryIO:
        """Open what is written so far for reading."""
        self._file.flush()
        return open(self.path, "rb")

    def sync(self) -> None:
        """Put every byte on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def publish(self, *, replace: bool) -> bool:
        """
        Give the part its final name, in one step that others see whole or not at all.

        It has the permissions of the file that it replaces, and its group where this user may give it; else
        those of any new file.

        :param replace: whether a file of that name may be replaced.
        :returns: ``False`` when there is one and it may not.
        """
        self._set_permissions()
        self.sync()
        self._remove_sidecar()
        if replace:
            os.replace(self.path, self.target)
        elif not self._rename_to_new_name():
            return False
        _sync_folder(self._folder)
        return True

    def remove(self) -> None:
        self._remove_sidecar()
        Path(self.path).unlink(missing_ok=True)

    def close(self, *, keep: bool) -> None:
        """
        Release the part.

        :param keep: leave it for another process to continue. One under a name of its own is never found
            again and is always removed, unless it was published.
        """
        if not (keep and self._resumable):
            self.remove()
        self._file.close()

    def _set_permissions(self) -> None:
        fd = self._file.fileno()
        try:
            old = os.stat(self.target)
        except FileNotFoundError:
            _change_mode(fd, _mode_of_new_file(self.path))
            return
        mode = stat.S_IMODE(old.st_mode)
        if old.st_gid != os.fstat(fd).st_gid:
            try:
                os.fchown(fd, -1, old.st_gid)
            except OSError:
                # Another group must not get what was meant for that one.
                mode = mode & ~0o070 | (mode & 0o007) << 3
        _change_mode(fd, mode)

    def _remove_sidecar(self) -> None:
        Path(self._sidecar).unlink(missing_ok=True)

    def _rename_to_new_name(self) -> bool:
        # link() refuses a name that exists, rename() does not.
        try:
            os.link(self.path, self.target)
        except FileExistsError:
            return False
        except OSError:
            # No hard links here: look, then rename.
            if os.path.lexists(self.target):
                return False
            os.replace(self.path, self.target)
        else:
            os.unlink(self.path)
        return True

    def _read_sidecar(self) -> Checkpoint | None:
        try:
            fd = os.open(self._sidecar, _NEVER_FOLLOW | os.O_RDONLY)
        except OSError:
            return None
        with open(fd, encoding="utf-8", errors="replace") as stream:
            lines = stream.read(_MAX_SIDECAR_BYTES).splitlines() if _is_ours(fd) else []
        for line in reversed(lines):
            try:
                values = json.loads(line)
                checkpoint = Checkpoint(
                    str(values["etag"]), int(values["total"]), int(values["offset"]), str(values["sha256"])
                )
            except (ValueError, TypeError, LookupError):
                continue
            if 0 < checkpoint.offset <= checkpoint.total:
                return checkpoint
        return None


def _is_ours(fd: int) -> bool:
    """Tell whether an open file is a regular one of this user that has no other name."""
    found = os.fstat(fd)
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1


def _change_mode(fd: int, mode: int) -> None:
    """Change permissions, where that can be done: those of a mounted share are decided by its mount."""
    with contextlib.suppress(OSError):
        os.fchmod(fd, mode)


def _mode_of_new_file(beside: str) -> int:
    # The umask can only be read by changing it for all threads, and a folder may have rules of its own.
    path = f"{beside}.{uuid.uuid4().hex[:12]}"
    fd = os.open(path, _NEVER_FOLLOW | os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return stat.S_IMODE(os.fstat(fd).st_mode)
    finally:
        os.close(fd)
        os.unlink(path)


def _remove_abandoned(base: str) -> None:
    # Parts under a name of their own whose process was killed: nobody holds their lock any more.
    for path in glob.glob(f"{glob.escape(base)}.*"):
        if path.removeprefix(f"{base}.").isalnum() and len(path) == len(base) + 13:
            fd = _open_locked(path, create=False)
            if fd is not None:
                Path(path).unlink(missing_ok=True)
                os.close(fd)


def _part_name(name: str) -> str:
    part = f".{name}.part"
    # Room for the suffixes of the sidecar and of names of one's own.
    if len(os.fsencode(part)) <= _MAX_NAME_BYTES - 20:
        return part
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.part"


def _open_locked(path: str, *, create: bool = True) -> int | None:
    """
    Open and lock ``path``.

    :returns: ``None`` when another process has it, it is not ours, or the file system has no locks.
    """
    if fcntl is None:
        return None
    while (opened := _open(path, create=create)) is not None:
        fd, made = opened
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if made and not isinstance(error, BlockingIOError):
                Path(path).unlink(missing_ok=True)
            os.close(fd)
            return None
        # The holder before us may have renamed or removed what we opened: the lock is then on another file.
        if _is_at(path, fd):
            # One left by an older version may be readable for others.
            _change_mode(fd, 0o600)
            return fd
        os.close(fd)
        if not create:
            return None
    return None


def _open(path: str, *, create: bool) -> tuple[int, bool] | None:
    """Open a part and say whether it was made just now; ``None``: it is not ours, or not there."""
    while True:
        try:
            fd = os.open(path, _OPEN_FLAGS)
        except FileNotFoundError:
            if not create:
                return None
            try:
                return os.open(path, _OPEN_FLAGS | os.O_CREAT | os.O_EXCL, 0o600), True
            except FileExistsError:
                continue
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise InvalidInputError(f"{path} is a symbolic link; remove it.") from None
            return None
        if _is_ours(fd):
            return fd, False
        os.close(fd)
        return None


def _is_at(path: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(fd))
    except FileNotFoundError:
        return False


def _sync_folder(folder: str) -> None:
    try:
        fd = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return  # It may be written to and not read.
    try:
        os.fsync(fd)
    except OSError as error:
        # Some network file systems cannot sync a folder; the file itself is on disk.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.ENOSYS):
            raise
    finally:
        os.close(fd)
