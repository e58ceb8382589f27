"""Foreign text is made fit for logs, JSON and databases."""

from __future__ import annotations

import html
import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from airflow_provider.core.text import clean, markdown, public, redact


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Photos are too dark.", "Photos are too dark."),
        ("one\r\ntwo\tthree\u2028four", "one two three four"),
        ("half a smile: \ud83d", "half a smile: \ufffd"),
        ("\ud83d\ude00 whole", "\U0001f600 whole"),
        ("a\x00b", "a b"),
        ("\x1b[31mred\x1b[0m and \x1b]8;;http://x\x07link\x1b]8;;\x1b\\", "red and link"),
        ("\x9b1;31mred\x1b", "red"),
        ("abc\u202efed\u2066", "abcfed"),
        ("Überhöhung, 日本語, \u200d", "Überhöhung, 日本語, \u200d"),
        (None, ""),
        (4.5, "4.5"),
        (["a\x00"], "['a\\x00']"),
    ],
)
def test_foreign_text_becomes_one_harmless_line(text: object, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_long_text_is_cut_with_an_ellipsis() -> None:
    assert clean("x" * 500) == "x" * 500
    assert clean("x" * 501) == "x" * 499 + "…"
    assert clean("word " * 9, limit=6) == "word…"


@given(st.text(st.characters(), max_size=60), st.integers(1, 80))
def test_every_text_fits_json_utf8_and_a_database(text: str, limit: int) -> None:
    cleaned = clean(text, limit)
    assert len(cleaned) <= limit
    assert json.loads(json.dumps(cleaned).encode()) == cleaned
    cleaned.encode()
    assert not any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in cleaned)
    assert clean(cleaned, limit) == cleaned


HOSTILE = [
    "[Release](https://evil.example)",
    "![x](https://evil.example/p.png)",
    "<img src=https://evil.example/p.png>",
    "<https://evil.example>",
    "see https://evil.example or www.evil.example or me@evil.example",
    "**bold** __bold__ *em* _em_ ~~gone~~ `code`",
    "# heading",
    "heading\n===",
    "heading\n---",
    "    indented code",
    "```\nfence\n```",
    "~~~\nfence\n~~~",
    "> quote",
    "1. one",
    "- one\n+ two\n* three",
    "a | b\n--|--\n1 | 2",
    "&lt;b&gt; &amp; \\* ",
    "[a]: https://evil.example",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_foreign_text_as_it_is(text: str) -> None:
    """Read by the parser of the documentation, with what the web interface makes links of besides."""
    parser = MarkdownIt("gfm-like", {"linkify": True, "html": True})
    rendered = parser.render(markdown(text))
    shown = html.unescape(re.sub(r"</?p>|<br ?/?>", "", rendered))
    assert re.findall(r"<(?!/?p>|br ?/?>)[^>]*>", rendered) == []
    assert shown.replace("\u200b", "").split() == text.split()


def test_what_xcom_may_hold_has_neither_links_nor_secrets_in_fields_that_nobody_knows() -> None:
    link = "https://storage.example/a?sig=TOPSECRET&se=1"
    body = {
        "id": "1",
        "clientSecret": "TOPSECRET",
        "SECRET_v2": ["TOPSECRET"],
        "file_urls": [link],
        "thumbnailURL": link,
        "deep": [[{"x": {"mySecretKey": {"a": "TOPSECRET"}, "href": link, "note": f"see {link} now"}}]],
        link: 1,
        "count": 3,
        "endpointUrl": "https://me:TOPSECRET@gw.example/hook?code=TOPSECRET",
    }
    shown = public(body, keep=("endpointUrl",))
    assert "TOPSECRET" not in json.dumps(shown)
    assert shown["deep"] == [
        [{"x": {"href": "https://storage.example/a?***", "note": "see https://storage.example/a?*** now"}}]
    ]
    assert shown["endpointUrl"] == "https://***@gw.example/hook?***"
    assert set(shown) == {"id", "deep", "count", "endpointUrl"}
    assert public({"https://storage.example/a?sig=abc": 1}) == {"https://storage.example/a?***": 1}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("st.example/a?access_token=TOPSECRET&n=1", "st.example/a?access_token=***&n=1"),
        ("https%3A%2F%2Fst%2Fa%3Fsig%3DTOPSECRET%26n%3D1 .", "https%3A%2F%2Fst%2Fa%3Fsig%3D***%26n%3D1 ."),
        ("a%3fn%3d1%26Signature%3dTOPSECRET", "a%3fn%3d1%26Signature%3d***"),
        ('{"u": "st.example\\/a?sv=1&SIG=TOPSECRET"}', '{"u": "st.example\\/a?sv=1&SIG=***"}'),
        ("api_key=TOPSECRET, X-Amz-Signature=TOPSECRET", "api_key=*** X-Amz-Signature=***"),
        ("design=1 nosig=2", "design=1 nosig=2"),
    ],
)
def test_a_signature_is_taken_out_also_without_its_url_and_inside_another_one(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_a_text_without_end_is_cut_in_what_xcom_holds_of_a_job() -> None:
    found = public({"name": "x" * 1_000_000, "y" * 1_000_000: [{"a": "z" * 1_000_000}]})

    assert len(json.dumps(found, ensure_ascii=False)) < 31_000
    assert found["name"].endswith("x…")
    assert public({"a": "x" * 10_000}) == {"a": "x" * 10_000}
