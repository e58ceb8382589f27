"""JobOperator: submit a job once, wait for it deferred or on the worker, and end every path in one place."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow_provider.compat import TaskDeferralTimeout, conf
from airflow_provider.core.arguments import switch
from airflow_provider.core.jobs.cancelling import CancellableOperator
from airflow_provider.core.jobs.kind import JobKind
from airflow_provider.core.jobs.ledger import Entry, Ledger
from airflow_provider.core.jobs.summary import SUMMARY_KEY, JobSummary
from airflow_provider.core.operator import HookT
from airflow_provider.core.polling.loop import wait_here
from airflow_provider.core.polling.schedule import Backoff, worker_schedule
from airflow_provider.core.polling.wait import LATE_READS, TRANSIENT_ERRORS, JobState, Observation, Wait
from airflow_provider.exceptions import (
    AuthenticationError,
    InvalidInputError,
    JobCancelledError,
    JobTimeoutError,
    NotFoundError,
    ProviderError,
    ResultGoneError,
    WaitError,
)
from airflow_provider.links import show_links

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.jobs.trigger import JobTrigger
    from airflow_provider.core.polling.schedule import Schedule

SWITCHES = ("wait_for_completion", "deferrable", "cancel_on_kill", "cancel_on_timeout", "reuse_completed")

DEFER_MARGIN = 180.0
"""Seconds past our own deadline after which Airflow's deferral timeout steps in."""


