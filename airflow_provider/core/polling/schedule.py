"""When to poll next: by the time since submission, by how long such jobs take, and by what the key allows."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Protocol

from airflow_provider.core.budget.windows import HOUR

if TYPE_CHECKING:
    from airflow_provider.core.budget.rate_budget import RateBudget

MOST_DURATIONS = 200
"""Durations of jobs that are remembered."""

OUTLIERS = 0.01
"""Share of the known durations that is left out of the range at either end."""

EARLY_PROBES = 0.1
"""Share of the waits that poll once before the range begins."""

PLANNED_FOR = 300.0
"""Shortest time in seconds that is planned for: a limit over a shorter time is taken over this one, and waits
that begin within it count as begun at once."""

LEAST_SPARE = 0.3
"""Least part of an hour's limit that polls are planned with, however many other requests are sent."""

PLENTY = 10.0
"""A wait whose share is fewer polls plans with a part of it, at least half: others may use the key too."""

GOOD_POLLS = 3.25
"""Polls planned per cube root of a large share: each further poll gains less, and is left for later waits."""

SPENT = 0.5
"""When less than this part of its share is left, a wait no longer spends polls on the likely range."""


class Schedule(Protocol):
    """Chooses the pause between two polls of a job."""

    def delay(
        self, elapsed: float, *, rng: Callable[[], float] = ..., fraction: float | None = None
    ) -> float:
        """
        Return the seconds until the next poll.

        :param elapsed: seconds from submission to the last poll.
        :param rng: source of jitter, 0 to 1.
        :param fraction: the job's progress at that poll, 0 to 1, where the service gives a number.
        """

    @property
    def announced(self) -> bool:
        """Whether a hint is expected to say that the job has ended."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """
    Exponential backoff as a value, computed from elapsed time instead of an attempt counter.

    Polling at ``first``, ``first * factor``, ``first * factor**2``, ... the n-th poll happens at
    ``first * (factor**n - 1) / (factor - 1)``, so the interval that follows is ``first + (factor - 1) *
    elapsed``. A restarted process continues the same curve, and no power can overflow.

    :param first: first interval in seconds, more than 0.
    :param factor: growth from one interval to the next; 1 keeps the interval fixed.
    :param cap: longest interval in seconds.
    :param jitter: share of an interval, 0 to 1, by which it may be shortened at random, so that waits which
        started together drift apart.
    :param start: seconds after submission at which intervals begin to grow; until then they are ``first``.
    """

    first: float
    factor: float = 1.5
    cap: float = 30.0
    jitter: float = 0.2
    start: float = 0.0
    announced: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("first", self.first, 0.0, math.inf),
            ("factor", self.factor, 1.0, math.inf),
            ("cap", self.cap, 0.0, math.inf),
            ("jitter", self.jitter, 0.0, 1.0),
            ("start", self.start, -math.inf, math.inf),
        ):
            if not math.isfinite(value) or value < low or value > high:
                raise ValueError(f"{name} must be a finite number of at least {low:g}; got {value!r}")
        if self.first == 0:
            raise ValueError("first must be more than 0: an interval of 0 would poll without a pause")
        if self.cap < self.first:
            raise ValueError(f"cap ({self.cap:g} s) must not be below first ({self.first:g} s)")

    def interval(self, elapsed: float) -> float:
        """Return the interval in seconds that follows a poll made ``elapsed`` seconds after submission."""
        return min(self.cap, self.first + (self.factor - 1.0) * max(0.0, elapsed - self.start))

    def delay(
        self, elapsed: float, *, rng: Callable[[], float] = random.random, fraction: float | None = None
    ) -> float:
        """
        Return the interval after ``elapsed`` seconds, jittered: never longer than :meth:`interval`.

        :param fraction: the job's progress; makes no difference to a backoff.
        """
        return self.interval(elapsed) * (1.0 - self.jitter * rng())

    def adjusted(
        self,
        *,
        poll_interval: float | None = None,
        exponential_backoff: bool | float | None = None,
        max_wait: float | None = None,
    ) -> Backoff:
        """
        Return this backoff with what a user asked for instead, to the letter: without jitter.

        :param poll_interval: first interval in seconds; alone it is a fixed interval.
        :param exponential_backoff: True to grow by this backoff's factor, a number to grow by that.
        :param max_wait: longest interval in seconds.
        """
        first = self.first if poll_interval is None else float(poll_interval)
        if poll_interval is None and max_wait is not None:
            first = min(first, float(max_wait))
        if exponential_backoff is None:
            exponential_backoff = poll_interval is None
        if exponential_backoff is True:
            factor = self.factor
        else:
            factor = float(exponential_backoff) or 1.0
        cap = max(self.cap, first) if max_wait is None else float(max_wait)
        return Backoff(first, factor, cap, jitter=0.0)


class DurationStats:
    """
    What is known of how long one kind of job takes, in seconds from submission.

    :param typical: shortest and longest documented duration.
    """

    def __init__(self, typical: tuple[float, float]) -> None:
        low, high = typical
        if not 0 <= low < high:
            raise ValueError(f"typical needs 0 <= shortest < longest; got {typical!r}")
        self.typical = typical
        self._seen: deque[float] = deque(maxlen=MOST_DURATIONS)
        self._known: tuple[int, tuple[float, float]] | None = None

    def add(self, after: float, by: float | None = None) -> None:
        """
        Add the duration of a job that has ended.

        :param after: seconds from submission.
        :param by: given when the duration is not known better than that it lies in between.
        """
        seconds = after
        if by is not None:
            # A wait that had not polled for long must not suggest that its job ended before the range.
            low, high = self.range()
            start, end = max(after, low), min(by, high)
            seconds = (start + end) / 2 if start < end else (after + by) / 2
        self._seen.append(seconds)
        self._known = None

    def range(self, running: int = 0) -> tuple[float, float]:
        """
        Return the ages between which nearly all jobs end.

        :param running: jobs that have not ended yet. They count as spread over the documented range: without
            them the first jobs to end would say that all jobs are short.
        """
        if not self._seen:
            return self.typical
        running = min(running, MOST_DURATIONS)
        if self._known is None or self._known[0] != running:
            low, high = self.typical
            expected = (low + (high - low) * number / (running + 1) for number in range(running + 2))
            ages = sorted((*self._seen, *expected))
            shortest = _quantile(ages, OUTLIERS)
            self._known = running, (shortest, max(_quantile(ages, 1.0 - OUTLIERS), shortest + 1.0))
        return self._known[1]


def _quantile(ordered: Sequence[float], part: float) -> float:
    place, between = divmod(part * (len(ordered) - 1), 1.0)
    before = ordered[int(place)]
    return before + between * (ordered[min(int(place) + 1, len(ordered) - 1)] - before)


@dataclass(frozen=True)
class PollingLoad:
    """
    What a key allows, and the waits that share it. What follows from it is computed once for all of them.

    :param capacity: status requests that the key allows within the hour, after all other requests; ``None``
        when unlimited.
    :param sustained_rate: status requests per second that can go on for ever; ``None`` when unlimited.
    :param active: waits going on now.
    :param recent: waits of the last hour, those that have ended included; at least ``active``.
    :param left: what is left of the capacity now; ``None`` when not known.
    :param others: requests of the last hour that were no polls; 0 where polls have a part of their own.
    :param span: seconds over which the waits of the last hour began.
    :param going_on: seconds for which as many more are expected to begin: what has gone on for some time is
        expected to go on for as long again.
    :param processes: how many wait with the key.
    """

    capacity: float | None = None
    sustained_rate: float | None = None
    active: int = 1
    recent: int = 1
    left: float | None = None
    others: float = 0.0
    span: float = 0.0
    going_on: float = 0.0
    processes: int = 1

    def within(self, budget: RateBudget, now: float) -> PollingLoad:
        """
        Return the same waits with what this budget allows them.

        :param now: epoch seconds.
        """
        parts = [(budget.polls_of(window), window.seconds) for window in budget.limits]
        rates = [polls / seconds for polls, seconds in parts]
        if budget.spacing:
            rates.append(1.0 / budget.spacing)
        load = replace(
            self,
            sustained_rate=min(rates, default=None),
            left=budget.left(now),
            others=0 if budget.busy else budget.others(now),
        )
        others = load.others_each * load.in_all
        capacities = []
        for polls, seconds in parts:
            whole = polls * max(1.0, PLANNED_FOR / seconds)
            shared = seconds > PLANNED_FOR
            capacities.append(max(whole - others, LEAST_SPARE * whole) if shared else whole)
        return replace(load, capacity=min(capacities, default=None))

    def expected(self, ahead: float) -> float:
        """
        Return how many more waits are expected to begin.

        :param ahead: within so many seconds.
        """
        return self.recent * min(ahead, self.going_on) / max(self.span, PLANNED_FOR)

    @cached_property
    def others_each(self) -> float:
        """Requests for each wait that are no polls."""
        return self.others / max(1, self.recent)

    @cached_property
    def in_all(self) -> float:
        """Waits that divide an hour: those that began in it, and those expected in the rest of it."""
        return max(1, self.recent, self.active) + self.expected(max(0.0, HOUR - self.span))

    @cached_property
    def sustained_pause(self) -> float:
        """Seconds between two polls of one wait that all active waits can keep up for ever."""
        return self._pause_beside(self.others_each)

    @cached_property
    def spare_pause(self) -> float:
        """The same, when one poll of each wait is set aside: the one that finds the end."""
        return self._pause_beside(1.0 + self.others_each)

    def _pause_beside(self, requests: float) -> float:
        if not self.sustained_rate:
            return 0.0
        begin = self.recent / max(self.span, PLANNED_FOR) if self.going_on else 0.0
        return self.active / max(self.sustained_rate - begin * requests, LEAST_SPARE * self.sustained_rate)

    def shared(self, requests: float) -> PollingLoad:
        """
        Return the load as it is when all waits are served by the same requests.

        :param requests: for one poll of all.
        """
        if self.capacity is None or self.sustained_rate is None:
            return self
        served = self.active / requests
        return PollingLoad(self.capacity * served, self.sustained_rate * served, self.active, self.active)

    def distance(self, length: float) -> float:
        """
        Return the seconds between two polls of a job that ends anywhere in a range of ages.

        :param length: of the range, in seconds.
        """
        if self.capacity is None:
            return 0.0
        # A job that ends anywhere in a range r is found after r / 2d + 1/2 polls at a distance d, on average.
        return length / (2.0 * self._polls - 1.0) if self._polls > 0.5 else math.inf

    @cached_property
    def _polls(self) -> float:
        """How many polls a wait spends on the range in which its job may end; 0 for none."""
        share = (self.capacity or 0.0) / self.in_all
        if self.left is not None and self.left < SPENT * share * self.active:
            return 0.0
        return min(share * max(0.5, share / PLENTY), GOOD_POLLS * math.cbrt(share))


@dataclass(slots=True)
class AdaptiveSchedule:
    """
    Schedule for jobs whose duration is known roughly and whose status requests are limited.

    Jobs of one kind end within a known range of ages: the documented one at first, then more and more the one
    this process has seen. Within it a wait polls at even distances, as short as its share of the key's budget
    allows. Before it few waits poll, to learn whether the range holds; after it all poll as often as the key
    can sustain.

    :param durations: what is known of such jobs, shared by the waits of one kind.
    :param load: returns who shares the budget at this moment.
    :param backoff: documented intervals: its ``first`` is the shortest pause; unlimited keys use it whole.
    """

    durations: DurationStats
    load: Callable[[], PollingLoad]
    backoff: Backoff
    announced: ClassVar[bool] = False

    def delay(
        self, elapsed: float, *, rng: Callable[[], float] = random.random, fraction: float | None = None
    ) -> float:
        """Return the seconds until the next poll; progress brings it forward to the likely end."""
        jitter = rng()
        pause = self.delay_under(self.load(), elapsed, jitter)
        if fraction:
            # Never less than a part of the elapsed time: progress is known to stand still at 99%.
            pause = min(pause, max(elapsed * (1.0 - fraction) / fraction, 0.05 * elapsed))
            pause = max(pause, self.backoff.first * (1.0 - self.backoff.jitter * jitter))
        return pause

    def delay_under(self, load: PollingLoad, elapsed: float, jitter: float) -> float:
        """
        Return the seconds until the next poll of a job that shows no progress.

        :param elapsed: seconds from submission to the last poll.
        :param jitter: 0 to 1.
        """
        shortened = 1.0 - self.backoff.jitter * jitter
        if load.capacity is None:
            pause = self.backoff.interval(elapsed) * shortened
        else:
            pause = self._pause(elapsed, jitter, load)
        return max(self.backoff.first * shortened, pause)

    def _pause(self, elapsed: float, jitter: float, load: PollingLoad) -> float:
        low, high = self.durations.range(load.active)
        interval = self.backoff.interval(elapsed)
        affordable = max(interval, load.sustained_pause)
        if elapsed >= high:
            return affordable * (0.97 + 0.06 * jitter)
        if elapsed <= 0 and jitter < EARLY_PROBES and low > self.backoff.first:
            return float(self.backoff.first * (low / self.backoff.first) ** (jitter / EARLY_PROBES))
        distance = load.distance(high - low)
        if distance == math.inf:
            # One poll has to do, when nearly all have ended.
            return max(high - elapsed, interval) * (1.0 + 0.1 * jitter)
        if elapsed >= low:
            return min(distance, affordable) * (0.97 + 0.06 * jitter)
        early = max(interval, load.spare_pause)
        return min(low - elapsed + distance * (0.8 + 0.4 * jitter), early)


ASSUMED_PEERS = 25
"""How many waits share a key that cannot see each other."""


def worker_schedule(typical: tuple[float, float], backoff: Backoff, *, per_hour: int | None) -> Schedule:
    """
    Return the schedule of a wait on a worker, which learns nothing from the others on its key.

    :param typical: shortest and longest documented duration in seconds.
    :param backoff: documented intervals.
    :param per_hour: requests that the key allows; ``None`` or 0 when unlimited.
    """
    if not per_hour:
        return backoff
    load = PollingLoad(
        capacity=per_hour, sustained_rate=per_hour / HOUR, active=ASSUMED_PEERS, recent=ASSUMED_PEERS
    )
    return AdaptiveSchedule(durations=DurationStats(typical), load=lambda: load, backoff=backoff)
