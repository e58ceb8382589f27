"""What all waits on one server with one key share, and whose turn it is to send a request."""

from __future__ import annotations

import asyncio
import functools
import heapq
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider.core.budget.rate_budget import RateBudget, windows
from airflow_provider.core.polling.fallback import WebhookHealth
from airflow_provider.core.polling.schedule import AdaptiveSchedule, DurationStats, PollingLoad
from airflow_provider.errors import ProviderError, RateLimitedError

if TYPE_CHECKING:
    import aiohttp

    from airflow_provider.core.http.client import ServiceHook
    from airflow_provider.core.polling.wait import Wait

    Request = Callable[[ServiceHook, aiohttp.ClientSession], Awaitable["T"]]

T = TypeVar("T")

LAST_POLL_PATIENCE = 30.0
"""Seconds past its deadline that a wait queues for its last poll."""

HOUR = 3600.0

QUEUE_CHECK = 1.0
"""Longest sleep in seconds while somebody queues."""

FLUSH_EVERY = 5.0
"""Seconds between two reports; a counter per poll would cost more than the decision about the poll."""


class KeyState:
    """
    Everything that waits on one server with one key shares: client, budget, and what is known of durations.

    :param hook: a hook with its settings loaded.
    :param clock: epoch seconds.
    :param sleep: as :func:`asyncio.sleep`.
    """

    def __init__(
        self,
        hook: ServiceHook,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[Any]],
    ) -> None:
        self.budget = RateBudget()
        self.metrics = Metrics(hook.conn_type, clock=clock)
        self.active = 0
        self.webhook_health = WebhookHealth()
        self._clock = clock
        self._sleep = sleep
        self._client: aiohttp.ClientSession | None = None
        self._retired: list[aiohttp.ClientSession] = []
        self._durations: dict[str, DurationStats] = {}
        self._acquired_at: deque[float] = deque()
        self._in_flight = 0
        self._queue: list[tuple[float, int, _Ticket]] = []
        self._overdue: list[tuple[float, int, _Ticket]] = []
        self._numbers = itertools.count()
        self._dispatcher: asyncio.Task[None] | None = None
        self.use(hook)

    def use(self, hook: ServiceHook) -> None:
        """
        Go on with the settings of this hook; its server and key are those of before.

        Requests under way end as they began.
        """
        self.hook = hook
        hook.on_headers = self._on_headers
        limits = hook.settings.requests_per_minute, hook.settings.requests_per_hour
        self.budget.limit_to(windows(per_minute=limits[0], per_hour=limits[1]))
        if self._client is not None:
            self._retired.append(self._client)
            self._client = None

    @property
    def client(self) -> aiohttp.ClientSession:
        """The shared client; made for the first wait and closed after the last."""
        if self._client is None:
            self._client = self.hook.new_async_client()
        return self._client

    def durations(self, kind: str, typical: tuple[float, float]) -> DurationStats:
        """Return what this process knows of how long jobs of ``kind`` take on this server."""
        if kind not in self._durations:
            self._durations[kind] = DurationStats(typical)
        return self._durations[kind]

    def load(self) -> PollingLoad:
        """Return who shares the budget now."""
        capacity = self.budget.capacity()
        if capacity is None:
            return _NO_LIMIT
        now = self._clock()
        self._forget(now)
        return PollingLoad(
            capacity=capacity,
            sustained_rate=self.budget.sustained_rate(),
            active=max(1, self.active),
            recent=max(1, self.active, len(self._acquired_at)),
            left=self.budget.left(now),
        )

    def idle_since(self, now: float) -> bool:
        """Whether nothing waits here and nothing known here still matters: neither requests nor refusals."""
        self._forget(now)
        return not self.active and not self._acquired_at and self.budget.paused_until < now

    def acquire(self) -> None:
        """Count a wait in."""
        self.active += 1
        self._acquired_at.append(self._clock())

    async def release(self) -> None:
        """Count a wait out; the last one closes the client."""
        self.active -= 1
        if self.active:
            return
        if self._dispatcher is not None:
            self._dispatcher.cancel()
            self._dispatcher = None
        self._queue.clear()
        self._overdue.clear()
        self.metrics.gauge("active_waits", 0)
        self.metrics.flush()
        if self._client is not None:
            self._retired.append(self._client)
            self._client = None
        await self._close_retired()

    def job_ended(self, wait: Wait) -> None:
        """Learn from a wait whose job was seen to have ended."""
        if wait.submission_known:
            after, by = wait.ended_between
            if isinstance(wait.schedule, AdaptiveSchedule) and wait.begun_at <= by:
                wait.schedule.durations.add(after - wait.submitted_at, by - wait.submitted_at)
            self.metrics.timing("job_duration", wait.duration)
        self.metrics.timing("detection_delay", wait.detection_delay)

    async def poll(self, wait: Wait, request: Request[T]) -> T | None:
        """
        Wait for a turn, then make one status request.

        Turns go to waits past their deadline first, then to those whose job was not seen for longest.

        :param wait: whose turn it is to be.
        :param request: makes the request.
        :return: what ``request`` returned; ``None`` when no turn came until well past the deadline.
        """
        now = self._clock()
        if not self._queue and self._may_go(now, now >= wait.deadline):
            self.budget.acquire(now)
            self._in_flight += 1
        elif not await self._turn(wait.seen_at, wait.deadline):
            return None
        try:
            seen = await request(self.hook, self.client)
        except ProviderError as error:
            if isinstance(error, RateLimitedError):
                self.metrics.count("rate_limited")
                self.budget.on_429(self._clock(), error.retry_after)
            else:
                self.metrics.count("transient_errors")
            raise
        else:
            self.budget.on_success()
            return seen
        finally:
            self._in_flight -= 1
            if self.metrics.count("polls"):
                self.metrics.gauge("active_waits", self.active)
            if self._retired and not self._in_flight:
                await self._close_retired()

    async def _close_retired(self) -> None:
        while self._retired:
            await self._retired.pop().close()

    def _on_headers(self, headers: Mapping[str, str]) -> None:
        remaining = _number(headers.get("x-ratelimit-remaining"))
        if remaining is not None and headers.get("retry-after") is None:
            limit = _number(headers.get("x-ratelimit-limit"))
            reset_at = _number(headers.get("x-ratelimit-reset"))
            self.budget.update_from_headers(
                self._clock(), limit=limit, remaining=remaining, reset_at=reset_at
            )

    def _may_go(self, now: float, last_poll: bool) -> bool:
        # After a 429 one request goes alone, to learn whether the others may follow.
        if self._in_flight and self.budget.refusing:
            return False
        return self.budget.free_at(now, reserve=last_poll) <= now

    async def _turn(self, seen_at: float, deadline: float) -> bool:
        ticket = _Ticket(deadline, asyncio.get_running_loop().create_future())
        heapq.heappush(self._queue, (seen_at, next(self._numbers), ticket))
        heapq.heappush(self._overdue, (deadline, next(self._numbers), ticket))
        if self._dispatcher is None or self._dispatcher.done():
            self._dispatcher = asyncio.create_task(self._dispatch())
        try:
            return await ticket.granted
        except asyncio.CancelledError:
            if ticket.granted.done() and not ticket.granted.cancelled() and ticket.granted.result():
                self._in_flight -= 1
            raise

    async def _dispatch(self) -> None:
        while ticket := self._next_ticket():
            now = self._clock()
            last_poll = ticket.deadline <= now
            if self._may_go(now, last_poll):
                self.budget.acquire(now)
                self._in_flight += 1
                ticket.granted.set_result(True)
            elif now >= ticket.deadline + LAST_POLL_PATIENCE:
                ticket.granted.set_result(False)
            else:
                at = self.budget.free_at(now, reserve=last_poll)
                await self._sleep(min(max(at - now, 0.02), QUEUE_CHECK))

    def _next_ticket(self) -> _Ticket | None:
        for heap in (self._overdue, self._queue):
            while heap and heap[0][2].granted.done():
                heapq.heappop(heap)
        # What was granted by its age lies on in the heap of deadlines, which are far off.
        if len(self._overdue) > 2 * len(self._queue) + 64:
            self._overdue = [entry for entry in self._overdue if not entry[2].granted.done()]
            heapq.heapify(self._overdue)
        if self._overdue and self._overdue[0][0] <= self._clock():
            return self._overdue[0][2]
        return self._queue[0][2] if self._queue else None

    def _forget(self, now: float) -> None:
        while self._acquired_at and self._acquired_at[0] < now - HOUR:
            self._acquired_at.popleft()


