"""One line in the log and one XCom sum a job up for people on call, however its wait has ended."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider.core.jobs.ledger import Entry, paid_requests
from airflow_provider.core.jobs.summary import SUMMARY_KEY, JobSummary
from airflow_provider.core.polling.wait import JobState, Observation
from airflow_provider.operators.silent_witness import report as report_module
from tests.airflow.interruptions import die_once
from tests.airflow.jobs import ENDLESS, QUICK, SOON, Job, ReportJob, SubmissionJob
from tests.airflow.task_run import attempts_own_their_data, fresh_session, register


def the_line(output: pytest.CaptureFixture[str]) -> str:
    """The line of the last attempt, in the log as ``dag.test()`` prints it."""
    return [line for line in output.readouterr().out.splitlines() if "Next: " in line][-1]


def test_a_job_that_went_well(job: Job, deferrable: bool, capfd: pytest.CaptureFixture[str]) -> None:
    job.takes(SOON)
    run = job.task(deferrable=deferrable, retries=2).test()
    summary = run.xcoms[SUMMARY_KEY]
    (seen,) = job.seen()
    polls = job.simulator.ledger()["polls"][seen["id"]]["count"]
    assert summary["job_id"] == seen["id"]
    assert summary["status"] == seen["status"]
    assert (summary["attempt"], summary["attempts"], summary["paid_requests"]) == (1, 3, 1)
    assert summary["status_requests"] == polls - deferrable, (
        "a task that was deferred reads the job once more"
    )
    assert summary["waited_seconds"] > 0
    assert summary["detection_seconds"] <= summary["waited_seconds"] + 1, "the vendors count whole seconds"
    line = the_line(capfd)
    about = f"{job.listed[:-1].capitalize()} {seen['id']} ({summary['name']})"
    assert f"{about}: {seen['status']}; attempt 1 of 3, 1 paid" in line
    assert "Next: nothing, the result is in XCom." in line


def test_a_job_that_took_too_long(job: Job, deferrable: bool, capfd: pytest.CaptureFixture[str]) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=deferrable, timeout=0.3).test()
    assert run.state == "failed"
    summary = run.xcoms[SUMMARY_KEY]
    assert summary["job_id"] == job.seen()[0]["id"]
    assert summary["detection_seconds"] is None
    assert "Next: no retry, this was the last attempt; the error says what to do." in the_line(capfd)


def test_an_attempt_after_which_another_comes(report: ReportJob, capfd: pytest.CaptureFixture[str]) -> None:
    report.fails()
    run = report.task(deferrable=False, retries=1).attempt()
    assert run.state == "up_for_retry"
    if not attempts_own_their_data():
        assert run.xcoms[SUMMARY_KEY]["status"] == "failed"
    assert "Next: attempt 2." in the_line(capfd)


def test_a_failure_that_no_retry_can_help(report: ReportJob, capfd: pytest.CaptureFixture[str]) -> None:
    report.fails(message="Delta-v calculation failed: image quality insufficient")
    report.task(deferrable=False, retries=1).test()
    assert "Next: no retry, because it could not help" in the_line(capfd)


def test_every_report_that_was_asked_for_counts(
    report: ReportJob, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "RETRY_PAUSE", 0.0)
    report.fails(times=2)
    report.takes(SOON)
    run = report.task(deferrable=deferrable, report_retries=2).test()
    assert run.xcoms[SUMMARY_KEY]["paid_requests"] == len(report.seen()) == 3
    assert run.xcoms[SUMMARY_KEY]["job_id"] == run.xcoms["report_id"]


def test_every_retry_of_an_asset_counts(submission: SubmissionJob, deferrable: bool) -> None:
    submission.fails(attempts_failing=2)
    run = submission.task(deferrable=deferrable, asset_retries=2).test()
    assert run.state == "success"
    assert len(submission.simulator.ledger()["asset_retries"]) == 2
    assert run.xcoms[SUMMARY_KEY]["paid_requests"] == 3


def test_a_submission_that_was_lost_counts_too(
    submission: SubmissionJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission.takes(SOON)
    die_once(monkeypatch, submission.operator, "submit", after=True)
    run = submission.task(deferrable=False, retries=1, on_lost_submission="resubmit").test()
    assert run.xcoms[SUMMARY_KEY]["paid_requests"] == len(submission.seen()) == 2


def test_a_record_of_an_older_version_has_no_count() -> None:
    spent = Entry(fingerprint="x", intent_at=1.0, max_tries=0, details={"earlier_ids": ["a", "b"]})
    assert [paid_requests(spent), paid_requests(replace(spent, job_id="c"))] == [2, 3]


def test_the_end_that_counts_is_that_of_the_last_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    note = JobSummary("report", entry=Entry(fingerprint="x", intent_at=1.0, max_tries=0, job_id="r"))
    for now, ended in ((110.0, 100.0), (150.0, 140.0), (190.0, 140.0)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        note.observe(Observation("r", "failed", JobState.FAILED, finished_at=ended))
    assert note.as_json(SimpleNamespace(try_number=1))["detection_seconds"] == 10.0


def test_reports_of_earlier_attempts_count_too(report: ReportJob) -> None:
    report.fails(times=1)
    report.takes(SOON)
    run = report.task(deferrable=False, retries=1).test()
    assert (run.xcoms[SUMMARY_KEY]["attempt"], run.xcoms[SUMMARY_KEY]["paid_requests"]) == (2, 2)


def test_no_wait_no_summary(job: Job) -> None:
    run = job.task(wait_for_completion=False).test()
    assert SUMMARY_KEY not in run.xcoms


def test_who_wants_no_xcom_gets_the_line_only(job: Job, capfd: pytest.CaptureFixture[str]) -> None:
    job.takes(0)
    run = job.task(do_xcom_push=False, deferrable=False).test()
    assert SUMMARY_KEY not in run.xcoms
    assert the_line(capfd)


def test_what_was_paid_for_with_other_arguments_counts_too(report: ReportJob) -> None:
    report.takes(SOON)
    run = report.task(deferrable=False).test()
    run.task.use_demo_data = True
    run.clear().attempt()
    first, second = (one["id"] for one in report.seen())
    assert run.xcoms[SUMMARY_KEY]["job_id"] == second
    assert run.xcoms[SUMMARY_KEY]["paid_requests"] == 2
    assert run.record is not None
    assert run.record["details"]["earlier_ids"] == [first]


def test_the_tasks_of_a_mapped_group_count_for_themselves(report: ReportJob, deferrable: bool) -> None:
    """`dag.test()` runs them all with one operator."""
    from airflow.sdk import DAG, task_group

    report.takes(SOON)
    dag_id = f"reports_of_cases_{deferrable}"
    with DAG(dag_id, schedule=None) as dag:

        @task_group
        def case(case_id: str) -> None:
            report.operator(task_id="report", case_id=case_id, deferrable=deferrable, **QUICK)

        case.expand(case_id=[report.case(), report.case()])
    register(dag)
    run = dag.test()
    assert str(run.state) == "success"
    polls = {key: seen["count"] for key, seen in report.simulator.ledger()["polls"].items()}
    summaries = summaries_of(dag_id)
    assert {one["job_id"] for one in summaries} == {one["id"] for one in report.seen()}
    assert [one["status_requests"] for one in summaries] == [
        polls[one["job_id"]] - deferrable for one in summaries
    ]


def summaries_of(dag_id: str) -> list[dict[str, Any]]:
    """The summaries of all task instances of a Dag."""
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    query = select(XComModel).where(XComModel.dag_id == dag_id, XComModel.key == SUMMARY_KEY)
    return [XComModel.deserialize_value(row) for row in fresh_session().scalars(query)]
