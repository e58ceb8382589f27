"""
When to look next, from how long such jobs take.

Looks go where answers are likely: between two of them lies an equal share of the known durations (documented
ones at first, then those this process has seen). How large a share depends on how many waits divide the rate
budget of the key. Before the shortest known duration only a scout looks; after the longest, waits look at the
rate the key can sustain.
"""

from __future__ import annotations

import random
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider.waiting.backoff import Backoff

LOOKS_SHARE = 0.78
"""Share of the polling allowance that planned looks use; the rest is for jobs that take longer than known."""

EARLY_LOOKS = 12.0
"""Looks spent before the shortest known duration by waits that can afford twice as many in all."""

SCOUT_EVERY = 20
"""One wait in so many is a scout."""

TAIL_GROWTH = 0.05
"""After the longest known duration, the pause as a share of the elapsed time."""


class Durations:
    """
    What is known of how long one kind of job takes, in seconds from submission.

    :param typical: shortest and longest documented duration; taken as evenly spread in between.
    :param memory: how many durations seen are kept; the documented ones weigh as much as ten of them.
    """

    DOCUMENTED = 10

    def __init__(self, typical: tuple[float, float], *, memory: int = 200) -> None:
        low, high = typical
        if not 0 <= low < high:
            raise ValueError(f"typical needs 0 <= shortest < longest; got {typical!r}")
        step = (high - low) / self.DOCUMENTED
        self._seen: deque[float] = deque(maxlen=memory)
        self._sorted = [low + step * (i + 0.5) for i in range(self.DOCUMENTED)]
        self._spread = step / 2

    def saw(self, seconds: float) -> None:
        """Take in a duration seen."""
        if len(self._seen) == self._seen.maxlen:
            oldest = self._seen[0]
            del self._sorted[bisect_right(self._sorted, oldest) - 1]
        self._seen.append(seconds)
        insort(self._sorted, seconds)

    @property
    def longest(self) -> float:
        """The longest duration known, in seconds."""
        return self._sorted[-1] + self._spread

    def share_done(self, elapsed: float) -> float:
        """Return the share of known durations that are not longer than ``elapsed`` seconds, 0 to 1."""
        points = self._points()
        at = bisect_right(points, elapsed)
        if at == 0:
            return 0.0
        if at == len(points):
            return 1.0
        low, high = points[at - 1], points[at]
        return (at - 1 + (elapsed - low) / (high - low)) / (len(points) - 1)

    def when_done(self, share: float) -> float:
        """Return the seconds after which ``share`` of the known durations have passed; inverts :meth:`share_done`."""
        points = self._points()
        place = min(max(share, 0.0), 1.0) * (len(points) - 1)
        at = min(int(place), len(points) - 2)
        return points[at] + (place - at) * (points[at + 1] - points[at])

    def _points(self) -> list[float]:
        return [max(0.0, self._sorted[0] - self._spread), *self._sorted, self.longest]


@dataclass(slots=True)
class Crowd:
    """
    The waits that divide one key's budget.

    :param capacity: status requests per hour that the key allows for polling; ``None`` when unlimited.
    :param sustained_rate: status requests per second that can go on for ever; ``None`` when unlimited.
    :param active: waits going on now.
    :param recent: waits of the last hour, those that have ended included; at least ``active``.
    """

    capacity: int | None = None
    sustained_rate: float | None = None
    active: int = 1
    recent: int = 1

    @property
    def sustained_pause(self) -> float:
        """Seconds between two looks of one wait that all active waits can keep up for ever."""
        return self.active / self.sustained_rate if self.sustained_rate else 0.0

    @property
    def looks(self) -> float | None:
        """How many looks each wait can have; ``None`` when unlimited."""
        if self.capacity is None:
            return None
        return LOOKS_SHARE * self.capacity / max(1, self.recent, self.active)


@dataclass(slots=True)
class LikelyTimes:
    """
    Pace for jobs whose duration is known roughly and whose status requests are limited.

    :param durations: what is known of such jobs, shared by the waits of one kind.
    :param crowd: returns who shares the budget at this moment.
    :param backoff: documented intervals: its ``first`` is the shortest pause; unlimited keys use it whole.
    :param scout: this wait looks early too, so that others learn of jobs that end unexpectedly soon.
    """

    durations: Durations
    crowd: Callable[[], Crowd]
    backoff: Backoff
    scout: bool = field(default=False)

    def delay(self, elapsed: float, *, rng: Callable[[], float] = random.random) -> float:
        """Return the seconds until the next look, after one made ``elapsed`` seconds after submission."""
        crowd = self.crowd()
        looks = crowd.looks
        if looks is None:
            return self.backoff.delay(elapsed, rng=rng)
        if self.scout:
            looks = max(looks, 2 * EARLY_LOOKS)
        early = looks >= 2 * EARLY_LOOKS
        done = self.durations.share_done(elapsed)
        if done >= 1.0:
            pause = max(TAIL_GROWTH * elapsed, crowd.sustained_pause)
        else:
            planned = looks - EARLY_LOOKS if early else looks
            # A job of random known duration is looked at 1 / (2 * step) + 1 / 2 times on average.
            step = 0.5 / max(0.5, planned - 0.5)
            pause = self.durations.when_done(done + step) - elapsed
            if early:
                pause = min(pause, self.backoff.interval(elapsed))
        drift = 1.0 + self.backoff.jitter * (rng() - 0.5)
        return max(self.backoff.first, pause * drift)
