from __future__ import annotations

import io

import pytest

from airflow_provider.core.files.media_types import canonical_type, sniff, type_of_name
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
    "text",
    [
        "BMW unveils its new car.",
        "BMI is not everything.",
        "Get free shipping today!",
        "The wide range of colours.",
        "The ftype column.",
        "ID3 tags explained.",
        "MZ is the mark of an EXE.",
        "ADIF is for radio amateurs.",
        "GIF or JPEG?",
        "OggS opens every page.",
    ],
)
def test_a_text_may_begin_with_the_letters_of_a_magic_number(text: str) -> None:
    for content in (text.encode(), f"{text} Schön.\n".encode("latin-1"), text.encode() * 10_000):
        assert sniff(io.BytesIO(content), "ad.txt") == "text/plain"
        assert sniff(io.BytesIO(content), "ads.csv") == "text/csv"


@pytest.mark.parametrize("name", ["document.pdf", "plain.txt"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"%PDF-1.4\n1 0 obj\n", "application/pdf"),
        (b"{\\rtf1\\ansi Hello}", "application/rtf"),
        (b"%!PS-Adobe-3.0\nshowpage\n", "application/postscript"),
    ],
)
def test_a_document_written_in_text_characters_is_not_plain_text(
    name: str, content: bytes, expected: str
) -> None:
    assert sniff(io.BytesIO(content), name) == expected


@pytest.mark.timeout(30)
@pytest.mark.parametrize("comment", ["<!-- a -->", "<?xml?>", "<!DOCTYPE a [ ] >\n"])
def test_a_text_of_comments_alone_is_told_from_svg_at_once(comment: str) -> None:
    assert sniff(io.BytesIO((comment * 5000).encode()), "a.txt") == "text/plain"


@pytest.mark.parametrize(
    "prologue",
    [
        "\ufeff",
        " \n",
        '<?xml version="1.0" encoding="UTF-8"?>\n<!-- one -->\n\n<!-- two > 1 -->',
        '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x" [\n<!ENTITY a "b">\n] >\n',
        "<!-- a -->" * 5000,
    ],
)
@pytest.mark.parametrize("root", ["<svg>", "<svg:svg xmlns:svg='x'>", "<svg/>"])
def test_an_svg_may_have_comments_and_declarations_before_it(prologue: str, root: str) -> None:
    assert sniff(io.BytesIO((prologue + root).encode()), "logo.svg") == "image/svg+xml"


@pytest.mark.parametrize(
    ("alias", "name"),
    [("audio/x-wav", "audio/wav"), ("Text/Plain; charset=utf-8", "text/plain"), ("video/mp4", "video/mp4")],
)
def test_aliases_have_one_name(alias: str, name: str) -> None:
    assert canonical_type(alias) == name


def test_a_program_is_a_program_under_any_name() -> None:
    program = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0" + b"\0" * 100
    assert sniff(io.BytesIO(program), "ad.txt") == "application/x-msdownload"


def test_a_file_of_two_bytes_is_not_too_short_to_look_at() -> None:
    assert sniff(io.BytesIO(b"\xff\xfb"), "x") == "application/octet-stream"
