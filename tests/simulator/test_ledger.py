"""What the ledger counts, and the rest of the control API."""

from __future__ import annotations

import hashlib
import socket
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider.simulator import Simulator
from tests.simulator.talk import LONG, MediaMagicTalk, SilentWitnessTalk


def test_requests_by_route_and_status(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    silent_witness.send("GET", "/api/cases/one")
    silent_witness.send("GET", "/api/cases/two")
    silent_witness.send("GET", "/api/cases")
    silent_witness.send("GET", "/api/nothing")
    ledger = sim.ledger()
    assert ledger["requests"] == {"GET (unknown path)": 1, "GET /api/cases": 1, "GET /api/cases/{id}": 2}
    assert ledger["requests_by_route"]["GET /api/cases/{id}"] == {"404": 2}
    assert ledger["requests_by_status"] == {"200": 1, "404": 3}
    assert ledger["total_requests"] == 4


def test_a_submission_and_its_uploads(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    path = mediamagic.upload("ad.txt", b"text")
    submission = mediamagic.submit(path, metadata={"run": "7"})
    ledger = sim.ledger()
    (seen,) = ledger["submissions"]
    assert (seen["id"], seen["blob_paths"], seen["metadata"]) == (
        submission["submissionId"],
        [path],
        {"run": "7"},
    )
    assert seen["key_hash"] == hashlib.sha256(mediamagic.key.encode()).hexdigest()[:12]
    assert mediamagic.key not in str(ledger)
    assert [(upload["kind"], upload["size"]) for upload in ledger["uploads"]] == [("direct", 4)]
    assert (ledger["running"], ledger["running_ids"]) == (1, [submission["submissionId"]])
    sim.advance(LONG)
    assert sim.ledger()["running"] == 0


def test_polls_tell_how_late_the_end_was_seen(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    report_id = silent_witness.order(silent_witness.ready_case()).json()["data"]["id"]
    silent_witness.report(report_id)
    sim.advance(LONG)
    assert sim.ledger()["polls"][report_id]["first_seen_terminal_at"] is None
    silent_witness.report(report_id)
    silent_witness.report(report_id)
    polls = sim.ledger()["polls"][report_id]
    assert polls["count"] == 3
    assert polls["first_at"] < polls["finished_at"] < polls["first_seen_terminal_at"] < polls["last_at"]


def test_cancels_and_retries(
    sim: Simulator, mediamagic: MediaMagicTalk, silent_witness: SilentWitnessTalk
) -> None:
    report_id = silent_witness.order(silent_witness.ready_case()).json()["data"]["id"]
    for _ in range(2):
        silent_witness.send("DELETE", f"/api/reports/{report_id}")
    sim.script("mediamagic", asset_status="failed")
    submission = mediamagic.submit(mediamagic.upload())
    sim.advance(LONG)
    mediamagic.retry(submission)
    ledger = sim.ledger()
    assert [(one["report_id"], one["accepted"]) for one in ledger["cancels"]] == [
        (report_id, True),
        (report_id, False),
    ]
    assert [one["submission_id"] for one in ledger["asset_retries"]] == [submission["submissionId"]]
    assert ledger["reports"][0]["cancelled_at"] == ledger["polls"][report_id]["finished_at"]


def test_reset_forgets_everything(
    sim: Simulator, mediamagic: MediaMagicTalk, silent_witness: SilentWitnessTalk
) -> None:
    submission = mediamagic.submit(mediamagic.upload())
    case_id = silent_witness.ready_case()
    sim.fault("status", status=500)
    sim.keys(restrict=True)
    sim.script("silent_witness", status="failed")
    sim.settings(silent_witness_limits="1/60")
    sim.advance(LONG)
    sim.reset()
    ledger = sim.ledger()
    assert [ledger[name] for name in ("total_requests", "submissions", "cases", "reports", "uploads")] == [
        0,
        [],
        [],
        [],
        [],
    ]
    assert sim.faults() == []
    assert mediamagic.send("GET", f"/submissions/{submission['submissionId']}").status_code == 404
    assert silent_witness.send("GET", f"/api/cases/{case_id}").status_code == 404
    assert silent_witness.completed()["status"] == "completed"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("script", {"service": "other"}),
        ("script", {"service": "mediamagic", "status": "failed"}),
        ("script", {"service": "silent_witness", "match": {"filename": "x"}}),
        ("keys", {"key": "sk-1", "state": "tired"}),
        ("keys", {"key": "of-nobody"}),
        ("keys", {"key": "sk-1", "rate_limit": "many"}),
        ("settings", {"colour": "blue"}),
        ("settings", {"retry_after": "yes"}),
        ("settings", {"mediamagic_limits": {"nothing": "1/1"}}),
        ("advance", {"seconds": -1}),
        ("advance", {}),
        ("advance", []),
    ],
)
def test_wrong_control_calls_say_so(sim: Simulator, path: str, body: object) -> None:
    answer = requests.post(f"{sim.url}/_simulator/{path}", json=body, timeout=60)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_control_calls_need_no_key_and_are_not_counted(sim: Simulator) -> None:
    assert requests.get(f"{sim.url}/_simulator/health", timeout=60).json()["time_scale"] == 1
    assert requests.get(f"{sim.url}/_simulator/nothing", timeout=60).status_code == 404
    assert sim.ledger()["total_requests"] == 0


def test_a_request_that_arrived_before_a_reset_is_not_counted_after_it(
    sim: Simulator, silent_witness: SilentWitnessTalk
) -> None:
    address = urlsplit(sim.url)
    head = (
        f"POST /api/cases HTTP/1.1\r\nHost: {address.netloc}\r\nX-API-Key: {silent_witness.key}\r\n"
        "Content-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(head.encode())
        assert b"100 Continue" in connection.recv(1000), "the simulator reads the body"
        sim.reset()
        connection.sendall(b"{}")
        assert connection.recv(1000).startswith(b"HTTP/1.1 4")
    assert sim.ledger()["total_requests"] == 0
