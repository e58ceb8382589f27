"""Hints that a job has ended, from webhooks or a list: while they are reliable, a wait polls rarely."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from airflow_provider.core.polling.wait import JobState

if TYPE_CHECKING:
    from airflow_provider.core.polling.pages import Page
    from airflow_provider.core.polling.schedule import AdaptiveSchedule, Backoff, Schedule
    from airflow_provider.core.polling.sweep import Listing, Sweep
    from airflow_provider.core.polling.wait import Wait

LONGEST = 300.0
"""Longest interval in seconds, however far the deadline."""

SHARE = 1 / 3
"""Share of the time left until the deadline that passes before the next poll."""

LATE = 15.0
"""Seconds after a job's end by which the hint has come, or counts as missed."""

_UNSEEN: Final = object()


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
        """Give hints that were lost one more chance; they are relied on again when one comes."""
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
    Schedule of a wait that a hint will end: polls are minutes apart, and closer as the deadline nears.

    :param limit: seconds from submission to the deadline.
    :param usual: schedule without hints; taken when they do not come.
    :param backoff: its cap is the shortest interval; its jitter applies.
    """

    limit: float
    usual: Schedule
    hints: Hints
    backoff: Backoff

    @property
    def announced(self) -> bool:
        """Whether a hint is expected to say that the job has ended."""
        return self.hints.relied_on

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


class Watch(Hints):
    """
    What a sweep says of the job of one wait.

    :param place: under which id; ``None`` as long as that is not known.
    :param usual: the wait's schedule without the sweep.
    """

    def __init__(self, wait: Wait, listing: Listing, place: str | None, usual: AdaptiveSchedule) -> None:
        super().__init__()
        self.wait = wait
        self.listing = listing
        self.place = place
        self.usual = usual
        self.running = False
        self.woken = False
        self.sweep: Sweep | None = None
        self._caused_poll = False
        self._was_running = False
        self._state: object = _UNSEEN
        self._hinted_at: float | None = None

    def schedule(self) -> HintFallback:
        """Return the schedule of a wait whose job is watched."""
        limit = self.wait.deadline - self.wait.submitted_at
        return HintFallback(limit, self.usual, self, self.usual.backoff)

    @property
    def relied_on(self) -> bool:
        return self.sweep is not None and self.sweep.observes(self)

    @property
    def likely_end(self) -> float:
        return self._likely_range[1]

    @property
    def running_at(self) -> float:
        known = self.sweep is not None and self.sweep.knows(self)
        return self.wait.listed_at - self.wait.submitted_at if known else 0.0

    @property
    def ended_at(self) -> float | None:
        if self._hinted_at is None or self.sweep is None or self.sweep.health.lost:
            return None
        return self._hinted_at - self.wait.submitted_at

    @property
    def earliest_end(self) -> float:
        """The age at which the first of such jobs end."""
        return self._likely_range[0]

    @property
    def _likely_range(self) -> tuple[float, float]:
        return self.usual.durations.range(self.usual.load().active)

    def join(self, sweep: Sweep) -> None:
        """Have this sweep observe the job, as soon as it is known under which id."""
        if self.sweep is not sweep and self.place is not None:
            self.leave()
            self.sweep = sweep
            self._state = sweep.listed.get(self.place, _UNSEEN)
            sweep.join(self)

    def leave(self) -> None:
        """Have the job observed no longer."""
        sweep, self.sweep = self.sweep, None
        self.running = False
        if sweep is not None:
            sweep.leave(self)

    def on_page(self, page: Page, at: float, *, may_wake: bool) -> bool:
        """
        Learn what the list shows; return whether it says that the job has ended, which it did not before.

        :param page: all that was read of it.
        :param at: when it was asked for, epoch seconds.
        :param may_wake: whether the wait may poll because of it; if not, the next page says it again.
        """
        if self.place is None or self.place not in page:
            self.running = False
            return False
        before, state = self._state, page[self.place]
        self.running = state is JobState.ACTIVE
        if self.running:
            self._hinted_at = None
            self.wait.on_listed(at)
        elif before is JobState.ACTIVE or state not in (None, before):
            # What is shown at first may be an earlier job.
            if not may_wake or (before is _UNSEEN and at < self.wait.submitted_at + self.earliest_end):
                return False
            self._hinted_at = at
            self._was_running = before is JobState.ACTIVE
            self.woken = True
        self._state = state
        return self.woken

    def on_poll(self) -> bool:
        """Learn that the wait polls now; return whether the list has said that the job has ended."""
        self._caused_poll, self.woken = self.woken, False
        return self._caused_poll and self.ended_at is not None

    def on_polled(self, *, finished: bool) -> None:
        """Learn what the poll found."""
        if self.sweep is not None:
            misled = self._caused_poll and self._was_running
            self.sweep.on_polled(self, finished=finished, misled=misled)
