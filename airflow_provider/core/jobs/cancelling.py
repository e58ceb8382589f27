"""Cancelling a job: on kill, after an error that no retry follows, or because another one takes its place."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from logging import Logger
from typing import TYPE_CHECKING, Any

from airflow_provider.core.jobs.paid_request import ATTACH
from airflow_provider.core.jobs.task_state import given_up
from airflow_provider.core.polling.wait import JobState
from airflow_provider.exceptions import AuthenticationError, JobCancelledError, ProviderError

if TYPE_CHECKING:
    from airflow_provider.core.jobs.kind import JobKind
    from airflow_provider.core.jobs.ledger import Entry, Ledger
    from airflow_provider.core.jobs.operator import JobOperator


CANCEL_PAUSES = (0.5, 1.0, 2.0)
"""Seconds before a cancel is sent again; a killed process has five before it is killed for good."""


class Cancelled(Enum):
    """What came of cancelling a job; the value says it of the job."""

    DONE = "was cancelled"
    HAD_ENDED = "is not running any more"
    FAILED = "could not be cancelled and may be running"


class JobCanceller:
    """
    Cancels the job of one attempt, where the API can and the task asks for it.

    :param task: the operator.
    :param ledger: of the task instance.
    :param ti: the running task instance.
    """

    hook: Any = None
    """The attempt's hook, once it is open."""

    job_id: str | None = None
    """The attempt's job, once it is known; before, the one on record that may turn out not to serve."""

    def __init__(self, task: JobOperator[Any], ledger: Ledger, ti: Any) -> None:
        self.task = task
        self.job = task.job
        self.ledger = ledger
        self.ti = ti
        self.log = task.task_log
        self._killed = False
        self._left_to_retry = False
        self._by_kill: dict[str, Cancelled] = {}

    @property
    def on_kill(self) -> bool:
        """Whether a killed task cancels its job."""
        return self.job.can_cancel and self.task.cancel_on_kill

    def kill(self) -> None:
        """Cancel the job, unless a retry wants it; the wait then raises."""
        self._killed = True
        if self.job_id is None:
            return
        if not self.on_kill:
            self.log.warning("The task was killed; %s %s goes on.", self.job.noun, self.job_id)
        elif self._retry_wants_job():
            self._left_to_retry = True
        else:
            # A signal may have come in the middle of a request of the attempt's own hook.
            with self.task.hook() as hook:
                self._by_kill[self.job_id] = self.cancel(self.job_id, hook=hook, read_first=False)

    def raise_if_killed(self) -> None:
        """
        End an attempt that was killed.

        :raises JobCancelledError: it was; the message says what became of the job.
        """
        if not self._killed:
            return
        if self.job_id is None:
            raise JobCancelledError(
                f"The task was killed before it had its {self.job.noun}. If its request was sent, it may be "
                "running and billed: a retry or a clear searches for it."
            )
        fate = "goes on"
        unasked = self.job_id not in self._by_kill  # the signal may have come before the job had an id
        if self.on_kill and not (self._left_to_retry or (unasked and self._retry_wants_job())):
            cancelled = self._by_kill.get(self.job_id, Cancelled.FAILED)
            if cancelled is Cancelled.FAILED:
                cancelled = self._by_kill[self.job_id] = self.cancel(self.job_id)
            fate = cancelled.value
        raise JobCancelledError(
            f"The task was killed; {self.job.noun} {self.job_id} {fate}.", job_id=self.job_id
        )

    @property
    def left_on_clear(self) -> bool:
        """Whether the attempt that a user's clear begins takes the job."""
        return self.task.on_clear == ATTACH and self.ledger.outlives_clear

    def discard_stale(self, entry: Entry) -> None:
        """Cancel a recorded job of another request, so that nothing is left running."""
        if entry.job_id and self.on_kill:
            self.cancel(entry.job_id)

    def cancel(self, job_id: str, *, hook: Any = None, read_first: bool = True) -> Cancelled:
        """Cancel a job that is still active; see :func:`cancel_job`. ``hook`` is by default the attempt's."""
        hook = hook or self.hook
        with hook.turns.at_once():
            return cancel_job(self.job, hook, job_id, log=self.log, read_first=read_first)

    def _retry_wants_job(self) -> bool:
        """
        Whether this attempt was given up, as after missed heartbeats, or its worker is shut down, so that a
        retry wants the job.
        """
        if not (self.ledger.durable or self.left_on_clear):
            return False
        # Asked in the last try too: one whose scheduler died has another.
        given = given_up(self.ti, self.ledger, or_cleared=self.left_on_clear)
        if given is False or (given is None and (self.ledger.last_try or not self.ledger.durable)):
            return False
        if given:
            reason = "Airflow gave up this attempt, or its worker is shut down, and retries the task"
            reason += ", or a user cleared it (on_clear='attach')" * self.left_on_clear
        else:
            # A cancelled job would be paid for again by a retry; one that goes on can be cancelled later.
            reason = "Airflow did not say in time whether a retry follows"
        self.log.warning("%s; %s %s goes on for the retry.", reason, self.job.noun, self.job_id)
        return True


def cancel_job(
    job: JobKind,
    hook: Any,
    job_id: str,
    *,
    log: Logger,
    read_first: bool = True,
    pause: Callable[[float], object] = time.sleep,
) -> Cancelled:
    """
    Cancel a job that is still active.

    A job that cannot be read is cancelled all the same. What the service answers is believed only where the
    job does not contradict it: it may be behind, or have done something else than it says.

    :param job: the kind of job; it can be cancelled.
    :param hook: of the service.
    :param job_id: of the job.
    :param log: of the task.
    :param read_first: whether the job was not read just now.
    :param pause: waits some seconds.
    """
    assert job.cancel is not None
    if read_first and _state(job, hook, job_id, log) not in (None, JobState.ACTIVE):
        return Cancelled.HAD_ENDED
    for seconds in (*CANCEL_PAUSES, None):
        trouble: ProviderError | str = "the request was taken, and it is shown as running"
        try:
            job.cancel(hook, job_id)
        except ProviderError as error:
            trouble = error
        state = _state(job, hook, job_id, log)
        if state is JobState.CANCELLED or (state is None and isinstance(trouble, str)):
            break
        if state not in (None, JobState.ACTIVE):
            return Cancelled.HAD_ENDED
        if seconds is None or isinstance(trouble, AuthenticationError):
            log.warning("Could not cancel %s %s, it may still be running: %s", job.noun, job_id, trouble)
            return Cancelled.FAILED
        log.warning("Cancelling %s %s: %s; sending it again.", job.noun, job_id, trouble)
        pause(seconds)
    log.info("Cancelled %s %s.", job.noun, job_id)
    return Cancelled.DONE


def _state(job: JobKind, hook: Any, job_id: str, log: Logger) -> JobState | None:
    """Return the state of a job; ``None`` when it cannot be read."""
    try:
        return job.observe(job.get(hook, job_id)).state
    except ProviderError as error:
        log.warning("Could not read %s %s: %s", job.noun, job_id, error)
        return None
