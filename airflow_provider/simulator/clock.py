"""Time as the vendor sees it: wall clock, plus what a test has skipped."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf


class Clock:
    """Wall-clock seconds; durations of the vendors are divided by ``scale``.

    :param scale: how many vendor seconds pass in one real second.
    """

    def __init__(self, scale: float = 1.0) -> None:
        if not 0 < scale < inf:
            raise ValueError(f"time scale must be positive, not {scale}")
        self.scale = scale
        #: real seconds by which the vendors' clock is ahead of this machine's
        self.skew = 0.0
        self._skipped = 0.0
        self._watchers: list[Callable[[], None]] = []

    def now(self) -> float:
        """Epoch seconds."""
        return time.time() + self.skew + self._skipped

    def real(self, vendor_seconds: float) -> float:
        """How many real seconds a duration of the vendor takes here."""
        return vendor_seconds / self.scale

    def advance(self, vendor_seconds: float) -> None:
        """Skip time: links expire, windows empty, jobs finish."""
        self._skipped += vendor_seconds / self.scale
        for watcher in self._watchers:
            watcher()

    def on_skip(self, watcher: Callable[[], None]) -> None:
        """Call somebody who waits for a moment whenever time is skipped."""
        self._watchers.append(watcher)

    def date(self) -> float:
        """Epoch seconds for the header ``Date``: what a test has skipped is no time of a server's clock."""
        return time.time() + self.skew

    def reset(self) -> None:
        """Back to the wall clock."""
        self._skipped = self.skew = 0.0


def stamp(at: float) -> str:
    """Epoch seconds as both vendors write them: ``2026-06-03T12:00:00Z``."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp_or_none(at: float | None) -> str | None:
    """The same for a moment that may not have come."""
    return None if at is None else stamp(at)
