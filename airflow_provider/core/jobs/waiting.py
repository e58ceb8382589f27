"""How an attempt waits for its job: deferred to the trigger, or on the worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from logging import Logger
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from airflow_provider.core.arguments import LONGEST
from airflow_provider.core.jobs import pay_once
from airflow_provider.core.jobs.progress import PROGRESS_KEY, Progress, push
from airflow_provider.core.links import show_links
from airflow_provider.core.polling.loop import wait_here
from airflow_provider.core.polling.schedule import worker_schedule
from airflow_provider.core.polling.timing import clock_time, span
from airflow_provider.core.polling.wait import (
    CLOCK_TOLERANCE,
    REFUSALS_BELIEVED,
    TRANSIENT_ERRORS,
    Observation,
    PollOutcome,
    Wait,
)
from airflow_provider.core.text import clean
from airflow_provider.exceptions import ApiError, AuthenticationError, WaitError

if TYPE_CHECKING:
    from airflow_provider.core.jobs.run import JobRun

T = TypeVar("T")

DEFER_MARGIN = 180.0
"""Seconds past our own deadline after which Airflow's deferral timeout steps in."""


def defer(run: JobRun, body: dict[str, Any] | None) -> NoReturn:
    """
    Give the job to the trigger, which resumes the task with an event.

    :param body: the service's description of the job; ``None`` when it could not be read.
    """
    task, entry = run.task, run.entry
    offset: float = run.hook.clock_offset or 0.0
    trigger = task.trigger_class(
        conn_id=task.conn_id,
        job_id=entry.job_id,
        submitted_at=entry.submitted_at,
        deadline=entry.deadline,
        kind=task.sort(),
        **task.intervals(),
        cancel_on_kill=run.canceller.on_kill,
        left_on_clear=run.canceller.left_on_clear,
        clock_offset=offset if abs(offset) >= CLOCK_TOLERANCE else 0.0,
        submission_known=entry.job_id != task.adopts,
        push_progress=task.do_xcom_push,
        **task.trigger_arguments(body),
    )
    patience = max(0.0, entry.deadline - time.time()) + 2 * task.backoff().cap + DEFER_MARGIN
    run.log.info("Deferring; %s", _outlook(run))
    timeout = timedelta(seconds=min(patience, LONGEST))
    task.defer(trigger=trigger, method_name="execute_complete", timeout=timeout)


def outcome_of(event: Any) -> dict[str, Any]:
    """
    Return the event of a wait: it names a job and says how the wait ended.

    :raises WaitError: something else came in its place, as anything may.
    """
    if isinstance(event, dict) and all(isinstance(event.get(name), str) for name in ("status", "job_id")):
        return event
    raise WaitError(f"Airflow resumed the task with an event that names no job: {clean(repr(event), 200)}")


def read_patiently(read: Callable[[], T], *, pause: Callable[[float], object], log: Logger) -> T:
    """
    Read a job, or its result, that was there; that it is denied is believed the third time.

    :param read: reads it.
    :param pause: waits some seconds.
    :raises ApiError: transient errors at once; the third refusal.
    """
    for seconds in pay_once.READ_PAUSES[: REFUSALS_BELIEVED - 1]:
        try:
            return read()
        except TRANSIENT_ERRORS:
            raise
        except ApiError as error:
            log.warning("%s Reading it again in %.0f s.", error, seconds)
        pause(seconds)
    return read()


def wait_on_worker(run: JobRun) -> PollOutcome:
    """Poll the job until it has ended, or waiting for it has; return which."""
    wait, progress = _new_wait(run), Progress()
    run.log.info("Waiting; %s", _outlook(run))
    show_links(run.task, run.ti)

    def polled(wait: Wait) -> None:
        stands = progress.changed(wait, time.time())
        if stands and run.task.do_xcom_push:
            push(run.ti, PROGRESS_KEY, stands)

    with ExitStack() as hooks:

        def poll() -> Observation:
            try:
                run.read()
            except AuthenticationError:
                if not run.use_rotated_key(hooks):
                    raise
                run.read()
            return run.summary.observe(run.observation)

        try:
            return wait_here(
                wait,
                poll,
                clock=time.time,
                sleep=time.sleep,
                log=run.log,
                check=run.canceller.raise_if_killed,
                polled=polled,
            )
        finally:
            run.summary.polls += wait.polls


def _new_wait(run: JobRun) -> Wait:
    task, job = run.task, run.job
    schedule = (
        task.backoff()
        if task.own_intervals
        else worker_schedule(
            job.typical_for(task.sort()), job.backoff, per_hour=run.hook.settings.requests_per_hour
        )
    )
    return Wait(
        run.entry.job_id,
        noun=job.noun,
        submitted_at=run.entry.submitted_at,
        begun_at=time.time(),
        deadline=run.entry.deadline,
        schedule=schedule,
    )


def _outlook(run: JobRun) -> str:
    """Say how long the job usually takes, when the next poll is, and when the wait ends."""
    usual = span(*run.job.typical_for(run.task.sort()))
    if run.hook.settings.receives_webhooks:
        seen = "a webhook ends the wait"
    else:
        seen = f"next poll about {clock_time(_new_wait(run).next_poll())}"
    return f"{run.name} usually takes {usual}; {seen}; gives up at {clock_time(run.entry.deadline)}."
