"""Sensors wait for somebody else's job in three modes that agree with each other, and never cancel it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider.compat import AirflowSensorTimeout
from airflow_provider.core.budget.turn_queue import TurnQueue
from airflow_provider.core.jobs import sensor as sensor_module
from airflow_provider.exceptions import (
    AuthenticationError,
    JobCancelledError,
    JobFailedError,
    NotFoundError,
    WaitError,
)
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from tests.airflow.jobs import ENDLESS, SOON, Job, ReportJob
from tests.airflow.task_run import TaskRun

MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke", "deferrable": False},
    "reschedule": {"mode": "reschedule", "deferrable": False},
    "deferred": {"deferrable": True},
}


@pytest.fixture(params=list(MODES.values()), ids=list(MODES))
def mode(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The three ways to wait."""
    return dict(request.param)


def test_the_finished_job_is_returned(job: Job, mode: dict[str, Any]) -> None:
    job.takes(SOON)
    job_id = job.order()
    run = _wait(job.waiting(job_id, **mode))
    expected = job.result_of(job_id)
    expected.pop("completedAssetIds", None)
    expected.pop("failedAssetIds", None)
    assert run.value == expected


def test_a_job_that_is_over_already_needs_one_look(job: Job, mode: dict[str, Any]) -> None:
    job.takes(0)
    job_id = job.order()
    run = _wait(job.waiting(job_id, **mode))
    assert run.state == "success"
    assert job.simulator.ledger()["polls"][job_id]["count"] == 1


def test_a_failed_job_is_an_error(job: Job, mode: dict[str, Any]) -> None:
    job.fails()
    job_id = job.order()
    run = _wait(job.waiting(job_id, **mode))
    assert type(run.error) is JobFailedError
    assert job_id in str(run.error)


def test_a_cancelled_report_is_an_error(report: ReportJob, mode: dict[str, Any]) -> None:
    report.takes(ENDLESS)
    report_id = report.order()
    report.talk.send("DELETE", f"/api/reports/{report_id}")
    run = _wait(report.waiting(report_id, **mode))
    assert type(run.error) is JobCancelledError


def test_a_job_over_its_time_is_a_sensor_timeout(job: Job, mode: dict[str, Any]) -> None:
    job.takes(ENDLESS)
    run = _wait(job.waiting(job.order(), timeout=0.1, **mode))
    assert run.state == "failed"
    assert isinstance(run.error, AirflowSensorTimeout)


def test_a_sensor_never_cancels(report: ReportJob, mode: dict[str, Any]) -> None:
    report.takes(ENDLESS)
    run = _wait(report.waiting(report.order(), timeout=0.1, **mode))
    run.task.on_kill()
    assert not [name for name in report.simulator.ledger()["requests"] if name.startswith("DELETE")]
    assert all(kwargs["cancel_on_kill"] is False for _, kwargs in run.recorder.triggers)


@pytest.mark.parametrize("leniency", ["soft_fail", "never_fail"])
def test_a_lenient_sensor_skips_at_its_timeout(job: Job, mode: dict[str, Any], leniency: str) -> None:
    if leniency == "never_fail" and not mode["deferrable"]:
        pytest.skip("Airflow's own loop fails there")
    job.takes(ENDLESS)
    run = _wait(job.waiting(job.order(), timeout=0.1, **mode, **{leniency: True}))
    assert run.state == "skipped"


def test_never_fail_skips_for_a_failed_job(job: Job, mode: dict[str, Any]) -> None:
    job.fails()
    run = _wait(job.waiting(job.order(), never_fail=True, **mode))
    assert run.state == "skipped"


def test_never_fail_skips_for_a_job_that_had_failed_before(job: Job, mode: dict[str, Any]) -> None:
    job.fails(duration=0)
    run = _wait(job.waiting(job.order(), never_fail=True, **mode))
    assert run.state == "skipped"


def test_soft_fail_does_not_hide_a_failed_job(job: Job, mode: dict[str, Any]) -> None:
    job.fails()
    run = _wait(job.waiting(job.order(), soft_fail=True, **mode))
    assert run.state == "failed"


def test_soft_fail_skips_for_an_id_nobody_knows(job: Job, mode: dict[str, Any]) -> None:
    run = _wait(job.waiting("00000000-0000-0000-0000-00000000beef", soft_fail=True, **mode))
    assert run.state == "skipped"


def test_an_id_nobody_knows_is_not_found(job: Job, mode: dict[str, Any]) -> None:
    run = _wait(job.waiting("00000000-0000-0000-0000-00000000beef", **mode))
    assert type(run.error) is NotFoundError


def test_passing_trouble_is_waited_out(job: Job, mode: dict[str, Any]) -> None:
    job.takes(SOON)
    job_id = job.order()
    job.simulator.fault("status", job.status_path, "GET", status=502, times=2)
    run = _wait(job.waiting(job_id, **mode))
    assert run.state == "success"


def test_a_refused_key_keeps_its_own_error(job: Job, mode: dict[str, Any]) -> None:
    job.takes(ENDLESS)
    job_id = job.order()
    job.simulator.fault("status", job.status_path, "GET", status=401, skip=1)
    run = _wait(job.waiting(job_id, **mode))
    assert type(run.error) is AuthenticationError


def test_a_late_event_returns_the_job_as_it_is_now(job: Job) -> None:
    job.takes(SOON)
    job_id = job.order()
    run = job.waiting(job_id, deferrable=True).attempt(until_deferred=True)
    job.simulator.advance(7200)
    run.resume({"status": "success", "job_id": job_id, "raw_status": "", "message": "", "polls": 1})
    assert run.state == "success"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_after_the_wait_is_not_believed_at_once(job: Job, status: int) -> None:
    job.takes(SOON)
    job_id = job.order()
    run = job.waiting(job_id, deferrable=True).attempt(until_deferred=True)
    job.simulator.advance(7200)
    job.simulator.fault("status", job.status_path, "GET", status=status, times=2)
    run.resume({"status": "success", "job_id": job_id, "raw_status": "", "message": "", "polls": 1})
    assert run.state == "success"


