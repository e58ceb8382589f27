"""CancellableOperator: what a kill, a clear or the end of waiting means for a job that is still running."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider.core.jobs.ledger import Entry, Ledger
from airflow_provider.core.jobs.pay_once import PaidOperator
from airflow_provider.core.jobs.task_state import given_up
from airflow_provider.core.operator import HookT
from airflow_provider.exceptions import JobCancelledError, ProviderError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.polling.wait import Observation


class CancellableOperator(PaidOperator[HookT]):
    """
    Leave nothing running that nobody wants, and nothing cancelled that a retry wants.

    :param cancel_on_kill: cancel the job when the task is killed, where the API can.
    :param cancel_on_timeout: cancel the job when it exceeds its time, or when waiting is given up and no
        retry follows, where the API can.
    :param reuse_completed: when a user clears the task after it succeeded, return the finished job's result
        instead of paying for a new one.
    """

    can_cancel: ClassVar[bool] = False

    def __init__(
        self,
        *,
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = True,
        reuse_completed: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(reuse_completed=reuse_completed, **kwargs)
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self._job_id: str | None = None
        self._killed = False
        self._lasting: tuple[Any, Ledger] | None = None
        self._spared = False

    @abstractmethod
    def observe(self, body: dict[str, Any]) -> Observation:
        """Read the job's state from the service's description."""

    def cancel(self, hook: HookT, job_id: str) -> None:
        """Cancel the job at the service."""
        raise NotImplementedError

    def on_kill(self) -> None:
        """Cancel the job this task submitted, where the API can; the wait then raises."""
        self._killed = True
        if self._job_id is None:
            return
        if not self.can_cancel or not self.cancel_on_kill:
            self.log.warning("The task was killed; %s %s goes on.", self.noun, self._job_id)
            return
        if self._retry_goes_on():
            self._spared = True
            return
        with self.hook() as hook:
            self._try_to_cancel(hook, self._job_id)

    def _retry_goes_on(self) -> bool:
        """Whether Airflow gave this attempt up, as after missed heartbeats, so that a retry wants the job."""
        if self._lasting is None:
            return False
        ti, ledger = self._lasting
        if ledger.last_try or (given := given_up(ti, ledger)) is False:
            return False
        if given:
            reason = "Airflow gave up this attempt and retries the task"
        else:
            # A cancelled job would be paid for again by a retry; one that goes on can be cancelled later.
            reason = "Airflow did not say in time whether a retry follows"
        self.log.warning("%s; %s %s goes on for the retry.", reason, self.noun, self._job_id)
        return True

    def supersede(self, hook: HookT, entry: Entry) -> None:
        """Cancel a recorded job of another request, so that nothing is left running."""
        super().supersede(hook, entry)
        if entry.job_id and self.can_cancel and self.cancel_on_kill:
            self._try_to_cancel(hook, entry.job_id)

    def _ledger(self, context: Context) -> Ledger:
        """Return the task's record; with a lasting one, a retry finds the job."""
        ledger = Ledger.of(context)
        self._lasting = (context["ti"], ledger) if ledger.durable else None
        return ledger

    def _raise_if_killed(self, hook: HookT) -> None:
        if not self._killed:
            return
        if self._job_id is None:
            raise JobCancelledError(f"The task was killed before it had its {self.noun}; a retry looks.")
        fate = "goes on"
        if self.can_cancel and self.cancel_on_kill and not self._spared:
            fate = "was cancelled" if self._try_to_cancel(hook, self._job_id) else "could not be cancelled"
        raise JobCancelledError(
            f"The task was killed; {self.noun} {self._job_id} {fate}.", job_id=self._job_id
        )

    def _try_to_cancel(self, hook: HookT, job_id: str) -> bool:
        """Cancel a job that is still active; return whether it no longer runs."""
        try:
            observation = self.observe(self.fetch(hook, job_id))
            if not observation.finished:
                self.cancel(hook, job_id)
                self.log.info("Cancelled %s %s.", self.noun, job_id)
        except ProviderError as error:
            self.log.warning("Could not cancel %s %s, it may still be running: %s", self.noun, job_id, error)
            return False
        return True
