"""Cancelling a job: on kill, after an error that no retry follows, or because another one takes its place."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from airflow_provider.core.jobs.task_state import given_up
from airflow_provider.exceptions import JobCancelledError, ProviderError

if TYPE_CHECKING:
    from airflow_provider.core.jobs.ledger import Entry, Ledger
    from airflow_provider.core.jobs.operator import JobOperator


class Cancelled(Enum):
    """What came of cancelling a job."""

    DONE = auto()
    HAD_ENDED = auto()
    FAILED = auto()


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
    """The attempt's job, once it is known."""

    def __init__(self, task: JobOperator[Any], ledger: Ledger, ti: Any) -> None:
        self.task = task
        self.job = task.job
        self.ledger = ledger
        self.ti = ti
        self.log = task.task_log
        self._killed = False
        self._left_to_retry = False
        self._by_kill: Cancelled | None = None

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
                self._by_kill = self.cancel(self.job_id, hook=hook)

    def raise_if_killed(self) -> None:
        """
        End an attempt that was killed.

        :raises JobCancelledError: it was; the message says what became of the job.
        """
        if not self._killed:
            return
        if self.job_id is None:
            raise JobCancelledError(f"The task was killed before it had its {self.job.noun}; a retry looks.")
        fate = "goes on"
        if self.on_kill and not self._left_to_retry:
            if self._by_kill in (None, Cancelled.FAILED):
                self._by_kill = self.cancel(self.job_id)
            fate = {
                Cancelled.DONE: "was cancelled",
                Cancelled.HAD_ENDED: "is not running any more",
                Cancelled.FAILED: "could not be cancelled",
            }[self._by_kill]
        raise JobCancelledError(
            f"The task was killed; {self.job.noun} {self.job_id} {fate}.", job_id=self.job_id
        )

    def discard_stale(self, entry: Entry) -> None:
        """Cancel a recorded job of another request, so that nothing is left running."""
        if entry.job_id and self.on_kill:
            self.cancel(entry.job_id)

    def cancel(self, job_id: str, *, hook: Any = None, read_first: bool = True) -> Cancelled:
        """
        Cancel a job that is still active.

        A job that cannot be read is cancelled all the same, and one that ends meanwhile needs no cancelling.

        :param hook: of the service; default the attempt's.
        :param read_first: whether the job was not read just now.
        """
        hook = hook or self.hook
        with hook.turns.at_once():
            return self._cancel(hook, job_id, read_first)

    def _cancel(self, hook: Any, job_id: str, read_first: bool) -> Cancelled:
        if read_first and self._has_ended(hook, job_id):
            return Cancelled.HAD_ENDED
        assert self.job.cancel is not None
        try:
            self.job.cancel(hook, job_id)
        except ProviderError as error:
            if self._has_ended(hook, job_id):
                return Cancelled.HAD_ENDED
            self.log.warning(
                "Could not cancel %s %s, it may still be running: %s", self.job.noun, job_id, error
            )
            return Cancelled.FAILED
        self.log.info("Cancelled %s %s.", self.job.noun, job_id)
        return Cancelled.DONE

    def _has_ended(self, hook: Any, job_id: str) -> bool:
        try:
            return self.job.observe(self.job.get(hook, job_id)).finished
        except ProviderError as error:
            self.log.warning("Could not read %s %s: %s", self.job.noun, job_id, error)
            return False

    def _retry_wants_job(self) -> bool:
        """Whether Airflow gave this attempt up, as after missed heartbeats, so that a retry wants the job."""
        if not self.ledger.durable or self.ledger.last_try:
            return False
        given = given_up(self.ti, self.ledger)
        if given is False:
            return False
        if given:
            reason = "Airflow gave up this attempt and retries the task"
        else:
            # A cancelled job would be paid for again by a retry; one that goes on can be cancelled later.
            reason = "Airflow did not say in time whether a retry follows"
        self.log.warning("%s; %s %s goes on for the retry.", reason, self.job.noun, self.job_id)
        return True
