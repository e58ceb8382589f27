"""JobTrigger: waits for one job through the shared clients and yields one event with ids only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider.compat import SHORTEST_DEFERRAL, earliest_event
from airflow_provider.core.jobs import cancelling
from airflow_provider.core.jobs.kind import JobKind
from airflow_provider.core.jobs.progress import Progress
from airflow_provider.core.jobs.task_state import ENDED, task_state
from airflow_provider.core.polling.hints import Watch
from airflow_provider.core.polling.schedule import AdaptiveSchedule
from airflow_provider.core.polling.shared_clients import Lease, SharedClients
from airflow_provider.core.polling.wait import (
    CLOCK_TOLERANCE,
    TROUBLE_TOLERANCE,
    Observation,
    PollOutcome,
    Wait,
)
from airflow_provider.core.text import clean
from airflow_provider.exceptions import ApiError, ProviderError, WaitError

if TYPE_CHECKING:
    import aiohttp

    from airflow_provider.core.http.client import ServiceHook
    from airflow_provider.core.polling.key_state import KeyState
    from airflow_provider.core.polling.schedule import Schedule

STATE_PATIENCE = 8.0
"""Seconds to wait for Airflow to say what state the task is in."""

READ_PATIENCE = 5.0
"""Seconds that a killed wait spends on reading its job: a cancel that waits for more may never be sent."""

WIRE_FORMAT = (
    "conn_id", "job_id", "submitted_at", "deadline", "kind", "poll_interval", "exponential_backoff",
    "max_wait", "tolerance", "cancel_on_kill",
)  # fmt: skip
"""Arguments that are always stored with a deferred task."""


class JobTrigger(BaseTrigger):
    """
    Wait for one job. A service adds its hook and its kind of job.

    The keyword arguments are a wire format between versions: plain JSON, no secret, never renamed or removed;
    unknown ones are ignored, so that a triggerer of this version runs what a later one deferred.

    :param conn_id: connection id.
    :param job_id: submission id or report id.
    :param submitted_at: when the job was submitted, epoch seconds.
    :param deadline: when waiting ends, epoch seconds.
    :param kind: what sort of job this is, for the time it usually takes; empty when unknown.
    :param poll_interval: first interval in seconds; ``None`` for a schedule that fits the job and the rate
        limit.
    :param exponential_backoff: whether, or by which factor, the interval grows; ``None`` for the default.
    :param max_wait: longest interval in seconds; ``None`` for the default.
    :param tolerance: seconds of transient errors in a row after which waiting ends.
    :param cancel_on_kill: cancel the job when a user kills the deferred task, where the API can.
    :param left_on_clear: leave the job running when a user clears the deferred task, whose next attempt takes
        it; stored only when so.
    :param clock_offset: seconds by which the service's clock was ahead of that of the worker that deferred;
        serialized only when there is a difference worth a notice.
    :param submission_known: whether ``submitted_at`` is when the job was submitted, and not only when
        somebody began to wait for it; stored only when it is not.
    :param push_progress: whether status and progress go to XCom while waiting; stored only when not.
    """

    hook_class: ClassVar[type[ServiceHook]]
    job: ClassVar[JobKind]

    def __init__(
        self,
        conn_id: str,
        job_id: str,
        submitted_at: float,
        deadline: float,
        kind: str = "",
        poll_interval: float | None = None,
        exponential_backoff: bool | float | None = None,
        max_wait: float | None = None,
        tolerance: float = TROUBLE_TOLERANCE,
        cancel_on_kill: bool = False,
        left_on_clear: bool = False,
        submission_known: bool = True,
        clock_offset: float = 0.0,
        push_progress: bool = True,
        **_: Any,
    ) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.job_id = job_id
        self.submitted_at = submitted_at
        self.deadline = deadline
        self.kind = kind
        self.poll_interval = poll_interval
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait
        self.tolerance = tolerance
        self.cancel_on_kill = cancel_on_kill
        self.left_on_clear = left_on_clear
        self.submission_known = submission_known
        self.clock_offset = clock_offset
        self.push_progress = push_progress
        self._own_clock_offset: float | None = None
        self._watch: Watch | None = None
        self._progress = Progress()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the keyword arguments that rebuild this trigger elsewhere."""
        kwargs = {name: getattr(self, name) for name in WIRE_FORMAT}
        if self.left_on_clear:
            kwargs["left_on_clear"] = True
        if not self.submission_known:
            kwargs["submission_known"] = False
        if self.clock_offset:
            kwargs["clock_offset"] = self.clock_offset
        if not self.push_progress:
            kwargs["push_progress"] = False
        return f"{type(self).__module__}.{type(self).__qualname__}", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then yield the one event: ``{"status", "job_id", "raw_status", "message", "polls"}``."""
        clients = SharedClients.current()
        begun_at = clients.clock()
        wait = Wait(
            self.job_id,
            noun=self.job.noun,
            submitted_at=self.submitted_at,
            begun_at=begun_at,
            deadline=self.deadline,
            schedule=self.job.backoff,
            submission_known=self.submission_known,
            tolerance=self.tolerance,
        )
        try:
            outcome = await self._follow(clients, wait)
        except asyncio.CancelledError:
            if self.trigger_id is None:  # Ctrl-C in dag.test(), where no triggerer calls on_kill()
                await self.on_kill()
            raise
        except Exception as error:  # an exception out of here would end all waits of the triggerer
            outcome = wait.on_crash(error)
        early = earliest_event(self.trigger_id, begun_at) - clients.clock()
        await clients.sleep(min(max(0.0, early), SHORTEST_DEFERRAL))
        yield TriggerEvent(outcome.as_event())

    async def on_kill(self) -> None:
        """
        Cancel the job when a user kills the deferred task (Airflow 3.3).

        Leaves a job alone that is seen to have ended, and one that another triggerer has taken over. Never
        raises; done within the 30 s that Airflow gives it, where the service answers.
        """
        noun = self.job.noun
        if self.job.acancel is None:
            service = self.hook_class.service.name
            self.log.warning(
                "The task was killed; %s %s goes on: %s cannot cancel.", noun, self.job_id, service
            )
            return
        if not self.cancel_on_kill:
            self.log.warning("The task was killed; %s %s goes on (cancel_on_kill=False).", noun, self.job_id)
            return
        if await self._still_wanted():
            return
        try:
            async with SharedClients.current().lease(self.hook_class, self.conn_id) as lease:
                await lease.on_key(self._cancel)
        except Exception as error:
            self.log.error(
                "The task was killed; %s %s could not be cancelled, it may still be running: %s",
                noun,
                self.job_id,
                clean(error),
            )

    async def poll(self, hook: Any, client: aiohttp.ClientSession) -> Observation:
        """Make one status request."""
        try:
            body = await self.job.aget(hook, client, self.job_id)
        finally:
            self._own_clock_offset = hook.clock_offset
        if self._watch is not None and self._watch.place is None:
            self._watch.place = self._watch.listing.place_of(body)
        return self.job.observe(body)

    async def _follow(self, clients: SharedClients, wait: Wait) -> PollOutcome:
        async with clients.lease(self.hook_class, self.conn_id) as lease:
            wait.schedule = self._watched(lease, wait, await self._schedule(lease))
            skew = min(0.0, wait.begun_at - wait.submitted_at)  # nothing was submitted in the future
            wait.shift(skew)
            while True:
                try:
                    observation = await self._next_poll(lease, wait)
                    skew = self._compare_clocks(wait, skew)
                except ProviderError as error:
                    skew = self._compare_clocks(wait, skew)
                    outcome = wait.on_error(error, clients.clock())
                    self.log.warning("%s", clean(f"{wait.noun.capitalize()} {self.job_id}: {error}"))
                else:
                    now = clients.clock()
                    outcome = wait.on_state(observation, now) if observation else wait.on_deadline()
                    if observation:
                        lease.on_polled(wait, finished=observation.finished)
                    if line := wait.status_line():
                        self.log.info("%s", line)
                    if self.push_progress and wait.standing != self._progress.shown:
                        self._progress.send(self.task_instance, wait, now)
                if outcome is not None:
                    return outcome

    def _compare_clocks(self, wait: Wait, known: float) -> float:
        """
        Keep to the worker's deadline on this machine's clock; return by how much this one is ahead.

        Both know the service's clock: the worker when it deferred, this process since its last poll. That
        clock may be set right meanwhile, or each of several servers may have its own: the deadline is moved
        no earlier on its word, and no further than to the whole of its time from here on.

        :param known: by how much the deadline was moved before.
        """
        elapsed = wait.begun_at - self.submitted_at
        if self._own_clock_offset is None or elapsed < 0:
            return known
        skew = min(max(0.0, self.clock_offset - self._own_clock_offset), elapsed)
        if abs(skew - known) < CLOCK_TOLERANCE:
            return known
        self.log.info("The clocks of worker and triggerer differ by %.0f s; the deadline is kept.", skew)
        wait.shift(skew - known)
        return skew

    @property
    def has_own_interval(self) -> bool:
        """Whether the Dag asks for intervals of its own."""
        asked = (self.poll_interval, self.exponential_backoff, self.max_wait)
        return any(value is not None for value in asked)

    async def _next_poll(self, lease: Lease, wait: Wait) -> Observation | None:
        """Wait until the next poll is due and make it; ``None`` when no turn came for it."""
        return await lease.poll(wait, self.poll)

    async def _schedule(self, lease: Lease) -> Schedule:
        if self.has_own_interval:
            return self.job.backoff.adjusted(
                poll_interval=self.poll_interval,
                exponential_backoff=self.exponential_backoff,
                max_wait=self.max_wait,
            )
        try:
            state = await lease.key_state()
        except ProviderError:
            return self.job.backoff
        durations = state.durations(self.kind, self.job.typical_for(self.kind))
        return AdaptiveSchedule(durations, state.load, self.job.backoff)

    @property
    def place(self) -> str | None:
        """The id under which the service's list shows the job; ``None`` until a poll tells it."""
        return None

    def _watched(self, lease: Lease, wait: Wait, usual: Schedule) -> Schedule:
        if self.job.listing is None or not isinstance(usual, AdaptiveSchedule):
            return usual
        self._watch = lease.watch = Watch(wait, self.job.listing, self.place, usual)
        return self._watch.schedule()

    async def _still_wanted(self) -> bool:
        """
        Return whether the task waits on for the job, so that nobody has killed it.

        A task that a user cleared may be deferred again in its next attempt; that attempt has cancelled this
        job itself before it submitted another.
        """
        ti = self.task_instance
        if ti is None:
            return False
        state = await asyncio.to_thread(task_state, ti, patience=STATE_PATIENCE)
        if state == "deferred":
            self.log.info("Another triggerer has taken over; %s %s goes on.", self.job.noun, self.job_id)
        elif state is None:
            # An Airflow that has just taken a kill answers; after an outage the wait may go on elsewhere.
            self.log.warning(
                "Airflow did not say who killed the task; %s %s goes on.", self.job.noun, self.job_id
            )
        elif self.left_on_clear and state not in ENDED:
            self.log.info("The task was cleared (on_clear='attach'); its next attempt takes %s.", self.job_id)
            return True
        return state in ("deferred", None)

    async def _cancel(self, state: KeyState) -> None:
        """Cancel the job, also one that cannot be read; a refusal is believed only when it has ended."""
        assert self.job.acancel is not None
        noun, seen = self.job.noun, await self._seen(state)
        if seen is not None and seen.finished:
            self.log.info("The task was killed; %s %s is %s.", noun, self.job_id, clean(seen.raw_status))
            return
        for pause in (*cancelling.CANCEL_PAUSES, None):
            trouble: ApiError | None = None
            try:
                await self.job.acancel(state.hook, state.client, self.job_id)
            except ApiError as error:
                trouble = error
            seen = await self._seen(state)
            if seen.finished if seen is not None else trouble is None:
                break
            if pause is None or (trouble is not None and trouble.key_refused):
                raise trouble or WaitError("the requests were taken, and it is shown as running")
            await asyncio.sleep(pause)
        end = "was cancelled" if seen is None or not seen.finished else f"is {clean(seen.raw_status)}"
        self.log.warning("The task was killed; %s %s %s.", noun, self.job_id, end)

    async def _seen(self, state: KeyState) -> Observation | None:
        """Return how the job stands; ``None`` when it cannot be read."""
        try:
            async with asyncio.timeout(READ_PATIENCE):
                return await self.poll(state.hook, state.client)
        except TimeoutError:
            trouble = "no answer"
        except ApiError as error:
            if error.key_refused:
                raise
            trouble = clean(error)
        self.log.warning("Could not read %s %s: %s", self.job.noun, self.job_id, trouble)
        return None
