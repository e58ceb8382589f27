"""
When to look next, from how long such jobs take and how many status requests there are to spend.

Jobs of one kind end within a known range of ages: the documented one at first, then the one this process has
seen. Within it a wait looks at even distances, as short as its share of the key's budget allows. Before it
few waits look, to learn whether the range holds; after it all look at the pace that the key can sustain.
"""

from __future__ import annotations

import math
import random
from bisect import insort
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_provider.waiting.backoff import Backoff

DOCUMENTED = 10
"""How many jobs the documented range weighs as much as."""

OUTLIERS = 0.01
"""Share of the known durations that is left out of the range at either end; one at least."""

SCOUTS = 0.1
"""Share of the waits that look once before the range begins."""

GOOD_LOOKS = 3.25
"""
Looks planned per cube root of those a wait could have: each further one matters less, and others use the key.
"""

PLENTY = 9.5
"""A wait that could have fewer looks than this plans to use only a part of them, at least half."""

SPARING = 1.5
"""Waits become sparing when so many times what is left no longer makes up their share."""


class Durations:
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
        self._sorted: list[float] = []
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
            low, high = self._range(DOCUMENTED)
            start, end = max(after, low), min(by, high)
            seconds = (start + end) / 2 if start < end else (after + by) / 2
        if len(self._seen) == self._seen.maxlen:
            self._sorted.remove(self._seen[0])
        self._seen.append(seconds)
        insort(self._sorted, seconds)
        self._known = None

    def range(self, running: int = 0) -> tuple[float, float]:
        """
        Return the ages between which nearly all jobs end.

        :param running: jobs that have not ended yet. They count as documented: without them the first jobs to
            end
            would say that all jobs are short.
        """
        if self._known is None or self._known[0] != running:
            self._known = running, self._range(DOCUMENTED + running)
        return self._known[1]

    def _range(self, weight: int) -> tuple[float, float]:
        seen, (low, high) = self._sorted, self.typical
        if not seen:
            return self.typical
        # Two early ends are believed before they weigh enough, one may be an exception.
        first = seen[1] if 1 < len(seen) < weight else _cut(seen, low, high, weight)
        last = -_cut([-seconds for seconds in reversed(seen)], -high, -low, weight)
        first = min(first, _cut(seen, low, high, weight))
        return first, max(last, first + 1.0)


def _cut(seen: Sequence[float], low: float, high: float, weight: int) -> float:
    """Return the age below which the outliers lie, among ``seen`` and ``weight`` more, evenly spread."""
    outliers = max(1.0, OUTLIERS * (len(seen) + weight))
    for before, seconds in enumerate(seen):
        age = low + (high - low) * (outliers - before) / weight
        if before + 1 > outliers or age <= seconds:
            return min(age, seconds) if outliers > before else seconds
    return low + (high - low) * (outliers - len(seen)) / weight


@dataclass(slots=True)
class Crowd:
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

    @property
    def looks(self) -> float | None:
        """How many looks each wait plans with on average; ``None`` when unlimited."""
        if self.capacity is None:
            return None
        share = max(self.capacity, 1e-6) / max(1, self.recent, self.active)
        looks: float = min(GOOD_LOOKS * math.cbrt(share), share * max(0.5, min(1.0, share / PLENTY)))
        if self.left is not None:
            looks *= min(1.0, SPARING * self.left / max(1, self.active) / share) ** 6
        return looks


@dataclass(slots=True)
class LikelyTimes:
    """
    Pace for jobs whose duration is known roughly and whose status requests are limited.

    :param durations: what is known of such jobs, shared by the waits of one kind.
    :param crowd: returns who shares the budget at this moment.
    :param backoff: documented intervals: its ``first`` is the shortest pause; unlimited keys use it whole.
    """

    durations: Durations
    crowd: Callable[[], Crowd]
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
        looks = crowd.looks
        if looks is None:
            pause = self.backoff.interval(elapsed) * (1.0 - self.backoff.jitter * luck)
        else:
            pause = self._pause(elapsed, luck, crowd, looks)
        if fraction:
            # Never less than a part of the elapsed time: progress is known to stand still at 99%.
            pause = min(pause, max(elapsed * (1.0 - fraction) / fraction, 0.05 * elapsed))
        return max(self.backoff.first * (1.0 - self.backoff.jitter * luck), pause)

    def _pause(self, elapsed: float, luck: float, crowd: Crowd, looks: float) -> float:
        low, high = self.durations.range(crowd.active)
        # Looks at a distance d find a job that ends anywhere in the range r after r / 2d + 1/2 looks on
        # average.
        distance = (high - low) / max(1.0, 2.0 * looks - 1.0)
        affordable = max(self.backoff.interval(elapsed), crowd.sustained_pause)
        if elapsed < low:
            if elapsed <= 0 and luck < SCOUTS and low > self.backoff.first:
                return float(self.backoff.first * (low / self.backoff.first) ** (luck / SCOUTS))
            return min(low - elapsed + distance * (0.8 + 0.4 * luck), affordable)
        return (min(distance, affordable) if elapsed < high else affordable) * (0.97 + 0.06 * luck)
