"""A file that is written whole or not at all, on disk or in a store."""

from __future__ import annotations

import contextlib
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from airflow_provider.core.files.locations import HiddenError, Location, locate, storage_errors, wrong
from airflow_provider.core.files.manifest import Digest, make_manifest
from airflow_provider.core.files.object_upload import ObjectUpload
from airflow_provider.core.files.partial import Checkpoint, PartialFile
from airflow_provider.exceptions import TransferError

Check = Callable[[Digest, Callable[[], BinaryIO]], None]

CHECKPOINT_BYTES = 8 * 1024 * 1024
"""At most so much of a local download is fetched again after a kill."""


class AtomicFile(ABC):
    """A file on its way to a location. :meth:`close` without :meth:`finish` leaves the target as it was."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self.digest = Digest()
        self.checkpoint: Checkpoint | None = None

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Append."""

    def restart(self) -> None:
        """Forget what was written."""
        self.digest, self.checkpoint = Digest(), None

    def identify(self, etag: str | None, total: int | None) -> None:
        """Say which entity the bytes come from, so that they can be continued. ``None``: they cannot."""
        self.checkpoint = None
        if etag is not None and total is not None:
            self.checkpoint = Checkpoint(etag, total, self.digest.size, self.digest.sha256())

    @abstractmethod
    def finish(self, *, overwrite: bool, check: Check | None = None) -> bool:
        """
        Check, compare with what is at the target, and publish.

        :param overwrite: whether a target with other content may be replaced. One with the same size and
            SHA-256 counts as this file and is left alone.
        :param check: called with the digest and an opener before anything becomes visible.
        :returns: whether the target was written.
        :raises TransferError: the check failed, or the target holds something else and ``overwrite`` is
            false.
        """

    @abstractmethod
    def close(self, *, keep: bool = False) -> None:
        """Release; ``keep`` leaves what can be continued by another process."""

    def manifest(self, media_type: str, **ids: Any) -> dict[str, Any]:
        """Describe the file that was written, see :func:`make_manifest`."""
        digest = self.digest
        return make_manifest(self._location.url, digest.size, digest.sha256(), media_type, **ids)

    def _is_there(self, *, overwrite: bool) -> bool:
        """Whether the target holds this file already."""
        size = size_of_target(self._location, overwrite=overwrite)
        if size is None:
            return False
        if size == self.digest.size and self._location.sha256() == self.digest.sha256():
            return True
        if not overwrite:
            raise TransferError(other_content(self._location, size, self.digest.size))
        return False


def open_atomic(location: Location, *, readable: bool = False) -> AtomicFile:
    """
    Begin to write ``location``.

    :param readable: the check has to read the file. Objects in a store cannot be read before they are
        visible, so these go through a local temporary file.
    """
    return _LocalFile(location) if location.is_local else _StoredObject(location, readable=readable)


@contextmanager
def write_atomic(location: Location, *, overwrite: bool = True) -> Iterator[AtomicFile]:
    """
    Write a file in a ``with`` block: it appears when the block ends, and not if it is left by an error.

    :param overwrite: see :meth:`AtomicFile.finish`.
    """
    size_of_target(location, overwrite=overwrite)
    file = open_atomic(location)
    try:
        file.restart()
        yield file
        file.finish(overwrite=overwrite)
    finally:
        file.close()


def check_target(value: Any, *, conn_id: str | None, argument: str) -> Location:
    """
    Return the location of a file that will be written, also over another one; called before its content is
    requested.

    :raises InvalidInputError: as :func:`locate` and :func:`size_of_target`.
    """
    location = locate(value, conn_id=conn_id, argument=argument)
    size_of_target(location, argument=argument, overwrite=True)
    return location


def size_of_target(location: Location, *, argument: str = "target", overwrite: bool = False) -> int | None:
    """
    Return the size of the file at ``location``, ``None`` when there is nothing.

    :param argument: of the operator, for the error.
    :param overwrite: whether a file may be replaced unseen, where the store shows none.
    :raises InvalidInputError: it is a folder, a device, a pipe or a socket.
    :raises HiddenError: the store does not say whether there is one, and it may not be replaced.
    """
    try:
        stat = location.stat()
    except HiddenError:
        if overwrite:
            return None
        raise
    if stat is None:
        return None
    if stat.kind == "directory":
        raise wrong(argument, f"{location} is a folder; name a file in it.")
    if stat.kind == "other":
        raise wrong(argument, f"{location} is a device, a pipe or a socket; name a regular file.")
    return stat.size


