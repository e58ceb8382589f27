"""How many status requests one API key has left, and when the next one may go."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

POLL_SHARE = 0.8
"""Share of every limit that polling may use; the rest is kept for submitting and downloading."""

FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0
LONGEST_ASKED = 3600.0
"""A service that asks for a longer pause than this is asked again after it all the same."""

SHORTEST_SPACING = 0.05
LONGEST_SPACING = 30.0
RECOVERY = 0.8
"""Each answer that is no 429 leaves so much of the distance between two requests."""

PLANNED_FOR = 300.0
"""Seconds over which a limit is counted when waits plan their polls; longer windows count whole."""


@dataclass(frozen=True, slots=True)
class Window:
    """
    A sliding rate limit: at most ``limit`` requests within any ``seconds``.

    :param limit: requests, at least 1.
    :param seconds: length of the window.
    """

    limit: int
    seconds: float

    def __post_init__(self) -> None:
        if self.limit < 1 or self.seconds <= 0:
            raise ValueError(f"a window needs a positive limit and length; got {self}")


def windows(*, per_minute: int | None = None, per_hour: int | None = None) -> tuple[Window, ...]:
    """Return the windows of a connection's limits; ``None`` and 0 mean no limit."""
    limits = ((per_minute, 60.0), (per_hour, 3600.0))
    return tuple(Window(limit, seconds) for limit, seconds in limits if limit)


class RateBudget:
    """
    The requests that one process may make for polling on one API key.

    Sliding windows bound what this process sends. A 429 pauses every wait on the key, longer with each in a
    row, and the first of them doubles the least distance between two requests, which shrinks again with every
    other answer. Several processes on one key so settle on a common rate without talking to each other,
    whatever the limit is that they share.

    :param limits: sliding windows of the key; none means unlimited until a 429 says otherwise.
    :param share: part of each limit that polling may use.
    :param rng: 0 to 1; keeps processes that got a 429 together from coming back together.

    ``spacing`` is the least distance between two requests in seconds, 0 when all is well.
    """

    def __init__(
        self,
        limits: Sequence[Window] = (),
        *,
        share: float = POLL_SHARE,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.share = share
        self.paused_until = 0.0
        self.throttled = 0
        self._rng = rng
        self._asked_until = 0.0
        self._limited_at = -LONGEST_ASKED
        self.spacing = 0.0
        self._streak = 0
        self._sent: deque[float] = deque()
        self._latest: deque[float] = deque(maxlen=32)
        self._reported: tuple[float, float] | None = None
        self.limit_to(limits)

    def limit_to(self, limits: Sequence[Window]) -> None:
        """
        Keep to these limits from now on; what was sent counts in them as far as earlier ones reached back.

        :param limits: sliding windows of the key; none means unlimited until a 429 says otherwise.
        """
        self.limits = tuple(limits)
        self._reach = max((window.seconds for window in self.limits), default=0.0)
        self._allowed = {window: max(1, int(window.limit * self.share)) for window in self.limits}

    @property
    def refusing(self) -> bool:
        """Whether the last answer was a 429."""
        return self._streak > 0

    def free_at(self, now: float, *, reserve: bool = False) -> float:
        """
        Return the earliest time, epoch seconds, at which one more request may be sent.

        :param reserve: also use what is kept for submitting and downloading, and do not sit out a pause that
            the service has not asked for; for the last poll of a wait.
        """
        if reserve:
            at = max(now, self._asked_until, self._limited_at + FIRST_PAUSE)
        else:
            at = max(now, self.paused_until)
            if self.spacing and self._latest:
                at = max(at, self._latest[-1] + self.spacing)
            if self._reported and self._reported[0] < 1:
                at = max(at, self._reported[1])
        sent = self._sent
        if sent and sent[0] <= now - self._reach:
            self._forget(now)
        for window in self.limits:
            allowed = window.limit if reserve else self._allowed[window]
            if len(sent) >= allowed:
                at = max(at, sent[-allowed] + window.seconds)
        return at

    def acquire(self, now: float) -> None:
        """Count a request sent now."""
        if self.limits:
            self._sent.append(now)
        self._latest.append(now)

    def on_429(self, now: float, retry_after: float | None = None) -> None:
        """
        Pause after a 429, and go slower from now on.

        :param retry_after: seconds the service asked to wait; without it the pause doubles with each 429 in a
            row, from 5 s to 5 min.
        """
        self.throttled += 1
        if retry_after is not None:
            self._asked_until = max(self._asked_until, now + min(retry_after, LONGEST_ASKED))
        if now < self.paused_until:
            # Sent before the pause began: one burst of answers counts once.
            self.paused_until = max(self.paused_until, self._asked_until)
            return
        if not self._streak:
            self.spacing = min(LONGEST_SPACING, 2 * max(self.spacing, self._usual_distance(now)))
        self._limited_at = now
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._streak, 16)) * (1 + 0.25 * self._rng())
        self._streak += 1
        self.paused_until = max(self._asked_until, now + (pause if retry_after is None else 0.0))

    def on_success(self) -> None:
        """Go faster again after an answer that was not a 429."""
        self._streak = 0
        if self.spacing:
            self.spacing = self.spacing * RECOVERY if self.spacing > SHORTEST_SPACING else 0.0

    def update_from_headers(
        self, now: float, *, limit: int | None = None, remaining: int, reset_at: float | None = None
    ) -> None:
        """
        Use what the service says is left, which counts what others have used as well.

        :param limit: ``X-RateLimit-Limit``; by default the smallest limit known.
        :param remaining: ``X-RateLimit-Remaining``.
        :param reset_at: ``X-RateLimit-Reset``, epoch seconds; by default what was said holds for a minute.
        """
        if limit is None:
            limit = min((window.limit for window in self.limits), default=0)
        until = now + 60.0 if reset_at is None else min(max(reset_at, now), now + LONGEST_ASKED)
        self._reported = (remaining - limit * (1 - self.share), until)

    def sustained_rate(self) -> float | None:
        """Return the requests per second that can go on for ever; ``None`` when unlimited."""
        rates = [self._allowed[window] / window.seconds for window in self.limits]
        if self.spacing:
            rates.append(1.0 / self.spacing)
        return min(rates, default=None)

    def capacity(self) -> float | None:
        """
        Return the requests that polling may make while waits last, at most an hour's; ``None``: unlimited.
        """
        return min(
            (self._allowed[window] * max(1.0, PLANNED_FOR / window.seconds) for window in self.limits),
            default=None,
        )

    def left(self, now: float) -> float | None:
        """Return what is left of the longest window now; ``None`` when unlimited."""
        if not self.limits:
            return None
        self._forget(now)
        longest = max(self.limits, key=lambda window: window.seconds)
        left: float = self._allowed[longest] - len(self._sent)
        if self._reported and now < self._reported[1]:
            left = min(left, self._reported[0])
        return max(0.0, left)

    def _usual_distance(self, now: float) -> float:
        # At least over some seconds: a burst says nothing about the rate that was too much.
        return max(FIRST_PAUSE, now - self._latest[0]) / len(self._latest) if self._latest else 1.0

    def _forget(self, now: float) -> None:
        while self._sent and self._sent[0] <= now - self._reach:
            self._sent.popleft()
