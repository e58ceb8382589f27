"""What is learnt about a file while its bytes go by, so that nothing has to be read twice."""

from __future__ import annotations

import hashlib

HEAD_BYTES = 1024
TAIL_BYTES = 2048


class Digest:
    """SHA-256, size, and the two ends of a byte stream, in constant memory."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.size = 0
        self.head = b""
        self.tail = b""

    def update(self, data: bytes) -> None:
        self._sha256.update(data)
        self.size += len(data)
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        self.tail = (self.tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]

    def sha256(self) -> str:
        """Hex digest of what has gone by so far; more may follow."""
        return self._sha256.hexdigest()
