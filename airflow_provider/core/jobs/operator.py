"""JobOperator: submits a job once, waits for it deferred or on the worker, and returns its result."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider.compat import TaskDeferralError, TaskDeferralTimeout, conf
from airflow_provider.core.arguments import positive_seconds, switch
from airflow_provider.core.jobs.dry_run import DryRun
from airflow_provider.core.jobs.kind import JobKind
from airflow_provider.core.jobs.ledger import Entry, Ledger
from airflow_provider.core.jobs.paid_request import Wrong, check_all, check_paying, stop_unless_paid
from airflow_provider.core.jobs.run import JobRun
from airflow_provider.core.operator import HookT, ServiceOperator, in_turn
from airflow_provider.core.polling.schedule import Backoff
from airflow_provider.exceptions import InvalidInputError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.jobs.trigger import JobTrigger

SWITCHES = ("wait_for_completion", "deferrable", "cancel_on_kill", "cancel_on_timeout")


class JobOperator(ServiceOperator[HookT]):
    """
    Submit a job, wait for its end, return its result. The work of an attempt is done by
    :class:`~airflow_provider.core.jobs.run.JobRun`.

    :param wait_for_completion: wait for the job's end (default), or return as soon as it is submitted.
    :param deferrable: wait in the triggerer and give the worker slot back. Default: ``[operators]
        default_deferrable``. Results, errors, cancelling and crash safety are the same in both modes.
    :param timeout: seconds, or a timedelta, that the job may take, counted from its submission and over
        retries. Default: the vendor's advice for this kind of job. ``execution_timeout`` shortens it.
    :param poll_interval: first interval in seconds, or a timedelta; alone it is a fixed interval. Default: a
        schedule that fits the job and the rate limit.
    :param exponential_backoff: let the interval grow; a number is the factor.
    :param max_wait: longest interval in seconds, or a timedelta.
    :param cancel_on_kill: cancel the job when the task is killed, where the API can.
    :param cancel_on_timeout: cancel the job when it exceeds ``timeout``, or when waiting is given up and no
        retry follows, where the API can.
    :param reuse_completed: when a user clears the task after it succeeded, return the finished job's result
        instead of paying for a new one. Retries never pay twice, whatever this says.
    :param on_clear: what it means that a user clears the task. ``attach``: take the job that was paid for,
        running or succeeded. ``new``: pay for another one; a running job is cancelled, where the API can.
        Default: a running job is cancelled and replaced, where the API can and ``cancel_on_kill`` is on, and
        taken elsewhere; one whose result was returned is replaced; one whose result was not is taken.
    :param max_paid_requests: most paid requests of this task, over retries, clears and repairs; the next one
        is an error. Default: no limit.
    """

    job: ClassVar[JobKind]
    trigger_class: ClassVar[type[JobTrigger]]
    arrives_within: float = 0.0
    conflict_may_be_own: bool = True
    result_arguments: ClassVar[Collection[str]] = ()
    """Arguments that shape what the task returns or writes, beside the job."""
    template_fields: Sequence[str] = ("timeout",)

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        timeout: float | timedelta | None = None,
        poll_interval: float | timedelta | None = None,
        exponential_backoff: bool | float | None = None,
        max_wait: float | timedelta | None = None,
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = True,
        reuse_completed: bool = False,
        on_clear: str | None = None,
        max_paid_requests: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(deferrable=deferrable, **kwargs)
        self.wait_for_completion = wait_for_completion
        self.timeout = timeout
        self.poll_interval = poll_interval
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.reuse_completed = reuse_completed
        self.on_clear = on_clear
        self.max_paid_requests = max_paid_requests
        self.wrong: Wrong = {}
        self._run: JobRun | None = None

    # -- what a service's operator says about its job -------------------------------------------------------

    @abstractmethod
    def check(self) -> None:
        """Check the rendered arguments before anything is sent; name the argument that is wrong."""

    @property
    def adopts(self) -> str | None:
        """Id of a job that exists already and is to be taken instead of paying for one."""
        return None

    @abstractmethod
    def request(self) -> dict[str, Any]:
        """Return what was asked for, as plain JSON, for its fingerprint. Sends and reads nothing."""

    def older_request(self) -> dict[str, Any] | None:
        """Return the same as older versions put it, where they did otherwise. May read files."""
        return None

    def prepare(self, hook: HookT, ledger: Ledger, entry: Entry) -> Entry:
        """Do what must precede the paid call, recording what a later attempt need not repeat."""
        return entry

    @abstractmethod
    def submit(self, hook: HookT, entry: Entry) -> dict[str, Any]:
        """Send the paid call; return the service's answer."""

    @abstractmethod
    def find_orphaned(
        self, hook: HookT, entry: Entry, *, may_probe: bool, claimed: Collection[str]
    ) -> dict[str, Any] | None:
        """Find what an earlier paid call with a lost answer started; see ``PaidRequest``."""

    @abstractmethod
    def result(self, hook: HookT, body: dict[str, Any]) -> dict[str, Any]:
        """Return what goes to XCom for a job that was submitted, or that succeeded."""

    @abstractmethod
    def failed(self, hook: HookT, body: dict[str, Any]) -> dict[str, Any]:
        """Raise the error of a failed job, or return the result of one that failed in part."""

    def repair(self, run: JobRun) -> bool:
        """Try again what failed for a passing reason; return whether the job goes on."""
        return False

    def repairable(self, body: dict[str, Any]) -> bool:
        """Whether a failed job of an earlier attempt still serves: as it is, or after :meth:`repair`."""
        return False

    def is_stale(self, entry: Entry, body: dict[str, Any]) -> bool:
        """Whether a finished job is shown as it was before what this task has started in it; not for ever."""
        return False

    def sort(self) -> str:
        """Return what sort of job this is, for the time it usually takes."""
        return ""

    def trigger_arguments(self, body: dict[str, Any] | None) -> dict[str, Any]:
        """
        Return what the service's trigger takes beside what all triggers take.

        :param body: the service's description of the job; ``None`` when it could not be read.
        """
        return {}

    def rehearse(self, hook: HookT) -> DryRun:
        """Return what a first attempt would send, found out with requests that are free."""
        return DryRun(paid_requests={f"a {self.noun}": 1})

    # -- Airflow's entry points ------------------------------------------------------------------------------

    @in_turn
    def execute(self, context: Context) -> Any:
        """Submit or re-attach, then wait."""
        run = self._new_run(context)
        stop_unless_paid(self.wrong, run.ledger)
        return run.start()

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Resume after the trigger's event; after none, or one that says nothing, by the record."""
        return self._new_run(context).resume(event)

    def go_on(self, method: str, arguments: dict[str, Any] | None, context: Context) -> Any:
        """As every operator; follow a job up whose deferral Airflow itself has ended."""
        try:
            return super().go_on(method, arguments, context)
        except (TaskDeferralTimeout, TaskDeferralError) as error:
            return self._new_run(context).resume_without_event(error)

    def _new_run(self, context: Context) -> JobRun:
        self.wrong = check_all(self, self._check_all, kept=self.result_arguments)
        self._run = JobRun(self, context)
        return self._run

    def on_kill(self) -> None:
        """Cancel the job this task submitted, where the API can; the wait then raises."""
        if self._run is not None:
            self._run.canceller.kill()

    def dry_run(self) -> dict[str, Any]:  # type: ignore[override]
        """
        Say what a first attempt would send and what the service still requires; create and pay nothing.

        Files, media types and limits are checked, and the service is read with requests that are free.
        Template fields are taken as they are: render them first (``render_template_fields``).

        :return: ``paid_requests`` and ``other_requests`` (how many, by method and path), ``files``,
            ``bytes``, ``missing`` (what the service would refuse the request for), ``notes``.
        :raises InvalidInputError: as a run would.
        """
        self._check_all()
        with self.hook_of_dry_run() as hook:
            if self.adopts is None:
                found = self.rehearse(hook)
                found.check_limit(self.max_paid_requests)
            else:
                state = self.job.observe(self.fetch(hook, self.adopts)).raw_status
                found = DryRun(notes=[f"Takes {self.noun} {self.adopts}, which is {state}; pays nothing."])
        return found.report(self.task_log)

    def announce(self, context: Context, job_id: str | None) -> None:
        """Push the id to XCom at once, for people and links; recovery never relies on it."""
        self.push_early(context, self.id_key, job_id)

    # -- what an attempt asks --------------------------------------------------------------------------------

    @property
    def noun(self) -> str:
        return self.job.noun

    @property
    def id_key(self) -> str:
        return self.job.id_key

    def fetch(self, hook: HookT, job_id: str) -> dict[str, Any]:
        """Return the service's present description of the job."""
        return self.job.get(hook, job_id)

    def id_of(self, body: dict[str, Any]) -> str:
        """Return the job's id from the service's description."""
        return self.job.id_of(body)

    @property
    def own_intervals(self) -> bool:
        """Whether the Dag sets intervals of its own."""
        return any(value is not None for value in self.intervals().values())

    def intervals(self) -> dict[str, Any]:
        """Return the arguments that say how often to poll, in seconds; ``None`` for the default."""
        asked = {name: getattr(self, name) for name in ("max_wait", "exponential_backoff", "poll_interval")}
        return {
            name: value.total_seconds() if isinstance(value, timedelta) else value
            for name, value in asked.items()
        }

    def backoff(self) -> Backoff:
        """Return the polling intervals: the vendor's, with what the Dag sets."""
        return self.job.backoff.adjusted(**self.intervals())

    def timeout_seconds(self) -> float | None:
        """
        Return ``timeout`` in seconds; ``None`` for the default.

        :raises InvalidInputError: it is no positive number and no timedelta.
        """
        return None if self.timeout in (None, "") else positive_seconds("timeout", self.timeout)

    def _check_all(self) -> None:
        for argument in SWITCHES:
            switch(argument, getattr(self, argument))
        check_paying(self)
        self.timeout_seconds()
        if self.max_turn_wait is not None:
            positive_seconds("max_turn_wait", self.max_turn_wait)
        asked = {name: value for name, value in self.intervals().items() if value is not None}
        # Each alone first, to name the one that is wrong.
        for some in (*({name: value} for name, value in asked.items()), asked) if asked else ():
            try:
                self.job.backoff.adjusted(**some)
            except (TypeError, ValueError, OverflowError) as error:
                raise InvalidInputError(
                    f"poll_interval, exponential_backoff or max_wait is not usable: {error}",
                    parameter=[*some][-1],
                ) from error
        self.check()

    def lineage_job(self, task_instance: Any) -> dict[str, Any]:
        """Return what OpenLineage is told of the job."""
        if self._run is None or self._run.summary.entry is None or task_instance is None:
            return {}
        return self._run.summary.as_lineage(task_instance)