def test_a_job_that_ended_before_the_timeout_is_read_once_more(job: Job) -> None:
    job.takes(SOON)
    job_id = job.order()
    run = job.waiting(job_id, deferrable=True).attempt(until_deferred=True)
    job.simulator.advance(SOON)
    run.resume({"status": "timeout", "job_id": job_id, "raw_status": "", "message": "late", "polls": 1})
    assert run.state == "success"


def test_a_timeout_whose_last_read_fails_stays_a_timeout(job: Job) -> None:
    job.takes(ENDLESS)
    job_id = job.order()
    run = job.waiting(job_id, deferrable=True).attempt(until_deferred=True)
    job.simulator.fault("status", job.status_path, "GET", status=502)
    run.resume({"status": "timeout", "job_id": job_id, "raw_status": "", "message": "late", "polls": 1})
    assert isinstance(run.error, AirflowSensorTimeout)
    assert "late" in str(run.error)


def test_a_rescheduled_sensor_keeps_its_place_in_the_queue(report: ReportJob) -> None:
    report.takes(SOON)
    report_id = report.order()
    budget = SilentWitnessHook().shared_budget("")
    budget.update(_use_up)
    run = report.waiting(report_id, **MODES["reschedule"]).attempt()
    assert run.state == "up_for_reschedule"
    assert run.next_start > datetime.now(UTC) + timedelta(seconds=30)
    (place,) = budget.update(lambda queue, now: list(queue.state()))
    run.attempt()
    assert budget.update(lambda queue, now: list(queue.state())) == [place]
    budget.store.clear()
    assert _wait(run).state == "success"


# -- intervals ----


def test_an_ended_job_that_cannot_be_read_is_not_waited_for_for_ever(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.takes(SOON)
    job_id = job.order()
    run = job.waiting(job_id, deferrable=True).attempt(until_deferred=True)
    job.simulator.advance(SOON)
    job.simulator.fault("status", job.status_path, "GET", status=502)
    event = {"status": "success", "job_id": job_id, "raw_status": "", "message": "", "polls": 1}
    run.resume(event, until_deferred=True)
    assert run.state == "deferred"
    assert "unread_since" in str(run.recorder.deferrals[-1].next_kwargs)
    monkeypatch.setattr(sensor_module, "LATE_READS", -1.0)
    run.resume(event, until_deferred=True)
    assert isinstance(run.error, WaitError)


@pytest.mark.parametrize("elapsed", [0.0, 5.0, 60.0, 500.0])
def test_poke_and_reschedule_use_the_intervals_of_the_trigger(job: Job, elapsed: float) -> None:
    sensor: Any = job.sensor(task_id="job", **{job.id_key: "some-id"})
    backoff = job.sensor.job.backoff
    assert 0.8 * backoff.interval(elapsed) <= _interval(sensor, elapsed) <= backoff.interval(elapsed)


def test_a_poke_interval_alone_stays_as_it_is(job: Job) -> None:
    sensor: Any = job.sensor(task_id="job", poke_interval=7, **{job.id_key: "some-id"})
    assert [_interval(sensor, elapsed) for elapsed in (0.0, 100.0)] == [7, 7]


def test_a_poke_interval_that_grows_keeps_below_max_wait(job: Job) -> None:
    sensor: Any = job.sensor(
        task_id="job", poke_interval=1, exponential_backoff=True, max_wait=20, **{job.id_key: "some-id"}
    )
    assert [_interval(sensor, elapsed) for elapsed in (0.0, 10.0, 100.0)] == [1.0, 6.0, 20.0]


def test_a_timeout_that_is_as_good_as_none(job: Job, mode: dict[str, Any]) -> None:
    job.takes(SOON)
    run = _wait(job.waiting(job.order(), poke_interval=0.2, timeout=timedelta.max, max_wait=1e12, **mode))
    assert run.state == "success"


def test_no_interval_passes_the_timeout(job: Job) -> None:
    sensor: Any = job.sensor(task_id="job", poke_interval=50, timeout=60, **{job.id_key: "some-id"})
    assert _interval(sensor, 58.0) == 2.0


def test_the_trigger_gets_what_the_user_chose(job: Job) -> None:
    job.takes(ENDLESS)
    run = job.waiting(
        job.order(), poke_interval=timedelta(seconds=4), exponential_backoff=True, max_wait=9, deferrable=True
    ).attempt(until_deferred=True)
    from tests.airflow.task_run import trigger_kwargs

    kwargs = trigger_kwargs(run.recorder.deferrals[0])
    assert (kwargs["poll_interval"], kwargs["exponential_backoff"], kwargs["max_wait"]) == (4.0, 1.5, 9.0)


def _use_up(queue: TurnQueue, now: float) -> None:
    """Let others have sent all that a minute allows."""
    for _ in range(100):
        queue.budget.acquire(now)


def _interval(sensor: Any, elapsed: float) -> float:
    """What Airflow sleeps after a look, so many seconds after the start."""
    found: float = sensor._get_next_poke_interval(0.0, lambda: elapsed, 1)
    return found


def _wait(run: TaskRun) -> TaskRun:
    """Attempt until the sensor has ended, as the scheduler does for one that is rescheduled."""
    run.attempt()
    for _ in range(200):
        if run.state != "up_for_reschedule":
            return run
        run.attempt()
    raise AssertionError("the sensor did not end")
