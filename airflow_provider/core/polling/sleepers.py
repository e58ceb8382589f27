"""The sleep of waits between two polls; what is learnt meanwhile may bring the next poll forward."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider.core.polling.wait import Wait

RECONSIDER = 15.0
"""Seconds after which all waits that sleep are asked again when their next poll is due."""

MOST_A_SECOND, LONGEST = 40, 60.0
"""Waits that are asked per second on average, so that many are asked less often; but each after a minute."""

SOONER = 1.0
"""Seconds by which a poll must have come nearer for its wait to be woken."""

AT_ONCE = 100
"""Waits that are asked without letting others have the event loop."""


class Sleepers:
    """
    The waits on one key that sleep until their next poll. One timer asks for all of them, so that a thousand
    that sleep for minutes cost little.

    :param clock: epoch seconds.
    :param sleep: as :func:`asyncio.sleep`.
    :param refresh: learns what other processes do with the key.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[Any]],
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._refresh = refresh
        self._asleep: dict[Wait, tuple[float, asyncio.Future[Any]]] = {}
        self._timer: asyncio.Task[None] | None = None

    async def sleep(self, wait: Wait, seconds: float) -> None:
        """Sleep so long at most, until the wait's next poll may be due."""
        asleep = asyncio.ensure_future(self._sleep(seconds))
        self._asleep[wait] = self._clock() + seconds, asleep
        if self._timer is None or self._timer.done():
            self._timer = asyncio.create_task(self._reconsider())
        try:
            await asyncio.wait([asleep])
        finally:
            asleep.cancel()
            del self._asleep[wait]

    def wake(self, wait: Wait) -> None:
        """End the sleep of a wait, if it sleeps."""
        if wait in self._asleep:
            self._asleep[wait][1].cancel()

    def close(self) -> None:
        """Stop the timer; nothing sleeps any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _reconsider(self) -> None:
        while self._asleep:
            await self._sleep(max(RECONSIDER, min(LONGEST, len(self._asleep) / MOST_A_SECOND)))
            await self._refresh()
            for number, (wait, (due, _)) in enumerate(list(self._asleep.items()), 1):
                if wait.next_poll() < due - SOONER:
                    self.wake(wait)
                if not number % AT_ONCE:
                    await asyncio.sleep(0)
