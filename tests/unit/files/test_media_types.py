from __future__ import annotations

import io

import pytest

from airflow_provider.files.media_types import canonical_type, sniff, type_of_name
from tests.unit.files.samples import SAMPLES


@pytest.mark.parametrize("name", SAMPLES)
def test_content_tells_the_type(name: str) -> None:
    content, expected = SAMPLES[name]
    assert sniff(io.BytesIO(content), name) == expected


@pytest.mark.parametrize("name", [n for n in SAMPLES if not n.endswith((".csv", ".txt"))])
def test_the_name_does_not_change_what_binary_content_is(name: str) -> None:
    content, expected = SAMPLES[name]
    assert sniff(io.BytesIO(content), "renamed.txt") == expected


@pytest.mark.parametrize("name", [n for n in SAMPLES if n != "noise.bin"])
def test_name_and_content_of_an_honest_file_agree(name: str) -> None:
    assert type_of_name(name) == SAMPLES[name][1]


def test_text_cut_in_the_middle_of_a_character_is_text() -> None:
    # 64 KiB are looked at; the euro sign takes three bytes and straddles the edge.
    content = ("a" * (64 * 1024 - 1) + "€" * 10).encode()
    assert sniff(io.BytesIO(content), "a.txt") == "text/plain"


@pytest.mark.parametrize(
    ("alias", "name"),
    [("audio/x-wav", "audio/wav"), ("Text/Plain; charset=utf-8", "text/plain"), ("video/mp4", "video/mp4")],
)
def test_aliases_have_one_name(alias: str, name: str) -> None:
    assert canonical_type(alias) == name


def test_a_file_of_two_bytes_is_not_too_short_to_look_at() -> None:
    assert sniff(io.BytesIO(b"\xff\xfb"), "x") == "application/octet-stream"
