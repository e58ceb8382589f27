"""What all waits on one event loop share: client and budget of each key, and lookups of connections."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider.core.polling.key_state import KeyState, LocalCopy
from airflow_provider.errors import (
    ApiError,
    ProviderError,
    TransportError,
    UndefinedConnectionError,
)

if TYPE_CHECKING:
    from airflow_provider.core.budget.store import Store
    from airflow_provider.core.http.client import ServiceHook
    from airflow_provider.core.http.connection import ConnectionSettings
    from airflow_provider.core.polling.hints import Watch
    from airflow_provider.core.polling.key_state import Request
    from airflow_provider.core.polling.wait import Wait

T = TypeVar("T")

log = logging.getLogger(__name__)

CONNECTION_TTL = 300.0
"""Seconds after which a connection is looked up again, so that a rotated key is picked up."""

RECHECK_AFTER = 1.0
"""A connection looked up less than so many seconds ago is not looked up again for a refused key."""


class SharedClients:
    """
    Shared state of one event loop. Get it with :meth:`current`.

    A triggerer process resolves a connection id in one way only: with multi-team enabled (Airflow 3.3) each
    team has triggerers of its own. Lookups are therefore shared by connection id, budgets by the server and
    the key that came out of it, and clients by certificate checks and proxies too: two connections to one
    account share its limit, which is that of the connection that came first, and one that gets another key
    leaves the old key's budget behind.

    :param clock: epoch seconds.
    :param sleep: as :func:`asyncio.sleep`.
    :param store: of the budgets; by default where each connection keeps its own.
    """

    _of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, SharedClients] = WeakKeyDictionary()

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        store: Store | None = None,
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self._store = store
        self._key_states: dict[tuple[type[ServiceHook], str, str], KeyState] = {}
        self._lookups: dict[tuple[type[ServiceHook], str], ConnectionLookup] = {}

    @classmethod
    def current(cls) -> SharedClients:
        """Return the shared state of the running event loop, making it on first use."""
        loop = asyncio.get_running_loop()
        clients = cls._of_loop.get(loop)
        if clients is None:
            # A lock that was waited for refers to its loop, so that a closed loop does not go by itself.
            for other in [other for other in cls._of_loop if other.is_closed()]:
                del cls._of_loop[other]
            clients = cls._of_loop[loop] = cls()
        return clients

    @asynccontextmanager
    async def lease(self, hook_class: type[ServiceHook], conn_id: str) -> AsyncIterator[Lease]:
        """
        Lend the client and the budget of a connection to one wait.

        The connection is looked up by the first that needs it, not here, so that a lookup that fails can be
        tried again by the wait.
        """
        lease = Lease(self, hook_class, conn_id)
        try:
            yield lease
        finally:
            await lease.release()

    def lookup(self, hook_class: type[ServiceHook], conn_id: str) -> ConnectionLookup:
        key = (hook_class, conn_id)
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._lookups[key] = ConnectionLookup(hook_class, conn_id, clock=self.clock)
        return lookup

    async def key_state(self, hook_class: type[ServiceHook], conn_id: str) -> KeyState:
        """Return the state of the key that a connection holds now."""
        lookup = self.lookup(hook_class, conn_id)
        settings = await lookup.settings()
        hook = hook_class(conn_id, settings=settings)
        store = self._store or lookup.store
        assert store is not None
        shared = settings.budget_in(store, hook.service.poll_bucket)
        key = (hook_class, settings.identity, settings.route)
        state = self._key_states.get(key)
        if state is None:
            now = self.clock()
            self._key_states = {
                key: state for key, state in self._key_states.items() if not state.idle_since(now)
            }
            copies = (known.copy for other, known in self._key_states.items() if other[:2] == key[:2])
            copy = next(copies, None) or LocalCopy(shared, clock=self.clock)
            state = self._key_states[key] = KeyState(hook, copy, clock=self.clock, sleep=self.sleep)
        elif settings.conn_id == state.hook.settings.conn_id:
            if settings != state.hook.settings:
                log.info("Connection %s has changed; going on with its settings of now", conn_id)
                state.use(hook)
            state.copy.use(shared)
        return state


class Lease:
    """What one wait holds of the shared state. It moves on when the connection gets another server or key."""

    def __init__(self, clients: SharedClients, hook_class: type[ServiceHook], conn_id: str) -> None:
        self.clients = clients
        self.hook_class = hook_class
        self.conn_id = conn_id
        self._lookup = clients.lookup(hook_class, conn_id)
        self.watch: Watch | None = None
        self._settings: ConnectionSettings | None = None
        self._key_state: KeyState | None = None

    async def key_state(self) -> KeyState:
        """Return the key state to use now, moving there if need be."""
        if self._key_state is not None and self._lookup.current() is self._settings:
            return self._key_state
        state = await self.clients.key_state(self.hook_class, self.conn_id)
        self._settings = self._lookup.current()
        if state is not self._key_state:
            # Acquired before anything else may run: a state that no wait holds is dropped.
            state.acquire()
            previous, self._key_state = self._key_state, state
            self._observe()
            if previous is not None:
                await previous.release()
        return state

    async def settings(self) -> ConnectionSettings:
        """Return the settings of this wait's own connection."""
        return await self._lookup.settings()

    async def release(self) -> None:
        """Give everything back."""
        state, self._key_state = self._key_state, None
        if self.watch is not None:
            self.watch.leave()
        if state is not None:
            await state.release()

    def on_polled(self, wait: Wait, *, finished: bool) -> None:
        """Report what a poll found."""
        if finished and self._key_state is not None:
            self._key_state.job_ended(wait)
        if self.watch is not None:
            self.watch.on_polled(finished=finished)

    async def poll(self, wait: Wait, request: Request[T]) -> T | None:
        """
        Sleep until the wait's next poll is due or its job is said to have ended, queue for a turn, and poll.

        :return: what ``request`` returned; ``None`` when no turn came until well past the deadline.
        """
        clock = self.clients.clock
        self._observe()
        while (pause := wait.pause(clock())) > 0 and not (self.watch and self.watch.woken):
            if wait.learns and self._key_state is not None:
                await self._key_state.sleepers.sleep(wait, pause)
            else:
                await self.clients.sleep(pause)
        announced = self.watch is not None and self.watch.on_poll()
        return await self.on_key(
            lambda state: state.send(request, since=wait.seen_at, deadline=wait.deadline, announced=announced)
        )

    def _observe(self) -> None:
        if self.watch is not None and self._key_state is not None:
            self.watch.join(self._key_state.sweep(self.watch.listing))

    async def on_key(self, act: Callable[[KeyState], Awaitable[T]]) -> T:
        """
        Do something with the key to use now.

        After a 401 the connection is looked up afresh, and if its key has changed it is done once more.
        """
        state = await self.key_state()
        try:
            return await act(state)
        except ApiError as error:
            if not error.key_refused:
                raise
            await self._lookup.refresh(state.hook.settings)
            fresh = await self.key_state()
            if fresh is state:
                raise
            log.info("Connection %s has another key or server now; going on with it", self.conn_id)
            return await act(fresh)


