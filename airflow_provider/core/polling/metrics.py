"""Metrics of the waits on one key, reported to Airflow's statistics."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

FLUSH_EVERY = 5.0
"""Seconds between two reports; a counter per poll would cost more than the decision about the poll."""


class Metrics:
    """
    Counters of one key, reported as ``<service>.<name>``.

    :param service: connection type, the prefix of every name.
    :param clock: epoch seconds.
    """

    def __init__(self, service: str, *, clock: Callable[[], float]) -> None:
        self.service = service
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._flushed_at = clock()

    def count(self, name: str) -> bool:
        """
        Count one ``name``; reported within :data:`FLUSH_EVERY` seconds of the next count, or at
        :meth:`flush`.

        :return: whether that was reported now.
        """
        self._counts[name] = self._counts.get(name, 0) + 1
        if self._clock() - self._flushed_at < FLUSH_EVERY:
            return False
        self.flush()
        return True

    def timing(self, name: str, seconds: float) -> None:
        """Report a duration at once."""
        _stats().timing(f"{self.service}.{name}", seconds * 1000.0)

    def gauge(self, name: str, value: float) -> None:
        """Report a level at once."""
        _stats().gauge(f"{self.service}.{name}", value)

    def flush(self) -> None:
        """Report what was counted since the last report."""
        counts, self._counts = self._counts, {}
        self._flushed_at = self._clock()
        stats = _stats()
        for name, count in counts.items():
            stats.incr(f"{self.service}.{name}", count)


@functools.cache
def _stats() -> Any:
    # Airflow is imported by the first report, not with the package.
    from airflow_provider.compat import airflow_stats

    return airflow_stats()
