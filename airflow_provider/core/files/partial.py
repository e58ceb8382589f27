"""
The unfinished local file beside its target: ``.name.part``.

Owned by one process at a time through ``flock``, which the kernel releases when the process dies, so that a
part left by a killed task is free at once and no stale lock has to be broken. Whoever finds it taken writes
to a name of its own instead. A small ``.name.part.json`` beside it says what the bytes are: the entity they
came from and the digest of a prefix. A part that does not prove to be a prefix of that entity is not
continued.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import uuid
from dataclasses import asdict, dataclass
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
    """

    def __init__(self, target: str) -> None:
        self.target = target
        folder, name = os.path.split(target)
        self._folder = folder
        os.makedirs(folder, exist_ok=True)
        base = os.path.join(folder, _part_name(name))
        self._remove_abandoned(base)
        self.path = base
        fd = _open_locked(base)
        self._resumable = fd is not None
        if fd is None:
            self.path = f"{base}.{uuid.uuid4().hex[:12]}"
            fd = _open_locked(self.path)
            if fd is None:
                fd = os.open(self.path, _OPEN_FLAGS, 0o666)
        self._sidecar = f"{self.path}.json"
        self._file = os.fdopen(fd, "r+b", buffering=WRITE_BUFFER_BYTES)

    def recover(self) -> tuple[Digest, Checkpoint | None]:
        """
        Keep what is proven of a part left by another process, drop the rest.

        :returns: the digest of what is kept, and its checkpoint; an empty digest and ``None`` when nothing
            is.
        """
        checkpoint = self._read_sidecar() if self._resumable else None
        if checkpoint is not None and os.fstat(self._file.fileno()).st_size >= checkpoint.offset:
            digest = Digest()
            self._file.seek(0)
            while digest.size < checkpoint.offset:
                data = self._file.read(min(WRITE_BUFFER_BYTES, checkpoint.offset - digest.size))
                if not data:
                    break
                digest.update(data)
            if digest.sha256() == checkpoint.sha256:
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
        # A line more, and the last good one counts. Renaming a new file over the old one is the usual way,
        # but ext4 then writes out everything that waits, which made a download seven times slower.
        with open(self._sidecar, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(checkpoint)) + "\n")

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

        :param replace: whether a file of that name may be replaced.
        :returns: ``False`` when there is one and it may not.
        """
        self.sync()
        self._remove_sidecar()
        if replace:
            os.replace(self.path, self.target)
        elif not self._rename_to_new_name():
            return False
        _sync_folder(self._folder)
        return True

    def remove(self) -> None:
        """Leave nothing behind."""
        self._remove_sidecar()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def close(self, *, keep: bool) -> None:
        """
        Release the part.

        :param keep: leave it for another process to continue. One under a name of its own is never found
            again and is always removed, unless it was published.
        """
        if not (keep and self._resumable):
            self.remove()
        self._file.close()

    def _remove_sidecar(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._sidecar)

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
            with open(self._sidecar, encoding="utf-8", errors="replace") as stream:
                lines = stream.read(_MAX_SIDECAR_BYTES).splitlines()
        except OSError:
            return None
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

    def _remove_abandoned(self, base: str) -> None:
        # Parts under a name of their own whose process was killed: nobody holds their lock any more.
        for path in glob.glob(f"{glob.escape(base)}.*"):
            if path.removeprefix(f"{base}.").isalnum() and len(path) == len(base) + 13:
                fd = _open_locked(path, create=False)
                if fd is not None:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path)
                    os.close(fd)


_OPEN_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def _part_name(name: str) -> str:
    part = f".{name}.part"
    # Room for the suffixes of the sidecar and of names of one's own.
    if len(os.fsencode(part)) <= _MAX_NAME_BYTES - 20:
        return part
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.part"


def _open_locked(path: str, *, create: bool = True) -> int | None:
    """Open and lock ``path``; ``None`` when another process has it or the file system has no locks."""
    if fcntl is None:
        return None
    flags = _OPEN_FLAGS if create else _OPEN_FLAGS & ~os.O_CREAT
    while True:
        new = create and not os.path.lexists(path)
        try:
            fd = os.open(path, flags, 0o666)
        except FileNotFoundError:
            if create:
                raise
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise InvalidInputError(f"{path} is a symbolic link; remove it.") from None
            raise
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if new and not isinstance(error, BlockingIOError):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            os.close(fd)
            return None
        # The holder before us may have renamed or removed what we opened: the lock is then on another file.
        try:
            current = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            current = None
        opened = os.fstat(fd)
        if current is not None and (current.st_dev, current.st_ino) == (opened.st_dev, opened.st_ino):
            return fd
        os.close(fd)
        if not create:
            return None


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        # Some network file systems cannot sync a folder; the file itself is on disk.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(fd)
