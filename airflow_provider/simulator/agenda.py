"""What is to happen at moments of the clock that nobody asks about."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

from airflow_provider.simulator.clock import Clock

#: How many things happen before requests get their turn again.
_AT_A_TIME = 200


class Agenda:
    """One heap and one timer for the next moment in it; no timer while it is empty.

    Things happen in the order of their moments, those of one moment in the order they were entered.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        clock.on_skip(self._set_timer)

    def __len__(self) -> int:
        return len(self._entries)

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Enter something.

        :param moment: epoch seconds of the clock; what is past happens at once, but not inside this call.
        """
        entry = (moment, next(self._order), action)
        heapq.heappush(self._entries, entry)
        if self._entries[0] is entry:
            self._set_timer()

    def clear(self) -> None:
        """Strike out everything."""
        self._entries.clear()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._entries:
            wait = max(0.0, self._entries[0][0] - self._clock.now())
            self._timer = asyncio.get_running_loop().call_later(wait, self._ring)

    def _ring(self) -> None:
        try:
            for _ in range(_AT_A_TIME):
                if not self._entries or self._entries[0][0] > self._clock.now():
                    break
                heapq.heappop(self._entries)[2]()
        finally:
            self._set_timer()
