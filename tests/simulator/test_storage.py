"""Signed downloads: expiry, ranges, no key."""

from __future__ import annotations

import pytest
import requests

from airflow_provider.simulator import Simulator
from tests.simulator.talk import SilentWitnessTalk


@pytest.fixture
def link(silent_witness: SilentWitnessTalk) -> str:
    return str(silent_witness.completed()["output"]["pdf_url"])


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(
        url, headers={name.replace("_", "-"): value for name, value in headers.items()}, timeout=60
    )


def test_links_live_on_the_other_origin(sim: Simulator, link: str) -> None:
    assert link.startswith(f"{sim.storage_url}/")


def test_a_link_lives_an_hour(sim: Simulator, link: str) -> None:
    sim.advance(3590)
    assert get(link).status_code == 200
    sim.advance(15)
    expired = get(link)
    assert (expired.status_code, expired.headers["Content-Type"]) == (403, "application/xml")
    assert "<Code>AccessDenied</Code><Message>Request has expired</Message>" in expired.text


def test_a_link_is_for_one_path(link: str) -> None:
    assert "SignatureDoesNotMatch" in get(link.replace(".pdf?", ".docx?")).text
    assert get(link.partition("?")[0]).status_code == 403
    assert get(link.replace("Expires=", "Expires=9")).status_code == 403


def test_the_whole_file_says_how_long_it_is(link: str) -> None:
    whole = get(link)
    assert int(whole.headers["Content-Length"]) == len(whole.content)
    assert whole.headers["Accept-Ranges"] == "bytes"
    head = requests.head(link, timeout=60)
    assert (head.headers["Content-Length"], head.headers["ETag"]) == (
        whole.headers["Content-Length"], whole.headers["ETag"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "part"),
    [("bytes=0-9", slice(0, 10)), ("bytes=100-", slice(100, None)), ("bytes=-7", slice(-7, None))],
)
def test_a_range(link: str, wanted: str, part: slice) -> None:
    whole = get(link).content
    answer = get(link, Range=wanted)
    assert (answer.status_code, answer.content) == (206, whole[part])
    start = len(whole) - len(whole[part]) if part.stop is None else 0
    assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(answer.content) - 1}/{len(whole)}"


def test_a_range_beyond_the_end(link: str) -> None:
    answer = get(link, Range="bytes=99999999-")
    assert (answer.status_code, answer.headers["Content-Range"][:8]) == (416, "bytes */")


def test_if_range_gives_all_when_the_file_is_another(link: str) -> None:
    etag = get(link).headers["ETag"]
    assert get(link, Range="bytes=5-", If_Range=etag).status_code == 206
    assert get(link, Range="bytes=5-", If_Range='"other"').status_code == 200


def test_a_fresh_link_resumes_the_same_file(silent_witness: SilentWitnessTalk, link: str) -> None:
    report_id = link.split("/reports/")[1].split("/")[0]
    fresh = silent_witness.report(report_id)["output"]["pdf_url"]
    etag = get(link).headers["ETag"]
    assert get(fresh, Range="bytes=5-", If_Range=etag).status_code == 206


def test_a_key_at_the_storage_is_noticed(
    sim: Simulator, silent_witness: SilentWitnessTalk, link: str
) -> None:
    get(link)
    assert sim.ledger()["api_key_at_storage"] == 0
    get(link, X_API_Key=silent_witness.key)
    assert sim.ledger()["api_key_at_storage"] == 1
