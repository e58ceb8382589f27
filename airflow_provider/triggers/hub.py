"""
The hub: what all waits on one event loop share.

One aiohttp client and one rate budget per server and key, one connection lookup per connection id. Waits take a
:class:`Seat`; the last one to leave a lane closes its client.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider.exceptions import AuthenticationError
from airflow_provider.triggers.lane import Lane
from airflow_provider.triggers.lookup import Lookup
from airflow_provider.triggers.metrics import Metrics

if TYPE_CHECKING:
    import aiohttp

    from airflow_provider.hooks.base import ServiceHook
    from airflow_provider.waiting.decision import Wait

    Look = Callable[[ServiceHook, aiohttp.ClientSession], Awaitable["T"]]

T = TypeVar("T")

log = logging.getLogger(__name__)

RECONSIDER = 15.0
"""A wait asks its pace again after so many seconds, because others may have learnt something."""


class Hub:
    """
    Shared state of one event loop. Get it with :meth:`current`.

    :param clock: epoch seconds.
    :param sleep: as :func:`asyncio.sleep`.
    """

    _of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self._lanes: dict[tuple[type[ServiceHook], str], Lane] = {}
        self._lookups: dict[tuple[type[ServiceHook], str], Lookup] = {}

    @classmethod
    def current(cls) -> Hub:
        """Return the hub of the running event loop, making it on first use."""
        loop = asyncio.get_running_loop()
        hub = cls._of_loop.get(loop)
        if hub is None:
            hub = cls._of_loop[loop] = cls()
        return hub

    @asynccontextmanager
    async def seat(self, hook_class: type[ServiceHook], conn_id: str) -> AsyncIterator[Seat]:
        """Take a seat for one wait; it is given back however the block ends."""
        seat = Seat(self, hook_class, conn_id)
        try:
            yield seat
        finally:
            await seat.leave()

    def lookup(self, hook_class: type[ServiceHook], conn_id: str) -> Lookup:
        """Return the shared lookup of a connection."""
        key = (hook_class, conn_id)
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._lookups[key] = Lookup(hook_class, conn_id, clock=self.clock)
        return lookup

    async def lane(self, hook_class: type[ServiceHook], conn_id: str) -> Lane:
        """Return the lane for a connection as it is now."""
        settings = await self.lookup(hook_class, conn_id).settings()
        key = (hook_class, settings.identity)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(
                hook_class(conn_id, settings=settings),
                clock=self.clock,
                sleep=self.sleep,
                metrics=Metrics(hook_class.conn_type, clock=self.clock),
            )
        return lane


class Seat:
    """
    One wait's place at the hub. It moves to another lane when the connection gets another server or key.

    :param hub: the hub of the running loop.
    :param hook_class: the service's hook.
    :param conn_id: connection id.
    """

    def __init__(self, hub: Hub, hook_class: type[ServiceHook], conn_id: str) -> None:
        self.hub = hub
        self.hook_class = hook_class
        self.conn_id = conn_id
        self.scout = False
        self._lane: Lane | None = None

    async def lane(self) -> Lane:
        """Return the lane to use now, moving there if need be."""
        lane = await self.hub.lane(self.hook_class, self.conn_id)
        if lane is not self._lane:
            await self.leave()
            self.scout = lane.join()
            self._lane = lane
        return lane

    async def leave(self) -> None:
        """Give the seat back."""
        lane, self._lane = self._lane, None
        if lane is not None:
            await lane.leave()

    async def look(self, wait: Wait, look: Look[T]) -> T | None:
        """
        Sleep until the wait's next look is due, queue for a turn, and make it.

        After a 401 the connection is looked up afresh, and if its key has changed the look is made once more.

        :param wait: says when the next look is due.
        :param look: makes the status request.
        :return: what ``look`` returned; ``None`` when no turn came until well past the deadline.
        """
        while (pause := wait.next_look() - self.hub.clock()) > 0:
            await self.hub.sleep(min(pause, RECONSIDER))
        lane = await self.lane()
        try:
            return await self._look_from(lane, wait, look)
        except AuthenticationError:
            await self.hub.lookup(self.hook_class, self.conn_id).refresh(lane.hook.settings)
            fresh = await self.lane()
            if fresh is lane:
                raise
            log.info("Connection %s has another key or server now; going on with it", self.conn_id)
            return await self._look_from(fresh, wait, look)

    async def _look_from(self, lane: Lane, wait: Wait, look: Look[T]) -> T | None:
        unseen_since = wait.submitted_at if wait.looked_at is None else wait.looked_at
        async with lane.look(unseen_since=unseen_since, deadline=wait.deadline) as turn:
            return await look(lane.hook, lane.client) if turn else None
