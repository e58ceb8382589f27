"""Error bodies, request ids, keys and rate limits of Silent Witness."""

from __future__ import annotations

import re

import pytest
import requests

from airflow_provider.simulator import Simulator
from tests.simulator.talk import SilentWitnessTalk


def test_no_key(sim: Simulator) -> None:
    answer = requests.get(f"{sim.url}/api/cases", timeout=60)
    body = answer.json()
    assert answer.status_code == 401
    assert list(body) == ["success", "error", "error_code", "error_type", "request_id"]
    assert (body["success"], body["error_code"], body["error_type"]) == (
        False,
        "unauthorized",
        "authentication_error",
    )
    assert re.fullmatch(r"req_[0-9a-f]{32}", body["request_id"])


@pytest.mark.parametrize(
    ("state", "status", "kind"),
    [
        ("expired", 401, "authentication_error"),
        ("revoked", 401, "authentication_error"),
        ("forbidden", 403, "permission_error"),
    ],
)
def test_keys_that_are_no_good(
    sim: Simulator, silent_witness: SilentWitnessTalk, state: str, status: int, kind: str
) -> None:
    sim.keys({"key": "sk-x", "state": state})
    answer = silent_witness.send("GET", "/api/cases", "sk-x")
    assert (answer.status_code, answer.json()["error_type"]) == (status, kind)


def test_a_key_of_the_other_service(silent_witness: SilentWitnessTalk) -> None:
    assert silent_witness.send("GET", "/api/cases", "sk_live_x").status_code == 401


def test_request_id_is_echoed(silent_witness: SilentWitnessTalk) -> None:
    headers = {"X-Request-ID": "mine-1"}
    good = silent_witness.send("GET", "/api/cases", headers=headers)
    bad = silent_witness.send("GET", "/api/cases/none", headers=headers)
    assert good.headers["X-Request-ID"] == bad.headers["X-Request-ID"] == bad.json()["request_id"] == "mine-1"
    assert silent_witness.send("GET", "/api/cases").headers["X-Request-ID"].startswith("req_")


def test_the_field_at_fault_is_named(silent_witness: SilentWitnessTalk) -> None:
    answer = silent_witness.send("POST", "/api/reports", json={"type": "technical_report"})
    assert (answer.status_code, answer.json()["error_code"], answer.json()["error_param"]) == (
        400, "case_id_missing", "case_id",
    )  # fmt: skip


def test_unknown_paths_and_methods(silent_witness: SilentWitnessTalk) -> None:
    assert silent_witness.send("GET", "/api/nothing").json()["error_code"] == "not_found"
    assert silent_witness.send("DELETE", "/api/cases/x").status_code == 405


def codes(silent_witness: SilentWitnessTalk, count: int) -> list[int]:
    return [silent_witness.send("GET", "/api/cases").status_code for _ in range(count)]


@pytest.mark.parametrize(("limits", "count", "seconds"), [(None, 1000, 3600), ("minute", 100, 60)])
def test_the_published_figures(
    sim: Simulator, silent_witness: SilentWitnessTalk, limits: str | None, count: int, seconds: int
) -> None:
    sim.settings(rate_limit_headers=True)
    if limits:
        sim.settings(silent_witness_limits=limits)
    now = requests.get(f"{sim.url}/_simulator/health", timeout=60).json()["now"]
    headers = silent_witness.send("GET", "/api/cases").headers
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == (str(count), str(count - 1))
    assert seconds <= int(headers["X-RateLimit-Reset"]) - now <= seconds + 30


def test_the_window_slides(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    sim.settings(silent_witness_limits="10/3600")
    assert set(codes(silent_witness, 4)) == {200}
    sim.advance(1800)
    assert set(codes(silent_witness, 6)) == {200}
    refused = silent_witness.send("GET", "/api/cases")
    body = refused.json()
    assert (refused.status_code, body["error_code"], body["error_type"]) == (
        429, "too_many_requests", "rate_limit_error",
    )  # fmt: skip
    assert not {"Retry-After", "X-RateLimit-Limit"} & set(refused.headers)
    sim.advance(1801)  # the first four have left the window, the six have not
    assert codes(silent_witness, 5) == [200] * 4 + [429]
    assert sim.ledger()["rate_limited"] == {"total": 2, "by_service": {"silent_witness": 2}}


def test_headers_of_a_refusal_when_switched_on(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    sim.settings(silent_witness_limits="1/60", rate_limit_headers=True, retry_after=True)
    assert "Retry-After" not in silent_witness.send("GET", "/api/cases").headers
    refused = silent_witness.send("GET", "/api/cases")
    assert (refused.status_code, refused.headers["X-RateLimit-Remaining"]) == (429, "0")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


def test_each_key_has_its_own_window(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    sim.keys({"key": "sk-slow", "rate_limit": "1/60"})
    slow = [silent_witness.send("GET", "/api/cases", "sk-slow").status_code for _ in range(2)]
    assert (slow, silent_witness.send("GET", "/api/cases").status_code) == ([200, 429], 200)
