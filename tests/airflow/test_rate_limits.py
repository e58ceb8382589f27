"""A rate limit that is used up is a wait: in every operator and sensor, in both modes, without a retry."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider.core.budget import rate_budget, windows
from airflow_provider.core.budget.store import SharedBudget
from airflow_provider.core.budget.turn_queue import TurnQueue
from airflow_provider.exceptions import RateLimitedError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.operators.mediamagic import (
    MediaMagicCreateSubmissionOperator,
    MediaMagicGetIssuesOperator,
    MediaMagicUploadFilesOperator,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCancelReportOperator,
    SilentWitnessCreateCaseOperator,
    SilentWitnessCreateReportOperator,
    SilentWitnessDownloadReportOperator,
    SilentWitnessUploadEvidenceOperator,
)
from airflow_provider.sensors.silent_witness import SilentWitnessReportSensor
from airflow_provider.simulator import Simulator
from airflow_provider.testing.throwaway import run_dag
from tests.airflow.jobs import ENDLESS, SOON, ReportJob, SubmissionJob
from tests.airflow.lone import run
from tests.conftest import MEDIAMAGIC_KEY, SILENT_WITNESS_KEY
from tests.simulator.talk import picture

pytestmark = pytest.mark.usefixtures("short_waits")

PARTIES: dict[str, Any] = {
    "plaintiff_name": "Ann Smith",
    "defendant_name": "Bob Jones",
    "attorney_name": "Cleo Park",
    "accident": {"date": "2026-01-31", "description": "Rear-ended at a light", "location": "Main and 3rd"},
    "vehicles": [{"role": "plaintiff", "vehicle_maker": "Toyota", "vehicle_year": "2020"}],
}
COLORS = {"a": (200, 0, 0), "b": (0, 0, 200)}
PAUSE = "1"
"""Seconds that a refusal asks for."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(picture(COLORS[name], (64, 48), "PNG"))
    return tmp_path


@pytest.fixture
def refuse(simulator: Simulator, mediamagic_conn: str, silent_witness_conn: str) -> Callable[..., None]:
    def refuse(method: str, path: str, times: int = 1) -> None:
        simulator.fault("status", path, method, status=429, headers={"Retry-After": PAUSE}, times=times)

    return refuse


def _send(budget: SharedBudget, requests: int) -> None:
    """Let others have sent so many requests with the key."""

    def acquire(queue: TurnQueue, now: float) -> None:
        for _ in range(requests):
            queue.budget.acquire(now, poll=False)

    budget.update(acquire)


def _refused(simulator: Simulator) -> int:
    return sum(fault["hits"] for fault in simulator.faults())


def test_a_refused_case_is_created_once_its_turn_has_come(
    simulator: Simulator, refuse: Callable[..., None], deferrable: bool
) -> None:
    refuse("POST", "/api/cases", 2)
    result, deferrals = run(SilentWitnessCreateCaseOperator(task_id="t", deferrable=deferrable, **PARTIES))
    (case,) = simulator.ledger()["cases"]
    assert result["case"]["id"] == case["id"]
    assert _refused(simulator) == 2
    assert (deferrals > 0) == deferrable


def test_an_upload_that_is_refused_half_way_goes_on_where_it_was(
    simulator: Simulator, refuse: Callable[..., None], deferrable: bool, folder: Path
) -> None:
    case_id = SilentWitnessHook().create_case(**PARTIES)["case"]["id"]
    refuse("POST", "/api/files/upload")
    task = SilentWitnessUploadEvidenceOperator(
        task_id="t", case_id=case_id, files=[f"{folder}/*.png"], max_parallel=1, deferrable=deferrable
    )
    result, deferrals = run(task)
    assert sorted(record["file_name"] for record in result) == ["a.png", "b.png"]
    assert len(SilentWitnessHook().list_files(case_id)) == 2
    assert (deferrals > 0) == deferrable


def test_a_report_is_paid_for_once_however_often_it_is_refused(
    simulator: Simulator, refuse: Callable[..., None], deferrable: bool, report: ReportJob
) -> None:
    report.takes(SOON)
    refuse("POST", "/api/reports")
    arguments = {**report.arguments(), "task_id": "t", "deferrable": deferrable, "poll_interval": 0.1}
    result, deferrals = run(SilentWitnessCreateReportOperator(**arguments))
    (seen,) = report.seen()
    assert result == report.result_of(seen["id"])
    assert _refused(simulator) == 1
    assert (deferrals > 1) == deferrable


def test_a_result_that_is_refused_after_the_wait_is_read_later(
    simulator: Simulator, refuse: Callable[..., None], deferrable: bool, report: ReportJob
) -> None:
    report.takes(SOON)
    arguments = {**report.arguments(), "task_id": "t", "deferrable": deferrable, "poll_interval": 0.1}
    refuse("GET", report.status_path, 3)
    result, _ = run(SilentWitnessCreateReportOperator(**arguments))
    assert result == report.result_of(report.seen()[0]["id"])
    assert _refused(simulator) == 3


