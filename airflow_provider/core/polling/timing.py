"""Times and durations in log lines, for people."""

from __future__ import annotations

from datetime import UTC, datetime


def clock_time(moment: float) -> str:
    """
    Return a moment as a wall clock shows it: ``13:46 UTC``.

    :param moment: epoch seconds.
    """
    return f"{datetime.fromtimestamp(moment, tz=UTC):%H:%M} UTC"


def duration(seconds: float) -> str:
    """Return a duration in its largest unit: ``45 s``, ``5 min``, ``2 h``."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length or seconds == length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def span(low: float, high: float) -> str:
    """Return a range of durations: ``2 to 5 min``, ``3 s to 2 min``."""
    shortest, longest = duration(low), duration(high)
    if shortest.partition(" ")[2] == longest.partition(" ")[2]:
        shortest = shortest.partition(" ")[0]
    return f"{shortest} to {longest}"
