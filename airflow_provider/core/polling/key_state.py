"""What all waits on one server with one key share, and whose turn it is to send a request."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider.core.budget.rate_budget import RateBudget
from airflow_provider.core.budget.store import SharedBudget
from airflow_provider.core.budget.windows import HOUR
from airflow_provider.core.polling.hints import HintFallback, HintHealth
from airflow_provider.core.polling.metrics import Metrics
from airflow_provider.core.polling.schedule import AdaptiveSchedule, DurationStats, PollingLoad
from airflow_provider.core.polling.sweep import Listing, Sweep
from airflow_provider.errors import ProviderError, RateLimitedError

if TYPE_CHECKING:
    import aiohttp

    from airflow_provider.core.budget.turn_queue import TurnQueue
    from airflow_provider.core.http.client import ServiceHook
    from airflow_provider.core.polling.wait import Wait

    Request = Callable[[ServiceHook, aiohttp.ClientSession], Awaitable["T"]]

T = TypeVar("T")

LAST_POLL_PATIENCE = 30.0
"""Seconds past its deadline for which a wait queues for its last poll."""

QUEUE_CHECK = 1.0
"""Longest sleep in seconds while somebody queues."""

EXCHANGE_EVERY = 1.0
"""Seconds between two exchanges with the budget's store; polls leave room for what others send meanwhile."""

RECONSIDER = 15.0
"""Seconds after which all waits that sleep are asked again when their next poll is due."""

MOST_A_SECOND, LONGEST_ASLEEP = 40, 60.0
"""Most waits that are asked per second, on average; and the seconds after which all are asked even so."""

SOONER = 1.0
"""Seconds by which a poll must have come nearer for its wait to be woken."""

AT_ONCE = 100
"""Waits that are asked before other tasks of the event loop get their turn."""

LOAD_FRESH = 1.0
"""Seconds for which a load is not computed anew: a thousand waits may plan with it at once."""


class LocalCopy:
    """
    A copy of a shared budget. Changes made here are sent to the store with the next exchange.

    ``waits`` says, for each key state that shares the copy, how many waits are going on and how many were
    within the hour.

    :param shared: the budget that all who use the key share.
    :param clock: epoch seconds; the store's own clock may differ.
    """

    def __init__(self, shared: SharedBudget, *, clock: Callable[[], float]) -> None:
        self.budget = RateBudget(shared.limits)
        self._shared = shared
        self._clock = clock
        self._offset = 0.0
        self._exchanged_at: float | None = None
        self.waits: dict[str, tuple[int, int]] = {}
        self._unsent: list[tuple[Callable[[RateBudget, float], None], float]] = []

    def use(self, shared: SharedBudget) -> None:
        """Go on with another store, or other limits."""
        self._shared = shared
        self.budget.limit_to(shared.limits)

    def now(self) -> float:
        """Return the store's time, epoch seconds."""
        return self._clock() + self._offset

    def apply(self, change: Callable[[RateBudget, float], None]) -> None:
        """Change the budget as of now, here at once and in the store soon."""
        now = self.now()
        self._unsent.append((change, now))
        change(self.budget, now)

    async def refresh(self) -> None:
        """Exchange changes with the store, at most once a second."""
        now = self._clock()
        if self._exchanged_at is not None and 0.0 <= now - self._exchanged_at < EXCHANGE_EVERY:
            return
        await self._exchange(lambda budget, store_time: True)

    async def acquire(self, is_free: Callable[[RateBudget, float], bool]) -> bool:
        """
        Count a poll as sent now, unless others have used the room for it meanwhile.

        :param is_free: whether the store's budget has room at the store's time.
        """
        if not self._shared.limits:
            self.apply(RateBudget.acquire)
            return True

        def act(budget: RateBudget, store_time: float) -> bool:
            free = is_free(budget, store_time)
            if free:
                budget.acquire(store_time)
            return free

        return await self._exchange(act)

    async def _exchange(self, act: Callable[[RateBudget, float], bool]) -> bool:
        self._exchanged_at = self._clock()
        sent, self._unsent = self._unsent, []

        def exchange(queue: TurnQueue, now: float) -> tuple[bool, RateBudget, float]:
            for change, at in sent:
                change(queue.budget, at)
            for name, counts in self.waits.items():
                queue.budget.waits[name] = (*counts, now)
            return act(queue.budget, now), queue.budget, now

        if self._shared.store.blocking:
            done, budget, store_time = await asyncio.to_thread(self._shared.update, exchange)
        else:
            done, budget, store_time = self._shared.update(exchange)
        self._offset = store_time - self._clock()
        # The store keeps plain JSON, so this object is not shared.
        budget.limit_to(self._shared.limits)
        for change, at in self._unsent:
            change(budget, at)
        self.budget = budget
        return done


