"""Deadlines: one per job, in both modes, and what becomes of the job."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider.core.polling.wait import Wait
from airflow_provider.exceptions import JobTimeoutError, WaitError
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.operators.silent_witness import SilentWitnessCancelReportOperator
from tests.airflow.conftest import RunTask
from tests.airflow.jobs import ENDLESS, SOON, Job, ReportJob, SubmissionJob
from tests.airflow.task_run import trigger_kwargs


def test_the_error_names_the_job_and_the_limit(job: Job, deferrable: bool) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=deferrable, timeout=1).test()
    assert type(run.error) is JobTimeoutError
    assert job.seen()[0]["id"] in str(run.error)
    assert "within 1 s" in str(run.error)


def test_the_timeout_is_a_builtin_timeout_error_too(job: Job) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=False, timeout=0.1).test()
    assert isinstance(run.error, TimeoutError)


@pytest.mark.parametrize("endless", [timedelta.max, sys.maxsize, 1e12], ids=repr)
def test_a_limit_that_is_as_good_as_none(job: Job, deferrable: bool, endless: Any) -> None:
    job.takes(SOON)
    run = job.task(deferrable=deferrable, timeout=endless, poll_interval=0.2, max_wait=endless).test()
    assert run.value == job.result_of(job.seen()[0]["id"])


def test_a_report_over_its_time_is_cancelled(report: ReportJob, deferrable: bool) -> None:
    report.takes(ENDLESS)
    run = report.task(deferrable=deferrable, timeout=0.1).test()
    assert report.cancels() == [report.seen()[0]["id"]]
    assert "was cancelled (cancel_on_timeout=True)" in str(run.error)


def test_a_report_over_its_time_goes_on_when_the_user_says_so(report: ReportJob, deferrable: bool) -> None:
    report.takes(ENDLESS)
    run = report.task(deferrable=deferrable, timeout=0.1, cancel_on_timeout=False).test()
    assert report.cancels() == []
    assert "The report goes on" in str(run.error)


def test_a_submission_over_its_time_goes_on(submission: SubmissionJob, deferrable: bool) -> None:
    submission.takes(ENDLESS)
    run = submission.task(deferrable=deferrable, timeout=0.1).test()
    assert "The submission goes on" in str(run.error)


def test_execution_timeout_shortens_the_deadline(job: Job) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=True, timeout=500, execution_timeout=timedelta(seconds=100))
    run.attempt(until_deferred=True)
    kwargs = trigger_kwargs(run.recorder.deferrals[0])
    assert 60 < kwargs["deadline"] - kwargs["submitted_at"] <= 95


def test_execution_timeout_counts_what_submitting_took(job: Job) -> None:
    """Airflow's own timeout counts from the start of the attempt: ours must fire first all the same."""
    job.takes(ENDLESS)
    job.simulator.fault("delay", job.create_path, "POST", delay=2, times=1)
    run = job.task(deferrable=True, timeout=500, execution_timeout=timedelta(seconds=100))
    run.attempt(until_deferred=True)
    kwargs = trigger_kwargs(run.recorder.deferrals[0])
    assert kwargs["deadline"] - kwargs["submitted_at"] <= 93


def test_the_framework_stands_behind_our_deadline(job: Job) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=True, timeout=100).attempt(until_deferred=True)
    patience = run.recorder.deferrals[0].trigger_timeout
    assert timedelta(seconds=100) < patience < timedelta(seconds=100 + 600)


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("name", ["poll_interval", "max_wait"])
def test_intervals_can_be_timedeltas(job: Job, name: str, deferrable: bool) -> None:
    job.takes(SOON)
    intervals: dict[str, Any] = {"poll_interval": 0.05, name: timedelta(milliseconds=50)}
    assert job.task(deferrable=deferrable, **intervals).test().state == "success"


@pytest.mark.parametrize("timeout", [timedelta(seconds=90), 90, "90", 90.0])
def test_time_can_be_given_as_number_text_or_timedelta(job: Job, timeout: Any) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=True, timeout=timeout).attempt(until_deferred=True)
    kwargs = trigger_kwargs(run.recorder.deferrals[0])
    assert kwargs["deadline"] - kwargs["submitted_at"] == pytest.approx(90)


