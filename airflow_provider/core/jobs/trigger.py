"""JobTrigger: waits for one job through the hub and yields one event with ids only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider.core.jobs.kind import JobKind
from airflow_provider.core.polling.schedule import AdaptiveSchedule
from airflow_provider.core.polling.shared_clients import Lease, SharedClients
from airflow_provider.core.polling.wait import TROUBLE_TOLERANCE, Observation, PollOutcome, Wait
from airflow_provider.exceptions import ProviderError

if TYPE_CHECKING:
    import aiohttp

    from airflow_provider.core.http.client import ServiceHook
    from airflow_provider.core.polling.wait import Schedule


class JobTrigger(BaseTrigger):
    """
    Wait for one job. A service adds its hook, its profile and how to look at a job.

    The keyword arguments are a wire format between versions: plain JSON, no secret, never renamed or removed;
    unknown ones are ignored, so that a triggerer of this version runs what a later one deferred.

    :param conn_id: connection id.
    :param job_id: submission id or report id.
    :param submitted_at: when the job was submitted, epoch seconds.
    :param deadline: when to give up, epoch seconds.
    :param kind: what sort of job this is, for the time it usually takes; empty when unknown.
    :param poll_interval: first interval in seconds; ``None`` for a pace that fits the job and the rate limit.
    :param exponential_backoff: whether, or by which factor, the interval grows; ``None`` for the default.
    :param max_wait: longest interval in seconds; ``None`` for the default.
    :param tolerance: seconds of transient errors in a row before giving up.
    :param cancel_on_kill: cancel the job when a user kills the deferred task, where the API can.
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

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the keyword arguments that rebuild this trigger elsewhere."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "conn_id": self.conn_id,
                "job_id": self.job_id,
                "submitted_at": self.submitted_at,
                "deadline": self.deadline,
                "kind": self.kind,
                "poll_interval": self.poll_interval,
                "exponential_backoff": self.exponential_backoff,
                "max_wait": self.max_wait,
                "tolerance": self.tolerance,
                "cancel_on_kill": self.cancel_on_kill,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then yield the one event: ``{"status", "job_id", "raw_status", "message", "polls"}``."""
        verdict = await self._wait(SharedClients.current())
        yield TriggerEvent(verdict.as_event())

    async def look(self, hook: Any, client: aiohttp.ClientSession) -> Observation:
        """Make one status request."""
        raise NotImplementedError

    async def _wait(self, hub: SharedClients) -> PollOutcome:
        async with hub.seat(self.hook_class, self.conn_id) as seat:
            wait = Wait(
                self.job_id,
                noun=self.job.noun,
                submitted_at=self.submitted_at,
                begun_at=hub.clock(),
                deadline=self.deadline,
                pace=await self._pace(seat),
                tolerance=self.tolerance,
            )
            while True:
                try:
                    observation = await self._follow(seat, wait)
                except ProviderError as error:
                    verdict = wait.stumbled(error, hub.clock())
                    self.log.warning("%s %s: %s", wait.noun.capitalize(), self.job_id, error)
                else:
                    verdict = wait.saw(observation, hub.clock()) if observation else wait.gave_up()
                    if observation and observation.finished:
                        seat.ended(wait)
                    if news := wait.news():
                        self.log.info(news)
                if verdict is not None:
                    return verdict

    @property
    def has_own_pace(self) -> bool:
        """Whether the Dag asks for intervals of its own."""
        asked = (self.poll_interval, self.exponential_backoff, self.max_wait)
        return any(value is not None for value in asked)

    async def _follow(self, seat: Lease, wait: Wait) -> Observation | None:
        """Wait for the next look and make it."""
        return await seat.look(wait, self.look)

    async def _pace(self, seat: Lease) -> Schedule:
        if self.has_own_pace:
            return self.job.backoff.adjusted(
                poll_interval=self.poll_interval,
                exponential_backoff=self.exponential_backoff,
                max_wait=self.max_wait,
            )
        try:
            lane = await seat.lane()
        except ProviderError:
            return self.job.backoff
        return AdaptiveSchedule(
            durations=lane.durations(self.kind, self.job.typical_for(self.kind)),
            crowd=lane.crowd,
            backoff=self.job.backoff,
        )
