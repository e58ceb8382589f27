"""Metrics of the waits on one key, reported to Airflow's statistics."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

FLUSH_EVERY = 5.0
"""Seconds between two reports; a counter per poll would cost more than the decision about the poll."""


class Metrics:
    """
    Counters of one key, reported as ``<service>.<name>``.

    ``counts`` are those since the last report, and ``due`` is when the next one is, epoch seconds.

    :param service: connection type, the prefix of every name.
    :param clock: epoch seconds.
    """

    def __init__(self, service: str, *, clock: Callable[[], float]) -> None:
        self.service = service
        self.counts: Counter[str] = Counter()
        self.due = clock() + FLUSH_EVERY
        self._clock = clock

    def timing(self, name: str, seconds: float) -> None:
        """Report a duration at once."""
        _stats().timing(f"{self.service}.{name}", seconds * 1000.0)

    def gauge(self, name: str, value: float) -> None:
        """Report a level at once."""
        _stats().gauge(f"{self.service}.{name}", value)

    def flush(self) -> None:
        """Report what was counted since the last report."""
        counts, self.counts = self.counts, Counter()
        self.due = self._clock() + FLUSH_EVERY
        stats = _stats()
        for name, count in counts.items():
            stats.incr(f"{self.service}.{name}", count)


@functools.cache
def _stats() -> Any:
    # Airflow is imported by the first report, not with the package.
    from airflow_provider.compat import airflow_stats

    return airflow_stats()
