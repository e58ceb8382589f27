"""What is known of the bytes of a file that was sent, to tell later whether the file still has them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from airflow_provider.core.files.sources import Source


class DigestReader(io.BufferedIOBase, BinaryIO):
    """
    A stream that digests what is read of it, in the order of the file.

    A part that is sent again is read again from its beginning, and counts once: as it was read last.

    :param stream: seekable, at its beginning; closed with this one.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._digested = self._position = 0
        self._mark = (0, self._digest.copy())

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; going back to where the last part began forgets that part."""
        self._position = self._stream.seek(offset, whence)
        if self._position == self._digested:
            self._mark = (self._digested, self._digest.copy())
        elif self._position == self._mark[0]:
            self._digested, self._digest = self._mark[0], self._mark[1].copy()
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and digest what follows the bytes that were digested before."""
        data = self._stream.read(-1 if size is None else size)
        if self._position == self._digested:
            self._digest.update(data)
            self._digested += len(data)
        self._position += len(data)
        return data

    def close(self) -> None:
        self._stream.close()
        super().close()


def sent_file(source: Source, sha256: str) -> dict[str, Any]:
    """Return what to record of a file that was sent, as plain JSON."""
    return {"size": source.size, "version": source.version, "sha256": sha256}


def is_unchanged(source: Source, sent: Mapping[str, object] | None) -> bool:
    """
    Whether a file still has the bytes that were sent.

    Only where its size is the same and its version another, or none is known, is the file read.

    :param sent: from :func:`sent_file`; ``None`` when nothing is known.
    :raises TransferError: the file cannot be read.
    """
    if not sent or sent["size"] != source.size:
        return False
    if source.version and source.version == sent["version"]:
        return True
    return source.location.sha256() == sent["sha256"]
