"""Sliding windows: the limits of a key that its connection names, and those that refusals have shown."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

MINUTE, HOUR = 60.0, 3600.0

MOST_RISES = 11
"""After which a limit of 1 is above all that is remembered."""


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
    limits = ((per_minute, MINUTE), (per_hour, HOUR))
    return tuple(Window(limit, seconds) for limit, seconds in limits if limit)


@dataclass(slots=True)
class LearnedLimit:
    """
    A limit that nobody has told us, as a 429 has shown it. It rises, in case there is more: first by a
    twentieth, at least by one, then each time by twice as much after half the time. So a limit that is close
    to the service's is seldom exceeded, and one that the service's trouble has shown is soon forgotten.

    :param accepted: requests that the service took within the window.
    :param since: when that was seen, epoch seconds.
    :param patience: seconds until it rises; within twice as many it is gone.
    """

    accepted: int
    since: float
    patience: float

    def at(self, now: float) -> int:
        """Return how many requests to send within the window."""
        left = 1.0 - max(0.0, now - self.since) / (2.0 * self.patience)
        rises = min(MOST_RISES, int(-log2(left))) if left > 0.0 else MOST_RISES
        return self.accepted + max(1, self.accepted // 20) * ((1 << rises) - 1)
