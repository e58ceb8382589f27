"""
When to look next, from how long such jobs take and how many status requests there are to spend.

Jobs of one kind end within a known range of ages: the documented one at first, then more and more the one
this process has seen. Within it a wait looks at even distances, as short as its share of the key's budget
allows. Before it few waits look, to learn whether the range holds; after it all look at the pace that the key
can sustain.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_provider.core.polling.backoff import Backoff

OUTLIERS = 0.01
"""Share of the known durations that is left out of the range at either end."""

EARLY_PROBES = 0.1
"""Share of the waits that look once before the range begins."""

PLENTY = 10.0
"""A wait whose share is fewer looks plans with less of it, at least half: others may poll on the key."""

GOOD_LOOKS = 3.25
"""Looks planned per cube root of a large share: each further look gains less, and later waits can use it."""

SPENT = 0.5
"""When less than this part of its share is left, a wait no longer spends looks on the likely range."""


class DurationStats:
    """
    What is known of how long one kind of job takes, in seconds from submission.

    :param typical: shortest and longest documented duration.
    :param memory: how many durations seen are kept.
    """

    def __init__(self, typical: tuple[float, float], *, memory: int = 200) -> None:
        low, high = typical
        if not 0 <= low < high:
            raise ValueError(f"typical needs 0 <= shortest < longest; got {typical!r}")
        self.typical = typical
        self._seen: deque[float] = deque(maxlen=memory)
        self._memory = memory
        self._known: tuple[int, tuple[float, float]] | None = None

    def saw(self, after: float, by: float | None = None) -> None:
        """
        Take in the duration of a job that has ended.

        :param after: seconds from submission.
        :param by: given when the duration is not known better than that it lies in between.
        """
        seconds = after
        if by is not None:
            # A wait that had not looked for long must not make believe that its job ended before the range.
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
        running = min(running, self._memory)
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


@dataclass(slots=True)
class PollingLoad:
    """
    The waits that divide one key's budget.

    :param capacity: status requests that the key allows for polling within the hour; ``None`` when unlimited.
    :param sustained_rate: status requests per second that can go on for ever; ``None`` when unlimited.
    :param active: waits going on now.
    :param recent: waits of the last hour, those that have ended included; at least ``active``.
    :param left: what is left of the capacity now; ``None`` when not known.
    """

    capacity: float | None = None
    sustained_rate: float | None = None
    active: int = 1
    recent: int = 1
    left: float | None = None

    @property
    def sustained_pause(self) -> float:
        """Seconds between two looks of one wait that all active waits can keep up for ever."""
        return self.active / self.sustained_rate if self.sustained_rate else 0.0

    def distance(self, length: float) -> float:
        """
        Return the seconds between two looks at a job that ends anywhere in a range of ages.

        :param length: of the range, in seconds.
        """
        if self.capacity is None:
            return 0.0
        share = self.capacity / max(1, self.recent, self.active)
        if self.left is not None and self.left < SPENT * share * self.active:
            return math.inf
        looks = min(share * max(0.5, share / PLENTY), GOOD_LOOKS * math.cbrt(share))
        # A job that ends anywhere in a range r is found after r / 2d + 1/2 looks at a distance d, on average.
        return length / (2.0 * looks - 1.0) if looks > 0.5 else math.inf


@dataclass(slots=True)
class AdaptiveSchedule:
    """
    Schedule for jobs whose duration is known roughly and whose status requests are limited.

    :param durations: what is known of such jobs, shared by the waits of one kind.
    :param crowd: returns who shares the budget at this moment.
    :param backoff: documented intervals: its ``first`` is the shortest pause; unlimited keys use it whole.
    """

    durations: DurationStats
    crowd: Callable[[], PollingLoad]
    backoff: Backoff

    def delay(
        self, elapsed: float, *, rng: Callable[[], float] = random.random, fraction: float | None = None
    ) -> float:
        """
        Return the seconds until the next look, after one made ``elapsed`` seconds after submission.

        :param fraction: the job's progress at that look, 0 to 1; brings the next look forward to the likely
            end.
        """
        crowd = self.crowd()
        luck = rng()
        if crowd.capacity is None:
            pause = self.backoff.interval(elapsed) * (1.0 - self.backoff.jitter * luck)
        else:
            pause = self._pause(elapsed, luck, crowd)
        if fraction:
            # Never less than a part of the elapsed time: progress is known to stand still at 99%.
            pause = min(pause, max(elapsed * (1.0 - fraction) / fraction, 0.05 * elapsed))
        return max(self.backoff.first * (1.0 - self.backoff.jitter * luck), pause)

    def _pause(self, elapsed: float, luck: float, crowd: PollingLoad) -> float:
        low, high = self.durations.range(crowd.active)
        affordable = max(self.backoff.interval(elapsed), crowd.sustained_pause)
        if elapsed >= high:
            return affordable * (0.97 + 0.06 * luck)
        distance = crowd.distance(high - low)
        if elapsed >= low:
            return min(distance, affordable) * (0.97 + 0.06 * luck)
        if elapsed <= 0 and luck < EARLY_PROBES and low > self.backoff.first:
            return float(self.backoff.first * (low / self.backoff.first) ** (luck / EARLY_PROBES))
        return min(low - elapsed + distance * (0.8 + 0.4 * luck), affordable)


ASSUMED_PEERS = 25
"""How many waits share a key that cannot see each other."""


def worker_schedule(
    typical: tuple[float, float], backoff: Backoff, *, per_hour: int | None
) -> Backoff | AdaptiveSchedule:
    """
    Return the pace of a wait on a worker, which learns nothing from the others on its key.

    :param typical: shortest and longest documented duration in seconds.
    :param backoff: documented intervals.
    :param per_hour: requests that the key allows; ``None`` or 0 when unlimited.
    """
    if not per_hour:
        return backoff
    crowd = PollingLoad(
        capacity=per_hour, sustained_rate=per_hour / 3600.0, active=ASSUMED_PEERS, recent=ASSUMED_PEERS
    )
    return AdaptiveSchedule(durations=DurationStats(typical), crowd=lambda: crowd, backoff=backoff)
