"""Trouble on the line during a wait: what passes is waited out, what does not ends it with a clear error."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.core.budget import rate_budget
from airflow_provider.core.jobs import run as job_module
from airflow_provider.core.polling.wait import LATE_READS
from airflow_provider.exceptions import AuthenticationError, PermissionDeniedError, WaitError
from tests.airflow.jobs import ENDLESS, SOON, Job, ReportJob, SubmissionJob
from tests.airflow.task_run import TaskRun

PASSING: dict[str, dict[str, Any]] = {
    "500": {"kind": "status", "status": 500},
    "502-html": {"kind": "html", "status": 502},
    "503": {"kind": "status", "status": 503},
    "408": {"kind": "status", "status": 408},
    "reset": {"kind": "reset"},
    "garbage": {"kind": "garbage"},
    "html": {"kind": "html"},
    "empty": {"kind": "empty"},
    "truncated": {"kind": "truncate"},
}


@pytest.mark.parametrize("trouble", PASSING.values(), ids=PASSING)
def test_passing_trouble_is_waited_out(report: ReportJob, deferrable: bool, trouble: dict[str, Any]) -> None:
    report.takes(SOON)
    report.simulator.fault(path=report.status_path, method="GET", times=2, **trouble)
    run = report.task(deferrable=deferrable).test()
    assert run.value == report.result_of(report.seen()[0]["id"])
    assert report.simulator.faults()[0]["hits"] == 2


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "1"}], ids=["429", "429-retry-after"])
def test_a_rate_limit_is_waited_out_on_the_worker(
    job: Job, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_budget, "FIRST_PAUSE", 0.2)
    job.takes(SOON)
    job.simulator.fault("status", job.status_path, "GET", status=429, headers=headers, times=2)
    run = job.task(deferrable=False).test()
    assert run.value == job.result_of(job.seen()[0]["id"])


def test_a_rate_limit_is_waited_out_in_the_triggerer(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_budget, "FIRST_PAUSE", 0.2)
    report.takes(SOON)
    headers = {"Retry-After": "1"}
    report.simulator.fault("status", report.status_path, "GET", status=429, headers=headers, times=1)
    run = report.task(deferrable=True).test()
    assert run.value == report.result_of(report.seen()[0]["id"])


def test_all_kinds_of_trouble_in_a_row_are_waited_out(submission: SubmissionJob, deferrable: bool) -> None:
    submission.takes(SOON)
    for trouble in PASSING.values():
        submission.simulator.fault(path=submission.status_path, method="GET", times=1, **trouble)
    run = submission.task(deferrable=deferrable).test()
    assert run.value == submission.result_of(submission.seen()[0]["id"])
    assert {fault["hits"] for fault in submission.simulator.faults()} == {1}


def test_trouble_right_after_the_wait_is_waited_out_too(job: Job) -> None:
    job.takes(SOON)
    run = job.task(deferrable=True).attempt(until_deferred=True)
    (seen,) = job.seen()
    job.simulator.advance(SOON)
    job.simulator.fault("status", job.status_path, "GET", status=502, times=1)
    event = {"status": "success", "job_id": seen["id"], "raw_status": "", "message": "", "polls": 1}
    run.resume(event)
    assert run.value == job.result_of(seen["id"])


def _ended_unread(job: Job) -> tuple[TaskRun, dict[str, Any]]:
    """A deferred task, and the event of a job that the triggerer can read and the worker cannot."""
    job.takes(SOON)
    run = job.task(deferrable=True).attempt(until_deferred=True)
    (seen,) = job.seen()
    job.simulator.advance(SOON)
    job.simulator.fault("status", job.status_path, "GET", status=502)
    return run, {"status": "success", "job_id": seen["id"], "raw_status": "", "message": "", "polls": 1}


def test_an_ended_job_that_cannot_be_read_is_read_again_for_an_hour_in_all(job: Job) -> None:
    run, event = _ended_unread(job)
    assert run.record is not None
    until = run.record["deadline"] + LATE_READS
    for _ in range(2):
        run.resume(event, until_deferred=True)
        assert run.state == "deferred"
        assert run.record["details"]["read_until"] == until


def test_an_ended_job_that_could_not_be_read_for_an_hour_is_given_up(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "LATE_READS", -LATE_READS)
    run, event = _ended_unread(job)
    run.resume(event, until_deferred=True)
    assert isinstance(run.error, WaitError)


def test_a_null_answer_of_mediamagic_is_waited_out(submission: SubmissionJob, deferrable: bool) -> None:
    submission.takes(SOON)
    submission.simulator.fault("null_data", submission.status_path, "GET", times=2)
    run = submission.task(deferrable=deferrable).test()
    assert run.state == "success"


def test_a_missing_status_is_waited_out(job: Job, deferrable: bool) -> None:
    job.takes(SOON)
    field = "status" if job.service == "mediamagic" else "data.status"
    job.simulator.fault("drop_field", job.status_path, "GET", field=field, times=2)
    run = job.task(deferrable=deferrable).test()
    assert run.value == job.result_of(job.seen()[0]["id"])


@pytest.mark.parametrize("status", [400, 401, 403, 404])
@pytest.mark.parametrize("seen_before", [False, True])
def test_an_answer_that_denies_a_job_that_was_there_is_not_believed_at_once(
    job: Job, deferrable: bool, status: int, seen_before: bool
) -> None:
    job.takes(SOON)
    job.simulator.fault(
        "status", job.status_path, "GET", status=status, times=2, skip=1 if seen_before else 0
    )
    run = job.task(deferrable=deferrable).test()
    job.simulator.clear_faults()  # of which a slow machine polls too seldom to meet both
    assert run.value == job.result_of(job.seen()[0]["id"])


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_to_show_a_named_report_is_not_believed_at_once(
    report: ReportJob, deferrable: bool, status: int
) -> None:
    report.takes(SOON)
    case_id = report.case()
    named = report.order(case_id)
    report.simulator.fault("status", report.status_path, "GET", status=status, times=1, skip=1)
    run = report.task(case_id=case_id, report_id=named, deferrable=deferrable).test()
    assert run.value["id"] == named
    assert report.cancels() == []


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError)])
def test_a_refused_key_ends_the_wait_with_its_own_error(
    job: Job, deferrable: bool, status: int, error: type[Exception]
) -> None:
    job.takes(ENDLESS)
    job.simulator.fault("status", job.status_path, "GET", status=status)
    run = job.task(deferrable=deferrable).test()
    assert type(run.error) is error
    assert job.seen()[0]["id"] in str(run.error)


def test_a_refused_key_leaves_the_job_to_be_found_with_a_new_one(job: Job, deferrable: bool) -> None:
    job.takes(SOON)
    job.simulator.fault("status", job.status_path, "GET", status=401)
    run = job.task(deferrable=deferrable, retries=1).test()
    assert run.tries == 1, "the same key is refused again"
    job.simulator.clear_faults()
    run.clear().attempt()
    assert run.value == job.result_of(job.seen()[0]["id"])
    assert job.creations() == 1
