"""An event that is none of ours resumes a task: its job is looked up by the record."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider.exceptions import WaitError
from tests.airflow.jobs import ENDLESS, SOON, Job
from tests.airflow.lone import DAG_RUN, FakeStateStore, FakeTaskInstance, TaskDeferred, execute

ODD: list[Any] = [None, {}, {"status": "success"}, {"status": 1, "job_id": None}, "text", [], 5]

pytestmark = pytest.mark.parametrize("event", ODD, ids=repr)


def context_of(store: FakeStateStore) -> dict[str, Any]:
    return {
        "ti": FakeTaskInstance(),
        "task_state_store": store,
        "run_id": "manual__2026-11-21",
        "dag_run": DAG_RUN,
        "task": SimpleNamespace(),
    }


def deferred(job: Job, store: FakeStateStore) -> Any:
    operator = job.operator(task_id="job", deferrable=True, **job.arguments())
    with pytest.raises(TaskDeferred):
        execute(operator, store=store)
    return operator


def test_a_job_that_has_ended_is_delivered(job: Job, event: Any) -> None:
    job.takes(SOON)
    store = FakeStateStore()
    operator = deferred(job, store)
    job.simulator.advance(2 * SOON)
    assert operator.execute_complete(context_of(store), event)
    assert len(job.seen()) == 1


def test_a_job_that_runs_is_left_to_a_retry(job: Job, event: Any) -> None:
    job.takes(ENDLESS)
    store = FakeStateStore()
    operator = deferred(job, store)
    with pytest.raises(WaitError, match="names no job"):
        operator.execute_complete(context_of(store), event)
    assert len(job.seen()) == 1


def test_a_task_without_a_record_says_what_came(job: Job, event: Any) -> None:
    operator = job.operator(task_id="job", deferrable=True, **job.arguments())
    with pytest.raises(WaitError, match="names no job"):
        operator.execute_complete(context_of(FakeStateStore()), event)
    assert job.seen() == []


def test_a_sensor_says_what_came(job: Job, event: Any) -> None:
    sensor = job.sensor(task_id="job", deferrable=True, timeout=timedelta(minutes=1), **{job.id_key: "id_1"})
    with pytest.raises(WaitError, match="names no job"):
        sensor.execute_complete(context_of(FakeStateStore()), event)