def test_a_submission_and_its_uploads_wait_for_their_turns(
    simulator: Simulator, refuse: Callable[..., None], deferrable: bool, folder: Path
) -> None:
    refuse("POST", "/api/integrations/uploads/direct")
    refuse("POST", "/api/integrations/submissions")
    simulator.script("mediamagic", duration=SOON)
    task = MediaMagicCreateSubmissionOperator(
        task_id="t", files=[f"{folder}/*.png"], deferrable=deferrable, poll_interval=0.1
    )
    result, deferrals = run(task)
    (seen,) = simulator.ledger()["submissions"]
    assert result["submissionId"] == seen["id"]
    assert _refused(simulator) == 2
    assert (deferrals > 2) == deferrable


def test_uploads_wait_for_their_turns(
    simulator: Simulator, refuse: Callable[..., None], deferrable: bool, folder: Path
) -> None:
    refuse("POST", "/api/integrations/uploads/direct")
    result, deferrals = run(
        MediaMagicUploadFilesOperator(task_id="t", files=[f"{folder}/*.png"], deferrable=deferrable)
    )
    assert len({record["blobPath"] for record in result}) == 2
    assert (deferrals > 0) == deferrable


def test_reading_and_downloading_wait_for_their_turns(
    simulator: Simulator, refuse: Callable[..., None], deferrable: bool, tmp_path: Path, report: ReportJob
) -> None:
    report.takes(0.0)
    report_id = report.order()
    refuse("GET", report.status_path)
    task = SilentWitnessDownloadReportOperator(
        task_id="t", report_id=report_id, output_path=str(tmp_path / "out"), deferrable=deferrable
    )
    result, deferrals = run(task)
    assert next(manifest["media_type"] for manifest in result) == "application/pdf"
    assert (deferrals > 0) == deferrable


def test_a_sensor_waits_for_its_turn(
    simulator: Simulator, refuse: Callable[..., None], deferrable: bool, report: ReportJob
) -> None:
    report.takes(SOON)
    report_id = report.order()
    refuse("GET", report.status_path, 2)
    task = SilentWitnessReportSensor(
        task_id="t", report_id=report_id, deferrable=deferrable, poke_interval=0.1
    )
    result, _ = run(task)
    assert result == report.result_of(report_id)
    assert _refused(simulator) == 2


def test_a_cancel_waits_for_no_turn_of_others(
    simulator: Simulator, silent_witness_conn: str, report: ReportJob
) -> None:
    report.takes(ENDLESS)
    report_id = report.order()
    budget = SilentWitnessHook().shared_budget("")
    _send(budget, 95)
    result, deferrals = run(
        SilentWitnessCancelReportOperator(task_id="t", report_id=report_id, deferrable=True)
    )
    assert (result["status"], deferrals) == ("cancelled", 0)


def test_a_key_that_others_have_used_up_is_not_asked(
    simulator: Simulator, silent_witness_conn: str, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_SILENT_WITNESS_DEFAULT",
        json.dumps(
            {
                "conn_type": "silent_witness",
                "host": simulator.url,
                "password": SILENT_WITNESS_KEY,
                "extra": {"requests_per_minute": 10, "max_turn_wait": 2},
            }
        ),
    )
    budget = SilentWitnessHook().shared_budget("")
    _send(budget, 10)
    task = SilentWitnessCreateCaseOperator(task_id="t", deferrable=deferrable, **PARTIES)
    with pytest.raises(RateLimitedError, match="max_turn_wait"):
        run(task)
    assert simulator.ledger()["cases"] == []
    assert budget.update(lambda queue, now: queue.state()) == {}


def test_execution_timeout_ends_the_wait_for_a_turn(
    simulator: Simulator, silent_witness_conn: str, deferrable: bool
) -> None:
    budget = SilentWitnessHook().shared_budget("")
    budget.update(lambda queue, now: queue.budget.on_429(now, 30.0))
    task = SilentWitnessCreateCaseOperator(
        task_id="t", deferrable=deferrable, execution_timeout=timedelta(seconds=2), **PARTIES
    )
    with pytest.raises(RateLimitedError, match=r"within 2 s .*execution_timeout"):
        run(task)
    assert simulator.ledger()["cases"] == []


@pytest.mark.parametrize("which", ["first request", "second request"])
def test_a_request_that_is_refused_for_ever_is_given_up(
    simulator: Simulator,
    submission: SubmissionJob,
    deferrable: bool,
    monkeypatch: pytest.MonkeyPatch,
    which: str,
) -> None:
    monkeypatch.setattr(rate_budget, "LONGEST_PAUSE", 0.5)
    submission.takes(0.0)
    submission_id = submission.order()
    path = submission.status_path + "/issues" * (which == "second request")
    simulator.fault("status", path, "GET", status=429, times=40)
    task = MediaMagicGetIssuesOperator(
        task_id="t", submission_id=submission_id, deferrable=deferrable, max_turn_wait=4.0
    )
    with pytest.raises(RateLimitedError, match="within 4 s"):
        run(task)


def test_a_hook_by_hand_may_have_the_same_patience(simulator: Simulator, refuse: Callable[..., None]) -> None:
    refuse("GET", "/api/cases", 3)
    with SilentWitnessHook(max_turn_wait=60.0) as hook:
        assert hook.list_cases() == []
    assert _refused(simulator) == 3


