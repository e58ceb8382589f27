"""Backoff: poll intervals that grow with the time since submission."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass


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
    """

    first: float
    factor: float = 1.5
    cap: float = 30.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("first", self.first, 0.0, math.inf),
            ("factor", self.factor, 1.0, math.inf),
            ("cap", self.cap, 0.0, math.inf),
            ("jitter", self.jitter, 0.0, 1.0),
        ):
            if not math.isfinite(value) or value < low or value > high:
                raise ValueError(f"{name} must be a finite number of at least {low:g}; got {value!r}")
        if self.first == 0:
            raise ValueError("first must be more than 0: an interval of 0 would poll without a pause")
        if self.cap < self.first:
            raise ValueError(f"cap ({self.cap:g} s) must not be below first ({self.first:g} s)")

    def interval(self, elapsed: float) -> float:
        """Return the interval in seconds that follows a poll made ``elapsed`` seconds after submission."""
        return min(self.cap, self.first + (self.factor - 1.0) * max(0.0, elapsed))

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
