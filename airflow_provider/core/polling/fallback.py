"""Hints that a job has ended, such as webhooks: while they can be relied on, a wait itself polls rarely."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from airflow_provider.core.polling.schedule import Backoff, Schedule

LONGEST = 300.0
"""Longest interval in seconds, however far the deadline."""

SHARE = 1 / 3
"""Share of the time left until the deadline that passes before the next poll."""

LATE = 15.0
"""Seconds after a job's end by which the hint has come, or counts as missed."""


class HintHealth:
    """
    Whether hints come, judged by the jobs that ended lately. Shared by all waits that await the same ones.

    :param patience: so many missed in a row, and they are no longer relied on; one that comes restores that.
    :param proven: whether they are relied on before the first has come.
    """

    def __init__(self, patience: int = 3, *, proven: bool = True) -> None:
        self.patience = patience
        self.proven = proven
        self.missed = 0.0

    @property
    def lost(self) -> bool:
        """Whether it is better to poll as if there were no hints."""
        return self.missed >= self.patience

    @property
    def relied_on(self) -> bool:
        """Whether a wait may poll rarely because of them."""
        return self.proven and not self.lost

    def on_hint(self) -> None:
        """Count a hint that came, and was right."""
        self.missed = 0.0
        self.proven = True

    def on_missed(self, weight: float = 1.0) -> bool:
        """
        Count a job that ended without one; return whether that was one too many just now.

        :param weight: less than 1 where the hint may yet have come.
        """
        before, self.missed = self.missed, self.missed + weight
        return before < self.patience <= self.missed

    def on_trial(self) -> None:
        """Give hints that were lost one more chance: they have to prove themselves anew."""
        self.missed = self.patience - 1.0
        self.proven = False


class Hints:
    """
    What hints say of one job. Ages are seconds since its submission.

    :param health: whether they come.
    """

    def __init__(self, health: HintHealth | None = None) -> None:
        self.health = health

    @property
    def relied_on(self) -> bool:
        """Whether a hint will say that the job has ended."""
        return self.health is not None and self.health.relied_on

    @property
    def likely_end(self) -> float:
        """The age before which no poll is needed; 0 when not known."""
        return 0.0

    @property
    def running_at(self) -> float:
        """The age at which the job was last said to run; 0 when never."""
        return 0.0

    @property
    def ended_at(self) -> float | None:
        """The age at which the job was said to have ended; ``None`` when that was not said."""
        return None


@dataclass(frozen=True, slots=True)
class HintFallback:
    """
    Schedule of a wait that a hint is to end: minutes apart, closer as the deadline nears.

    :param limit: seconds from submission to the deadline.
    :param usual: schedule without hints; taken when they do not come.
    :param hints: of the job.
    :param backoff: its cap is the shortest interval; its jitter applies.
    """

    limit: float
    usual: Schedule
    hints: Hints
    backoff: Backoff

    def delay(
        self, elapsed: float, *, rng: Callable[[], float] = random.random, fraction: float | None = None
    ) -> float:
        """Return the seconds until the next poll, after one made ``elapsed`` seconds after submission."""
        hints = self.hints
        if hints.relied_on:
            pause = min(LONGEST, max(self.backoff.cap, (self.limit - elapsed) * SHARE))
            pause *= 1.0 - self.backoff.jitter * rng()
            return max(pause, min(LONGEST, hints.likely_end - elapsed))
        seen = max(elapsed, hints.running_at)
        pause = seen - elapsed + self.usual.delay(seen, rng=rng, fraction=fraction)
        if hints.ended_at is not None:
            # The job itself does not say so yet, or the hint was wrong.
            soon = replace(self.backoff, factor=2.0, cap=LONGEST, start=hints.ended_at)
            pause = min(pause, soon.delay(elapsed, rng=rng))
        return pause