@pytest.fixture
def tight(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keys of two requests a second, of which the connections know nothing."""
    simulator.settings(retry_after=True)
    for service, key in (("silent_witness", SILENT_WITNESS_KEY), ("mediamagic", MEDIAMAGIC_KEY)):
        simulator.keys({"key": key, "service": service, "rate_limit": "2/60"})
        monkeypatch.setenv(
            f"AIRFLOW_CONN_{service.upper()}_DEFAULT",
            json.dumps(
                {
                    "conn_type": service,
                    "host": simulator.url,
                    "password": key,
                    "extra": {"requests_per_minute": 0, "requests_per_hour": 0},
                }
            ),
        )
    yield
    simulator.settings(retry_after=False)


@pytest.mark.usefixtures("airflow_db", "tight")
def test_no_pipeline_on_a_tight_key_loses_a_task(
    simulator: Simulator, silent_witness_conn: str, deferrable: bool, folder: Path
) -> None:
    simulator.script("silent_witness", duration=SOON)
    # However slow the machine is, one request is refused.
    simulator.fault("status", "/api/reports", "POST", status=429, headers={"Retry-After": PAUSE}, times=1)
    with DAG("tight", schedule=None, default_args={"retries": 0, "deferrable": deferrable}) as dag:
        for number in range(1):
            case = SilentWitnessCreateCaseOperator(task_id=f"case_{number}", name=f"Case {number}", **PARTIES)
            case_id = f"{{{{ ti.xcom_pull('case_{number}', key='case_id') }}}}"
            evidence = SilentWitnessUploadEvidenceOperator(
                task_id=f"evidence_{number}", case_id=case_id, files=[f"{folder}/*.png"]
            )
            report = SilentWitnessCreateReportOperator(
                task_id=f"report_{number}", case_id=case_id, poll_interval=0.5, use_demo_data=True
            )
            case >> evidence >> report
    began = time.monotonic()
    assert run_dag(dag).state == "success", time.monotonic() - began
    assert _refused(simulator) == 1
    ledger = simulator.ledger()
    assert (len(ledger["cases"]), len(ledger["reports"])) == (1, 1)
    with SilentWitnessHook(max_turn_wait=60.0) as hook:
        assert [len(hook.list_files(case["id"])) for case in ledger["cases"]] == [2]


def test_a_step_larger_than_what_is_left_comes_to_its_end(
    simulator: Simulator, submission: SubmissionJob, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "MINUTE", 1.0)
    simulator.script("mediamagic", duration=0.0)
    files = [submission.file(f"{number}.txt", f"A cure, guaranteed, number {number}.") for number in range(4)]
    order = MediaMagicCreateSubmissionOperator(task_id="order", files=files, wait_for_completion=False)
    submission_id = run(order)[0]["submissionId"]
    connection = json.loads(os.environ["AIRFLOW_CONN_MEDIAMAGIC_DEFAULT"])
    connection["extra"] = {"requests_per_minute": 3}
    monkeypatch.setenv("AIRFLOW_CONN_MEDIAMAGIC_DEFAULT", json.dumps(connection))
    before = sum(simulator.ledger()["requests"].values())
    task = MediaMagicGetIssuesOperator(task_id="t", submission_id=submission_id, deferrable=deferrable)
    issues, _ = run(task)
    assert {issue["filename"] for issue in issues} == {f"{number}.txt" for number in range(4)}
    assert sum(simulator.ledger()["requests"].values()) - before <= 2 * 9


def test_a_dry_run_waits_in_place(simulator: Simulator, silent_witness_conn: str, folder: Path) -> None:
    case_id = SilentWitnessHook().create_case(**PARTIES)["case"]["id"]
    tasks: list[Any] = [
        SilentWitnessCreateCaseOperator(task_id="case", deferrable=True, **PARTIES),
        SilentWitnessUploadEvidenceOperator(
            task_id="photos", case_id=case_id, files=[f"{folder}/*.png"], deferrable=True
        ),
        SilentWitnessCreateReportOperator(task_id="report", case_id=case_id, deferrable=True),
    ]
    for task in tasks:
        budget = SilentWitnessHook().shared_budget("")
        budget.update(lambda queue, now: queue.budget.on_429(now, 1.0))
        assert task.dry_run()["paid_requests"].keys() <= {"POST /api/cases", "POST /api/reports"}
        assert budget.update(lambda queue, now: list(queue.budget.grants)) == []


def test_the_buckets_of_a_key_are_counted_by_themselves(
    simulator: Simulator, submission: SubmissionJob
) -> None:
    simulator.script("mediamagic", duration=0.0)
    submission_id = submission.order()
    MediaMagicHook().shared_budget("upload").update(lambda queue, now: queue.budget.on_429(now, 600.0))
    task = MediaMagicGetIssuesOperator(
        task_id="t",
        submission_id=submission_id,
        asset_id=submission.vendor_says(submission_id)["assets"][0]["assetId"],
        deferrable=True,
    )
    assert run(task)[1] == 0
