"""
How to wait when somebody has promised to say when the job ends: look rarely, because promises get lost.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider.core.polling.backoff import Backoff

if TYPE_CHECKING:
    from airflow_provider.core.polling.wait import Schedule

LONGEST = 300.0
"""Longest interval in seconds, however far the deadline."""

SHARE = 1 / 3
"""Share of the time left until the deadline that passes before the next look."""

LATE = 15.0
"""Seconds after a job's end by which its event has come, or counts as lost."""


class WebhookHealth:
    """
    Whether events come, judged by the jobs that ended lately. Shared by all waits that hear the same events.

    :param patience: so many lost events in a row end the trust; one that comes restores it.
    """

    def __init__(self, patience: int = 3) -> None:
        self.patience = patience
        self.missed = 0

    @property
    def lost(self) -> bool:
        """Whether it is better to look as if no events were promised."""
        return self.missed >= self.patience

    def came(self) -> None:
        """Take in that an event came."""
        self.missed = 0

    def missing(self) -> bool:
        """Take in that a job ended and no event came; return whether that was one too many just now."""
        self.missed += 1
        return self.missed == self.patience


@dataclass(frozen=True, slots=True)
class WebhookFallback:
    """
    Schedule of a wait that an event is to end: minutes apart, closer as the deadline nears.

    :param limit: seconds from submission to the deadline.
    :param usual: pace without events; taken when events do not come.
    :param trust: whether events come.
    :param backoff: its cap is the shortest interval; its jitter applies.
    """

    limit: float
    usual: Schedule
    trust: WebhookHealth
    backoff: Backoff

    def delay(
        self, elapsed: float, *, rng: Callable[[], float] = random.random, fraction: float | None = None
    ) -> float:
        """Return the seconds until the next look, after one made ``elapsed`` seconds after submission."""
        if self.trust.lost:
            return self.usual.delay(elapsed, rng=rng, fraction=fraction)
        pause = min(LONGEST, max(self.backoff.cap, (self.limit - elapsed) * SHARE))
        return pause * (1.0 - self.backoff.jitter * rng())


@dataclass(frozen=True, slots=True)
class Afresh:
    """
    Schedule of a wait whose job is about to end: a backoff that begins again at a later age.

    :param age: seconds from submission to where it begins.
    :param backoff: the intervals.
    """

    age: float
    backoff: Backoff

    def delay(
        self, elapsed: float, *, rng: Callable[[], float] = random.random, fraction: float | None = None
    ) -> float:
        """Return the seconds until the next look, after one made ``elapsed`` seconds after submission."""
        return self.backoff.delay(max(0.0, elapsed - self.age), rng=rng)
