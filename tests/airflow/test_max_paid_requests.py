"""``max_paid_requests`` counts what a task pays for over retries, clears and repairs, and then ends it."""

from __future__ import annotations

import pytest

from airflow_provider.exceptions import PaidRequestsLimitError
from airflow_provider.operators.silent_witness import SilentWitnessCreateCaseOperator as CreateCase
from airflow_provider.operators.silent_witness import report as report_module
from airflow_provider.simulator import Simulator
from tests.airflow.conftest import RunTask
from tests.airflow.jobs import ENDLESS, SOON, Job, ReportJob, SubmissionJob
from tests.airflow.task_run import TaskRun


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "RETRY_PAUSE", 0.0)


def _assert_limited(run: TaskRun, *known: str) -> None:
    assert type(run.error) is PaidRequestsLimitError
    assert run.error.parameter == "max_paid_requests"
    for text in ("max_paid_requests=", *known):
        assert text in str(run.error)


def test_retries_count(job: Job, deferrable: bool) -> None:
    job.fails()
    run = job.task(deferrable=deferrable, retries=5, max_paid_requests=2).test()
    _assert_limited(run, "2 paid requests", *(one["id"] for one in job.seen()))
    assert len(job.seen()) == 2
    assert run.tries == 3, "the error stops the retries"


def test_clears_count(job: Job) -> None:
    job.takes(SOON)
    run = job.task(deferrable=False, max_paid_requests=1).test()
    (first,) = job.seen()
    run.clear().attempt()
    _assert_limited(run, first["id"])
    assert len(job.seen()) == 1


def test_a_retry_that_finds_its_job_pays_nothing_and_goes_on(job: Job) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=True, timeout=0.1, cancel_on_timeout=False, retries=1, max_paid_requests=1)
    run.attempt()
    job.simulator.advance(ENDLESS)
    run.attempt()
    assert run.state == "success"


def test_new_reports_on_the_same_case_count(report: ReportJob, deferrable: bool) -> None:
    report.fails()
    run = report.task(deferrable=deferrable, report_retries=5, retries=1, max_paid_requests=2).test()
    _assert_limited(run, "Report generation timed out")
    assert len(report.seen()) == 2
    assert run.tries == 1


def test_a_running_report_is_kept_by_a_clear_that_may_pay_for_no_other(report: ReportJob) -> None:
    report.takes(ENDLESS)
    run = report.task(deferrable=True, max_paid_requests=1).attempt(until_deferred=True)
    run.clear().attempt(until_deferred=True)
    assert report.cancels() == []
    assert len(report.seen()) == 1


def test_retries_of_assets_count(submission: SubmissionJob, deferrable: bool) -> None:
    submission.fails()
    run = submission.task(deferrable=deferrable, asset_retries=9, retries=1, max_paid_requests=3).test()
    _assert_limited(run, "3 paid requests", "Transcoding stopped")
    assert submission.creations() == 1
    assert len(submission.simulator.ledger()["asset_retries"]) == 2


def test_no_more_assets_are_retried_at_once_than_are_left(submission: SubmissionJob) -> None:
    submission.fails()
    files = [submission.file(name, f"An ad called {name}.") for name in ("a.txt", "b.txt", "c.txt")]
    submission.task(files=files, deferrable=False, asset_retries=1, max_paid_requests=3).test()
    assert len(submission.simulator.ledger()["asset_retries"]) == 2


def test_what_completed_is_returned_when_no_retry_may_be_paid(submission: SubmissionJob) -> None:
    submission.fails(match={"filename": "bad*"})
    submission.takes(SOON)
    files = [submission.file("good.txt"), submission.file("bad.txt")]
    run = submission.task(
        files=files, deferrable=False, allow_partial=True, asset_retries=3, max_paid_requests=1
    ).test()
    assert len(run.value["completedAssetIds"]) == 1
    assert submission.simulator.ledger()["asset_retries"] == []


@pytest.mark.usefixtures("silent_witness_conn")
def test_cases_count(simulator: Simulator, task_run: RunTask) -> None:
    parties = {"plaintiff_name": "Ann Smith", "defendant_name": "Bob Jones", "attorney_name": "Cleo Park"}
    run = task_run(CreateCase, **parties, max_paid_requests=1).test()
    run.clear().attempt()
    _assert_limited(run)
    assert len(simulator.ledger()["cases"]) == 1


def test_zero_pays_for_nothing_but_takes_a_job_that_exists(report: ReportJob) -> None:
    report.takes(SOON)
    case_id = report.case()
    existing = report.order(case_id)
    report.task(deferrable=False, max_paid_requests=0).test()
    assert report.creations() == 1
    run = report.task(case_id=case_id, report_id=existing, deferrable=False, max_paid_requests=0).test()
    assert run.value["id"] == existing


@pytest.mark.parametrize("value", ["1", -1, 1.5, True], ids=repr)
def test_what_is_no_number_of_requests(report: ReportJob, value: object) -> None:
    run = report.task(deferrable=False, max_paid_requests=value).test()
    assert getattr(run.error, "parameter", None) == "max_paid_requests"
    assert report.creations() == 0