class JobOperator(CancellableOperator[HookT]):
    """
    Submit a job, wait for its end, return its result.

    :param wait_for_completion: wait for the job's end (default), or return as soon as it is submitted.
    :param deferrable: wait in the triggerer and give the worker slot back. Default: ``[operators]
        default_deferrable``. Results, errors, cancelling and crash safety are the same in both modes.
    :param timeout: seconds, or a timedelta, that the job may take, counted from its submission and over
        retries. Default: the vendor's advice for this kind of job. ``execution_timeout`` shortens it.
    :param poll_interval: first interval in seconds; alone it is a fixed interval. Default: a pace that fits
        the job and the rate limit.
    :param exponential_backoff: let the interval grow; a number is the factor.
    :param max_wait: longest interval in seconds.
    :param cancel_on_kill: cancel the job when the task is killed, where the API can.
    :param cancel_on_timeout: cancel the job when it exceeds ``timeout``, or when waiting is given up and no
        retry follows, where the API can.
    :param reuse_completed: when a user clears the task after it succeeded, return the finished job's result
        instead of paying for a new one.
    """

    job: ClassVar[JobKind]
    trigger_class: ClassVar[type[JobTrigger]]
    template_fields: Sequence[str] = ("timeout",)

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        timeout: float | timedelta | None = None,
        poll_interval: float | None = None,
        exponential_backoff: bool | float | None = None,
        max_wait: float | None = None,
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = True,
        reuse_completed: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            cancel_on_kill=cancel_on_kill,
            cancel_on_timeout=cancel_on_timeout,
            reuse_completed=reuse_completed,
            **kwargs,
        )
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.timeout = timeout
        self.poll_interval = poll_interval
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait
        self._begun_at: float | None = None
        self._note = JobSummary(self.noun)
        self._context: Context | None = None

    @abstractmethod
    def result(self, hook: HookT, body: dict[str, Any]) -> dict[str, Any]:
        """Return what goes to XCom for a job that was submitted, or that succeeded."""

    @abstractmethod
    def failed(self, hook: HookT, body: dict[str, Any]) -> dict[str, Any]:
        """Raise the error of a failed job, or return the result of one that failed in part."""

    def repair(
        self, hook: HookT, ledger: Ledger, entry: Entry, body: dict[str, Any]
    ) -> tuple[Entry, dict[str, Any]] | None:
        """Try again what failed for a passing reason; ``None`` when there is nothing to try."""
        return None

    def repairable(self, body: dict[str, Any]) -> bool:
        """Whether a failed job of an earlier attempt still serves: as it is, or after :meth:`repair`."""
        return False

    def kind(self) -> str:
        """Return what sort of job this is, for the time it usually takes."""
        return ""

    def trigger_arguments(self, body: dict[str, Any] | None) -> dict[str, Any]:
        """
        Return what the service's trigger takes beside what all triggers take.

        :param body: the service's description of the job; ``None`` when it could not be read.
        """
        return {}

    def lineage_job(self, task_instance: Any) -> dict[str, Any]:
        if self._note.entry is None or task_instance is None:
            return {}
        summary = self._note.summary(task_instance)
        return {
            "kind": self.noun,
            "jobId": summary["job_id"],
            "status": summary["status"],
            "attempt": summary["attempt"],
            "paidRequests": summary["paid_requests"],
            "statusRequests": summary["status_requests"],
            "waitedSeconds": summary["waited_seconds"],
            "detectionSeconds": summary["detection_seconds"],
        }

    def execute(self, context: Context) -> Any:
        """Submit or re-attach, then wait."""
        self._begun_at = time.time()
        self.check()
        self._check_waiting()
        self._context = context
        ledger = self._ledger(context)
        with self._noted(context), self.hook() as hook:
            entry, body = self.secure(hook, ledger)
            self._job_id = entry.job_id
            self._note.entry = entry
            self.announce(context, entry.job_id)
            if self.wait_for_completion and self.observe(body).finished:
                if entry.left:
                    entry = ledger.amend(entry, left=False)
                # The answer to a creation says less of a job than the job itself.
                return self._conclude(hook, ledger, entry, "success", "")
            return self._proceed(hook, ledger, entry, body)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Resume after the trigger's event: look at the job again, for the event may be hours old."""
        self._context = context
        ledger = self._ledger(context)
        job_id = event["job_id"]
        self._job_id = job_id
        entry = self._note.entry = self._entry(ledger, job_id)
        self._note.polls += event.get("polls", 0)
        self.log.info(
            "Waited for %s %s: %s after %s status requests. %s",
            self.noun,
            job_id,
            event["status"],
            event.get("polls", "some"),
            event.get("message", ""),
        )
        with self._noted(context), self.hook() as hook:
            return self._conclude(hook, ledger, entry, event["status"], event.get("message", ""))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Catch Airflow's own deferral timeout: find the job in the ledger and end as at our own deadline."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            self._context = context
            ledger = self._ledger(context)
            entry = ledger.read()
            if entry is None or not entry.job_id:
                raise
            self._job_id = entry.job_id
            self._note.entry = entry
            with self._noted(context), self.hook() as hook:
                return self._conclude(
                    hook,
                    ledger,
                    entry,
                    "timeout",
                    f"Airflow's deferral timeout ended the wait for {self.noun} "
                    f"{entry.job_id}; is a triggerer running?",
                )

    @contextmanager
    def _noted(self, context: Context) -> Iterator[None]:
        """Sum the job up for people on call once the attempt has ended; not when it is deferred."""
        try:
            yield
        except Exception as error:
            self._sum_up(context, error)
            raise
        self._sum_up(context, None)

    def _sum_up(self, context: Context, error: Exception | None) -> None:
        if self._note.entry is None or not self.wait_for_completion:
            return
        ti: Any = context["ti"]
        summary = self._note.summary(ti)
        (self.log.warning if error else self.log.info)(self._note.line(summary, error))
        if self.do_xcom_push:
            try:
                ti.xcom_push(key=SUMMARY_KEY, value=summary)
            except Exception as trouble:
                self.log.warning("Could not push XCom %s: %s", SUMMARY_KEY, trouble)

    def wait_limit(self) -> float:
        """Return the seconds from submission after which waiting ends."""
        limit = self._timeout_seconds() or self.job.limit_for(self.kind())
        return min(limit, self.time_left())

    def time_left(self) -> float:
        """Return the seconds that ``execution_timeout`` leaves to this attempt; ``inf`` without one."""
        if self.execution_timeout is None:
            return float("inf")
        # Airflow counts from the start of the attempt, uploads included; we must be the first to end it.
        spent = 0.0 if self._begun_at is None else time.time() - self._begun_at
        return max(0.0, 0.95 * self.execution_timeout.total_seconds() - spent)

    def usable(self, hook: HookT, ledger: Ledger, entry: Entry, body: dict[str, Any]) -> bool:
        """An active job is re-attached to, a succeeded one reused, a failed or cancelled one replaced."""
        state = self.observe(body).state
        if state is JobState.ACTIVE:
            if ledger.cleared(entry) and not entry.left and self.can_cancel and self.cancel_on_kill:
                self.log.info("The task was cleared while %s %s was running.", self.noun, entry.job_id)
                return not self._try_to_cancel(hook, entry.job_id)
            return True
        if state is JobState.SUCCEEDED or self.repairable(body):
            if super().usable(hook, ledger, entry, body):
                return True
            self.log.info(
                "The task was cleared: %s %s is finished and not used again (reuse_completed=False).",
                self.noun,
                entry.job_id,
            )
            return False
        self.log.info("The recorded %s %s is %s; submitting a new one.", self.noun, entry.job_id, state)
        return False

    def _check_waiting(self) -> None:
        for argument in SWITCHES:
            switch(argument, getattr(self, argument))
        self._timeout_seconds()
        try:
            self._backoff()
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"poll_interval, exponential_backoff or max_wait is not usable: {error}",
                parameter="poll_interval",
            ) from error

    def _timeout_seconds(self) -> float | None:
        value = self.timeout
        if value is None or value == "":
            return None
        try:
            seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
        except (TypeError, ValueError):
            seconds = -1.0
        if isinstance(value, bool) or not 0 < seconds < float("inf"):
            raise InvalidInputError(
                f"timeout must be a positive number of seconds or a timedelta; got {value!r}.",
                parameter="timeout",
            )
        return seconds

    def _proceed(self, hook: HookT, ledger: Ledger, entry: Entry, body: dict[str, Any]) -> Any:
        self._raise_if_killed(hook)
        if not self.wait_for_completion:
            return self.deliver(ledger, entry, self.result(hook, body))
        if self.observe(body).finished:
            return self._finish(hook, ledger, entry, body)
        entry = self._renew(ledger, entry)
        if self.deferrable:
            self._defer(entry, body)
        return self._wait_here(hook, ledger, entry)

    def _renew(self, ledger: Ledger, entry: Entry) -> Entry:
        """Give a job that an earlier attempt left running after its deadline the same time again."""
        if not entry.left:
            return entry
        deadline = max(entry.deadline, time.time() + self.wait_limit())
        details = {name: value for name, value in entry.details.items() if name != "read_until"}
        return ledger.amend(entry, left=False, deadline=deadline, details=details)

    def _defer(self, entry: Entry, body: dict[str, Any] | None) -> NoReturn:
        trigger = self.trigger_class(
            conn_id=self.conn_id,
            job_id=entry.job_id,
            submitted_at=entry.submitted_at,
            deadline=entry.deadline,
            kind=self.kind(),
            poll_interval=self.poll_interval,
            exponential_backoff=self.exponential_backoff,
            max_wait=self.max_wait,
            cancel_on_kill=self.cancel_on_kill and self.can_cancel,
            **self.trigger_arguments(body),
        )
        patience = max(0.0, entry.deadline - time.time()) + 2 * self._backoff().cap + DEFER_MARGIN
        self.log.info("Deferring; %s %s is followed by the triggerer.", self.noun, entry.job_id)
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=patience))

    def _wait_here(self, hook: HookT, ledger: Ledger, entry: Entry) -> Any:
        wait = Wait(
            entry.job_id,
            noun=self.noun,
            submitted_at=entry.submitted_at,
            begun_at=time.time(),
            deadline=entry.deadline,
            schedule=self._pace(hook),
        )
        if self._context is not None:
            show_links(self, self._context["ti"])
        with ExitStack() as hooks:
            current = hook

            def look() -> Observation:
                nonlocal current
                try:
                    return self.observe(self.fetch(current, entry.job_id))
                except AuthenticationError:
                    fresh = self._after_rotation(current)
                    if fresh is None:
                        raise
                    hooks.enter_context(fresh)
                    current = fresh
                    return self.observe(self.fetch(current, entry.job_id))

            try:
                outcome = wait_here(
                    wait,
                    look,
                    clock=time.time,
                    sleep=time.sleep,
                    log=self.task_log,
                    check=lambda: self._raise_if_killed(current),
                )
            finally:
                self._note.polls += wait.polls
            return self._conclude(current, ledger, entry, outcome.status, outcome.message)

    def _after_rotation(self, refused: HookT) -> HookT | None:
        """Return a hook with the connection as it is now, when its key is another than the refused one."""
        self._settings = None
        hook = self.hook()
        if hook.settings.identity == refused.settings.identity:
            return None
        self.log.info("Connection %s has another key or server now; going on with it.", self.conn_id)
        return hook

    def _conclude(self, hook: HookT, ledger: Ledger, entry: Entry, status: str, message: str) -> Any:
        """Look at the job once more after a wait has ended, and end the task accordingly."""
        self._raise_if_killed(hook)
        try:
            body = self.fetch(hook, entry.job_id)
        except NotFoundError as error:
            if status == "success":
                raise ResultGoneError(
                    f"{self.noun.capitalize()} {entry.job_id} succeeded and can no longer be found: {error} "
                    "Nothing was submitted again.",
                    job_id=entry.job_id,
                ) from error
            ledger.amend(entry, left=True)
            raise
        except TRANSIENT_ERRORS as error:
            until = entry.details.get("read_until") or entry.deadline + LATE_READS
            if status in ("timeout", "error") or time.time() > until:
                self._leave(hook, ledger, entry, f"{message} Looking at it again failed: {error}", error)
            self.log.warning("Could not read the %s after its wait (%s); waiting again.", self.noun, error)
            entry = ledger.amend(
                entry,
                deadline=time.time() + self.wait_limit(),
                details={**entry.details, "read_until": until},
            )
            if self.deferrable:
                self._defer(entry, None)
            return self._wait_here(hook, ledger, entry)
        except ProviderError as error:
            self._leave(hook, ledger, entry, f"Cannot follow {self.noun} {entry.job_id}: {error}", error)
        if self._note.saw(self.observe(body)).finished:
            return self._finish(hook, ledger, entry, body)
        if status == "timeout":
            self._timed_out(hook, ledger, entry, message)
        if status == "error":
            self._leave(hook, ledger, entry, message, None)
        return self._proceed(hook, ledger, entry, body)

    def _finish(self, hook: HookT, ledger: Ledger, entry: Entry, body: dict[str, Any]) -> Any:
        """Return the result of a finished job or raise what became of it. Every path ends here."""
        self._raise_if_killed(hook)
        observation = self._note.saw(self.observe(body))
        if observation.state is JobState.SUCCEEDED:
            return self.deliver(ledger, entry, self.result(hook, body))
        if observation.state is JobState.CANCELLED:
            raise JobCancelledError(
                f"{self.noun.capitalize()} {entry.job_id} was cancelled. A retry submits a new one.",
                job_id=entry.job_id,
            )
        if repaired := self.repair(hook, ledger, entry, body):
            entry, body = repaired
            if entry.job_id != self._job_id and self._context is not None:
                self.announce(self._context, entry.job_id)
            self._job_id = entry.job_id
            self._note.entry = entry
            return self._proceed(hook, ledger, entry, body)
        return self.deliver(ledger, entry, self.failed(hook, body))

    def _timed_out(self, hook: HookT, ledger: Ledger, entry: Entry, message: str) -> NoReturn:
        if self.can_cancel and self.cancel_on_timeout and self._try_to_cancel(hook, entry.job_id):
            fate = f"The {self.noun} was cancelled (cancel_on_timeout=True); a retry submits a new one."
        else:
            ledger.amend(entry, left=True)
            fate = f"The {self.noun} goes on; {self._next_attempt(ledger)}."
        raise JobTimeoutError(f"{message} {fate}", job_id=entry.job_id)

    def _leave(
        self, hook: HookT, ledger: Ledger, entry: Entry, message: str, error: ProviderError | None
    ) -> NoReturn:
        """
        End the attempt without knowing what becomes of the job.

        While another attempt will find it, the job is left alone. After the last one it is cancelled, where
        the API can and answers.
        """
        if (
            (ledger.last_try or not ledger.durable)
            and self.can_cancel
            and self.cancel_on_timeout
            and self._try_to_cancel(hook, entry.job_id)
        ):
            fate = f"The {self.noun} was cancelled, because no retry follows."
        else:
            ledger.amend(entry, left=True)
            fate = f"The {self.noun} goes on; {self._next_attempt(ledger)}."
        message = f"{message} {fate}"
        if error is not None and not isinstance(error, TRANSIENT_ERRORS):
            error.args = (message, *error.args[1:])
            error.job_id = entry.job_id
            raise error
        raise WaitError(message, job_id=entry.job_id) from error

    def _next_attempt(self, ledger: Ledger) -> str:
        if ledger.durable:
            return "a retry, or clearing the task, re-attaches to it"
        return "this Airflow version cannot re-attach a retry to it"

    def _entry(self, ledger: Ledger, job_id: str) -> Entry:
        """Return the record of the job that an event is about, or what the event alone says of it."""
        entry = ledger.read()
        if entry is not None and entry.job_id == job_id:
            return entry
        now = time.time()
        return Entry(
            fingerprint="",
            intent_at=now,
            max_tries=ledger.max_tries,
            job_id=job_id,
            submitted_at=now,
            deadline=now + self.wait_limit(),
        )

    def _backoff(self) -> Backoff:
        return self.job.backoff.adjusted(
            poll_interval=self.poll_interval,
            exponential_backoff=self.exponential_backoff,
            max_wait=self.max_wait,
        )

    def _pace(self, hook: HookT) -> Schedule:
        if any(value is not None for value in (self.poll_interval, self.exponential_backoff, self.max_wait)):
            return self._backoff()
        typical = self.job.typical_for(self.kind())
        return worker_schedule(typical, self.job.backoff, per_hour=hook.settings.requests_per_hour)
