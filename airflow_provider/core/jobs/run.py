"""JobRun: one attempt at a job, from its submission or re-attachment to its end."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider.compat import AirflowFailException, TaskDeferralTimeout
from airflow_provider.core.jobs import pay_once
from airflow_provider.core.jobs.cancelling import Cancelled, JobCanceller
from airflow_provider.core.jobs.claims import keep_earlier_ids
from airflow_provider.core.jobs.ledger import Entry
from airflow_provider.core.jobs.paid_request import NAMED, NEW
from airflow_provider.core.jobs.pay_once import PayOnce, carry_over, is_adopted
from airflow_provider.core.jobs.progress import expect
from airflow_provider.core.jobs.summary import SUMMARY_KEY, JobSummary
from airflow_provider.core.jobs.waiting import defer, outcome_of, read_patiently, wait_on_worker
from airflow_provider.core.polling.wait import (
    LATE_READS,
    TRANSIENT_ERRORS,
    JobState,
    Observation,
)
from airflow_provider.exceptions import (
    ApiError,
    AuthenticationError,
    JobCancelledError,
    JobError,
    JobTimeoutError,
    LedgerError,
    NotFoundError,
    ProviderError,
    ResultGoneError,
    WaitError,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.jobs.operator import JobOperator


FAILURES = (Exception, KeyboardInterrupt)
"""What an attempt ends with for which Airflow calls no ``on_kill``: errors, and Ctrl-C in ``dag.test()``."""


class JobRun:
    """
    One attempt of a task at its job. Every path to an end leads through :meth:`_finish` or an error.

    ``entry`` is the record of the job and ``body`` the service's latest description of it; both are there
    once the job is submitted or found.

    :param task: the operator, which says what is asked for and what its results are.
    :param context: of the running task instance.
    """

    entry: Entry
    body: dict[str, Any]
    hook: Any
    paying: PayOnce

    def __init__(self, task: JobOperator[Any], context: Context) -> None:
        self.task = task
        self.job = task.job
        self.context = context
        self.ti: Any = context["ti"]
        self.ledger = task.ledger(context, task.request)
        self.summary = JobSummary(self.job.noun, task.item_name())
        self.log = task.task_log
        self._begun_at = time.time()
        self.canceller = JobCanceller(task, self.ledger, self.ti)
        self._ended = False

    # -- the ways into an attempt ----------------------------------------------------------------------------

    def start(self) -> Any:
        """Submit or re-attach, then wait."""
        if self.task.is_nested(self.context):
            keep_earlier_ids(self.context, self.job.id_key)
        with self._attempt():
            entry, body = self.paying.submit_or_reattach()
            self._follow(entry)
            self.task.announce(self.context, entry.job_id)
            if body is None:
                return self._wait(None)
            self.body = body
            if self.task.wait_for_completion and self.observation.finished:
                if entry.left:
                    self.record(left=False)
                # The answer to a creation says less of a job than the job itself.
                return self.conclude("success", "")
            return self.proceed()

    def resume(self, event: dict[str, Any]) -> Any:
        """Go on after the trigger's event: read the job again, for the event may be hours old."""
        try:
            event = outcome_of(event)
        except WaitError as error:
            return self.resume_without_event(error)
        job_id = self.canceller.job_id = event["job_id"]
        self.summary.polls += event.get("polls", 0)
        self.log.info(
            "Waited for %s %s: %s after %s status requests. %s",
            self.job.noun,
            job_id,
            event["status"],
            event.get("polls", "some"),
            event.get("message", ""),
        )
        with self._attempt():
            self._follow(self._entry_of(job_id))
            return self.conclude(event["status"], event.get("message", ""))

    def resume_without_event(self, error: Exception) -> Any:
        """
        Go on after a deferral that Airflow itself has ended: its timeout, or a trigger that could not run.

        :param error: what Airflow ends the task with; raised when the task has no job on record.
        """
        entry = self.ledger.read()
        if entry is None or not entry.job_id:
            raise error
        self._follow(entry)
        with self._attempt():
            if isinstance(error, TaskDeferralTimeout):
                message = (
                    f"Airflow's deferral timeout ended the wait for {self.name}; is a triggerer running?"
                )
                return self.conclude("timeout", message)
            message = f"The trigger that waited for {self.name} failed ({error}); the log above says why."
            return self.conclude("error", message)

    @contextmanager
    def _attempt(self) -> Iterator[None]:
        """Open a hook; sum the job up for people on call at the end, which a deferral is not."""
        try:
            with self.task.hook() as self.hook:
                self.canceller.hook = self.hook
                self.hook.turns.check = self.canceller.raise_if_killed
                self.paying = PayOnce(
                    self.task,
                    self.hook,
                    self.ledger,
                    self.context,
                    wait_limit=self.wait_limit,
                    should_reattach=self._should_reattach,
                    discard_stale=self.canceller.discard_stale,
                    pause=self.pause,
                    recorded=self._remember,
                    may_be_unread=self.task.wait_for_completion,
                )
                try:
                    yield
                except FAILURES as error:
                    self._end_job(error)
                    raise
        except FAILURES as error:
            self._sum_up(error)
            raise
        self._sum_up(None)

    def _sum_up(self, error: BaseException | None) -> None:
        if self.summary.entry is None or not self.task.wait_for_completion:
            return
        summary = self.summary.as_json(self.ti)
        (self.log.warning if error else self.log.info)(self.summary.line(summary, error))
        self.task.push_early(self.context, SUMMARY_KEY, summary)

    # -- what is known of the job ----------------------------------------------------------------------------

    @property
    def observation(self) -> Observation:
        """How the job stood when it was last read."""
        return self.job.observe(self.body)

    @property
    def name(self) -> str:
        """What to call the job in messages."""
        return f"{self.job.noun} {self.entry.job_id}"

    def _remember(self, job_id: str | None) -> None:
        self.canceller.job_id = job_id

    def _follow(self, entry: Entry) -> None:
        self.task.finish_first()
        self.entry = self.summary.entry = entry
        self.canceller.job_id = entry.job_id

    def record(self, **changes: Any) -> None:
        """Record changes to the job's entry."""
        self.entry = self.summary.entry = self.ledger.amend(self.entry, **changes)

    def _entry_of(self, job_id: str) -> Entry:
        """Return the record of the job that an event is about, or what the event alone says of it."""
        entry = self.ledger.read()
        if entry is not None and entry.job_id == job_id:
            return entry
        now = time.time()
        return Entry(
            fingerprint="",
            intent_at=now,
            max_tries=self.ledger.max_tries,
            job_id=job_id,
            submitted_at=now,
            deadline=now + self.wait_limit(),
        )

    def wait_limit(self) -> float:
        """Return the seconds from submission after which waiting ends."""
        return min(self.task.timeout_seconds() or self.job.limit_for(self.task.sort()), self.time_left())

    def time_left(self) -> float:
        """Return the seconds that ``execution_timeout`` leaves to this attempt; ``inf`` without one."""
        limit = self.task.execution_timeout
        if limit is None:
            return float("inf")
        # Airflow counts from the start of the attempt, uploads included; we must be the first to end it.
        return max(0.0, 0.95 * limit.total_seconds() - (time.time() - self._begun_at))

    def _should_reattach(self, entry: Entry, body: dict[str, Any]) -> bool:
        """An active job is re-attached to, a succeeded one reused, a failed or cancelled one replaced."""
        state, noun = self.job.observe(body).state, self.job.noun
        if self.task.is_stale(entry, body):
            return True
        if state is JobState.ACTIVE:
            if not self._is_replaced_by_clear(entry):
                return True
            self.log.info("The task was cleared while %s %s was running.", noun, entry.job_id)
            if self.paying.allowance(entry) == 0:
                self.log.warning("No new one can be paid for: re-attaching to it.")
                return True
            if not self.job.can_cancel:
                self.log.warning("It cannot be cancelled and goes on beside the new one (on_clear='new').")
                return False
            if is_adopted(entry):
                self.log.warning("This task has not started it: it goes on beside the new one.")
                return False
            cancelled = self.canceller.cancel(entry.job_id)
            if cancelled is Cancelled.HAD_ENDED:
                return self._should_reattach(entry, self.task.fetch(self.hook, entry.job_id))
            return cancelled is Cancelled.FAILED
        if state is JobState.SUCCEEDED or self.task.repairable(body):
            if self.paying.still_owed(entry):
                return True
            self.log.info(
                "The task was cleared: %s %s is finished; on_clear='attach' would take it.",
                noun,
                entry.job_id,
            )
            return False
        self.log.info("The recorded %s %s is %s; submitting a new one.", noun, entry.job_id, state)
        return False

    def _is_replaced_by_clear(self, entry: Entry) -> bool:
        """Whether a user's clear asks for a new job in place of one that runs."""
        if not self.ledger.cleared(entry):
            return False
        if self.task.on_clear is None:
            return self.canceller.on_kill and not entry.left
        return self.task.on_clear == NEW

    # -- waiting ---------------------------------------------------------------------------------------------

    def proceed(self) -> Any:
        """Return at once if nothing is to be waited for, finish a job that has ended, else wait."""
        self.canceller.raise_if_killed()
        if not self.task.wait_for_completion:
            return self.paying.deliver(self.entry, self.task.result(self.hook, self.body))
        if self.observation.finished:
            return self._finish()
        return self._wait(self.body)

    def _wait(self, body: dict[str, Any] | None) -> Any:
        self.canceller.raise_if_killed()
        if self.entry.left:
            self.renew()
        if self.task.do_xcom_push:
            expect(self)
        if self.task.deferrable:
            defer(self, body)
        outcome = wait_on_worker(self)
        if outcome.finished and not self.task.is_stale(self.entry, self.body):
            return self._finish()
        return self.conclude(outcome.status, outcome.message)

    def renew(self) -> None:
        """Give a job that an earlier attempt left running after its deadline the same time again."""
        deadline = max(self.entry.deadline, time.time() + self.wait_limit())
        details = {name: value for name, value in self.entry.details.items() if name != "read_until"}
        self.record(left=False, deadline=deadline, details=details)

    def read(self) -> dict[str, Any]:
        """Ask the service for its present description of the job."""
        self.body = self.job.get(self.hook, self.entry.job_id)
        return self.body

    def _read_current(self) -> None:
        """Read the job, again while it is shown as it was before a start in it, or is denied for a moment."""
        pauses = itertools.chain(pay_once.READ_PAUSES, itertools.repeat(pay_once.READ_PAUSES[-1]))
        while self.task.is_stale(self.entry, read_patiently(self.read, pause=self.pause, log=self.log)):
            self.log.info("%s is shown as it was before; reading it again.", self.name.capitalize())
            self.pause(next(pauses))

    def use_rotated_key(self, hooks: ExitStack) -> bool:
        """Go on with the connection as it is now; return whether its key is another than the refused one."""
        fresh = self.task.hook(refresh=True)
        if fresh.settings.identity == self.hook.settings.identity:
            return False
        self.log.info("Connection %s has another key or server now; going on with it.", self.task.conn_id)
        self.hook = self.paying.hook = self.canceller.hook = hooks.enter_context(fresh)
        return True

    def pause(self, seconds: float) -> None:
        """Wait some seconds, unless the task is killed."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.canceller.raise_if_killed()
            time.sleep(min(left, 1.0))

    # -- the ways out ----------------------------------------------------------------------------------------

    def conclude(self, status: str, message: str) -> Any:
        """
        Read the job once more after a wait has ended, and end the task accordingly.

        :param status: how the wait ended, as in a trigger's event.
        :param message: about that end, for a person.
        """
        self.canceller.raise_if_killed()
        try:
            self._read_current()
        except NotFoundError as error:
            if status == "success":
                raise ResultGoneError(
                    f"{self.name.capitalize()} succeeded and can no longer be found: {error} "
                    "Nothing was submitted again.",
                    job_id=self.entry.job_id,
                ) from error
            return self._leave(f"{message} {self.name.capitalize()} is not found: {error}", error)
        except TRANSIENT_ERRORS as error:
            until = self.entry.details.get("read_until") or self.entry.deadline + LATE_READS
            if status in ("timeout", "error") or time.time() > until:
                return self._leave(f"{message} Reading it again failed: {error}", error)
            self.log.warning("Could not read %s after its wait (%s); waiting again.", self.name, error)
            self.record(
                deadline=time.time() + self.wait_limit(),
                details={**self.entry.details, "read_until": until},
            )
            return self._wait(None)
        except ProviderError as error:
            return self._leave(f"Cannot follow {self.name}: {error}", error)
        if self.summary.observe(self.observation).finished:
            return self._finish()
        if status == "timeout":
            return self._time_out(message)
        if status == "error":
            return self._leave(message, None)
        return self.proceed()

    def _finish(self) -> Any:
        """Return the result of a finished job or raise what became of it."""
        self.canceller.raise_if_killed()
        observation = self.summary.observe(self.observation)
        if observation.state is JobState.SUCCEEDED:
            return self.paying.deliver(self.entry, self.task.result(self.hook, self.body))
        if observation.state is JobState.CANCELLED:
            raise JobCancelledError(
                f"{self.name.capitalize()} was cancelled. "
                + (NAMED if self.entry.job_id == self.task.adopts else "A retry submits a new one."),
                job_id=self.entry.job_id,
            )
        if self.task.repair(self):
            return self.proceed()
        return self.paying.deliver(self.entry, self.task.failed(self.hook, self.body))

    def submit_again(self, **details: Any) -> None:
        """Pay for another job in place of one that failed, and follow that one."""
        entry = self.ledger.prepare(self.entry.fingerprint, {**carry_over(self.entry), **details})
        entry, self.body = self.paying.submit_once(entry)
        self._follow(entry)
        self.task.announce(self.context, entry.job_id)

    def _time_out(self, message: str) -> Any:
        """End an attempt whose job took too long; return the result of one that has ended after all."""
        cancelled = Cancelled.FAILED
        if self.job.can_cancel and self.task.cancel_on_timeout:
            cancelled = self.canceller.cancel(self.entry.job_id, read_first=False)
        if cancelled is Cancelled.HAD_ENDED and self._has_ended():
            return self._finish()
        if cancelled is Cancelled.DONE:
            fate = f"The {self.job.noun} was cancelled (cancel_on_timeout=True); a retry submits a new one."
        else:
            fate = self._left_running()
        raise JobTimeoutError(f"{message} {fate}", job_id=self.entry.job_id)

    def _has_ended(self) -> bool:
        """Read a job that could not be cancelled any more; return whether it has ended."""
        self.read()
        return self.observation.finished

    def _leave(self, message: str, error: ProviderError | None) -> Any:
        """
        End the attempt without knowing what becomes of the job; return the result of one that has ended.

        While another attempt will find it, the job is left alone. When no retry follows it is cancelled,
        where the API can; with a refused key it cannot, and a clear with a new one finds the job.
        """
        self._ended = True
        cancelled = self.canceller.cancel(self.entry.job_id) if self._cancels_after(error) else None
        if cancelled is Cancelled.HAD_ENDED and self._has_ended():
            return self._finish()
        if cancelled is Cancelled.DONE:
            fate = f"The {self.job.noun} was cancelled, because no retry follows."
        else:
            fate = self._left_running(error)
        message = f"{message} {fate}"
        if error is not None and not isinstance(error, TRANSIENT_ERRORS):
            error.args = (message, *error.args[1:])
            error.job_id = self.entry.job_id
            raise error
        raise WaitError(message, job_id=self.entry.job_id) from error

    def _cancels_after(self, error: BaseException | None) -> bool:
        """Whether no retry follows an error, so that its job is to be cancelled, and can be."""
        final = self.ledger.last_try or not self.ledger.durable or isinstance(error, AirflowFailException)
        refused = isinstance(error, AuthenticationError)
        if isinstance(error, KeyboardInterrupt):
            return final and self.canceller.on_kill
        return final and not refused and self.job.can_cancel and self.task.cancel_on_timeout

    def _end_job(self, error: BaseException) -> None:
        """Cancel the job of an attempt that ends with an error outside of its wait, if no retry follows."""
        unrecorded = error.job_id if isinstance(error, LedgerError) else None
        job_id = self.canceller.job_id or unrecorded
        if not job_id or self._ended or isinstance(error, JobError):
            return
        if not self._cancels_after(error):
            if isinstance(error, ApiError) and self.summary.entry is None:
                self._leave_unread(job_id, error)
            return
        fate = self.canceller.cancel(job_id).value
        if isinstance(error, ProviderError):
            message = f"{error} No retry follows: the {self.job.noun} {job_id} {fate}."
            error.args = (message, *error.args[1:])
            error.job_id = job_id

    def _leave_unread(self, job_id: str, error: ApiError) -> None:
        """Leave a job of an earlier attempt to the next one, as it could not be read."""
        self.entry = self._entry_of(job_id)
        if not self.ledger.cleared(self.entry):
            error.args = (f"{error} {self._left_running(error)}", *error.args[1:])
            error.job_id = job_id

    def _left_running(self, error: ProviderError | None = None) -> str:
        """Record that the job is left running on purpose; return what becomes of it."""
        self.record(left=True)
        noun = self.job.noun
        if isinstance(error, NotFoundError):
            fate = f"The {noun} may be running and billed all the same."
            named = self.entry.job_id == self.task.adopts
            paid_again = "Clearing the task pays for a new one if it is still not found."
            return f"{fate} {NAMED if named else paid_again}"
        if self.ledger.durable:
            return f"The {noun} goes on; {self.paying.found_by} re-attaches to it."
        return f"The {noun} goes on; a retry finds it on this machine at most (job_records_path)."
