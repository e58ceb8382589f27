"""What a cleared task does with the job of before: reuse it, replace it, cancel it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider.core.jobs import cancelling
from airflow_provider.core.jobs.ledger import KEY, TaskStateStore
from airflow_provider.core.jobs.run import JobRun
from airflow_provider.exceptions import JobTimeoutError, LedgerError
from tests.airflow.interruptions import die_once
from tests.airflow.jobs import ENDLESS, SOON, Job, ReportJob, SubmissionJob
from tests.airflow.task_run import TaskRun, fresh_session, needs_state_store


def test_a_cleared_success_is_paid_for_anew(job: Job, deferrable: bool) -> None:
    job.takes(SOON)
    run = job.task(deferrable=deferrable).test().clear().attempt()
    assert run.state == "success"
    assert len(job.seen()) == 2


def test_a_cleared_success_is_reused_when_the_user_says_so(job: Job, deferrable: bool) -> None:
    job.takes(SOON)
    run = job.task(deferrable=deferrable, reuse_completed=True).test()
    first = run.value
    run.clear().attempt()
    assert run.value == first
    assert len(job.seen()) == 1


def test_a_report_cleared_while_it_runs_is_cancelled_and_made_anew(
    report: ReportJob, deferrable: bool
) -> None:
    report.takes(ENDLESS)
    run = report.task(deferrable=True).attempt(until_deferred=True)
    (first,) = report.seen()
    report.simulator.clear_scripts()
    report.takes(SOON)
    run.task.deferrable = deferrable
    run.clear().attempt()
    assert report.cancels() == [first["id"]]
    assert run.value["id"] != first["id"]


def test_a_report_cleared_while_it_runs_is_waited_for_when_killing_must_not_cancel(
    report: ReportJob,
) -> None:
    report.takes(ENDLESS)
    run = report.task(deferrable=True, cancel_on_kill=False).attempt(until_deferred=True)
    (first,) = report.seen()
    run.clear().attempt(until_deferred=True)
    assert run.xcoms[report.id_key] == first["id"]
    assert len(report.seen()) == 1
    assert report.cancels() == []


def test_a_submission_cleared_while_it_runs_is_waited_for(submission: SubmissionJob) -> None:
    """It cannot be cancelled and is paid for."""
    submission.takes(ENDLESS)
    run = submission.task(deferrable=True).attempt(until_deferred=True)
    run.clear().attempt(until_deferred=True)
    assert run.xcoms[submission.id_key] == submission.seen()[0]["id"]
    assert len(submission.seen()) == 1


def test_a_job_left_at_its_deadline_gets_its_time_again(job: Job, deferrable: bool) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=deferrable, timeout=0.1, cancel_on_timeout=False, retries=1).attempt()
    assert type(run.error) is JobTimeoutError
    assert "re-attaches to it" in str(run.error)
    job.simulator.advance(ENDLESS)
    run.attempt()
    assert run.state == "success"
    assert len(job.seen()) == 1


def test_a_job_left_at_its_deadline_is_found_after_a_clear(job: Job) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=True, timeout=0.1, cancel_on_timeout=False).attempt()
    run.clear().attempt(until_deferred=True)
    assert run.xcoms[job.id_key] == job.seen()[0]["id"]
    assert len(job.seen()) == 1


def test_a_failed_job_is_replaced(job: Job) -> None:
    job.fails()
    run = job.task(deferrable=True).test()
    job.simulator.clear_scripts()
    job.takes(SOON)
    run.clear().attempt()
    assert run.state == "success"
    assert len(job.seen()) == 2


def test_a_partly_failed_submission_serves_a_cleared_task_that_allows_it(submission: SubmissionJob) -> None:
    submission.fails(match={"filename": "bad*"})
    submission.takes(SOON)
    files = [submission.file("good.txt"), submission.file("bad.txt")]
    run = submission.task(files=files, deferrable=False, reuse_completed=True).test()
    run.task.allow_partial = True
    run.clear().attempt()
    assert len(run.value["completedAssetIds"]) == 1
    assert len(submission.seen()) == 1


def test_a_retry_in_the_round_after_a_clear_is_no_second_clear(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=True, timeout=0.1, cancel_on_timeout=False, retries=1).attempt()
    die_once(monkeypatch, JobRun, "renew")
    run.clear().attempt()
    run.attempt(until_deferred=True)
    assert run.xcoms[job.id_key] == job.seen()[0]["id"]
    assert len(job.seen()) == 1


def test_a_retry_after_a_clear_finds_what_the_cleared_attempt_has_paid_for(
    report: ReportJob, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt before the clear had been refused, and had left its record."""
    report.takes(SOON)
    report.simulator.fault("status", report.create_path, "POST", status=402, times=1)
    run = report.task(deferrable=deferrable, retries=1).attempt()
    assert run.state == "failed"
    die_once(monkeypatch, JobRun, "proceed")
    run.clear().attempt()
    run.attempt()
    (seen,) = report.seen()
    assert run.value == report.result_of(seen["id"])
    assert report.cancels() == []