_NO_LIMIT = PollingLoad()


@dataclass(slots=True, eq=False)
class _Ticket:
    deadline: float
    granted: asyncio.Future[bool]


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 12 else None


class Metrics:
    """
    Counters of one key, reported as ``<service>.<name>``.

    :param service: connection type, the prefix of every name.
    :param clock: epoch seconds.
    """

    def __init__(self, service: str, *, clock: Callable[[], float]) -> None:
        self.service = service
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._flushed_at = clock()

    def count(self, name: str) -> bool:
        """
        Count one ``name``; reported within :data:`FLUSH_EVERY` seconds of the next count, or at
        :meth:`flush`.

        :return: whether that was reported now.
        """
        self._counts[name] = self._counts.get(name, 0) + 1
        if self._clock() - self._flushed_at < FLUSH_EVERY:
            return False
        self.flush()
        return True

    def timing(self, name: str, seconds: float) -> None:
        """Report a duration at once."""
        _stats().timing(f"{self.service}.{name}", seconds * 1000.0)

    def gauge(self, name: str, value: float) -> None:
        """Report a level at once."""
        _stats().gauge(f"{self.service}.{name}", value)

    def flush(self) -> None:
        """Report what was counted since the last report."""
        counts, self._counts = self._counts, {}
        self._flushed_at = self._clock()
        stats = _stats()
        for name, count in counts.items():
            stats.incr(f"{self.service}.{name}", count)


@functools.cache
def _stats() -> Any:
    # Airflow is imported by the first report, not with the package.
    from airflow_provider.compat import airflow_stats

    return airflow_stats()
