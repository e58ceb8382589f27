"""What a vendor can answer wrongly: each becomes the error that says what to do, and names the endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider import exceptions as errors
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.operators.mediamagic import (
    MediaMagicComplianceGateOperator as Gate,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicGetAssetResultOperator as GetResult,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicGetIssuesOperator as GetIssues,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicGetTopicsOperator as GetTopics,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCancelReportOperator as CancelReport,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateCaseOperator as CreateCase,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateReportOperator as CreateReport,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessDownloadReportOperator as Download,
)
from airflow_provider.simulator import Simulator
from tests.airflow.conftest import Connect
from tests.airflow.lone import execute
from tests.conftest import MEDIAMAGIC_KEY
from tests.simulator.talk import MediaMagicTalk

PARTIES: dict[str, Any] = {
    "plaintiff_name": "Ann Smith",
    "defendant_name": "Bob Jones",
    "attorney_name": "Cleo Park",
}

CALLS: dict[str, tuple[str, Callable[[], Any]]] = {
    "mediamagic-get": (
        "GET /api/integrations/submissions/sub/assets/ast",
        lambda: GetResult(task_id="job", submission_id="sub", asset_id="ast"),
    ),
    "silent-witness-get": (
        "GET /api/reports/rpt_1",
        lambda: CancelReport(task_id="job", report_id="rpt_1"),
    ),
    "silent-witness-post": ("POST /api/cases", lambda: CreateCase(task_id="job", **PARTIES)),
}

STATUSES: dict[int, type[Exception]] = {
    400: errors.InvalidRequestError,
    401: errors.AuthenticationError,
    402: errors.PlanError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    405: errors.InvalidRequestError,
    408: errors.ServerError,
    409: errors.ConflictError,
    413: errors.InvalidRequestError,
    415: errors.InvalidRequestError,
    422: errors.InvalidRequestError,
    500: errors.ServerError,
    502: errors.ServerError,
    503: errors.ServerError,
    504: errors.ServerError,
}

pytestmark = pytest.mark.usefixtures("mediamagic_conn", "silent_witness_conn")


@pytest.mark.parametrize(("status", "error"), STATUSES.items())
@pytest.mark.parametrize(("endpoint", "make"), CALLS.values(), ids=CALLS)
def test_a_status_becomes_its_error(
    simulator: Simulator, endpoint: str, make: Callable[[], Any], status: int, error: type[Exception]
) -> None:
    simulator.fault("status", endpoint.split()[1], status=status)
    with pytest.raises(error) as caught:
        execute(make())
    assert type(caught.value) is error
    assert f"{endpoint} answered {status}" in str(caught.value)


@pytest.mark.parametrize(
    "detail", ["Missing API key", "Invalid API key", "API key expired", "API key revoked"]
)
def test_the_reason_of_a_401_is_passed_on(simulator: Simulator, detail: str) -> None:
    simulator.fault("status", status=401, body={"detail": detail})
    with pytest.raises(errors.AuthenticationError, match=detail):
        execute(GetResult(task_id="job", submission_id="sub", asset_id="ast"))


@pytest.mark.parametrize("state", ["expired", "revoked"])
def test_a_key_that_is_no_longer_good(simulator: Simulator, state: str) -> None:
    simulator.keys({"key": MEDIAMAGIC_KEY, "state": state}, restrict=["mediamagic"])
    with pytest.raises(errors.AuthenticationError, match="Check the API key in the connection's password"):
        execute(GetResult(task_id="job", submission_id="sub", asset_id="ast"))


def test_a_plan_without_the_api_names_the_bucket(simulator: Simulator) -> None:
    simulator.keys({"key": MEDIAMAGIC_KEY, "state": "no_plan"})
    with pytest.raises(errors.PlanError, match="Bucket: submission_read"):
        execute(GetResult(task_id="job", submission_id="sub", asset_id="ast"))


@pytest.mark.parametrize("status", [401, 402, 403, 404])
@pytest.mark.parametrize("make", [GetResult, GetIssues, GetTopics, Gate])
def test_a_review_that_is_denied_for_a_moment_is_read_again(
    simulator: Simulator, make: Any, status: int
) -> None:
    talk = MediaMagicTalk(simulator)
    talk.key = MEDIAMAGIC_KEY
    simulator.script("mediamagic", duration=0)
    submission_id = talk.submit(talk.upload())["submissionId"]
    simulator.fault("status", "/api/integrations/submissions/*", "GET", status=status, times=2)
    assert execute(make(task_id="job", submission_id=submission_id)) is not None


@pytest.mark.parametrize("status", [401, 403])
def test_a_report_that_is_denied_for_a_moment_is_downloaded(
    simulator: Simulator, report: Any, tmp_path: Path, status: int
) -> None:
    report_id = report.talk.completed()["id"]
    simulator.fault("status", "/api/reports/*", "GET", status=status, times=2)
    found = execute(Download(task_id="job", report_id=report_id, output_path=str(tmp_path)))
    assert [one["report_id"] for one in found] == [report_id] * 2


@pytest.mark.parametrize("operator", [GetIssues, GetTopics])
def test_results_of_an_unfinished_asset_are_asked_for_later(simulator: Simulator, operator: Any) -> None:
    simulator.fault("status", "*/assets/*", status=404)
    with pytest.raises(errors.NotReadyError, match="until the asset has finished"):
        execute(operator(task_id="job", submission_id="sub", asset_id="ast"))


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "html"},
        {"kind": "empty"},
        {"kind": "garbage"},
        {"kind": "redirect", "location": "https://x.example"},
    ],
    ids=["html", "empty", "garbage", "redirect"],
)
@pytest.mark.parametrize(("endpoint", "make"), list(CALLS.values())[:2], ids=list(CALLS)[:2])
def test_an_answer_that_is_no_json(
    simulator: Simulator, endpoint: str, make: Callable[[], Any], fault: dict[str, Any]
) -> None:
    simulator.fault(path=endpoint.split()[1], **fault)
    # What is not found is answered in JSON by the simulator; the fault replaces the body of a good answer.
    if fault["kind"] != "redirect":
        simulator.clear_faults()
        simulator.fault("status", endpoint.split()[1], status=200, body=_BODIES[fault["kind"]])
    with pytest.raises(errors.MalformedResponseError) as caught:
        execute(make())
    assert endpoint in str(caught.value)


_BODIES = {"html": "<html><body>Sign in</body></html>", "empty": "", "garbage": "\x00\x01 no json"}


def test_a_report_that_is_null_is_not_found(simulator: Simulator) -> None:
    simulator.fault("status", "/api/reports/*", status=200, body={"success": True, "data": None})
    with pytest.raises(errors.NotFoundError, match="knows no report 'rpt_1'"):
        execute(CancelReport(task_id="job", report_id="rpt_1"))


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({}, "`data`"),
        ({"data": {}}, "`id`"),
        ({"data": {"id": "rpt_1"}}, "`status`"),
        ({"data": []}, "array"),
    ],
)
def test_a_field_that_is_missing_is_named(simulator: Simulator, body: Any, missing: str) -> None:
    simulator.fault("status", "/api/reports/*", "GET", status=200, body=body)
    with pytest.raises(errors.MalformedResponseError) as caught:
        execute(CancelReport(task_id="job", report_id="rpt_1"))
    assert missing in str(caught.value)
    assert "GET /api/reports/rpt_1" in str(caught.value)


def test_a_success_that_says_it_is_none(simulator: Simulator) -> None:
    simulator.fault("status", "/api/reports/*", status=200, body={"success": False, "error": "Quota"})
    with pytest.raises(errors.MalformedResponseError, match="Quota"):
        execute(CancelReport(task_id="job", report_id="rpt_1"))


@pytest.mark.parametrize(("endpoint", "make"), list(CALLS.values())[:2], ids=list(CALLS)[:2])
def test_a_connection_that_breaks(simulator: Simulator, endpoint: str, make: Callable[[], Any]) -> None:
    simulator.fault("reset", endpoint.split()[1])
    with pytest.raises(errors.TransportError, match=endpoint):
        execute(make())


def test_an_answer_that_does_not_come_in_time(simulator: Simulator, connect: Connect) -> None:
    connect(
        "mediamagic",
        host=simulator.url,
        password=MEDIAMAGIC_KEY,
        extra=json.dumps({"max_retries": 0, "read_timeout": 0.2}),
    )
    simulator.fault("delay", delay=5)
    with pytest.raises(errors.TransportError, match="in time"):
        execute(GetResult(task_id="job", submission_id="sub", asset_id="ast"))


def test_a_server_that_is_not_there(connect: Connect) -> None:
    connect("mediamagic", host="127.0.0.1:9", password=MEDIAMAGIC_KEY, extra=json.dumps({"max_retries": 0}))
    with pytest.raises(errors.TransportError, match="could not connect") as caught:
        execute(GetResult(task_id="job", submission_id="sub", asset_id="ast"))
    assert caught.value.sent is False


@pytest.mark.parametrize("asked", ["7", "Sat, 21 Nov 2099 22:00:00 GMT"])
def test_a_429_says_how_long_to_wait(simulator: Simulator, connect: Connect, asked: str) -> None:
    connect("mediamagic", host=simulator.url, password=MEDIAMAGIC_KEY, extra=json.dumps({"max_retries": 0}))
    simulator.fault("status", status=429, headers={"Retry-After": asked})
    with pytest.raises(errors.RateLimitedError, match="answered 429") as caught:
        MediaMagicHook().get_asset_result("sub", "ast")
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 7


def test_a_429_that_does_not_say(simulator: Simulator, connect: Connect) -> None:
    connect("mediamagic", host=simulator.url, password=MEDIAMAGIC_KEY, extra=json.dumps({"max_retries": 0}))
    simulator.fault("status", status=429, body={"error": "Rate limit exceeded"})
    with pytest.raises(errors.RateLimitedError) as caught:
        MediaMagicHook().get_asset_result("sub", "ast")
    assert caught.value.retry_after is None


def test_what_a_case_lacks_for_a_report_is_passed_on(report: Any) -> None:
    case_id = report.talk.case(vehicles=[])
    with pytest.raises(errors.InvalidRequestError) as caught:
        execute(CreateReport(task_id="job", case_id=case_id))
    assert "POST /api/reports answered 422" in str(caught.value)


def test_no_signed_link_of_a_case_is_returned(simulator: Simulator) -> None:
    link = "https://pay.example.com/i?token=TOPSECRET"
    body = {
        "case": {"id": "case_1", "report": {"id": "rpt_1", "pdf_url": link}, "name": f"see {link}"},
        "invoice": {"id": "inv_1", "amount": 299.0, "payment_url": link},
    }
    simulator.fault("status", "/api/cases", "POST", status=201, body={"success": True, "data": body})

    returned = execute(CreateCase(task_id="job", **PARTIES))

    assert "TOPSECRET" not in json.dumps(returned)
    assert returned["case"]["id"] == "case_1"
    assert returned["invoice"] == {"id": "inv_1", "amount": 299.0}