@pytest.mark.parametrize("ends_as", ["completed", "failed"])
def test_a_report_that_ends_while_a_clear_would_cancel_it_is_taken_if_it_has_succeeded(
    report: ReportJob, deferrable: bool, monkeypatch: pytest.MonkeyPatch, ends_as: str
) -> None:
    report.takes(ENDLESS) if ends_as == "completed" else report.fails(duration=ENDLESS)
    run = report.task(deferrable=True).attempt(until_deferred=True)
    cancel = cancelling.cancel_job

    def ended(*args: Any, **options: Any) -> Any:
        report.simulator.advance(ENDLESS)
        report.simulator.clear_scripts()
        report.takes(SOON)
        return cancel(*args, **options)

    monkeypatch.setattr(cancelling, "cancel_job", ended)
    run.task.deferrable = deferrable
    run.clear().attempt()
    assert run.state == "success"
    assert len(report.seen()) == (1 if ends_as == "completed" else 2)


def test_a_job_whose_worker_died_is_not_paid_for_again_when_it_has_ended(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.takes(SOON)
    die_once(monkeypatch, JobRun, "proceed")
    run = job.task(deferrable=True).attempt()
    assert run.state == "failed"
    job.simulator.advance(3600)
    run.clear().attempt()
    assert run.value == job.result_of(job.seen()[0]["id"])
    assert len(job.seen()) == 1
    run.clear().attempt()
    assert len(job.seen()) == 2, "its result was returned, and a clear asks for a new one"


def test_a_submission_that_ended_after_its_task_was_marked_is_not_paid_for_again(
    submission: SubmissionJob,
) -> None:
    submission.takes(SOON)
    run = submission.task(deferrable=True).attempt(until_deferred=True)
    submission.simulator.advance(3600)
    run.clear().attempt()
    assert run.value["submissionId"] == submission.seen()[0]["id"]
    assert len(submission.seen()) == 1


def test_a_job_left_behind_is_reused_once(job: Job) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=False, timeout=0.1, cancel_on_timeout=False).attempt()
    job.simulator.advance(ENDLESS)
    job.takes(SOON)
    run.clear().attempt()
    assert len(job.seen()) == 1
    run.clear().attempt()
    assert len(job.seen()) == 2


# -- records that cannot be used ---


def _write(run: TaskRun, value: Any) -> None:
    """Put something else into the task state store under our key."""
    from airflow.models.task_state_store import TaskStateStoreModel as Stored
    from sqlalchemy import update

    session = fresh_session()
    session.execute(
        update(Stored)
        .where(Stored.dag_id == run.dag.dag_id, Stored.key == KEY)
        .values(value=json.dumps(value))
    )
    session.commit()


@needs_state_store
@pytest.mark.parametrize(
    "record",
    [{"version": 99}, {"version": 1}, {"job": "x"}, "text", [1, 2]],
    ids=["later-version", "fields-missing", "no-version", "text", "list"],
)
def test_a_record_that_cannot_be_read_is_an_error_and_nothing_is_sent(
    submission: SubmissionJob, record: Any
) -> None:
    submission.takes(ENDLESS)
    run = submission.task(deferrable=True, retries=1).attempt(until_deferred=True)
    before = submission.simulator.ledger()["total_requests"]
    _write(run, record)
    run.clear().attempt()
    assert type(run.error) is LedgerError
    assert KEY in str(run.error)
    assert submission.simulator.ledger()["total_requests"] == before


@needs_state_store
def test_a_store_that_does_not_answer_is_an_error_and_nothing_is_sent(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: TaskStateStore) -> None:
        raise ConnectionError("the API server is away")

    run = job.task(deferrable=True)
    before = job.simulator.ledger()["total_requests"]
    monkeypatch.setattr(TaskStateStore, "get", broken)
    run.test()
    assert type(run.error) is LedgerError
    assert "Nothing was submitted" in str(run.error)
    assert job.simulator.ledger()["total_requests"] == before


@needs_state_store
def test_a_store_that_takes_nothing_stops_before_the_paid_call(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: TaskStateStore, value: dict[str, Any]) -> None:
        raise ConnectionError("the API server is away")

    run = job.task(deferrable=True)
    monkeypatch.setattr(TaskStateStore, "set", broken)
    run.test()
    assert type(run.error) is LedgerError
    assert job.creations() == 0
