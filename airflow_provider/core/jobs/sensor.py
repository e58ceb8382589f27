"""JobSensor: waits for a job that something else started; submits and cancels nothing."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider.compat import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    conf,
)
from airflow_provider.core.arguments import LONGEST, required_id, switch
from airflow_provider.core.budget.turn_queue import Ticket
from airflow_provider.core.budget.turns import TurnAwaitedError, waiting_line
from airflow_provider.core.jobs.kind import JobKind
from airflow_provider.core.jobs.waiting import DEFER_MARGIN, outcome_of, read_patiently
from airflow_provider.core.links import show_links
from airflow_provider.core.operator import HookT, ServiceOperator, in_turn
from airflow_provider.core.polling.schedule import Backoff
from airflow_provider.core.polling.wait import LATE_READS, TRANSIENT_ERRORS, JobState, Wait
from airflow_provider.exceptions import (
    InvalidInputError,
    JobCancelledError,
    JobFailedError,
    ProviderError,
    WaitError,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.jobs.trigger import JobTrigger


class JobSensor(ServiceOperator[HookT], BaseSensorOperator):
    """
    Wait until a job has ended; succeed when it succeeded.

    Modes ``poke`` and ``reschedule`` use the same intervals; so does ``deferrable`` with an interval of its
    own, and otherwise the schedule that all waits on the key share. Transient errors are tolerated for 15
    minutes in a row (in ``reschedule`` mode, which remembers nothing, until the timeout).

    :param deferrable: wait in the triggerer. Default: ``[operators] default_deferrable``.
    :param poke_interval: first interval in seconds; alone it is a fixed interval. Default: the vendor's
        advice.
    :param exponential_backoff: let the interval grow.
    :param max_wait: longest interval in seconds.
    :param timeout: seconds from the sensor's start; default the vendor's advice.
    """

    job: ClassVar[JobKind]
    trigger_class: ClassVar[type[JobTrigger]]
    template_fields: Sequence[str] = ()

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
        super().__init__(
            poke_interval=self.job.backoff.first if poke_interval is None else poke_interval,
            exponential_backoff=exponential_backoff,
            max_wait=max_wait,
            timeout=self.job.limit_for("") if timeout is None else timeout,
            deferrable=deferrable,
            **kwargs,
        )
        self.own_interval = poke_interval is not None
        self._wait: Wait | None = None
        self._turn_at = 0.0
        self._body: dict[str, Any] | None = None

    @property
    def job_id(self) -> str:
        """The id of the job, from the argument that names it."""
        return required_id(self.job.id_key, getattr(self, self.job.id_key))

    def lineage_job(self, task_instance: Any) -> dict[str, Any]:
        """Return what OpenLineage is told of the job."""
        return {"kind": self.job.noun, "jobId": getattr(self, self.job.id_key)}

    def trigger_arguments(self, body: dict[str, Any] | None) -> dict[str, Any]:
        """
        Return what the service's trigger takes beside what all triggers take.

        :param body: the service's description of the job; ``None`` when it could not be read.
        """
        return {}

    @in_turn
    def execute(self, context: Context) -> Any:
        """Poll once; then wait in the way that was chosen."""
        job_id = self.job_id
        switch("deferrable", self.deferrable)
        try:
            self._backoff()
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidInputError(
                f"poke_interval, exponential_backoff or max_wait: {error}", parameter="poke_interval"
            ) from error
        if not self.deferrable:
            if self.reschedule:
                self._ticket = self._place_in_queue(context)
            else:
                show_links(self, context["ti"])
            return super().execute(context)
        with self._lenient():
            done = self.poke(context)
        if isinstance(done, PokeReturnValue):
            return done.xcom_value
        return self._defer(job_id, self._body)

    def execute_complete(
        self, context: Context, event: dict[str, Any], unread_since: float | None = None
    ) -> Any:
        """
        Resume after the trigger's event: read the job again, for the event may be hours old.

        :param context: of the task.
        :param event: of the trigger.
        :param unread_since: when the job was first said to have ended and could not be read, epoch seconds.
        """
        event = outcome_of(event)
        status, job_id = event["status"], event["job_id"]
        begun_at, deadline = event.get("submitted_at"), event.get("deadline")
        with self._lenient(), self.hook() as hook:
            try:
                body = read_patiently(lambda: self.job.get(hook, job_id), pause=time.sleep, log=self.task_log)
            except TRANSIENT_ERRORS as error:
                if status == "timeout":
                    message = f"{event['message']} Reading it again failed: {error}"
                    raise AirflowSensorTimeout(message) from error
                since = time.time() if unread_since is None else unread_since
                if status == "error" or time.time() - since > LATE_READS:
                    raise WaitError(
                        f"{event.get('message', '')} Reading {job_id} failed: {error}", job_id=job_id
                    ) from error
                self.log.warning("Could not read the job after its wait (%s); waiting again.", error)
                return self._defer(job_id, None, begun_at=begun_at, deadline=deadline, unread_since=since)
            finished = self.job.observe(body).finished
            if status == "woken" and not finished:
                # An event is a hint; other parts of the job go on, and so does the time for it.
                return self._defer(job_id, body, begun_at=begun_at, deadline=deadline)
            if status == "timeout" and not finished:
                raise AirflowSensorTimeout(event["message"])
            if status == "error" and not finished:
                raise WaitError(event["message"], job_id=job_id)
            return self._finish(body)

    def _defer(
        self,
        job_id: str,
        body: dict[str, Any] | None,
        *,
        begun_at: float | None = None,
        deadline: float | None = None,
        unread_since: float | None = None,
    ) -> NoReturn:
        backoff, now = self._backoff(), time.time()
        begun_at = now if begun_at is None else begun_at
        deadline = begun_at + min(self.timeout, LONGEST) if deadline is None else deadline
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
        patience = max(0.0, deadline - now) + 2 * backoff.cap + DEFER_MARGIN
        kwargs = None if unread_since is None else {"unread_since": unread_since}
        timeout = timedelta(seconds=min(patience, LONGEST))
        self.defer(trigger=trigger, method_name="execute_complete", kwargs=kwargs, timeout=timeout)

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
        """Poll the job once; transient errors count as not yet, for a while."""
        wait = self._wait = self._wait or self._new_wait()
        # Looked up by each poll: the key may have been replaced meanwhile.
        with self.hook(refresh=True) as hook:
            hook.turns.defers = self.deferrable or self.reschedule
            try:
                self._body = self.job.get(hook, wait.job_id)
            except TurnAwaitedError as awaited:
                if self.deferrable:
                    raise
                self.log.info("%s", waiting_line(self.conn_id, awaited.wait, awaited.ahead, self.timeout))
                self._turn_at = time.time() + awaited.wait
                return False
            except ProviderError as error:
                outcome = wait.on_error(error, time.time())
                if outcome is None:
                    self.log.warning("%s %s: %s", wait.noun.capitalize(), wait.job_id, error)
                elif outcome.status == "error":
                    raise
                return False
        observation = self.job.observe(self._body)
        wait.on_state(observation, time.time())
        if line := wait.status_line():
            self.log.info(line)
        if not observation.finished:
            return False
        return PokeReturnValue(is_done=True, xcom_value=self._finish(self._body))

    def _finish(self, body: dict[str, Any]) -> dict[str, Any]:
        observation = self.job.observe(body)
        name, job_id = f"{self.job.noun.capitalize()} {observation.job_id}", observation.job_id
        if observation.state is JobState.SUCCEEDED:
            return self.job.public(body)
        if observation.state is JobState.CANCELLED:
            raise JobCancelledError(f"{name} was cancelled.", job_id=job_id)
        if observation.state is JobState.ACTIVE:
            raise WaitError(
                f"{name} had ended and is {observation.raw_status!r} again; retry to go on waiting.",
                job_id=job_id,
            )
        raise JobFailedError(f"{name} failed: {observation.message}", job_id=job_id)

    def _place_in_queue(self, context: Context) -> Ticket:
        """Return the ticket that all pokes of one attempt share: each is a process of its own."""
        ti = context["ti"]
        began = ti.get_first_reschedule_date(context)
        name = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}/{ti.try_number}"
        since = time.time() if began is None else began.timestamp()
        number = uuid.uuid5(uuid.NAMESPACE_URL, name).hex[:16]
        return Ticket(number, self.turn_priority, since, bucket=self.hook_class.service.poll_bucket)

    def _new_wait(self) -> Wait:
        now = time.time()
        return Wait(
            self.job_id,
            noun=self.job.noun,
            submitted_at=now,
            begun_at=now,
            deadline=float("inf"),
            schedule=self._backoff(),
            submission_known=False,
            known_to_exist=False,
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
        pause = max(self._backoff().delay(elapsed), self._turn_at - time.time())
        return max(0.0, min(pause, self.timeout - elapsed))
