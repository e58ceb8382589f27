"""A total time for what is read from a socket, whose own timeout is for a single read."""

from __future__ import annotations

import io
import socket
import time
from typing import Any, Final

LONGEST_ANSWER: Final = 4
"""
Read timeouts that an answer may take: a server that sends a byte now and then must not hold a task for ever.
"""


class TimedReader(io.RawIOBase):
    """
    The bytes of a socket.

    :param raw: as ``sock.makefile("rb", buffering=0)`` returns it; closed with this reader.
    :param sock: its timeout is the one for a single read.
    """

    def __init__(self, raw: Any, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self._timeout = sock.gettimeout()
        self._deadline: float | None = None

    def limit(self) -> None:
        """Let all that follows take :data:`LONGEST_ANSWER` times the timeout of the socket."""
        if self._timeout is not None:
            self._deadline = time.monotonic() + LONGEST_ANSWER * self._timeout

    def lift(self) -> None:
        """Let what follows take any time, as long as something comes."""
        self._deadline = None

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """
        Read once.

        :raises TimeoutError: nothing came in time, or the time is over.
        """
        if self._deadline is not None and self._timeout is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"more than {LONGEST_ANSWER * self._timeout:g} s for one answer")
            self._sock.settimeout(min(left, self._timeout))
        try:
            count: int | None = self._raw.readinto(buffer)
        finally:
            # The socket may serve the next request.
            if self._sock.fileno() >= 0:
                self._sock.settimeout(self._timeout)
        return count

    def close(self) -> None:
        """Close the raw reader too."""
        self._raw.close()
        super().close()
