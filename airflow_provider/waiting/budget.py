"""RateBudget: how many status requests one API key has left, and when the next one may go."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

POLL_SHARE = 0.8
"""Share of every limit that polling may use; the rest is kept for submitting and downloading."""

FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0
LEAST_SHARE = 0.05
RECOVERY = 300.0
"""Seconds without a 429 after which half of the lost share is given back."""


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

    Sliding windows bound what this process sends. A 429 pauses every wait on the key and lowers the share of
    the limits that this process allows itself; the share recovers while no 429 comes. Several processes on one
    key so settle on a common rate without talking to each other.

    :param limits: sliding windows of the key; none means unlimited until a 429 says otherwise.
    :param share: part of each limit that polling may use.
    """

    def __init__(self, limits: Sequence[Window] = (), *, share: float = POLL_SHARE) -> None:
        self.limits = tuple(limits)
        self.share = share
        self.paused_until = 0.0
        self.throttled = 0
        self._slowed = 1.0
        self._slowed_at = 0.0
        self._streak = 0
        self._sent: deque[float] = deque()
        self._reach = max((window.seconds for window in self.limits), default=0.0)

    @property
    def refusing(self) -> bool:
        """Whether the last answer was a 429."""
        return self._streak > 0

    def allowance(self, window: Window, now: float, *, reserve: bool = False) -> int:
        """Return how many requests polling may make per ``window``; with ``reserve``, up to the full limit."""
        if reserve:
            return window.limit
        return max(1, int(window.limit * self.share * self._slowdown(now)))

    def free_at(self, now: float, *, reserve: bool = False) -> float:
        """
        Return the earliest time, epoch seconds, at which one more request may be sent.

        :param reserve: also use what is kept for submitting and downloading; for the last look of a wait.
        """
        at = max(now, self.paused_until)
        self._forget(now)
        for window in self.limits:
            allowed = self.allowance(window, now, reserve=reserve)
            if len(self._sent) >= allowed:
                at = max(at, self._sent[-allowed] + window.seconds)
        return at

    def take(self, now: float) -> None:
        """Count a request sent now."""
        if self.limits:
            self._sent.append(now)

    def refused(self, now: float, retry_after: float | None = None) -> None:
        """
        Take in a 429: pause, and allow less from now on.

        :param retry_after: seconds the service asked to wait; without it the pause doubles with each 429 in a
            row, from 5 s to 5 min.
        """
        self.throttled += 1
        if now < self.paused_until:
            return  # sent before the pause began: one burst of answers is one refusal
        self._slowed = max(LEAST_SHARE, self._slowdown(now) / 2)
        self._slowed_at = now
        pause = retry_after or min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._streak, 16))
        self._streak += 1
        self.paused_until = now + pause

    def answered(self, now: float, *, remaining: int | None = None, reset_at: float | None = None) -> None:
        """
        Take in an answer that was not a 429.

        :param remaining: ``X-RateLimit-Remaining``, where sent.
        :param reset_at: ``X-RateLimit-Reset``, epoch seconds, where sent.
        """
        self._streak = 0
        if remaining is None or reset_at is None or not self.limits:
            return
        smallest = min(window.limit for window in self.limits)
        if remaining <= smallest * (1 - self.share):
            self.paused_until = max(self.paused_until, min(reset_at, now + self._reach))

    def sustained_rate(self, now: float) -> float | None:
        """Return the requests per second that can go on for ever; ``None`` when unlimited."""
        if not self.limits:
            return None
        return min(self.allowance(window, now) / window.seconds for window in self.limits)

    def capacity(self, now: float) -> int | None:
        """Return the requests per longest window that polling may make; ``None`` when unlimited."""
        if not self.limits:
            return None
        return self.allowance(max(self.limits, key=lambda window: window.seconds), now)

    def _slowdown(self, now: float) -> float:
        if self._slowed >= 1.0:
            return 1.0
        recovered: float = 0.5 ** (max(0.0, now - self._slowed_at) / RECOVERY)
        return 1.0 - (1.0 - self._slowed) * recovered

    def _forget(self, now: float) -> None:
        while self._sent and self._sent[0] <= now - self._reach:
            self._sent.popleft()