class ConnectionLookup:
    """
    The settings of one connection, looked up once for everybody and again now and then.

    ``store`` is where its budget is kept; known with the settings.

    :param clock: epoch seconds.
    """

    def __init__(self, hook_class: type[ServiceHook], conn_id: str, *, clock: Callable[[], float]) -> None:
        self.hook_class = hook_class
        self.conn_id = conn_id
        self._clock = clock
        self.store: Store | None = None
        self._settings: ConnectionSettings | None = None
        self._at = 0.0
        self._lock = asyncio.Lock()

    def current(self) -> ConnectionSettings | None:
        """Return the settings if they are known and young enough."""
        return self._settings if self._age < CONNECTION_TTL else None

    async def settings(self) -> ConnectionSettings:
        """
        Return the settings, looked up now only when they are unknown or older than the TTL.

        A connection that is known already stays in use where it cannot be looked up again, or was made
        unusable.

        :raises ConfigurationError: the connection is unusable.
        :raises TransportError: Airflow could not be asked, or knows no such connection, which it also says
            when its database does not answer.
        """
        if (current := self.current()) is not None:
            return current
        async with self._lock:
            if self.current() is None:
                try:
                    await self._look_up()
                except ProviderError as error:
                    if self._settings is None:
                        raise
                    log.warning("Going on with the connection as looked up before: %s", error)
                    self._at = self._clock() - CONNECTION_TTL / 2
        assert self._settings is not None
        return self._settings

    async def refresh(self, refused: ConnectionSettings) -> None:
        """
        Look the connection up again because the key of ``refused`` was answered with 401.

        Does nothing when it has another key by now, or was looked up only just now: a thousand waits with the
        same refused key cause one lookup.
        """
        async with self._lock:
            known = self._settings
            if known and known.identity == refused.identity and self._age >= RECHECK_AFTER:
                await self._look_up()

    @property
    def _age(self) -> float:
        # The clock may have been set back.
        return abs(self._clock() - self._at)

    async def _look_up(self) -> None:
        hook = self.hook_class(self.conn_id)
        try:
            settings = await hook.aload_settings()
            self.store = await hook.astore()
            self._settings = settings
        except UndefinedConnectionError as error:
            raise TransportError(str(error)) from error
        except ProviderError:
            raise
        except Exception as error:
            raise TransportError(
                f"Could not look up connection {self.conn_id!r}: {type(error).__name__}: {error}"
            ) from error
        self._at = self._clock()
