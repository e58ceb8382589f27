from __future__ import annotations

from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider.exceptions import TransferError
from airflow_provider.files.sources import Source, resolve_sources
from airflow_provider.files.upload import PIECE_BYTES, MultipartStream, StreamBody
from tests.unit.files.samples import SAMPLES


def source(path: Path, content: bytes) -> Source:
    path.write_bytes(content)
    return resolve_sources([path])[0]


def parts(content_type: str, body: bytes) -> list[tuple[Any, str, Any]]:
    """Name, media type and content of every part, as the standard library reads them."""
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    assert isinstance(message, EmailMessage)
    found = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        found.append((name, part.get_content_type(), part.get_payload(decode=True)))
    return found


def test_a_body_has_its_fields_then_the_file_with_a_type(tmp_path: Path) -> None:
    pdf = SAMPLES["report.pdf"][0]
    stream = MultipartStream(
        source(tmp_path / "edr ü.pdf", pdf), fields={"case_id": "case_1", "note": "ä\r\n"}
    )
    body = b"".join(stream)
    assert len(stream) == len(body)
    found = parts(stream.content_type, body)
    assert [(name, kind) for name, kind, _ in found] == [
        ("case_id", "text/plain"),
        ("note", "text/plain"),
        ("file", "application/pdf"),
    ]
    assert found[2][2] == pdf
    assert 'filename="edr ü.pdf"'.encode() in body


def test_a_file_name_cannot_break_out_of_its_header(tmp_path: Path) -> None:
    name = 'a"; name="case_id\r\nX-Evil: 1.txt'
    body = b"".join(MultipartStream(source(tmp_path / name, b"text")))
    assert b"\r\nX-Evil" not in body
    assert body.count(b"Content-Disposition") == 1


def test_requests_announces_the_length_and_does_not_read_the_body(tmp_path: Path) -> None:
    stream = MultipartStream(source(tmp_path / "a.txt", b"text"))
    prepared = requests.Request("POST", "http://x/", data=stream).prepare()
    assert prepared.headers["Content-Length"] == str(len(stream))
    body: Any = prepared.body
    assert body is stream


def test_a_body_can_be_sent_again(tmp_path: Path) -> None:
    stream = MultipartStream(source(tmp_path / "a.txt", b"text" * 200_000))
    assert b"".join(stream) == b"".join(stream)


def test_pieces_are_small(tmp_path: Path) -> None:
    assert max(map(len, MultipartStream(source(tmp_path / "a.txt", b"text" * 500_000)))) <= PIECE_BYTES


@pytest.mark.parametrize(("after", "word"), [(b"x" * 10, "fewer"), (b"x" * 1_000_001, "more")])
def test_a_file_that_changes_on_the_way_is_never_sent_as_whole(
    tmp_path: Path, after: bytes, word: str
) -> None:
    path = tmp_path / "a.txt"
    found = source(path, b"y" * 1_000_000)
    path.write_bytes(after)
    sent: list[int] = []
    with found.open() as stream, pytest.raises(TransferError, match=f"changed while .* {word}"):
        sent.extend(len(piece) for piece in StreamBody(stream, found, 0, found.size))
    assert sum(sent) < found.size


def test_a_block_in_the_middle_ends_where_it_should(tmp_path: Path) -> None:
    found = source(tmp_path / "a.txt", b"0123456789")
    with found.open() as stream:
        assert b"".join(StreamBody(stream, found, 3, 4)) == b"3456"
        assert b"".join(StreamBody(stream, found, 7, 3)) == b"789"
