"""A connection that was made in the web interface serves deferred tasks, in ``dag.test()`` too."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from airflow.models.connection import Connection
from sqlalchemy import delete

from tests.airflow.jobs import SOON, Job
from tests.airflow.task_run import fresh_session


@pytest.fixture
def stored(job: Job, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """The job's connection, in the database and not in the environment."""
    conn_id = f"{job.service}_default"
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    connection = Connection.from_json(os.environ[variable], conn_id)
    monkeypatch.delenv(variable)
    session = fresh_session()
    session.add(connection)
    session.commit()
    yield job
    session.execute(delete(Connection).where(Connection.conn_id == conn_id))
    session.commit()


def test_a_deferred_task_finds_it(stored: Job) -> None:
    stored.takes(SOON)
    run = stored.task(deferrable=True, timeout=5).test()
    assert run.state == "success"
    assert [event["status"] for event in run.recorder.events] == ["success"]


def test_one_that_is_nowhere_is_not_defined(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"AIRFLOW_CONN_{job.service.upper()}_DEFAULT")
    run = job.task(deferrable=True).test()
    assert run.state == "failed"
    assert "is not defined" in str(run.error)
