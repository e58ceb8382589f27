"""
The hub: what all waits on one event loop share.

One aiohttp client and one rate budget per server and key, one connection lookup per connection id. Waits
take a :class:`Lease`; the last one to leave a lane closes its client.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider.core.polling.key_state import KeyState
from airflow_provider.core.polling.lookup import Lookup
from airflow_provider.core.polling.metrics import Metrics
from airflow_provider.exceptions import AuthenticationError

if TYPE_CHECKING:
    import aiohttp

    from airflow_provider.core.http.client import ConnectionSettings, ServiceHook
    from airflow_provider.core.polling.wait import Wait

    Look = Callable[[ServiceHook, aiohttp.ClientSession], Awaitable["T"]]

T = TypeVar("T")

log = logging.getLogger(__name__)

RECONSIDER = 15.0
"""A wait asks its pace again after so many seconds, because others may have learnt something."""


class SharedClients:
    """
    Shared state of one event loop. Get it with :meth:`current`.

    A triggerer process resolves a connection id in one way only: with multi-team enabled (Airflow 3.3) each
    team has triggerers of its own. Lookups are therefore shared by connection id, and everything else by the
    server and the key that came out of it: two connections to one account share its limit, which is that of
    the connection that came first, and one that gets another key leaves the old key's budget behind.

    :param clock: epoch seconds.
    :param sleep: as :func:`asyncio.sleep`.
    """

    _of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, SharedClients] = WeakKeyDictionary()

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self._lanes: dict[tuple[type[ServiceHook], str], KeyState] = {}
        self._lookups: dict[tuple[type[ServiceHook], str], Lookup] = {}

    @classmethod
    def current(cls) -> SharedClients:
        """Return the hub of the running event loop, making it on first use."""
        loop = asyncio.get_running_loop()
        hub = cls._of_loop.get(loop)
        if hub is None:
            # A lock that was waited for refers to its loop, so that a closed loop does not go by itself.
            for other in [other for other in cls._of_loop if other.is_closed()]:
                del cls._of_loop[other]
            hub = cls._of_loop[loop] = cls()
        return hub

    @asynccontextmanager
    async def seat(self, hook_class: type[ServiceHook], conn_id: str) -> AsyncIterator[Lease]:
        """Take a seat for one wait; it is given back however the block ends."""
        seat = Lease(self, hook_class, conn_id)
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

    async def lane(self, hook_class: type[ServiceHook], conn_id: str) -> KeyState:
        """Return the lane for a connection as it is now."""
        settings = await self.lookup(hook_class, conn_id).settings()
        key = (hook_class, settings.identity)
        lane = self._lanes.get(key)
        if lane is None:
            now = self.clock()
            self._lanes = {kept: lane for kept, lane in self._lanes.items() if not lane.idle_since(now)}
            lane = self._lanes[key] = KeyState(
                hook_class(conn_id, settings=settings),
                clock=self.clock,
                sleep=self.sleep,
                metrics=Metrics(hook_class.conn_type, clock=self.clock),
            )
        elif settings != lane.hook.settings and settings.conn_id == lane.hook.settings.conn_id:
            log.info("Connection %s has changed; going on with its settings of now", conn_id)
            lane.use(hook_class(conn_id, settings=settings))
        return lane


class Lease:
    """
    One wait's place at the hub. It moves to another lane when the connection gets another server or key.

    :param hub: the hub of the running loop.
    :param hook_class: the service's hook.
    :param conn_id: connection id.
    """

    def __init__(self, hub: SharedClients, hook_class: type[ServiceHook], conn_id: str) -> None:
        self.hub = hub
        self.hook_class = hook_class
        self.conn_id = conn_id
        self._lookup = hub.lookup(hook_class, conn_id)
        self._settings: ConnectionSettings | None = None
        self._lane: KeyState | None = None

    async def lane(self) -> KeyState:
        """Return the lane to use now, moving there if need be."""
        if self._lane is not None and self._lookup.current() is self._settings:
            return self._lane
        lane = await self.hub.lane(self.hook_class, self.conn_id)
        if lane is not self._lane:
            await self.leave()
            lane.join()
            self._lane = lane
        self._settings = self._lookup.current()
        return lane

    async def settings(self) -> ConnectionSettings:
        """Return the settings of this wait's own connection."""
        return await self._lookup.settings()

    async def leave(self) -> None:
        """Give the seat back."""
        lane, self._lane = self._lane, None
        if lane is not None:
            await lane.leave()

    def ended(self, wait: Wait) -> None:
        """Take in that the job of a wait was seen to have ended."""
        if self._lane is not None:
            self._lane.ended(wait)

    async def look(self, wait: Wait, look: Look[T]) -> T | None:
        """
        Sleep until the wait's next look is due, queue for a turn, and make it.

        :param wait: says when the next look is due.
        :param look: makes the status request.
        :return: what ``look`` returned; ``None`` when no turn came until well past the deadline.
        """
        clock = self.hub.clock
        while (pause := wait.next_look() - clock()) > 0:
            limited = wait.learns and self._lane is not None and self._lane.budget.limits
            await self.hub.sleep(min(pause, RECONSIDER) if limited else pause)
        return await self.on_lane(lambda lane: lane.look(wait, look))

    async def on_lane(self, act: Callable[[KeyState], Awaitable[T]]) -> T:
        """
        Do something on the lane to use now.

        After a 401 the connection is looked up afresh, and if its key has changed it is done once more.

        :param act: makes requests.
        """
        lane = await self.lane()
        try:
            return await act(lane)
        except AuthenticationError:
            await self.hub.lookup(self.hook_class, self.conn_id).refresh(lane.hook.settings)
            fresh = await self.lane()
            if fresh is lane:
                raise
            log.info("Connection %s has another key or server now; going on with it", self.conn_id)
            return await act(fresh)
