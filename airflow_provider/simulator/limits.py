"""Sliding-window rate limits."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from airflow_provider.simulator.clock import Clock


@dataclass(slots=True, frozen=True)
class Limit:
    """So many requests in any window of so many vendor seconds."""

    count: int
    seconds: float


def parse_limit(text: str) -> Limit:
    """``"1000/3600"`` is a thousand requests in any hour."""
    count, slash, seconds = text.partition("/")
    try:
        limit = Limit(int(count), float(seconds))
    except ValueError:
        limit = Limit(0, 0)
    if not slash or limit.count < 1 or not limit.seconds > 0:
        raise ValueError(f"a limit is COUNT/SECONDS, such as 1000/3600, not {text!r}")
    return limit


@dataclass(slots=True)
class Verdict:
    """What the tightest window says about one request."""

    allowed: bool
    limit: int
    remaining: int
    #: real seconds until one more request is allowed (0 when it is already)
    wait: float
    #: epoch seconds at which the window is empty again
    reset_at: float


class RateLimiter:
    """Counts requests by key and bucket. A refused request does not count."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._hits: dict[tuple[str, str, Limit], deque[float]] = {}

    def take(self, key: str, bucket: str, limits: tuple[Limit, ...]) -> Verdict | None:
        """Ask for one request; ``None`` when nothing limits it."""
        if not limits:
            return None
        now = self._clock.now()
        worst: Verdict | None = None
        windows: list[deque[float]] = []
        for limit in limits:
            hits = self._hits.setdefault((key, bucket, limit), deque())
            window = self._clock.real(limit.seconds)
            while hits and hits[0] <= now - window:
                hits.popleft()
            windows.append(hits)
            free = limit.count - len(hits)
            verdict = Verdict(
                allowed=free > 0,
                limit=limit.count,
                remaining=max(0, free - 1),
                wait=0.0 if free > 0 else hits[0] + window - now,
                reset_at=(hits[0] if hits else now) + window,
            )
            if worst is None or (verdict.wait, -verdict.remaining) > (worst.wait, -worst.remaining):
                worst = verdict
        if worst is not None and worst.allowed:
            for hits in windows:
                hits.append(now)
        return worst
