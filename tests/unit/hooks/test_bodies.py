"""Streamed bodies: exact length, a second time, and no half file that looks whole."""

from __future__ import annotations

import io
from email import message_from_bytes
from email.message import Message

import pytest

from airflow_provider.exceptions import InvalidInputError, TransferError
from airflow_provider.hooks.bodies import FileBody, MultipartBody, measure


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


class Broken(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError("disk gone")


def drain(body: FileBody | MultipartBody, amount: int = 7) -> bytes:
    pieces = []
    while piece := body.read(amount):
        assert len(piece) <= amount
        pieces.append(piece)
    return b"".join(pieces)


def parts_of(body: MultipartBody) -> list[Message]:
    whole = b"Content-Type: " + body.content_type.encode() + b"\r\n\r\n" + drain(body)
    message = message_from_bytes(whole)
    assert message.is_multipart()
    assert not message.defects
    payload = message.get_payload()
    assert isinstance(payload, list)
    return [part for part in payload if isinstance(part, Message)]


def multipart(content: bytes = b"\x00bytes\r\n--x", filename: str = "photo.jpg") -> MultipartBody:
    return MultipartBody(
        {"case_id": "case_1", "file_category": "vehicle_photo"},
        filename=filename,
        content_type="image/jpeg",
        stream=io.BytesIO(content),
    )


def test_a_multipart_body_reads_as_one() -> None:
    first, second, file = parts_of(multipart())

    assert first.get_param("name", header="content-disposition") == "case_id"
    assert first.get_payload() == "case_1"
    assert second.get_payload() == "vehicle_photo"
    assert file.get_param("name", header="content-disposition") == "file"
    assert file.get_filename() == "photo.jpg"
    assert file.get_content_type() == "image/jpeg"
    assert file.get_payload(decode=True) == b"\x00bytes\r\n--x"


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 1_000_003])
def test_the_announced_length_is_the_sent_one(content: bytes) -> None:
    body = multipart(content)

    assert len(drain(body, 65536)) == len(body)


def test_a_multipart_body_can_be_sent_twice() -> None:
    body = multipart()
    body.read(20)

    body.rewind()
    first = drain(body)
    body.rewind()

    assert drain(body) == first
    assert len(first) == len(body)


def test_only_what_is_left_of_a_stream_is_sent() -> None:
    stream = io.BytesIO(b"skipped-rest")
    stream.seek(8)
    body = FileBody(stream, measure(stream))

    assert drain(body) == b"rest"
    body.rewind()
    assert drain(body) == b"rest"


def test_a_filename_cannot_break_out_of_its_header() -> None:
    name = 'a"\r\nX-Evil: 1\r\n\r\n.jpg'
    file = parts_of(multipart(filename=name))[-1]

    assert file.get_filename() == "a%22%0D%0AX-Evil: 1%0D%0A%0D%0A.jpg"
    assert file["X-Evil"] is None


def test_a_stream_that_cannot_seek_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(InvalidInputError, match="seekable") as caught:
        MultipartBody({}, filename="a", content_type="text/plain", stream=Pipe(b"abc"))

    assert caught.value.parameter == "body"


def test_a_file_body_says_whether_it_can_be_sent_again() -> None:
    assert FileBody(io.BytesIO(b"abc"), 3).rewindable
    assert not FileBody(Pipe(b"abc"), 3).rewindable
    assert drain(FileBody(Pipe(b"abc"), 3)) == b"abc"


@pytest.mark.parametrize(("size", "said"), [(4, "shorter"), (2, "longer")])
def test_a_file_that_changed_is_not_sent_whole(size: int, said: str) -> None:
    body = FileBody(io.BytesIO(b"abc"), size)

    with pytest.raises(TransferError, match=said):
        drain(body, 1)

    assert len(drain_until_error(FileBody(io.BytesIO(b"abc"), size))) < size


def drain_until_error(body: FileBody) -> bytes:
    sent = b""
    try:
        while piece := body.read(1):
            sent += piece
    except TransferError:
        return sent
    return sent


def test_trouble_with_the_disk_is_not_mistaken_for_the_network() -> None:
    with pytest.raises(TransferError, match="disk gone"):
        FileBody(Broken(b"abc"), 3).read(3)


def test_read_without_an_amount_makes_progress() -> None:
    body = multipart(b"x" * 300_000)
    total = 0
    while piece := body.read():
        total += len(piece)

    assert total == len(body)
