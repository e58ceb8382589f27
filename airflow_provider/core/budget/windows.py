"""Sliding windows: the limits of a key that its connection names, and those that refusals have shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import log2
from typing import Any, Self

MINUTE, HOUR = 60.0, 3600.0

MOST_RISES = 11
"""After which a limit of 1 is above all that is remembered."""

CONFIRMS = 0.8
"""Part of a learned limit that must have been accepted for a 429 to show that limit again, and no other."""

LONGEST_PATIENCE = 600.0
"""Most seconds, or the window's if it is longer, for which a limit that was shown again does not rise."""

LEARN_FROM = 5.0
"""Shortest pause that a service asks for, or shortest run of refusals, that says how long its window is."""

ROUNDED_BY = 5.0
"""Seconds by which a pause that a service asks for may be too short, with the time on the way."""

SLOWER, SLOWEST = 0.8, 6
"""Part of the pace that is left when it is refused as well, and the least, in requests a minute."""


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


@dataclass(slots=True)
class LearnedLimits:
    """
    What the refusals on a key have shown.

    :param windows_of: limits by the length of their windows, seconds.
    :param pace: requests a minute that are taken one by one, where bursts are refused far below all limits.
    """

    windows_of: dict[float, LearnedLimit] = field(default_factory=dict)
    pace: LearnedLimit | None = None

    def windows(self, now: float, known: Sequence[Window]) -> Sequence[Window]:
        """
        Return all limits; of one length the lower.

        :param known: limits that the connection names.
        """
        limits = {window.seconds: window.limit for window in known}
        for seconds, learned in self.windows_of.items():
            limits[seconds] = min(limits.get(seconds, learned.at(now)), learned.at(now))
        return [Window(limit, seconds) for seconds, limit in limits.items()]

    def learn(
        self,
        now: float,
        seconds: float,
        accepted_within: Callable[[float], int],
        known: Sequence[Window],
        *,
        asked: float = HOUR,
    ) -> None:
        """
        Take what the service has accepted within the latest window for its limit.

        :param seconds: how long the window seems to be.
        :param accepted_within: how many requests it took within the latest seconds.
        :param known: limits that the connection names.
        :param asked: seconds that the service asked to wait.
        """
        if seconds <= MINUTE:
            seconds = next((length for length in self.windows_of if length <= MINUTE), seconds)
        accepted, first = accepted_within(seconds), seconds
        larger = any(window.seconds == seconds and window.limit > 2 * accepted for window in known)
        if larger or accepted_within(seconds - asked - ROUNDED_BY) == accepted:
            # Others have used most of it, or none of what was accepted leaves the window so soon, so that it
            # is another one: there may be room when the pause is over.
            first = min(seconds, max(MINUTE, asked / 2))
        before = self.windows_of.get(seconds)
        if before is None:
            self.windows_of[seconds] = LearnedLimit(accepted, now, first)
        elif now > before.since + LEARN_FROM:
            same = accepted >= CONFIRMS * before.accepted
            patience = min(2 * before.patience, max(seconds, LONGEST_PATIENCE)) if same else first
            self.windows_of[seconds] = LearnedLimit(min(accepted, before.at(now)), now, patience)
        else:  # of the same burst
            before.accepted = min(before.accepted, accepted)

    def nearly_used_up(self, accepted_within: Callable[[float], int], known: Sequence[Window]) -> bool:
        """Return whether the service can have refused for one of the limits, and not for a burst."""
        limits = [(window.seconds, window.limit) for window in known]
        limits += [(seconds, learned.accepted) for seconds, learned in self.windows_of.items()]
        return any(accepted_within(seconds) >= CONFIRMS * limit for seconds, limit in limits)

    def slow_down(self, now: float, per_minute: float) -> None:
        """Space requests evenly: as far apart as the service asks for, further when that is refused too."""
        before = self.pace if self.distance(now) else None
        if before is None or now > before.since + LEARN_FROM:
            slower = per_minute if before is None else min(per_minute, SLOWER * before.at(now))
            self.pace = LearnedLimit(max(SLOWEST, int(slower)), now, MINUTE)

    def distance(self, now: float) -> float:
        """Return the least seconds between two requests; 0 where they may go at once."""
        if self.pace is None or now > self.pace.since + 2 * self.pace.patience:
            return 0.0
        return MINUTE / self.pace.at(now)

    def state(self) -> dict[str, Any]:
        """Return all that was learned, as plain JSON."""
        return {
            "learned": {str(seconds): asdict(limit) for seconds, limit in self.windows_of.items()},
            "pace": asdict(self.pace) if self.pace else None,
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Self:
        """
        Return what :meth:`state` has returned.

        :raises KeyError, TypeError, ValueError: it is something else.
        """
        limits = {float(seconds): LearnedLimit(**limit) for seconds, limit in state["learned"].items()}
        return cls(limits, LearnedLimit(**state["pace"]) if state.get("pace") else None)