def other_content(location: Location, size: int, new_size: int) -> str:
    """Say that a file may not be replaced."""
    return (
        f"{location} holds other content ({size} bytes; the new file has {new_size}). "
        "Set overwrite=True to replace it, or choose another path."
    )


class _LocalFile(AtomicFile):
    def __init__(self, location: Location) -> None:
        super().__init__(location)
        with storage_errors("cannot write", location):
            self._part = PartialFile(location.path)
            self.digest, self.checkpoint = self._part.recover()
        self._published = False

    def write(self, data: bytes) -> None:
        try:
            with storage_errors("cannot write", self._location):
                self._part.write(data)
                self.digest.update(data)
                if self.checkpoint and self.digest.size - self.checkpoint.offset >= CHECKPOINT_BYTES:
                    self._save()
        except TransferError:
            # The part of a download that did not fit would keep the disk full.
            self.checkpoint = None
            raise

    def restart(self) -> None:
        with storage_errors("cannot write", self._location):
            self._part.clear()
        super().restart()

    def finish(self, *, overwrite: bool, check: Check | None = None) -> bool:
        with storage_errors("cannot write", self._location):
            self._part.sync()
            if check is not None:
                check(self.digest, self._part.open)
            if self._is_there(overwrite=overwrite):
                return False
            self._published = self._part.publish(replace=overwrite)
            # Another task may have been first in between, with the same file or with another one.
            if not self._published and not self._is_there(overwrite=False):
                raise TransferError(f"{self._location} was removed while it was being compared; try again.")
        return self._published

    def close(self, *, keep: bool = False) -> None:
        keep = keep and self.checkpoint is not None
        # What led here is the error to report; without a saved checkpoint the next attempt starts over.
        with contextlib.suppress(OSError):
            if keep:
                self._save()
        with contextlib.suppress(OSError):
            self._part.close(keep=keep or self._published)

    def _save(self) -> None:
        assert self.checkpoint is not None
        self.identify(self.checkpoint.etag, self.checkpoint.total)
        if self.digest.size:
            self._part.save(self.checkpoint)


class _StoredObject(AtomicFile):
    """An upload in progress cannot be handed to another process: it resumes within this one only."""

    def __init__(self, location: Location, *, readable: bool) -> None:
        super().__init__(location)
        self._upload: ObjectUpload | None = None
        with storage_errors("cannot make a temporary file for", location):
            self._spool = tempfile.TemporaryFile() if readable else None  # noqa: SIM115 - closed in close()

    def write(self, data: bytes) -> None:
        if self._spool is None:
            self._send(data)
        else:
            with storage_errors("cannot write the temporary file for", self._location):
                self._spool.write(data)
        self.digest.update(data)

    def restart(self) -> None:
        self._drop()
        if self._spool is not None:
            self._spool.seek(0)
            self._spool.truncate(0)
        super().restart()

    def finish(self, *, overwrite: bool, check: Check | None = None) -> bool:
        if check is not None:
            check(self.digest, self._reopen)
        if self._is_there(overwrite=overwrite):
            return False
        upload = self._send(b"")
        if self._spool is not None:
            with self._reopen() as stream:
                while data := stream.read(1024 * 1024):
                    upload.write(data)
        upload.commit()
        self._upload = None
        return True

    def close(self, *, keep: bool = False) -> None:
        self._drop()
        if self._spool is not None:
            self._spool.close()

    def _reopen(self) -> BinaryIO:
        assert self._spool is not None, "ask open_atomic() for a readable file"
        self._spool.flush()
        self._spool.seek(0)
        return open(self._spool.fileno(), "rb", closefd=False)

    def _send(self, data: bytes) -> ObjectUpload:
        if self._upload is None:
            self._upload = ObjectUpload(self._location)
        self._upload.write(data)
        return self._upload

    def _drop(self) -> None:
        if self._upload is not None:
            self._upload.discard()
            self._upload = None
