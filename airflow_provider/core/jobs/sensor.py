"""JobSensor: the wait of an operator, for a job that something else started."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider.compat import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    conf,
)
from airflow_provider.core.arguments import required_id, switch
from airflow_provider.core.jobs.kind import JobKind
from airflow_provider.core.lineage.operators import TracksLineage
from airflow_provider.core.operator import HookT
from airflow_provider.core.polling.schedule import Backoff
from airflow_provider.core.polling.wait import (
    LATE_READS,
    TRANSIENT_ERRORS,
    JobState,
    Observation,
    PollOutcome,
    Wait,
)
from airflow_provider.exceptions import (
    InvalidInputError,
    JobCancelledError,
    JobFailedError,
    ProviderError,
    WaitError,
)
from airflow_provider.links import show_links

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.jobs.trigger import JobTrigger

DEFER_MARGIN = 180.0
"""Seconds past the sensor's own timeout after which Airflow's deferral timeout steps in."""


class JobSensor(TracksLineage, BaseSensorOperator, Generic[HookT]):
    """
    Wait until a job has ended; succeed when it succeeded.

    Modes ``poke`` and ``reschedule`` use the same intervals; so does ``deferrable`` with an interval of its
    own, and otherwise the pace that all waits on the key share. Transient errors are
    tolerated for 15 minutes in a row (in ``reschedule`` mode, which remembers nothing, until the timeout).

    :param deferrable: wait in the triggerer. Default: ``[operators] default_deferrable``.
    :param poke_interval: first interval in seconds; alone it is a fixed interval. Default: the vendor's
        advice.
    :param exponential_backoff: let the interval grow.
    :param max_wait: longest interval in seconds.
    :param timeout: seconds from the sensor's start; default the vendor's advice.
    """

    hook_class: ClassVar[type[Any]]
    trigger_class: ClassVar[type[JobTrigger]]
    job: ClassVar[JobKind]
    id_argument: ClassVar[str]

    def __init__(
        self,
        *,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float | None = None,
        exponential_backoff: bool = False,
        max_wait: timedelta | float | None = None,
        timeout: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        backoff = self.job.backoff
        super().__init__(
            poke_interval=backoff.first if poke_interval is None else poke_interval,
            exponential_backoff=exponential_backoff,
            max_wait=max_wait,
            timeout=self.job.limit_for("") if timeout is None else timeout,
            **kwargs,
        )
        self.deferrable = deferrable
        self.own_interval = poke_interval is not None
        self._wait: Wait | None = None
        self._seen: dict[str, Any] | None = None

    @property
    def conn_id(self) -> str:
        """The connection id, which each vendor's sensors take under a name of its own."""
        conn_id: str = getattr(self, self.hook_class.conn_name_attr)
        return conn_id

    @abstractmethod
    def fetch(self, hook: HookT, job_id: str) -> dict[str, Any]:
        """Return the service's present description of the job."""

    @abstractmethod
    def observe(self, body: dict[str, Any]) -> Observation:
        """Read the job's state from the service's description."""

    @abstractmethod
    def result(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what goes to XCom."""

    def lineage_job(self, task_instance: Any) -> dict[str, Any]:
        return {"kind": self.job.noun, "jobId": getattr(self, self.id_argument)}

    def execute(self, context: Context) -> Any:
        """Look once; then wait in the way that was chosen."""
        job_id = required_id(self.id_argument, getattr(self, self.id_argument))
        switch("deferrable", self.deferrable)
        try:
            backoff = self._backoff()
        except ValueError as error:
            raise InvalidInputError(
                f"poke_interval or max_wait: {error}", parameter="poke_interval"
            ) from error
        if not self.deferrable:
            if not self.reschedule:
                show_links(self, context["ti"])
            return super().execute(context)
        with self._lenient():
            done = self.poke(context)
        if isinstance(done, PokeReturnValue):
            return done.xcom_value
        return self._defer(job_id, backoff, self._seen)

    def trigger_arguments(self, body: dict[str, Any] | None) -> dict[str, Any]:
        """
        Return what the service's trigger takes beside what all triggers take.

        :param body: the service's description of the job; ``None`` when it could not be read.
        """
        return {}

    def _defer(
        self,
        job_id: str,
        backoff: Backoff,
        body: dict[str, Any] | None,
        *,
        begun_at: float | None = None,
        deadline: float | None = None,
        unread_since: float | None = None,
    ) -> NoReturn:
        now = time.time()
        begun_at = now if begun_at is None else begun_at
        deadline = begun_at + self.timeout if deadline is None else deadline
        own = backoff if self.own_interval or self.exponential_backoff or self.max_wait else None
        trigger = self.trigger_class(
            conn_id=self.conn_id,
            job_id=job_id,
            submitted_at=begun_at,
            deadline=deadline,
            poll_interval=own.first if own else None,
            exponential_backoff=own.factor if own and own.factor > 1 else None,
            max_wait=own.cap if own else None,
            cancel_on_kill=False,
            submission_known=False,
            **self.trigger_arguments(body),
        )
        patience = timedelta(seconds=max(0.0, deadline - now) + 2 * backoff.cap + DEFER_MARGIN)
        kwargs = None if unread_since is None else {"unread_since": unread_since}
        self.defer(trigger=trigger, method_name="execute_complete", kwargs=kwargs, timeout=patience)

    def execute_complete(
        self, context: Context, event: dict[str, Any], unread_since: float | None = None
    ) -> Any:
        """
        Resume after the trigger's event; the job is looked at again, for the event may be hours old.

        :param context: of the task.
        :param event: of the trigger.
        :param unread_since: when the job was first said to have ended and could not be read, epoch seconds.
        """
        status, job_id = event["status"], event["job_id"]
        if status == "timeout":
            raise AirflowSensorTimeout(event["message"])
        with self._lenient(), self.hook_class(self.conn_id) as hook:
            try:
                body = self.fetch(hook, job_id)
            except TRANSIENT_ERRORS as error:
                since = time.time() if unread_since is None else unread_since
                if status == "error" or time.time() - since > LATE_READS:
                    raise WaitError(
                        f"{event.get('message', '')} Reading {job_id} failed: {error}", job_id=job_id
                    ) from error
                self.log.warning("Could not read the job after its wait (%s); waiting again.", error)
                return self._defer(
                    job_id,
                    self._backoff(),
                    None,
                    begun_at=event.get("submitted_at"),
                    deadline=event.get("deadline"),
                    unread_since=since,
                )
            if status == "woken" and not self.observe(body).finished:
                # An event is a hint; other parts of the job go on, and so does the time for it.
                return self._defer(
                    job_id,
                    self._backoff(),
                    body,
                    begun_at=event.get("submitted_at"),
                    deadline=event.get("deadline"),
                )
            if status == "error" and not self.observe(body).finished:
                raise WaitError(event["message"], job_id=job_id)
            return self._finish(body)

    @contextmanager
    def _lenient(self) -> Iterator[None]:
        """Skip instead of failing where Airflow's own loop does so in the other modes."""
        try:
            yield
        except ProviderError as error:
            if self.soft_fail and isinstance(error, AirflowFailException):
                raise AirflowSkipException("Skipping due to soft_fail is set to True.") from error
            if self.never_fail:
                raise AirflowSkipException("Skipping due to never_fail is set to True.") from error
            raise

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look at the job once; transient errors count as not yet, for a while."""
        wait = self._wait = self._wait or self._new_wait()
        with self.hook_class(self.conn_id) as hook:
            try:
                body = self.fetch(hook, wait.job_id)
            except ProviderError as error:
                outcome: PollOutcome | None = wait.on_error(error, time.time())
                if outcome is None:
                    self.log.warning("%s %s: %s", wait.noun.capitalize(), wait.job_id, error)
                    return False
                if outcome.status == "error":
                    raise
                return False
        self._seen = body
        wait.on_state(self.observe(body), time.time())
        if line := wait.status_line():
            self.log.info(line)
        if not self.observe(body).finished:
            return False
        return PokeReturnValue(is_done=True, xcom_value=self._finish(body))

    def _finish(self, body: dict[str, Any]) -> dict[str, Any]:
        observation = self.observe(body)
        if observation.state is JobState.SUCCEEDED:
            return self.result(body)
        if observation.state is JobState.CANCELLED:
            raise JobCancelledError(
                f"{self.job.noun.capitalize()} {observation.job_id} was cancelled.",
                job_id=observation.job_id,
            )
        if observation.state is JobState.ACTIVE:
            raise WaitError(
                f"{self.job.noun.capitalize()} {observation.job_id} had ended and is "
                f"{observation.raw_status!r} again; retry to go on waiting.",
                job_id=observation.job_id,
            )
        raise JobFailedError(
            f"{self.job.noun.capitalize()} {observation.job_id} failed: {observation.message}",
            job_id=observation.job_id,
        )

    def _new_wait(self) -> Wait:
        now = time.time()
        return Wait(
            required_id(self.id_argument, getattr(self, self.id_argument)),
            noun=self.job.noun,
            submitted_at=now,
            begun_at=now,
            deadline=float("inf"),
            schedule=self._backoff(),
        )

    def _backoff(self) -> Backoff:
        return self.job.backoff.adjusted(
            poll_interval=self.poke_interval if self.own_interval else None,
            exponential_backoff=self.exponential_backoff or (None if self.own_interval else True),
            max_wait=self.max_wait.total_seconds() if self.max_wait is not None else None,
        )

    def _get_next_poke_interval(
        self, started_at: datetime | float, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        """Give Airflow's poke and reschedule loops the intervals of our own backoff."""
        elapsed = run_duration()
        return max(0.0, min(self._backoff().delay(elapsed), self.timeout - elapsed))
