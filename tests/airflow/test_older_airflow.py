"""Airflow 3.1 and 3.2 keep no task state: what holds even so where attempts run on several machines."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from airflow.sdk.bases.operator import ExecutorSafeguard

from airflow_provider.exceptions import JobTimeoutError, WaitError
from tests.airflow.jobs import ENDLESS, QUICK, SOON, Job, ReportJob
from tests.airflow.lone import DAG_RUN, FakeTaskInstance, TaskDeferred


@pytest.fixture(autouse=True)
def _attempts_run_on_several_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "airflow.executors.local_executor")


def _attempt(operator: Any, ti: FakeTaskInstance) -> Any:
    sentinel = {f"{type(operator).__name__}__sentinel": ExecutorSafeguard.sentinel_value}
    return operator.execute({"ti": ti, "run_id": "manual__1", "dag_run": DAG_RUN}, **sentinel)


def _resume(operator: Any, ti: FakeTaskInstance, event: dict[str, Any]) -> Any:
    return operator.execute_complete({"ti": ti, "run_id": "manual__1", "dag_run": DAG_RUN}, event)


def _operator(job: Job, **arguments: Any) -> Any:
    return job.operator(task_id="job", **{**job.arguments(), **QUICK, **arguments})


def _event(job_id: str, status: str) -> dict[str, Any]:
    return {"status": status, "job_id": job_id, "raw_status": "", "message": "It ended.", "polls": 2}


def test_a_synchronous_task_works(job: Job) -> None:
    job.takes(SOON)
    found = _attempt(_operator(job, deferrable=False), FakeTaskInstance())
    assert found == job.result_of(job.seen()[0]["id"])


def test_a_deferred_task_finds_its_record_when_it_resumes(job: Job) -> None:
    job.takes(SOON)
    ti = FakeTaskInstance()
    operator = _operator(job, deferrable=True, timeout=300)
    with pytest.raises(TaskDeferred):
        _attempt(operator, ti)
    job.simulator.advance(SOON)
    (seen,) = job.seen()
    assert _resume(operator, ti, _event(seen["id"], "success")) == job.result_of(seen["id"])


def test_a_deferred_task_resumes_even_without_its_record(job: Job) -> None:
    job.takes(SOON)
    operator = _operator(job, deferrable=True)
    with pytest.raises(TaskDeferred):
        _attempt(operator, FakeTaskInstance())
    job.simulator.advance(SOON)
    (seen,) = job.seen()
    found = _resume(operator, FakeTaskInstance(), _event(seen["id"], "success"))
    assert found == job.result_of(seen["id"])


def test_a_report_whose_answer_was_lost_is_found_without_a_record(report: ReportJob) -> None:
    report.takes(SOON)
    report.simulator.fault("lost_answer", report.create_path, "POST", times=1)
    found = _attempt(_operator(report, deferrable=False), FakeTaskInstance())
    assert found["id"] == report.seen()[0]["id"]


def test_a_report_is_cancelled_when_its_wait_is_given_up_for_no_retry_will_find_it(report: ReportJob) -> None:
    report.takes(ENDLESS)
    ti = FakeTaskInstance(max_tries=3)
    operator = _operator(report, deferrable=True)
    with pytest.raises(TaskDeferred):
        _attempt(operator, ti)
    (seen,) = report.seen()
    with pytest.raises(WaitError):
        _resume(operator, ti, _event(seen["id"], "error"))
    assert report.cancels() == [seen["id"]]


def test_the_error_says_where_a_retry_finds_the_job(job: Job) -> None:
    job.takes(ENDLESS)
    operator = _operator(job, deferrable=False, timeout=0.1, cancel_on_timeout=False)
    with pytest.raises(JobTimeoutError, match="a retry finds it on this machine at most"):
        _attempt(operator, FakeTaskInstance(max_tries=3))
