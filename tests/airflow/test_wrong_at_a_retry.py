"""Arguments that are wrong when a job is paid for already: it is found, waited for and returned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider.core.jobs.operator import JobOperator
from airflow_provider.exceptions import InvalidInputError
from airflow_provider.operators.silent_witness import SilentWitnessCreateCaseOperator
from airflow_provider.simulator import Simulator
from tests.airflow.conftest import RunTask
from tests.airflow.interruptions import die_once
from tests.airflow.jobs import ENDLESS, SOON, Job, ReportJob, SubmissionJob
from tests.airflow.task_run import TaskRun

WAITING: list[dict[str, Any]] = [
    {"timeout": "soon"},
    {"max_wait": -1, "deferrable": "yes"},
    {"on_clear": "perhaps", "max_paid_requests": "1", "max_turn_wait": 0},
]
REPORT: list[dict[str, Any]] = [
    {"case_id": None},
    {"use_demo_data": "maybe", "report_retries": "2"},
    {"analysis_type": "everything"},
]
SUBMISSION: list[dict[str, Any]] = [
    {"files": "one.txt"},
    {"files": None},
    {"metadata": "campaign", "sidekick_ids": "all"},
    {"asset_retries": 1.5, "allow_partial": "yes"},
]


def spoil(run: TaskRun, wrong: dict[str, Any]) -> None:
    """What a template that renders to nothing does, or an edited Dag."""
    for argument, value in wrong.items():
        setattr(run.task, argument, value)


def is_returned(job: Job, run: TaskRun, wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    job.takes(SOON)
    die_once(monkeypatch, JobOperator, "announce")
    run.attempt()
    (seen,) = job.seen()
    spoil(run, wrong)
    run.attempt()
    assert run.value == job.result_of(seen["id"])
    assert job.creations() == 1


@pytest.mark.parametrize("wrong", WAITING, ids=lambda wrong: next(iter(wrong)))
def test_the_job_is_returned(
    job: Job, deferrable: bool, wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_returned(job, job.task(retries=3, deferrable=deferrable), wrong, monkeypatch)


@pytest.mark.parametrize("wrong", REPORT, ids=lambda wrong: next(iter(wrong)))
def test_the_report_is_returned(
    report: ReportJob, deferrable: bool, wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_returned(report, report.task(retries=3, deferrable=deferrable), wrong, monkeypatch)


@pytest.mark.parametrize("wrong", SUBMISSION, ids=lambda wrong: f"{next(iter(wrong.items()))}")
def test_the_submission_is_returned(
    submission: SubmissionJob, deferrable: bool, wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_returned(submission, submission.task(retries=3, deferrable=deferrable), wrong, monkeypatch)


def test_nothing_else_is_paid_for(report: ReportJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded report failed, and the retry does not know what to ask for in its place."""
    report.fails(duration=0)
    die_once(monkeypatch, JobOperator, "announce")
    run = report.task(retries=3, report_retries=1).attempt()
    spoil(run, {"use_demo_data": "maybe"})
    run.attempt()
    assert type(run.error) is InvalidInputError
    assert "use_demo_data" in str(run.error)
    assert report.creations() == 1


def test_a_clear_with_wrong_arguments_leaves_the_report_that_runs(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.takes(SOON)
    die_once(monkeypatch, JobOperator, "announce")
    run = report.task().attempt().clear()
    spoil(run, {"use_demo_data": "maybe"})
    run.attempt()
    assert run.value == report.result_of(report.seen()[0]["id"])


def test_a_request_for_something_else_cancels_the_report_and_stops(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.takes(ENDLESS)
    die_once(monkeypatch, JobOperator, "announce")
    run = report.task(retries=3).attempt()
    spoil(run, {"case_id": report.arguments()["case_id"], "timeout": "soon"})
    run.attempt()
    assert type(run.error) is InvalidInputError
    assert (report.running(), report.creations()) == ([], 1)


def test_what_shapes_the_result_must_be_right_and_the_report_is_kept(
    report: ReportJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.takes(SOON)
    die_once(monkeypatch, JobOperator, "announce")
    run = report.task(retries=3, output_path=str(tmp_path)).attempt()
    spoil(run, {"formats": "pdf"})
    run.attempt()
    assert type(run.error) is InvalidInputError
    run.clear()
    spoil(run, {"formats": ["pdf"]})
    run.attempt()
    (manifest,) = run.value["documents"]
    assert Path(manifest["path"]).exists()
    assert report.creations() == 1


@pytest.mark.parametrize("wrong", [{"case_id": None}, {"use_demo_data": "maybe"}], ids=str)
def test_what_an_answer_was_lost_of_is_not_searched_for_with_wrong_arguments(
    report: ReportJob, wrong: dict[str, Any]
) -> None:
    report.takes(ENDLESS)
    report.simulator.fault("lost_answer", report.create_path, "POST", times=1)
    report.simulator.fault("status", "/api/reports", "GET", status=500, times=1)
    run = report.task(retries=3, deferrable=True).attempt()
    right = {name: getattr(run.task, name) for name in wrong}
    spoil(run, wrong)
    run.attempt()
    assert "it is searched for when the argument is right" in str(run.error)
    spoil(run, right)
    run.clear().attempt(until_deferred=True)
    assert (run.state, report.creations()) == ("deferred", 1)


@pytest.mark.parametrize("wrong", [{"side": "left"}, {"plaintiff_name": None}, {"accident": {"date": "May"}}])
def test_the_case_is_returned(
    simulator: Simulator,
    silent_witness_conn: str,
    task_run: RunTask,
    monkeypatch: pytest.MonkeyPatch,
    wrong: dict[str, Any],
) -> None:
    parties = {"plaintiff_name": "Ann Smith", "defendant_name": "Bob Jones", "attorney_name": "Cleo Park"}
    die_once(monkeypatch, SilentWitnessCreateCaseOperator, "announce")
    run = task_run(SilentWitnessCreateCaseOperator, retries=3, **parties).attempt()
    spoil(run, wrong)
    run.attempt()
    (case,) = simulator.ledger()["cases"]
    assert run.value["case"]["id"] == case["id"]
