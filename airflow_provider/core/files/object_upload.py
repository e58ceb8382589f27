"""
An object that becomes visible only when it is complete.

``fsspec`` commits at ``close()``, and that includes the ``close()`` of a ``with`` block that an exception
leaves and the one of the garbage collector: an interrupted ``with path.open("wb")`` publishes a truncated
object. Here an upload that is not committed on purpose is discarded, and its file object disarmed.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any

from airflow_provider.core.files.locations import Location, protocols, storage_errors

# s3fs, gcsfs and adlfs upload parts or blocks that nobody sees and put the object together at close().
_VISIBLE_AT_CLOSE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})

UPLOAD_BLOCK_BYTES = 8 * 1024 * 1024
"""Held in memory per upload. S3 allows 10,000 parts, so objects up to 80 GB fit."""

log = logging.getLogger(__name__)


class ObjectUpload:
    """
    One upload to a store.

    Stores that show an object only when its upload is complete (S3, GCS, Azure) are written directly. In
    all others (memory, SFTP, HDFS...) a file is visible while it grows, so it is written under a temporary
    name beside the target and moved.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        direct = not _VISIBLE_AT_CLOSE.isdisjoint(protocols(location.fs))
        self._written = (
            location if direct else location.sibling(f".{location.name}.{uuid.uuid4().hex[:12]}.part")
        )
        with storage_errors("cannot write", location):
            if not direct and (parent := location.path.rsplit("/", 1)[0]):
                location.fs.makedirs(parent, exist_ok=True)
            self._file: Any = location.fs.open(self._written.path, "wb", block_size=UPLOAD_BLOCK_BYTES)

    def write(self, data: bytes) -> None:
        """Write; blocks that are full go out at once."""
        with storage_errors("cannot write", self._location):
            self._file.write(data)

    def commit(self) -> None:
        """
        Make the object visible, replacing what was there.

        :raises TransferError: the store did not take it; nothing appears.
        """
        try:
            with storage_errors("cannot write", self._location):
                self._file.close()
                if self._written is not self._location:
                    self._location.fs.mv(self._written.path, self._location.path)
                self._location.fs.invalidate_cache()
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Leave nothing: abort the upload, or remove the temporary object."""
        try:
            if self._written is self._location:
                self._file.discard()
            else:
                self._file.close()
                if self._location.fs.exists(self._written.path):
                    self._location.fs.rm_file(self._written.path)
        except Exception as error:
            # The error that led here is the one to report. Parts of an upload that was not aborted are
            # invisible.
            log.warning("Could not clean up after %s: %s", self._location, type(error).__name__)
        finally:
            # Otherwise AbstractBufferedFile.__del__ calls close(), which commits.
            if hasattr(self._file, "forced"):
                self._file.forced = self._file.closed = True
