"""``on_clear``: a clear attaches to the job that was paid for, or pays for a new one, with either store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.core.jobs.run import JobRun
from airflow_provider.exceptions import InvalidInputError, JobTimeoutError, NotFoundError
from tests.airflow.interruptions import die_once
from tests.airflow.jobs import ENDLESS, SOON, Job, ReportJob, SubmissionJob
from tests.airflow.task_run import TaskRun, needs_state_store

Clear = Callable[[TaskRun], TaskRun]


@pytest.fixture(params=["default", "named folder"])
def clear(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clear:
    """Clear a task whose record is where it is by default, or only in a file of a named folder."""
    if request.param == "named folder":
        monkeypatch.setenv("AIRFLOW__AIRFLOW_PROVIDER__JOB_RECORDS_PATH", str(tmp_path))
        return lambda run: run.clear().discard_task_state()
    return lambda run: run.clear()


def test_attach_takes_a_job_that_runs(job: Job, deferrable: bool, clear: Clear) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=True, on_clear="attach").attempt(until_deferred=True)
    job.simulator.advance(ENDLESS)
    run.task.deferrable = deferrable
    clear(run).attempt()
    (seen,) = job.seen()
    assert run.value == job.result_of(seen["id"])
    assert job.simulator.ledger()["cancels"] == []


def test_attach_takes_a_job_that_was_returned(job: Job, clear: Clear) -> None:
    job.takes(SOON)
    run = job.task(deferrable=False, on_clear="attach").test()
    first = run.value
    clear(run).attempt()
    assert run.value == first
    assert len(job.seen()) == 1


def test_attach_pays_for_a_new_job_after_one_that_failed(job: Job, clear: Clear) -> None:
    job.fails()
    run = job.task(deferrable=False, on_clear="attach").test()
    job.simulator.clear_scripts()
    job.takes(SOON)
    clear(run).attempt()
    assert run.state == "success"
    assert len(job.seen()) == 2


@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_new_cancels_a_report_that_runs(report: ReportJob, clear: Clear, cancel_on_kill: bool) -> None:
    report.takes(ENDLESS)
    run = report.task(deferrable=True, on_clear="new", cancel_on_kill=cancel_on_kill)
    run.attempt(until_deferred=True)
    (first,) = report.seen()
    clear(run).attempt(until_deferred=True)
    assert report.cancels() == [first["id"]]
    assert run.xcoms[report.id_key] != first["id"]
    assert len(report.seen()) == 2


def test_new_pays_beside_a_submission_that_runs(submission: SubmissionJob, clear: Clear) -> None:
    submission.takes(ENDLESS)
    run = submission.task(deferrable=True, on_clear="new").attempt(until_deferred=True)
    clear(run).attempt(until_deferred=True)
    assert len(submission.seen()) == 2


def test_new_pays_once_more_and_its_retries_do_not(
    job: Job, clear: Clear, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.takes(SOON)
    run = job.task(deferrable=False, on_clear="new", retries=1).test()
    die_once(monkeypatch, JobRun, "proceed")
    clear(run).attempt()
    run.attempt()
    assert run.state == "success"
    assert len(job.seen()) == 2


def test_new_replaces_a_job_whose_result_nobody_has_had(
    job: Job, clear: Clear, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.takes(SOON)
    die_once(monkeypatch, JobRun, "proceed")
    run = job.task(deferrable=False, on_clear="new").attempt()
    clear(run).attempt()
    assert len(job.seen()) == 2


@pytest.mark.parametrize(
    "arguments", [{"on_clear": "reuse"}, {"on_clear": True}, {"on_clear": "new", "reuse_completed": True}]
)
def test_what_on_clear_cannot_be(report: ReportJob, arguments: dict[str, Any]) -> None:
    run = report.task(deferrable=False, **arguments).test()
    assert type(run.error) is InvalidInputError
    assert run.error.parameter == "on_clear"
    assert report.creations() == 0


@pytest.mark.parametrize("on_clear", [None, "attach", "new"], ids=str)
def test_the_error_of_a_job_that_goes_on_says_whether_a_clear_takes_it(
    job: Job, deferrable: bool, on_clear: str | None
) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=deferrable, timeout=0.2, cancel_on_timeout=False, on_clear=on_clear).test()
    assert type(run.error) is JobTimeoutError
    assert "re-attaches to it" in str(run.error)
    assert ("clearing the task" in str(run.error)) == (on_clear != "new")


@needs_state_store
def test_the_error_names_no_clear_where_airflow_forgets_the_job(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Airflow 3.4 does on several machines."""
    monkeypatch.setattr("airflow_provider.core.jobs.ledger.CLEAR_DISCARDS_TASK_STATE", True)
    monkeypatch.setattr("airflow_provider.core.jobs.ledger.runs_in_local_executor", lambda: False)
    job.takes(ENDLESS)
    run = job.task(deferrable=False, timeout=0.2, cancel_on_timeout=False).test()
    assert str(run.error).endswith("goes on; a retry re-attaches to it.")


def test_the_error_of_a_job_that_is_gone_says_that_a_clear_pays(job: Job) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=True).attempt(until_deferred=True)
    (seen,) = job.seen()
    for method in ("GET", "DELETE"):
        job.simulator.fault("status", job.status_path, method, status=404)
    run.resume({"status": "error", "job_id": seen["id"], "raw_status": "", "message": "Gone.", "polls": 3})
    assert "may be running and billed all the same. Clearing the task pays for a new one" in str(run.error)
    run.clear().attempt(until_deferred=True)
    assert len(job.seen()) == 2


def test_a_clear_pays_for_no_job_in_place_of_one_that_was_named(job: Job, deferrable: bool) -> None:
    job.takes(ENDLESS)
    named = job.order()
    arguments: dict[str, Any] = {job.id_key: named}
    if isinstance(job, ReportJob):
        arguments["case_id"] = job.vendor_says(named)["data"]["case_id"]
    run = job.task(deferrable=deferrable, wait_for_completion=False, **arguments)
    run.attempt()
    for method in ("GET", "DELETE"):
        job.simulator.fault("status", job.status_path, method, status=404)
    run.clear().attempt()
    assert type(run.error) is NotFoundError
    assert [one["id"] for one in job.seen()] == [named]