def test_a_reattached_job_keeps_its_deadline(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider.core.jobs.run import JobRun
    from tests.airflow.interruptions import die_once

    job.takes(ENDLESS)
    die_once(monkeypatch, JobRun, "proceed")
    run = job.task(deferrable=True, timeout=300, retries=1).attempt()
    assert run.record is not None
    promised = run.record["deadline"]
    run.attempt(until_deferred=True)
    assert trigger_kwargs(run.recorder.deferrals[0])["deadline"] == promised


def test_the_frameworks_timeout_recovers_the_report_and_cancels_it(report: ReportJob) -> None:
    report.takes(ENDLESS)
    run = report.task(deferrable=True).attempt(until_deferred=True).deferral_timeout()
    (seen,) = report.seen()
    assert type(run.error) is JobTimeoutError
    assert seen["id"] in str(run.error)
    assert report.cancels() == [seen["id"]]


def test_the_frameworks_timeout_asks_for_a_triggerer(submission: SubmissionJob) -> None:
    submission.takes(ENDLESS)
    run = submission.task(deferrable=True).attempt(until_deferred=True).deferral_timeout()
    assert "is a triggerer running?" in str(run.error)
    assert "The submission goes on" in str(run.error)


def test_the_frameworks_timeout_of_a_finished_job_is_no_failure(job: Job) -> None:
    job.takes(SOON)
    run = job.task(deferrable=True).attempt(until_deferred=True)
    job.simulator.advance(7200)
    run.deferral_timeout()
    assert run.value == job.result_of(job.seen()[0]["id"])


def test_giving_up_after_trouble_leaves_the_job_to_a_retry(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Wait.__init__.__kwdefaults__, "tolerance", 0.1)  # type: ignore[arg-type]
    report.takes(10 * SOON)
    report.simulator.fault("status", report.status_path, "GET", status=503)
    run = report.task(deferrable=False, retries=1).attempt()
    assert type(run.error) is WaitError
    assert report.seen()[0]["id"] in str(run.error)
    assert report.cancels() == []
    report.simulator.clear_faults()
    report.simulator.advance(10 * SOON)
    run.attempt()
    assert run.state == "success"
    assert report.creations() == 1


def test_giving_up_for_good_cancels_the_report(report: ReportJob) -> None:
    report.takes(ENDLESS)
    run = report.task(deferrable=True).attempt(until_deferred=True)
    (seen,) = report.seen()
    event = {"status": "error", "job_id": seen["id"], "raw_status": "", "message": "Gave up.", "polls": 9}
    run.resume(event)
    assert type(run.error) is WaitError
    assert report.cancels() == [seen["id"]]


# -- a trigger that crashed, or that the triggerer cannot import ---


def test_a_job_that_ended_while_its_trigger_was_gone_is_no_failure(job: Job) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=True).attempt(until_deferred=True)
    job.simulator.advance(ENDLESS)
    run.trigger_failure()
    assert run.value == job.result_of(job.seen()[0]["id"])


def test_after_the_last_attempt_the_report_is_cancelled_and_summed_up(report: ReportJob) -> None:
    report.takes(ENDLESS)
    run = report.task(deferrable=True).attempt(until_deferred=True).trigger_failure()
    (seen,) = report.seen()
    assert type(run.error) is WaitError
    assert seen["id"] in str(run.error)
    assert "no retry follows" in str(run.error)
    assert report.cancels() == [seen["id"]]
    assert run.xcoms["job_summary"]["job_id"] == seen["id"]


def test_a_retry_goes_on_with_the_job_whose_trigger_failed(job: Job) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=True, retries=1).attempt(until_deferred=True).trigger_failure()
    assert run.state == "up_for_retry"
    job.simulator.advance(ENDLESS)
    run.attempt()
    (seen,) = job.seen()
    assert run.value == job.result_of(seen["id"])


def test_a_report_that_ends_while_it_is_cancelled_is_the_tasks_result(
    report: ReportJob, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.takes(ENDLESS)
    ends_before_it_is_cancelled(report, monkeypatch)
    run = report.task(deferrable=deferrable, timeout=0.3).test()
    assert run.value == report.result_of(report.seen()[0]["id"])


def ends_before_it_is_cancelled(report: ReportJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a report end between the last status request and the request to cancel it."""
    cancel = SilentWitnessHook.cancel_report

    def late(self: SilentWitnessHook, report_id: str) -> Any:
        report.simulator.advance(ENDLESS)
        return cancel(self, report_id)

    monkeypatch.setattr(SilentWitnessHook, "cancel_report", late)


def test_a_teardown_that_comes_too_late_to_cancel_succeeds(
    report: ReportJob, task_run: RunTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.takes(ENDLESS)
    report_id = report.order()
    ends_before_it_is_cancelled(report, monkeypatch)
    run = task_run(SilentWitnessCancelReportOperator, report_id=report_id).test()
    assert run.value["status"] == "completed"
