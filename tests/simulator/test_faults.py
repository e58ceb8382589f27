"""Each kind of fault once, and when faults strike."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider.simulator import Simulator
from tests.simulator.talk import MediaMagicTalk, SilentWitnessTalk

CASES = "/api/cases"
#: What a list of no organizations says.
NOBODY: dict[str, Any] = {"organizations": [], "total": 0}


def raw(sim: Simulator, path: str) -> tuple[http.client.HTTPResponse, http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(sim.url).netloc, timeout=60)
    connection.request("GET", path, headers={"X-API-Key": "sk-1"})
    return connection.getresponse(), connection


def test_status_with_the_body_of_each_vendor(
    sim: Simulator, mediamagic: MediaMagicTalk, silent_witness: SilentWitnessTalk
) -> None:
    sim.fault("status", status=503, headers={"Retry-After": "7"})
    ours = silent_witness.send("GET", CASES)
    theirs = mediamagic.send("POST", "/submissions", json={})
    assert (ours.status_code, ours.json()["error_type"], ours.headers["Retry-After"]) == (
        503,
        "api_error",
        "7",
    )
    assert (theirs.status_code, list(theirs.json())) == (503, ["detail"])
    assert "<Error>" in requests.get(f"{sim.storage_url}/reports/x", timeout=60).text


def test_status_instead_of_processing_or_after_it(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    people = {"plaintiff_name": "A", "defendant_name": "B", "attorney_name": "C"}
    sim.fault("status", path=CASES, method="POST", status=502, times=1)
    sim.fault("status", path=CASES, method="POST", status=504, body={"own": 1}, after=True, times=1)
    answers = [silent_witness.send("POST", CASES, json=people) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [502, 504]
    assert answers[1].json() == {"own": 1}
    assert len(sim.ledger()["cases"]) == 1


def test_rate_limit_fault_looks_like_a_real_one(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    sim.fault("status", status=429, headers={"Retry-After": "30"})
    answer = mediamagic.send("POST", "/submissions", json={})
    assert answer.json() == {"error": "Rate limit exceeded: too many submission writes"}
    assert answer.headers["Retry-After"] == "30"


def test_delay(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    sim.fault("delay", delay=0.3)
    started = time.monotonic()
    assert silent_witness.send("GET", CASES).status_code == 200
    assert time.monotonic() - started >= 0.3


def test_reset_before_and_lost_answer_after_processing(
    sim: Simulator, silent_witness: SilentWitnessTalk
) -> None:
    people = {"plaintiff_name": "A", "defendant_name": "B", "attorney_name": "C"}
    sim.fault("reset", path=CASES, method="POST", times=1)
    with pytest.raises(requests.ConnectionError):
        silent_witness.send("POST", CASES, json=people)
    assert sim.ledger()["cases"] == []

    sim.fault("lost_answer", path=CASES, method="POST", times=1)
    with pytest.raises(requests.ConnectionError):
        silent_witness.send("POST", CASES, json=people)
    ledger = sim.ledger()
    assert len(ledger["cases"]) == 1
    assert ledger["requests_by_route"]["POST /api/cases"] == {"reset": 1, "lost_answer": 1}


def test_truncate(sim: Simulator) -> None:
    sim.fault("truncate")
    answer, connection = raw(sim, CASES)
    with pytest.raises(http.client.IncompleteRead) as caught:
        answer.read()
    assert len(caught.value.partial) == int(answer.headers["Content-Length"]) // 2
    connection.close()


def test_wrong_length(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    whole = silent_witness.send("GET", CASES).content
    sim.fault("wrong_length", offset=-4, times=1)
    assert silent_witness.send("GET", CASES).content == whole[:-4]
    sim.fault("wrong_length", offset=4, times=1)
    answer, connection = raw(sim, CASES)
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()


def test_garbage_claims_to_be_json(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    sim.fault("garbage")
    answer = silent_witness.send("GET", CASES)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    with pytest.raises(ValueError):
        json.loads(answer.content)


def test_html_and_empty(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    sim.fault("html", status=502, times=1)
    page = silent_witness.send("GET", CASES)
    assert (page.status_code, page.headers["Content-Type"]) == (502, "text/html")
    sim.fault("empty", times=1)
    empty = silent_witness.send("GET", CASES)
    assert (empty.status_code, empty.content) == (200, b"")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "null_data"}, {"success": True, "data": None}),
        ({"kind": "drop_field", "field": "data"}, {"success": True}),
        ({"kind": "drop_field", "field": "data.total"}, {"success": True, "data": {"organizations": []}}),
        (
            {"kind": "set_field", "field": "data.total", "value": "x"},
            {"success": True, "data": {**NOBODY, "total": "x"}},
        ),
        ({"kind": "set_field", "field": "data.none.there", "value": 1}, {"success": True, "data": NOBODY}),
    ],
)
def test_edited_bodies(
    sim: Simulator, silent_witness: SilentWitnessTalk, fault: dict[str, Any], expected: dict[str, Any]
) -> None:
    sim.fault(**fault)
    assert silent_witness.send("GET", "/api/organizations").json() == expected


def test_an_unknown_status_is_not_seen_as_the_end(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    submission = mediamagic.submit(mediamagic.upload())
    sim.advance(3000)
    sim.fault("set_field", path="*/submissions/*", field="status", value="resting", times=1)
    sim.fault("set_field", path="*/submissions/*", field="assets.0.issueCount", value=7, times=1)
    assert mediamagic.status(submission)["status"] == "resting"
    assert sim.ledger()["polls"][submission["submissionId"]]["first_seen_terminal_at"] is None
    assert mediamagic.status(submission)["assets"][0]["issueCount"] == 7
    assert mediamagic.status(submission)["status"] == "complete"
    assert sim.ledger()["polls"][submission["submissionId"]]["first_seen_terminal_at"] is not None


def test_slow_arrives_whole(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    whole = silent_witness.send("GET", CASES).content
    sim.fault("slow", chunk=5, interval=0.01)
    assert silent_witness.send("GET", CASES).content == whole


def test_redirect(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    sim.fault("redirect", location="http://127.0.0.1:9/elsewhere")
    answer = silent_witness.send("GET", CASES, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://127.0.0.1:9/elsewhere")


def test_downloads_break_too(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    url = silent_witness.completed()["output"]["pdf_url"]
    whole = requests.get(url, timeout=60).content
    sim.fault("wrong_length", path="/reports/*.pdf", times=1)
    assert requests.get(url, timeout=60).content == whole[:-10]
    sim.fault("truncate", path="/reports/*.pdf", times=1)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(url, timeout=60)
    assert requests.get(url, timeout=60).content == whole


def test_when_faults_strike(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    sim.fault("status", path=CASES, status=500, skip=1, times=2)
    assert [silent_witness.send("GET", CASES).status_code for _ in range(5)] == [200, 500, 500, 200, 200]
    assert silent_witness.send("GET", "/api/organizations").status_code == 200
    (fault,) = sim.faults()
    assert (fault["kind"], fault["hits"]) == ("status", 2)


def test_probability_repeats_with_its_seed(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    def struck() -> list[int]:
        sim.fault("status", status=500, probability=0.5, seed=3)
        codes = [silent_witness.send("GET", CASES).status_code for _ in range(30)]
        sim.clear_faults()
        return codes

    first = struck()
    assert first == struck()
    assert set(first) == {200, 500}


@pytest.mark.parametrize(
    "fault",
    [{"kind": "earthquake"}, {"kind": "status"}, {"kind": "drop_field"}, {"kind": "reset", "often": 1}],
)
def test_mistakes_are_named(sim: Simulator, fault: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="simulator:"):
        sim.fault(**fault)
    assert sim.faults() == []