class Sleepers:
    """
    The waits on one key that sleep until their next poll. One timer asks all of them whether that has come
    nearer, so that a thousand that sleep for minutes cost little.

    :param clock: epoch seconds.
    :param sleep: as :func:`asyncio.sleep`.
    :param refresh: learns what other processes do with the key.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[Any]],
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._refresh = refresh
        self._asleep: dict[Wait, tuple[float, asyncio.Future[Any]]] = {}
        self._timer: asyncio.Task[None] | None = None

    async def sleep(self, wait: Wait, seconds: float) -> None:
        """Sleep for so many seconds, or until the wait's next poll has come nearer."""
        asleep = asyncio.ensure_future(self._sleep(seconds))
        self._asleep[wait] = self._clock() + seconds, asleep
        if self._timer is None or self._timer.done():
            self._timer = asyncio.create_task(self._reconsider())
        try:
            await asyncio.wait([asleep])
        finally:
            asleep.cancel()
            del self._asleep[wait]

    def wake(self, wait: Wait) -> None:
        """End the sleep of a wait, if it sleeps."""
        if wait in self._asleep:
            self._asleep[wait][1].cancel()

    def close(self) -> None:
        """Stop the timer; nothing sleeps any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _reconsider(self) -> None:
        while self._asleep:
            await self._sleep(max(RECONSIDER, min(LONGEST_ASLEEP, len(self._asleep) / MOST_A_SECOND)))
            await self._refresh()
            for number, (wait, (due, _)) in enumerate(list(self._asleep.items()), 1):
                if wait.next_poll() < due - SOONER:
                    self.wake(wait)
                if not number % AT_ONCE:
                    await asyncio.sleep(0)


class KeyState:
    """
    What all waits on one server with one key share: client, a copy of the budget, known durations.

    :param clock: epoch seconds.
    :param sleep: as :func:`asyncio.sleep`.
    """

    def __init__(
        self,
        hook: ServiceHook,
        copy: LocalCopy,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[Any]],
    ) -> None:
        self.copy = copy
        self.metrics = Metrics(hook.conn_type, clock=clock)
        self.active = 0
        self.webhook_health = HintHealth()
        self.sleepers = Sleepers(clock=clock, sleep=sleep, refresh=self._refresh_limited)
        self._sweeps: dict[Listing, Sweep] = {}
        self._clock = clock
        self._sleep = sleep
        self._client: aiohttp.ClientSession | None = None
        self._retired: list[aiohttp.ClientSession] = []
        self._durations: dict[str, DurationStats] = {}
        self._acquired_at: deque[float] = deque()
        self._in_flight = 0
        self._queue: list[tuple[bool, float, int, _Ticket]] = []
        self._overdue: list[tuple[float, int, _Ticket]] = []
        self._numbers = itertools.count()
        self._load = PollingLoad(), -1, 0.0
        self._name = uuid.uuid4().hex[:8]
        self._dispatcher: asyncio.Task[None] | None = None
        self.use(hook)

    @property
    def budget(self) -> RateBudget:
        """What this process knows of the key's budget."""
        return self.copy.budget

    async def refresh(self) -> None:
        """Learn what other processes do with the key, and let them know, at most once a second."""
        self.copy.waits[self._name] = (self.active, len(self._acquired_at))
        await self.copy.refresh()

    async def _refresh_limited(self) -> None:
        if self.budget.limits:
            await self.refresh()

    def use(self, hook: ServiceHook) -> None:
        """
        Go on with the settings of this hook; its server and key are those of before.

        Requests under way end as they began.
        """
        self.hook = hook
        hook.on_headers = self._on_headers
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

    def sweep(self, listing: Listing) -> Sweep:
        """Return what reads a list for all waits whose jobs it shows."""
        if listing not in self._sweeps:
            self._sweeps[listing] = Sweep(self, listing, clock=self._clock, sleep=self._sleep)
        return self._sweeps[listing]

    def load(self) -> PollingLoad:
        """Return who shares the budget now; at most a second old."""
        now = self._clock()
        known, active, at = self._load
        if active == self.active and 0.0 <= now - at < LOAD_FRESH:
            return known
        load = self._load_at(now) if self.budget.limits else PollingLoad()
        self._load = load, self.active, now
        return load

    def _load_at(self, now: float) -> PollingLoad:
        self._forget(now)
        begun = self._acquired_at or (now,)
        span = begun[-1] - begun[0]
        elsewhere = [counts for name, counts in self.budget.waits.items() if name != self._name]
        active = max(1, self.active) + sum(counts[0] for counts in elsewhere)
        recent = len(self._acquired_at) + sum(counts[1] for counts in elsewhere)
        waits = PollingLoad(
            active=active,
            recent=max(active, recent),
            span=span,
            going_on=max(0.0, span - (now - begun[-1])),
            processes=1 + sum(counts[0] > 0 for counts in elsewhere),
        )
        return waits.within(self.budget, self.copy.now())

    def idle_since(self, now: float) -> bool:
        """Whether nothing waits here, and neither requests nor refusals that are known here still count."""
        self._forget(now)
        return not self.active and not self._acquired_at and self.budget.paused_until < self.copy.now()

    def acquire(self) -> None:
        """Count a wait in."""
        self.active += 1
        self._acquired_at.append(self._clock())

    async def release(self) -> None:
        """Count a wait out; the last one closes the client."""
        self.active -= 1
        if self.active:
            return
        self.copy.waits.pop(self._name, None)
        if self._dispatcher is not None:
            self._dispatcher.cancel()
            self._dispatcher = None
        self.sleepers.close()
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
            schedule = wait.schedule.usual if isinstance(wait.schedule, HintFallback) else wait.schedule
            if isinstance(schedule, AdaptiveSchedule) and wait.begun_at <= by:
                schedule.durations.add(after - wait.submitted_at, by - wait.submitted_at)
            self.metrics.timing("job_duration", wait.duration)
        self.metrics.timing("detection_delay", wait.detection_delay)

    async def send(
        self,
        request: Request[T],
        *,
        since: float,
        deadline: float = inf,
        announced: bool = False,
        listing: bool = False,
    ) -> T | None:
        """
        Wait for a turn, then make one request.

        Turns go to waits past their deadline first, then to those whose job is said to have ended, then to
        those whose job was not seen for longest.

        :param since: when the job was last seen, epoch seconds.
        :param deadline: of the wait, epoch seconds; by default the request may queue for ever.
        :param announced: whether the job is said to have ended.
        :param listing: whether it is for a list in place of a job.
        :return: what ``request`` returned; ``None`` when no turn came until well past the deadline.
        """
        await self.refresh()
        ticket = _Ticket(deadline, announced)
        if (self._queue or not await self._acquire(ticket)) and not await self._turn(ticket, since):
            return None
        try:
            seen = await request(self.hook, self.client)
        except ProviderError as error:
            if isinstance(error, RateLimitedError):
                self.metrics.counts["rate_limited"] += 1
                asked = error.retry_after
                self.copy.apply(lambda budget, now: budget.on_429(now, asked))
            else:
                self.metrics.counts["transient_errors"] += 1
            raise
        else:
            if self.budget.refusing or self.budget.spacing:
                self.copy.apply(RateBudget.on_success)
            return seen
        finally:
            self._in_flight -= 1
            self.metrics.counts["sweeps" if listing else "polls"] += 1
            if self._clock() >= self.metrics.due:
                self.metrics.gauge("active_waits", self.active)
                self.metrics.flush()
            if self._retired and not self._in_flight:
                await self._close_retired()

    async def _close_retired(self) -> None:
        while self._retired:
            await self._retired.pop().close()

    def _on_headers(self, headers: Mapping[str, str]) -> None:
        if "x-ratelimit-remaining" in headers:
            self.copy.apply(lambda budget, now: budget.on_headers(now, headers))

    async def _acquire(self, ticket: _Ticket) -> bool:
        if not self._may_go(ticket):
            return False
        self._in_flight += 1
        acquired = False
        try:
            acquired = await self.copy.acquire(lambda budget, now: self._free_at(ticket, budget, now) <= now)
        finally:
            self._in_flight -= not acquired
        return acquired

    def _free_at(self, ticket: _Ticket, budget: RateBudget, now: float) -> float:
        last_poll = ticket.deadline <= self._clock()
        return budget.free_at(now, reserve=last_poll, announced=ticket.announced)

    def _may_go(self, ticket: _Ticket) -> bool:
        # After a 429 one request goes alone, to learn whether the others may follow.
        if self._in_flight and self.budget.refusing:
            return False
        now = self.copy.now()
        return self._free_at(ticket, self.budget, now) <= now

    async def _turn(self, ticket: _Ticket, since: float) -> bool:
        ticket.granted = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (not ticket.announced, since, next(self._numbers), ticket))
        heapq.heappush(self._overdue, (ticket.deadline, next(self._numbers), ticket))
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
            if await self._acquire(ticket):
                if ticket.granted.done():
                    self._in_flight -= 1  # its wait was cancelled meanwhile
                else:
                    ticket.granted.set_result(True)
            elif self._clock() >= ticket.deadline + LAST_POLL_PATIENCE:
                ticket.granted.set_result(False)
            else:
                now = self.copy.now()
                pause = self._free_at(ticket, self.budget, now) - now
                await self._sleep(min(max(pause, 0.02), QUEUE_CHECK))
                await self.refresh()

    def _next_ticket(self) -> _Ticket | None:
        heaps: tuple[list[Any], ...] = (self._overdue, self._queue)
        for heap in heaps:
            while heap and heap[0][-1].granted.done():
                heapq.heappop(heap)
        # Tickets that were granted by their age stay in the heap of deadlines, where they are far down.
        if len(self._overdue) > 2 * len(self._queue) + 64:
            self._overdue = [entry for entry in self._overdue if not entry[2].granted.done()]
            heapq.heapify(self._overdue)
        if self._overdue and self._overdue[0][0] <= self._clock():
            return self._overdue[0][2]
        return self._queue[0][-1] if self._queue else None

    def _forget(self, now: float) -> None:
        while self._acquired_at and self._acquired_at[0] < now - HOUR:
            self._acquired_at.popleft()


@dataclass(slots=True, eq=False)
class _Ticket:
    deadline: float
    announced: bool
    granted: asyncio.Future[bool] = field(init=False)
