"""Streamed bodies: exact length, a second time, and no half file that looks whole."""

from __future__ import annotations

import io
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import pytest
import requests

from airflow_provider.core.files.bodies import PIECE_BYTES, MultipartBody, StreamBody, measure
from airflow_provider.exceptions import InvalidInputError, TransferError


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


class Broken(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError("disk gone")


def multipart(content: bytes = b"\x00bytes\r\n--x", filename: str = "photo.jpg") -> MultipartBody:
    return MultipartBody(
        {"case_id": "case_1", "note": "ä\r\n"},
        filename=filename,
        content_type="image/jpeg",
        stream=io.BytesIO(content),
    )


def parts(body: MultipartBody) -> list[tuple[Any, str, Any]]:
    """Name, media type and content of every part, as the standard library reads them."""
    head = f"Content-Type: {body.content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + b"".join(body))
    assert isinstance(message, EmailMessage)
    assert not message.defects
    found = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        found.append((name, part.get_content_type(), part.get_payload(decode=True)))
    return found


def test_a_body_has_its_fields_then_the_file_with_its_type() -> None:
    assert parts(multipart()) == [
        ("case_id", "text/plain", b"case_1"),
        ("note", "text/plain", "ä\r\n".encode()),
        ("file", "image/jpeg", b"\x00bytes\r\n--x"),
    ]


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 1_000_003])
def test_the_announced_length_is_the_sent_one(content: bytes) -> None:
    body = multipart(content)
    assert len(b"".join(body)) == len(body)


def test_a_body_can_be_sent_again() -> None:
    body = multipart(b"text" * 200_000)
    for _ in zip(range(3), body, strict=False):
        pass
    assert b"".join(body) == b"".join(body)
    assert len(b"".join(body)) == len(body)


def test_only_what_is_left_of_a_stream_is_sent() -> None:
    stream = io.BytesIO(b"skipped-rest")
    stream.seek(8)
    assert measure(stream) == 4
    body = MultipartBody({}, filename="a", content_type="text/plain", stream=stream)
    assert [parts(body)[0][2] for _ in range(2)] == [b"rest"] * 2


def test_a_file_name_cannot_break_out_of_its_header() -> None:
    body = b"".join(multipart(filename='a"; name="case_id\r\nX-Evil: 1.txt'))
    assert b"\r\nX-Evil" not in body
    assert body.count(b"Content-Disposition") == 3
    assert 'filename="edr ü.pdf"'.encode() in b"".join(multipart(filename="edr ü.pdf"))


def test_requests_announces_the_length_and_does_not_read_the_body() -> None:
    body = multipart()
    prepared = requests.Request("POST", "http://x/", data=body).prepare()
    assert prepared.headers["Content-Length"] == str(len(body))
    sent: Any = prepared.body
    assert sent is body


def test_pieces_are_small() -> None:
    assert max(map(len, multipart(b"text" * 500_000))) == PIECE_BYTES


@pytest.mark.parametrize(
    "stream",
    [Pipe(b"abc"), io.StringIO("ü"), b"abc", "a.txt", None],
    ids=["pipe", "text stream", "bytes", "path", "nothing"],
)
def test_what_is_no_seekable_binary_stream_is_refused_before_anything_is_sent(stream: Any) -> None:
    with pytest.raises(InvalidInputError, match="seekable") as caught:
        MultipartBody({}, filename="a", content_type="text/plain", stream=stream)
    assert caught.value.parameter == "body"


@pytest.mark.parametrize(("now", "word"), [(b"x" * 10, "fewer"), (b"x" * 1_000_001, "more")])
def test_a_file_that_changes_on_the_way_is_never_sent_as_whole(now: bytes, word: str) -> None:
    sent: list[int] = []
    with pytest.raises(TransferError, match=rf"clip\.mp4 changed while .* {word}"):
        sent.extend(map(len, StreamBody(io.BytesIO(now), 1_000_000, name="clip.mp4")))
    assert sum(sent) < 1_000_000


def test_a_block_in_the_middle_ends_where_it_should() -> None:
    stream = io.BytesIO(b"0123456789")
    assert b"".join(StreamBody(stream, 4, name="a", start=3, last=False)) == b"3456"
    assert b"".join(StreamBody(stream, 3, name="a", start=7)) == b"789"


def test_trouble_with_the_disk_is_not_mistaken_for_the_network() -> None:
    with pytest.raises(TransferError, match=r"cannot read a\.txt: OSError: disk gone") as caught:
        list(StreamBody(Broken(b"abc"), 3, name="a.txt"))
    assert isinstance(caught.value.__cause__, OSError)
