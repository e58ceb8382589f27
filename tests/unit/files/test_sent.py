"""The digest of a file is that of the bytes that were sent, however often a part of it was."""

from __future__ import annotations

import hashlib
import io
import random

import pytest

from airflow_provider.core.files.bodies import StreamBody, measure
from airflow_provider.core.files.sent import DigestReader

CONTENT = random.Random(1).randbytes(1_000_003)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("length", [len(CONTENT), 300_000])
def test_a_part_that_is_sent_again_counts_once(length: int) -> None:
    reader = DigestReader(io.BytesIO(CONTENT))
    for start in range(0, len(CONTENT), length):
        part = min(length, len(CONTENT) - start)
        body = StreamBody(reader, part, name="x", start=start, last=start + part == len(CONTENT))
        broken = iter(body)
        next(broken)
        assert b"".join(body) == b"".join(body) == CONTENT[start : start + part]
    assert reader.sha256 == sha256(CONTENT)


def test_measuring_changes_nothing() -> None:
    reader = DigestReader(io.BytesIO(CONTENT))
    assert measure(reader) == len(CONTENT)
    assert reader.read() == CONTENT
    assert reader.sha256 == sha256(CONTENT)


def test_what_was_sent_last_is_what_counts() -> None:
    stream = io.BytesIO(b"old bytes")
    reader = DigestReader(stream)
    reader.read()
    stream.seek(0)
    stream.write(b"new bytes")
    reader.seek(0)
    reader.read()
    assert reader.sha256 == sha256(b"new bytes")
