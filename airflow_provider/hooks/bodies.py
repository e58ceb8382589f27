"""Request bodies that stream from a file, know their length and can be sent a second time."""

from __future__ import annotations

import io
import uuid
from typing import BinaryIO, Final

from airflow_provider.exceptions import InvalidInputError, TransferError

_CHUNK: Final = 256 * 1024


def measure(stream: BinaryIO, name: str = "body") -> int:
    """
    Return the bytes between the current position and the end of a seekable stream, and go back.

    :raises InvalidInputError: the stream cannot seek; ``parameter`` is ``name``.
    """
    if not stream.seekable():
        raise InvalidInputError(
            f"{name} must be a seekable binary stream: its size is sent ahead and a retry reads it again.",
            parameter=name,
        )
    start = stream.tell()
    size = stream.seek(0, io.SEEK_END) - start
    stream.seek(start)
    return size


class FileBody:
    """
    A binary stream, from its current position to its end.

    :param stream: read in pieces; must be seekable when the body is to be sent again.
    :param size: exact number of bytes that are left in it.
    """

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size
        self.rewindable = stream.seekable()
        self._start = stream.tell() if self.rewindable else 0
        self._left = size

    def __len__(self) -> int:
        return self._size

    def rewind(self) -> None:
        """Go back to the start, for the next attempt."""
        if self.rewindable:
            self._stream.seek(self._start)
        self._left = self._size

    def read(self, amount: int = -1) -> bytes:
        """
        Read the next bytes.

        :raises TransferError: the stream is shorter or longer than announced, or cannot be read. Raised
            before the last byte is sent, so the receiver drops the upload; not an OSError, which the HTTP
            library would take for a broken connection.
        """
        if self._left == 0:
            return b""
        wanted = self._left if amount < 0 else min(amount, self._left)
        try:
            data = self._stream.read(wanted)
            last = len(data) == self._left
            more = self._stream.read(1) if last else b""
        except OSError as error:
            raise TransferError(f"The file could not be read during the upload: {error}") from error
        if not data or more:
            raise TransferError(
                f"The file changed during the upload: {self._size} bytes were announced and it is "
                f"{'longer' if more else 'shorter'} now. Nothing was stored; run the upload again."
            )
        self._left -= len(data)
        return data


class MultipartBody:
    """
    ``multipart/form-data`` with one file, streamed: requests would read the file into memory.

    :param fields: text fields, sent before the file.
    :param filename: name of the file part.
    :param content_type: content type of the file part.
    :param stream: seekable binary stream, sent from its current position to its end.
    """

    def __init__(self, fields: dict[str, str], *, filename: str, content_type: str, stream: BinaryIO) -> None:
        boundary = uuid.uuid4().hex
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_quoted(filename)}"\r\n'
            f"Content-Type: {content_type}\r\n\r\n"
        )
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._file = FileBody(stream, measure(stream))
        self._head = head.encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.rewindable = self._file.rewindable
        self._parts: list[io.BytesIO | FileBody] = []
        self.rewind()

    def __len__(self) -> int:
        return len(self._head) + len(self._file) + len(self._tail)

    def rewind(self) -> None:
        """Go back to the start, for the next attempt."""
        self._file.rewind()
        self._parts = [io.BytesIO(self._head), self._file, io.BytesIO(self._tail)]

    def read(self, amount: int = -1) -> bytes:
        """Read the next bytes; fewer than asked for where one part ends."""
        while self._parts:
            data = self._parts[0].read(_CHUNK if amount < 0 else amount)
            if data:
                return data
            self._parts.pop(0)
        return b""


def _quoted(text: str) -> str:
    # As browsers do: https://html.spec.whatwg.org/multipage/form-control-infrastructure.html
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
