"""Webhook fallback: poll every few minutes, because webhooks get lost; poll as usual when none come."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider.core.polling.schedule import Backoff, Schedule

LONGEST = 300.0
"""Longest interval in seconds, however far the deadline."""

SHARE = 1 / 3
"""Share of the time left until the deadline that passes before the next poll."""

LATE = 15.0
"""Seconds after a job's end by which its webhook has come, or counts as lost."""


class WebhookHealth:
    """
    Whether webhooks come, judged by the jobs that ended lately. Shared by all waits that await the same ones.

    :param patience: so many lost in a row, and they are no longer relied on; one that comes restores that.
    """

    def __init__(self, patience: int = 3) -> None:
        self.patience = patience
        self.missed = 0

    @property
    def lost(self) -> bool:
        """Whether it is better to poll as if no webhooks were subscribed to."""
        return self.missed >= self.patience

    def on_event(self) -> None:
        """Count a webhook that came."""
        self.missed = 0

    def on_missed(self) -> bool:
        """Count a job that ended without one; return whether that was one too many just now."""
        self.missed += 1
        return self.missed == self.patience


@dataclass(frozen=True, slots=True)
class WebhookFallback:
    """
    Schedule of a wait that a webhook is to end: minutes apart, closer as the deadline nears.

    :param limit: seconds from submission to the deadline.
    :param usual: schedule without webhooks; taken when they do not come.
    :param health: whether webhooks come.
    :param backoff: its cap is the shortest interval; its jitter applies.
    """

    limit: float
    usual: Schedule
    health: WebhookHealth
    backoff: Backoff

    def delay(
        self, elapsed: float, *, rng: Callable[[], float] = random.random, fraction: float | None = None
    ) -> float:
        """Return the seconds until the next poll, after one made ``elapsed`` seconds after submission."""
        if self.health.lost:
            return self.usual.delay(elapsed, rng=rng, fraction=fraction)
        pause = min(LONGEST, max(self.backoff.cap, (self.limit - elapsed) * SHARE))
        return pause * (1.0 - self.backoff.jitter * rng())
