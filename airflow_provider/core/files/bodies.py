"""Bodies of requests that are read while they are sent: a part of a file, or a form with one file."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from airflow_provider.core.files.locations import storage_errors
from airflow_provider.core.files.storage_http import Progress
from airflow_provider.core.text import clean
from airflow_provider.exceptions import InvalidInputError, TransferError

PIECE_BYTES = 256 * 1024
"""One write to the socket. It must pass within the connect timeout, so it is small enough for a slow line."""


def measure(stream: BinaryIO) -> int:
    """
    Return the bytes between the current position and the end of a seekable stream, and go back.

    :raises InvalidInputError: it is no binary stream, or cannot seek; ``parameter`` is ``body``.
    """
    given: object = stream
    if isinstance(given, io.TextIOBase) or not hasattr(given, "seekable") or not stream.seekable():
        raise InvalidInputError(
            "body must be a seekable binary stream, as open(path, 'rb') returns: its size is sent ahead and "
            "a retry reads it again.",
            parameter="body",
        )
    start = stream.tell()
    size = stream.seek(0, io.SEEK_END) - start
    stream.seek(start)
    return size


class StreamBody:
    """
    Part of a stream as a request body of known length. Can be sent again: each iteration starts over.

    :param stream: seekable, left open.
    :param length: bytes.
    :param name: of the file, for errors.
    :param start: first byte, default 0.
    :param last: whether the stream must end where this body does. Default ``True``.
    :param progress: told of every piece as it goes out.
    """

    def __init__(
        self,
        stream: BinaryIO,
        length: int,
        *,
        name: str,
        start: int = 0,
        last: bool = True,
        progress: Progress | None = None,
    ) -> None:
        self._stream = stream
        self._length = length
        self._name = name
        self._start = start
        self._last = last
        self._progress = progress

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        """
        Yield the bytes.

        :raises TransferError: the file is shorter or longer than announced, or cannot be read. Raised before
            the last byte is sent, so that the receiver never gets a request it takes for whole; not an
            OSError, which the HTTP library would take for a broken connection.
        """
        left = self._length
        with storage_errors("cannot read", self._name):
            self._stream.seek(self._start)
        while left:
            with storage_errors("cannot read", self._name):
                data = self._stream.read(min(PIECE_BYTES, left))
                left -= len(data)
                more = bool(self._last and not left and self._stream.read(1))
            if not data or more:
                raise TransferError(
                    f"{self._name} changed while it was being sent: it has {'more' if more else 'fewer'} "
                    f"bytes now than were announced. Send it when nothing writes to it."
                )
            yield data
            if self._progress is not None:
                self._progress.advance(len(data))


class MultipartBody:
    """
    ``multipart/form-data`` with one file, read while it is sent.

    Usable as ``data=`` of ``requests``, which takes ``Content-Length`` from ``len()``; pass
    :attr:`content_type` as the ``Content-Type`` header. Each iteration starts over.

    :param fields: text fields, sent before the file so that the receiver knows them when the bytes arrive.
    :param content_type: of the file part. Services answer 415 to a part without one.
    :param stream: seekable binary stream, sent from its current position to its end, left open.
    :param log: where progress of a long upload is written.
    :raises InvalidInputError: the stream cannot seek.
    """

    def __init__(
        self,
        fields: Mapping[str, str],
        *,
        filename: str,
        content_type: str,
        stream: BinaryIO,
        log: logging.Logger | None = None,
    ) -> None:
        from urllib3.fields import RequestField
        from urllib3.filepost import choose_boundary

        self._stream = stream
        self._size = measure(stream)
        self._start = stream.tell()
        self._filename = filename
        self._log = log or logging.getLogger(__name__)
        boundary = choose_boundary()
        self.content_type = f"multipart/form-data; boundary={boundary}"
        head = b""
        for name, value in fields.items():
            field = RequestField(name, value)
            field.make_multipart()
            head += f"--{boundary}\r\n{field.render_headers()}{value}\r\n".encode()
        part = RequestField("file", "", filename=filename)
        part.make_multipart(content_type=content_type)
        self._head = head + f"--{boundary}\r\n{part.render_headers()}".encode()
        self._foot = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._foot)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes. Raises as :class:`StreamBody` does."""
        progress = Progress(f"Upload of {clean(self._filename)}", self._size, self._log)
        yield self._head
        yield from StreamBody(
            self._stream, self._size, name=self._filename, start=self._start, progress=progress
        )
        yield self._foot
        progress.finish()
