"""Tasks to run through real Airflow, and the two jobs that most tests are about."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from airflow_provider.core.budget import rate_budget, turns
from airflow_provider.core.jobs import cancelling, pay_once, turn_trigger
from airflow_provider.operators.mediamagic import MediaMagicRetryAssetOperator
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateCaseOperator,
    SilentWitnessCreateReportOperator,
    SilentWitnessUploadEvidenceOperator,
)
from airflow_provider.simulator import Simulator
from tests.airflow.jobs import Job, ReportJob, SubmissionJob
from tests.airflow.task_run import Recorder, TaskRun
from tests.conftest import MEDIAMAGIC_KEY, SILENT_WITNESS_KEY

Connect = Callable[..., str]
RunTask = Callable[..., TaskRun]


@pytest.fixture(autouse=True)
def _requests_arrive_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request is still on its way when a retry looks for what it started; a live test has one."""
    for operator in (
        MediaMagicRetryAssetOperator,
        SilentWitnessCreateCaseOperator,
        SilentWitnessCreateReportOperator,
        SilentWitnessUploadEvidenceOperator,
    ):
        monkeypatch.setattr(operator, "arrives_within", 0.0)


@pytest.fixture(autouse=True)
def _runs_in_local_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    """All attempts run on this machine, where Airflow's home keeps what Airflow 3.1 and 3.2 do not."""
    monkeypatch.setitem(sys.modules, "airflow.executors.local_executor", ModuleType("local_executor"))


@pytest.fixture(autouse=True)
def _what_failed_is_sent_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "CANCEL_PAUSES", (0.01, 0.02, 0.03))
    monkeypatch.setattr(pay_once, "RECORD_PAUSES", (0.01, 0.02, 0.05))
    monkeypatch.setattr(pay_once, "READ_PAUSES", (0.01, 0.02, 0.05, 0.1, 0.15))


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is long enough to be deferred for."""
    monkeypatch.setattr(turns, "SHORT_WAIT", 0.2)
    monkeypatch.setattr(rate_budget, "FIRST_PAUSE", 0.2)
    monkeypatch.setattr(turn_trigger, "RESUME_LEAD", 0.1)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Define a connection: ``connect("mediamagic", host=..., password=..., extra={...})``."""

    def define(conn_type: str, **fields: Any) -> str:
        conn_id = f"{conn_type}_default"
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": conn_type, **fields}))
        return conn_id

    return define


@pytest.fixture
def mediamagic_conn(simulator: Simulator, connect: Connect) -> str:
    """A connection that leaves the patience to the wait: no request is repeated by itself."""
    return connect(
        "mediamagic", host=simulator.url, password=MEDIAMAGIC_KEY, extra=json.dumps({"max_retries": 0})
    )


@pytest.fixture
def silent_witness_conn(simulator: Simulator, connect: Connect) -> str:
    """As ``mediamagic_conn``."""
    return connect(
        "silent_witness",
        host=simulator.url,
        password=SILENT_WITNESS_KEY,
        extra=json.dumps({"max_retries": 0}),
    )


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """What tasks and triggers of this test did."""
    recorder = Recorder()
    recorder.install(monkeypatch)
    return recorder


@pytest.fixture
def task_run(airflow_db: None, recorder: Recorder) -> Iterator[RunTask]:
    """Make a task of an operator: ``task_run(Operator, retries=1, **arguments)``; nothing runs yet."""
    handler = signal.getsignal(signal.SIGTERM)  # each task installs its own

    def make(operator: Callable[..., Any], *, retries: int = 0, **arguments: Any) -> TaskRun:
        return TaskRun(lambda **basic: operator(**basic, **arguments), recorder, retries=retries)

    yield make
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(params=[True, False], ids=["deferred", "sync"])
def deferrable(request: pytest.FixtureRequest) -> bool:
    """Both ways to wait."""
    return bool(request.param)


@pytest.fixture
def submission(simulator: Simulator, mediamagic_conn: str, task_run: RunTask, tmp_path: Any) -> SubmissionJob:
    """The job of MediaMagic."""
    return SubmissionJob(simulator, task_run, tmp_path)


@pytest.fixture
def report(simulator: Simulator, silent_witness_conn: str, task_run: RunTask, tmp_path: Any) -> ReportJob:
    """The job of Silent Witness."""
    return ReportJob(simulator, task_run, tmp_path)


@pytest.fixture(params=["submission", "report"])
def job(request: pytest.FixtureRequest) -> Job:
    """Either job, for what is the same with both."""
    found: Job = request.getfixturevalue(request.param)
    return found
