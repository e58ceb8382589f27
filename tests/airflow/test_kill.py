"""A killed task never ends as a success, and takes the report it started with it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_provider.exceptions import JobCancelledError
from airflow_provider.triggers.silent_witness import SilentWitnessReportTrigger
from tests.airflow.jobs import ENDLESS, SOON, Job, ReportJob, SubmissionJob
from tests.airflow.task_run import needs_state_store, trigger_kwargs

Kill = Callable[..., None]


@pytest.fixture
def kill_while_waiting(monkeypatch: pytest.MonkeyPatch) -> Kill:
    """
    Send the signal that Airflow sends, in a pause after the vendor has seen a status request of the job.

    The signal never interrupts a call to Airflow: the API server in a test's process takes one at a time.
    """

    def arm(job: Job, first: Callable[[], None] = lambda: None) -> None:
        pause = time.sleep

        def killed(seconds: float) -> None:
            pause(min(seconds, 0.05))
            if any(polls["count"] for polls in job.simulator.ledger()["polls"].values()):
                first()
                os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr("airflow_provider.core.jobs.run.time.sleep", killed)

    return arm


def kill_after_submit(monkeypatch: pytest.MonkeyPatch, job: Job) -> None:
    """Let the signal come before the answer to the creation is read: ``on_kill`` knows no id yet."""
    submit = job.operator.submit

    def killed(self: object, *args: object) -> object:
        body = submit(self, *args)
        os.kill(os.getpid(), signal.SIGTERM)
        return body

    monkeypatch.setattr(job.operator, "submit", killed)


def test_the_report_is_cancelled_once(report: ReportJob, kill_while_waiting: Kill) -> None:
    report.takes(ENDLESS)
    kill_while_waiting(report)
    report.task(deferrable=False).test()
    assert report.cancels() == [report.seen()[0]["id"]]


def test_the_task_fails_and_says_what_became_of_the_report(
    report: ReportJob, kill_while_waiting: Kill
) -> None:
    report.takes(ENDLESS)
    kill_while_waiting(report)
    run = report.task(deferrable=False).test()
    assert run.state == "failed"
    assert type(run.error) is JobCancelledError
    assert "The task was killed" in str(run.error)
    assert "was cancelled" in str(run.error)
    assert run.xcoms["job_summary"]["status"] in ("pending", "processing"), "as it was last seen"


def test_the_report_goes_on_when_the_user_says_so(report: ReportJob, kill_while_waiting: Kill) -> None:
    report.takes(ENDLESS)
    kill_while_waiting(report)
    run = report.task(deferrable=False, cancel_on_kill=False).test()
    assert report.cancels() == []
    assert "goes on" in str(run.error)


def test_a_killed_submission_is_said_to_go_on(
    submission: SubmissionJob, kill_while_waiting: Kill, capfd: pytest.CaptureFixture[str]
) -> None:
    submission.takes(ENDLESS)
    kill_while_waiting(submission)
    run = submission.task(deferrable=False).test()
    (seen,) = submission.seen()
    assert run.state == "failed"
    assert f"The task was killed; submission {seen['id']} goes on." in capfd.readouterr().out


def test_a_kill_between_creation_and_wait_still_cancels(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.takes(ENDLESS)
    kill_after_submit(monkeypatch, report)
    run = report.task(deferrable=False).test()
    assert run.state == "failed"
    assert report.cancels() == [report.seen()[0]["id"]]


def test_a_task_that_is_killed_before_its_paid_request_sends_none(
    job: Job, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = job.operator.prepare

    def killed(self: object, *args: object) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        return prepare(self, *args)

    monkeypatch.setattr(job.operator, "prepare", killed)
    run = job.task(deferrable=deferrable).test()
    assert type(run.error) is JobCancelledError
    assert job.creations() == 0


def test_a_kill_while_a_failed_report_is_replaced_cancels_the_new_one(
    report: ReportJob, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider.operators.silent_witness.report.RETRY_PAUSE", 0.01)
    report.fails()
    submit = report.operator.submit

    def killed(self: object, *args: object) -> object:
        if report.seen():
            report.simulator.clear_scripts()
            report.takes(ENDLESS)
            os.kill(os.getpid(), signal.SIGTERM)
        return submit(self, *args)

    monkeypatch.setattr(report.operator, "submit", killed)
    run = report.task(deferrable=deferrable, report_retries=1).test()
    assert run.state == "failed"
    assert len(report.seen()) == 2
    assert report.running() == []


def test_a_report_that_was_ordered_while_its_worker_was_shut_down_goes_on_for_the_retry(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.takes(SOON)
    kill_after_submit(monkeypatch, report)
    run = report.task(deferrable=False, retries=1).attempt()
    assert type(run.error) is JobCancelledError
    assert report.cancels() == []
    assert run.attempt().state == "success"
    assert len(report.seen()) == 1


def test_a_kill_just_before_deferring_still_cancels(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.takes(ENDLESS)
    kill_after_submit(monkeypatch, report)
    run = report.task(deferrable=True).attempt(until_deferred=True)
    assert run.state == "failed"
    assert report.cancels() == [report.seen()[0]["id"]]


@needs_state_store
def test_an_attempt_that_was_replaced_leaves_the_report_to_the_retry(
    report: ReportJob, kill_while_waiting: Kill, capfd: pytest.CaptureFixture[str]
) -> None:
    """A worker that was cut off comes back when the retry runs already, and is told to end."""
    report.takes(ENDLESS)
    run = report.task(deferrable=False, retries=1)
    kill_while_waiting(report, run.replace)
    run.attempt()
    assert len(report.seen()) == 1
    assert report.cancels() == []
    assert "Airflow gave up this attempt" in capfd.readouterr().out


def test_a_report_of_a_worker_that_is_shut_down_goes_on_for_the_retry(
    report: ReportJob, kill_while_waiting: Kill
) -> None:
    """Its pod is evicted: nobody has killed the task, which Airflow takes for running."""
    report.takes(ENDLESS)
    run = report.task(deferrable=False, retries=1)
    kill_while_waiting(report)
    run.attempt()
    assert type(run.error) is JobCancelledError
    assert report.cancels() == []
    run.task.deferrable = True
    assert run.attempt(until_deferred=True).state == "deferred"
    assert len(report.seen()) == 1


@pytest.mark.parametrize(("retries", "cancels"), [(1, 0), (0, 1)])
def test_a_report_that_a_retry_may_want_is_not_cancelled_while_airflow_does_not_answer(
    report: ReportJob,
    kill_while_waiting: Kill,
    monkeypatch: pytest.MonkeyPatch,
    retries: int,
    cancels: int,
) -> None:
    """The API server is so slow that heartbeats were missed, and does not say what became of the attempt."""

    def unreachable(ti: object) -> str:
        raise ConnectionError("no answer")

    monkeypatch.setattr("airflow_provider.core.jobs.task_state._state", unreachable)
    report.takes(ENDLESS)
    kill_while_waiting(report)
    run = report.task(deferrable=False, retries=retries).attempt()
    assert type(run.error) is JobCancelledError
    assert len(report.cancels()) == cancels


def _cleared_to(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.setattr("airflow_provider.core.jobs.task_state._state", lambda ti: state)


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("state", ["none", "scheduled", "queued"])
def test_a_report_whose_task_a_new_scheduler_has_reset_goes_on(
    report: ReportJob, kill_while_waiting: Kill, monkeypatch: pytest.MonkeyPatch, retries: int, state: str
) -> None:
    """The scheduler that ran the task has died: there is another attempt, in the last try too."""
    report.takes(ENDLESS)
    kill_while_waiting(report, lambda: _cleared_to(monkeypatch, state))
    report.task(deferrable=False, retries=retries).attempt()
    assert len(report.seen()) == 1
    assert report.cancels() == []


@pytest.mark.parametrize("on_clear", [None, "attach", "new"])
@pytest.mark.parametrize("state", ["restarting", "failed"])
def test_a_clear_that_attaches_cancels_nothing(
    report: ReportJob,
    kill_while_waiting: Kill,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    on_clear: str | None,
    state: str,
) -> None:
    """On Airflow 3.4 it attaches only where the record is kept in a file."""
    monkeypatch.setenv("AIRFLOW__AIRFLOW_PROVIDER__JOB_RECORDS_PATH", str(tmp_path))
    report.takes(ENDLESS)
    kill_while_waiting(report, lambda: _cleared_to(monkeypatch, state))
    report.task(deferrable=False, on_clear=on_clear).attempt()
    assert len(report.cancels()) == (0 if on_clear == "attach" and state != "failed" else 1)


@needs_state_store
@pytest.mark.parametrize("on_clear", [None, "attach", "new"])
@pytest.mark.parametrize("state", ["none", "queued", "running", "failed", "success"])
def test_a_clear_that_attaches_cancels_nothing_of_a_deferred_task(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, on_clear: str | None, state: str
) -> None:
    monkeypatch.setenv("AIRFLOW__AIRFLOW_PROVIDER__JOB_RECORDS_PATH", str(tmp_path))
    report.takes(ENDLESS)
    run = report.task(deferrable=True, on_clear=on_clear).attempt(until_deferred=True)
    _cleared_to(monkeypatch, state)
    monkeypatch.setattr(SilentWitnessReportTrigger, "task_instance", object())
    asyncio.run(SilentWitnessReportTrigger(**trigger_kwargs(run.recorder.deferrals[-1])).on_kill())
    left = on_clear == "attach" and state not in ("failed", "success")
    assert len(report.cancels()) == (0 if left else 1)


@needs_state_store
@pytest.mark.parametrize(("state", "cancels"), [("failed", 1), ("none", 1), ("deferred", 0), ("", 0)])
def test_a_killed_wait_cancels_its_report_unless_it_goes_on_elsewhere(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch, state: str, cancels: int
) -> None:
    """The last case: Airflow does not answer."""

    def answer(ti: object) -> str:
        if not state:
            raise ConnectionError("no answer")
        return state

    monkeypatch.setattr("airflow_provider.core.jobs.task_state._state", answer)
    monkeypatch.setattr(SilentWitnessReportTrigger, "task_instance", object())
    report.takes(ENDLESS)
    now = time.time()
    trigger = SilentWitnessReportTrigger(
        "silent_witness_default", report.order(), now, now + 600, cancel_on_kill=True
    )
    asyncio.run(trigger.on_kill())
    assert len(report.cancels()) == cancels


@needs_state_store
def test_a_wait_that_was_deleted_with_its_dag_cancels_its_report(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(**_: object) -> dict[str, dict[str, str]]:
        return {}

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", none)
    report.takes(ENDLESS)
    run = report.task(deferrable=True, retries=1).attempt(until_deferred=True)
    trigger = SilentWitnessReportTrigger(**trigger_kwargs(run.recorder.deferrals[-1]))
    ti = SimpleNamespace(dag_id="deleted", task_id="job", run_id="run", map_index=-1)
    monkeypatch.setattr(SilentWitnessReportTrigger, "task_instance", ti)
    asyncio.run(trigger.on_kill())
    assert report.cancels() == [report.seen()[0]["id"]]


def test_a_sensor_that_is_killed_cancels_nothing(
    report: ReportJob,
) -> None:
    report.takes(ENDLESS)
    run = report.waiting(report.order(), deferrable=False)
    run.task.on_kill()
    assert report.cancels() == []


@needs_state_store
@pytest.mark.parametrize(
    ("arguments", "cancels"),
    [({}, 1), ({"cancel_on_kill": False}, 0), ({"retries": 1}, 0)],
    ids=["last", "may not", "retried"],
)
def test_an_interrupt_cancels_the_report_unless_a_retry_follows(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], cancels: int
) -> None:
    """Ctrl-C in ``dag.test()``, which goes on with the retry and with other tasks."""

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    report.takes(ENDLESS)
    run = report.task(deferrable=False, **arguments)
    monkeypatch.setattr("airflow_provider.core.jobs.waiting.time.sleep", interrupted)
    run.attempt()
    assert len(report.seen()) == 1
    assert len(report.cancels()) == cancels


async def _interrupt(trigger: SilentWitnessReportTrigger) -> None:
    """Cancel a trigger while it waits."""

    async def run() -> None:
        await anext(trigger.run())

    waiting = asyncio.create_task(run())
    await asyncio.sleep(0.3)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize(("cancel_on_kill", "cancels"), [(True, 1), (False, 0)])
def test_an_interrupt_of_a_trigger_that_runs_in_line_cancels_the_report(
    report: ReportJob, cancel_on_kill: bool, cancels: int
) -> None:
    """Ctrl-C in ``dag.test()``, which it ends."""
    report.takes(ENDLESS)
    run = report.task(deferrable=True, retries=1, cancel_on_kill=cancel_on_kill)
    run.attempt(until_deferred=True)
    asyncio.run(_interrupt(SilentWitnessReportTrigger(**trigger_kwargs(run.recorder.deferrals[-1]))))
    assert len(report.cancels()) == cancels


def test_a_trigger_that_is_handed_over_cancels_nothing(report: ReportJob) -> None:
    report.takes(ENDLESS)
    now = time.time()
    trigger = SilentWitnessReportTrigger(
        "silent_witness_default", report.order(), now, now + 600, cancel_on_kill=True
    )
    trigger.trigger_id = 7
    asyncio.run(_interrupt(trigger))
    assert report.cancels() == []
