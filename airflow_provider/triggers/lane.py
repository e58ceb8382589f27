"""The lane: what all waits on one server with one key share, and whose turn it is."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider.exceptions import RateLimitedError
from airflow_provider.waiting.budget import RateBudget, windows
from airflow_provider.waiting.pacing import SCOUT_EVERY, Crowd, Durations

if TYPE_CHECKING:
    import aiohttp

    from airflow_provider.hooks.base import ServiceHook
    from airflow_provider.triggers.metrics import Metrics

LAST_LOOK_PATIENCE = 30.0
"""Seconds past its deadline that a wait queues for its last look."""

HOUR = 3600.0


class Lane:
    """
    Everything that waits on one server with one key share: client, budget, and what is known of durations.

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
        metrics: Metrics,
    ) -> None:
        self.hook = hook
        self.budget = RateBudget(
            windows(per_minute=hook.settings.requests_per_minute, per_hour=hook.settings.requests_per_hour)
        )
        self.metrics = metrics
        self.active = 0
        self._clock = clock
        self._sleep = sleep
        self._client: aiohttp.ClientSession | None = None
        self._durations: dict[str, Durations] = {}
        self._joined: deque[float] = deque()
        self._in_flight = 0
        self._queue: list[tuple[float, int, _Ticket]] = []
        self._overdue: list[tuple[float, int, _Ticket]] = []
        self._numbers = itertools.count()
        self._dispatcher: asyncio.Task[None] | None = None

    @property
    def client(self) -> aiohttp.ClientSession:
        """The shared client; made for the first wait and closed after the last."""
        if self._client is None:
            self._client = self.hook.new_async_client()
        return self._client

    def durations(self, kind: str, typical: tuple[float, float]) -> Durations:
        """Return what this process knows of how long jobs of ``kind`` take on this server."""
        if kind not in self._durations:
            self._durations[kind] = Durations(typical)
        return self._durations[kind]

    def crowd(self) -> Crowd:
        """Return who shares the budget now."""
        now = self._clock()
        while self._joined and self._joined[0] < now - HOUR:
            self._joined.popleft()
        return Crowd(
            capacity=self.budget.capacity(now),
            sustained_rate=self.budget.sustained_rate(now),
            active=max(1, self.active),
            recent=max(1, self.active, len(self._joined)),
        )

    def join(self) -> bool:
        """Count a wait in; return whether it is one of the scouts."""
        self.active += 1
        self._joined.append(self._clock())
        return len(self._joined) % SCOUT_EVERY == 1

    async def leave(self) -> None:
        """Count a wait out; the last one closes the client."""
        self.active -= 1
        if self.active:
            return
        if self._dispatcher is not None:
            self._dispatcher.cancel()
            self._dispatcher = None
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @asynccontextmanager
    async def look(self, *, unseen_since: float, deadline: float) -> AsyncIterator[bool]:
        """
        Wait for a turn to send one status request; the body of the ``async with`` sends it.

        Turns go to waits past their deadline first, then to those unseen longest.

        :param unseen_since: when the job was last looked at, epoch seconds.
        :param deadline: when the wait ends, epoch seconds.
        :return: yields False when no turn came until well past the deadline.
        """
        if not await self._turn(unseen_since, deadline):
            yield False
            return
        self._in_flight += 1
        self.metrics.count("polls")
        try:
            yield True
        except RateLimitedError as error:
            self.metrics.count("rate_limited")
            self.budget.refused(self._clock(), error.retry_after)
            raise
        else:
            self.budget.answered(self._clock())
        finally:
            self._in_flight -= 1

    async def _turn(self, unseen_since: float, deadline: float) -> bool:
        now = self._clock()
        if not self._queue and not self._probing and self.budget.free_at(now, reserve=now >= deadline) <= now:
            self.budget.take(now)
            return True
        ticket = _Ticket(unseen_since, deadline)
        heapq.heappush(self._queue, (unseen_since, next(self._numbers), ticket))
        heapq.heappush(self._overdue, (deadline, next(self._numbers), ticket))
        if self._dispatcher is None or self._dispatcher.done():
            self._dispatcher = asyncio.create_task(self._dispatch())
        try:
            await asyncio.wait_for(ticket.granted.wait(), max(0.0, deadline - now) + LAST_LOOK_PATIENCE)
        except TimeoutError:
            return False
        finally:
            ticket.gone = True
        return True

    @property
    def _probing(self) -> bool:
        """After a 429 one request goes alone, to learn whether the others may follow."""
        return self.budget.refusing and self._in_flight > 0

    async def _dispatch(self) -> None:
        while ticket := self._next_ticket():
            now = self._clock()
            at = self.budget.free_at(now, reserve=ticket.deadline <= now)
            if at > now or self._probing:
                await self._sleep(min(max(at - now, 0.05), 1.0))
                continue
            ticket.gone = True
            self.budget.take(now)
            ticket.granted.set()
            await self._sleep(0)

    def _next_ticket(self) -> _Ticket | None:
        for heap in (self._overdue, self._queue):
            while heap and heap[0][2].gone:
                heapq.heappop(heap)
        if self._overdue and self._overdue[0][0] <= self._clock():
            return self._overdue[0][2]
        return self._queue[0][2] if self._queue else None


class _Ticket:
    __slots__ = ("deadline", "gone", "granted", "unseen_since")

    def __init__(self, unseen_since: float, deadline: float) -> None:
        self.unseen_since = unseen_since
        self.deadline = deadline
        self.granted = asyncio.Event()
        self.gone = False
