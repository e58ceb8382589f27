"""
The sweep: one request for a list that shows whether jobs run, in place of a poll of each.

What the list says is a hint, as a webhook is: it wakes a wait, which then polls, and is never a result.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider.core.polling.hints import LATE, HintHealth, Watch
from airflow_provider.core.polling.pages import LARGE_PAGE, Page, Pages
from airflow_provider.core.polling.sweep_pace import SweepPace, Watched
from airflow_provider.core.polling.wait import TRANSIENT_ERRORS, JobState
from airflow_provider.core.text import clean
from airflow_provider.errors import ProviderError, RateLimitedError

if TYPE_CHECKING:
    import aiohttp

    from airflow_provider.core.http.client import ServiceHook
    from airflow_provider.core.polling.key_state import KeyState

T = TypeVar("T")

log = logging.getLogger(__name__)

LEAST_WAITS = 2
"""With fewer waits each polls by itself."""

FRESH = 30.0
"""Seconds, and three intervals, for which what the list has shown is relied on."""

EARLY_MISS = 0.25
"""What it counts, while a list is not proven, that a poll found a job's end before the list can show it."""

MOST_UNANNOUNCED = 100
"""Jobs that are remembered because the list did not announce their end."""


@dataclass(frozen=True, slots=True)
class Listing:
    """
    A list that shows with one request of many jobs whether they run.

    :param noun: what it lists, for messages.
    :param place_of: reads from a job's description under which id the list shows it; ``None`` where it does
        not say.
    :param read_page: reads one page: takes the hook, the client, and ``offset``, ``limit`` and ``page`` (the
        same as a number from 1, where pages are small enough to have one), and returns a row for each id.
    """

    noun: str
    place_of: Callable[[Mapping[str, Any]], str | None]
    read_page: Callable[..., Awaitable[Page]]


class Sweep:
    """
    Reads one list for all waits on a key whose jobs it shows: as often as the first of them would poll, and
    as the key's budget allows for the pages that this takes.

    Waits poll as usual until a job has ended that the list has announced, and again after three that it has
    not. A list that fails, or shows fewer jobs than it takes requests, is read less and less often.

    :param clock: epoch seconds.
    :param sleep: as :func:`asyncio.sleep`.
    """

    def __init__(
        self,
        state: KeyState,
        listing: Listing,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[Any]],
    ) -> None:
        self.health = HintHealth(proven=False)
        self.listed: dict[str, JobState | None] = {}
        self._state = state
        self._listing = listing
        self._clock = clock
        self._sleep = sleep
        self._watches: dict[str, set[Watch]] = {}
        self._all: Watched | None = None
        self._task: asyncio.Task[None] | None = None
        self._pace = SweepPace(state)
        self._fresh_until = -math.inf
        self._unannounced: dict[str, float] = {}
        self._pages = Pages()

    def join(self, watch: Watch) -> None:
        """Observe a job; called by :meth:`Watch.join`."""
        assert watch.place is not None
        self._watches.setdefault(watch.place, set()).add(watch)
        self._all = None
        if self._task is None and len(self._watches) >= LEAST_WAITS:
            self._task = asyncio.create_task(self._run())

    def leave(self, watch: Watch) -> None:
        """Observe a job no longer; called by :meth:`Watch.leave`."""
        assert watch.place is not None
        watches = self._watches[watch.place]
        watches.discard(watch)
        self._all = None
        if not watches:
            del self._watches[watch.place]
        if self._task is not None and len(self._watches) < LEAST_WAITS:
            self._task.cancel()
            self._task = None

    def observes(self, watch: Watch) -> bool:
        """Whether the list will say that the job has ended: it shows this job, and no other in its place."""
        return self.health.relied_on and self._shows(watch)

    def knows(self, watch: Watch) -> bool:
        """Whether the job ran when the list last showed it."""
        return self.health.relied_on and self._alone(watch)

    def _shows(self, watch: Watch) -> bool:
        fresh = self._task is not None and self._clock() < self._fresh_until
        return fresh and watch.running and self._alone(watch)

    def on_polled(self, watch: Watch, *, finished: bool, misled: bool) -> None:
        """
        Judge the list by what a poll found.

        :param misled: whether the list has caused the poll by showing the job first as running, then not.
        """
        if finished and watch.ended_at is not None:
            self.health.on_hint()
        elif finished and self._shows(watch):
            assert watch.place is not None
            self._unannounced[watch.place] = self._clock()
            if len(self._unannounced) > MOST_UNANNOUNCED:
                del self._unannounced[next(iter(self._unannounced))]
            if not self.health.proven:
                self._missed(EARLY_MISS)
        elif misled and self._alone(watch):
            self._missed()

    async def _run(self) -> None:
        while True:
            watched = self._watched
            pause = self._pace.due(watched, self.health) - self._clock()
            if pause > 0:
                await self._sleep(min(pause, min(usual.backoff.first for usual in watched.schedules)))
            else:
                await self._read()

    # -- reading ---------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        asked_at = self._clock()
        try:
            found, requests = await self._pages.read(self._request, self._watches, asked_at)
        except Exception as error:  # whatever it is, the waits go on by themselves
            self._on_error(error)
            return
        now = self._clock()
        self.listed = found
        useful = woken = 0
        watched = self._watched
        for watch in watched.watches:
            may_wake = self.health.proven or woken < self.health.patience
            if watch.on_page(found, asked_at, may_wake=may_wake):
                self._state.sleepers.wake(watch.wait)
                woken += 1
            useful += watch.woken or watch.running
        # A server that sends more rows than were asked for costs as if they had been asked for.
        cost = max(float(requests), len(found) / LARGE_PAGE)
        self._pace.on_read(now, cost, useful, watched)
        self._judge(found, asked_at)
        due = self._pace.due(watched, self.health)
        self._fresh_until = now + FRESH + 3.0 * (due - now) if self._pace.pays else -math.inf

    async def _request(self, **where: Any) -> Page:
        async def request(hook: ServiceHook, client: aiohttp.ClientSession) -> Page:
            return await self._listing.read_page(hook, client, **where)

        page = await self._state.send(request, since=self._clock(), listing=True)
        assert page is not None
        return page

    def _on_error(self, error: Exception) -> None:
        refused = isinstance(error, RateLimitedError)  # the budget pauses everybody
        useless = not isinstance(error, TRANSIENT_ERRORS)
        if self._pace.pays and not refused:
            shown = clean(error if isinstance(error, ProviderError) else f"{type(error).__name__}: {error}")
            log.warning("The list of %s could not be read; each job is polled: %s", self._listing.noun, shown)
        self._pace.on_failed(self._clock(), setback=not refused, useless=useless)
        if useless:
            self._fresh_until = -math.inf

    # -- judging ---------------------------------------------------------------------------------------------

    def _judge(self, found: Page, asked_at: float) -> None:
        for place, ended_at in list(self._unannounced.items()):
            if asked_at - ended_at < LATE:
                continue
            del self._unannounced[place]
            if place in self._watches or place not in found:
                continue
            if found[place] is JobState.ACTIVE:
                self._missed()
            elif self.health.lost:
                self.health.on_trial()

    def _missed(self, weight: float = 1.0) -> None:
        if self.health.on_missed(weight):
            log.warning(
                "The list of %s did not show of the last jobs that they had ended; each job is polled.",
                self._listing.noun,
            )

    def _alone(self, watch: Watch) -> bool:
        assert watch.place is not None
        return len(self._watches.get(watch.place, ())) <= 1

    @property
    def _watched(self) -> Watched:
        if self._all is None:
            self._all = Watched(watch for watches in self._watches.values() for watch in watches)
        return self._all
