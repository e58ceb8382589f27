from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import docx
import pytest

from airflow_provider.core.files.download import ExpectedType, check_content
from airflow_provider.core.files.manifest import HEAD_BYTES, TAIL_BYTES, Digest
from airflow_provider.exceptions import TransferError
from tests.unit.files.samples import archive, pdf


@pytest.fixture(scope="module")
def word() -> bytes:
    document: Any = docx.Document()
    for number in range(50):
        document.add_paragraph(f"Opinion {number}")
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def check(expected: ExpectedType | None, data: bytes) -> None:
    digest = Digest()
    digest.update(data)
    check_content(expected, digest, lambda: io.BytesIO(data), name="report")


def test_whole_documents_pass(word: bytes) -> None:
    check("pdf", pdf())
    check("pdf", pdf() + b"\r\n\r\n")
    check("docx", word)
    check(None, b"anything")


@pytest.mark.parametrize("padding", [b"\0", b" ", b"\r\n", b"\0 \n"])
@pytest.mark.parametrize("piece", [1000, 1 << 20])
def test_a_pdf_may_be_padded(padding: bytes, piece: int) -> None:
    """Some writers fill up with 80,000 bytes after the end marker, and every reader opens it."""
    data, digest = pdf() + padding * 80_000, Digest()
    for start in range(0, len(data), piece):
        digest.update(data[start : start + piece])
    check_content("pdf", digest, lambda: io.BytesIO(data), name="report")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda data: data[:-20], "cut short"),
        (lambda data: data[: len(data) // 2], "cut short"),
        (lambda data: b"<html>expired</html>", "not a PDF"),
        (lambda data: b"", "not a PDF"),
    ],
)
def test_what_is_not_a_whole_pdf_is_refused(spoil: Callable[[bytes], bytes], problem: str) -> None:
    with pytest.raises(TransferError, match=problem):
        check("pdf", spoil(pdf()))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda data: data[:-30], "cut short or damaged"),
        (lambda data: data[: len(data) // 2], "cut short or damaged"),
        (lambda data: b"%PDF-1.7", "not a DOCX"),
        (lambda data: archive("xl/workbook.xml"), r"no word/document\.xml"),
    ],
)
def test_what_is_not_a_whole_docx_is_refused(
    word: bytes, spoil: Callable[[bytes], bytes], problem: str
) -> None:
    with pytest.raises(TransferError, match=problem):
        check("docx", spoil(word))


def test_a_docx_of_office_on_the_web_is_whole() -> None:
    check("docx", archive("[Content_Types].xml", "word/document2.xml"))


def test_one_wrong_bit_in_a_docx_is_found(word: bytes) -> None:
    at = word.index(b"word/document.xml") + 200
    with pytest.raises(TransferError, match="damaged"):
        check("docx", word[:at] + bytes([word[at] ^ 1]) + word[at + 1 :])


@pytest.mark.parametrize("size", [1, 7, 1000, 10_000])
def test_a_digest_does_not_depend_on_the_pieces(size: int) -> None:
    data = bytes(i % 251 for i in range(9_999))
    digest = Digest()
    for start in range(0, len(data), size):
        digest.update(data[start : start + size])
    whole = Digest()
    whole.update(data)
    assert digest.sha256() == whole.sha256()
    assert (digest.size, digest.head, digest.tail) == (len(data), data[:HEAD_BYTES], data[-TAIL_BYTES:])


def bomb(size: int, method: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as out, out.open("word/document.xml", "w") as member:
        for _ in range(size // (1 << 20)):
            member.write(b"\0" * (1 << 20))
    return stream.getvalue()


def test_a_docx_that_unpacks_out_of_all_proportion_is_refused() -> None:
    with pytest.raises(TransferError, match=r"report is refused: its \d+ bytes unpack to more than"):
        check("docx", bomb(200 << 20, zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_docx_that_is_compressed_as_none_is_refused_unread(method: int) -> None:
    with pytest.raises(TransferError, match="report is no DOCX"):
        check("docx", bomb(1 << 20, method))


def test_the_check_of_a_docx_ends_with_the_time() -> None:
    data = bomb(20 << 20, zipfile.ZIP_DEFLATED)
    digest = Digest()
    digest.update(data)
    pieces: list[int] = []

    def over() -> None:
        pieces.append(1)
        if len(pieces) == 3:
            raise TransferError("time is over")

    with pytest.raises(TransferError, match="time is over"):
        check_content("docx", digest, lambda: io.BytesIO(data), name="report", in_time=over)
