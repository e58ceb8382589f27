"""Where the processes that use one API key keep its budget: a SQLite file, Redis, or their own memory."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Any, Protocol, TypeVar

from airflow_provider.core.budget.rate_budget import RateBudget
from airflow_provider.core.budget.turn_queue import TurnQueue
from airflow_provider.core.budget.windows import Window

T = TypeVar("T")

Change = Callable[[TurnQueue, float], T]
"""Reads and changes a budget at a time, epoch seconds."""

StateChange = Callable[[dict[str, Any] | None, float], tuple[dict[str, Any], T]]
"""The same with the budget as plain JSON: returns the next state and a result."""

log = logging.getLogger(__name__)

FILE_NAME = "airflow_provider_rate_limits.db"

BUSY_TIMEOUT = 2.0
"""Seconds to wait for an answer of a server."""

CHANGE_TIMEOUT, THREADS_TIMEOUT = 5.0, 10.0
"""Seconds to wait for other processes that change the budget, and for other threads of this one."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""The last: its table is that of another version."""

OUT_OF_REACH = 30.0
"""Seconds for which a store that failed is not tried again."""

SET_BACK = 60.0
"""Seconds by which a clock runs back at most without having been set."""

KEPT = 7 * 86400.0
"""Seconds after which the budget of a key that nobody uses is dropped from the file."""


class Store(Protocol):
    """Keeps budgets as plain JSON by key."""

    blocking: bool

    def update(self, key: str, change: StateChange[T]) -> T:
        """
        Replace the state of a key by what ``change`` makes of it, while no other process does.

        :param change: gets the state, ``None`` for none, and the time; returns the next state and a result.
        :raises StoreError: the store is out of reach.
        """

    def clear(self) -> None:
        """Forget all budgets."""


class StoreError(Exception):
    """A store is out of reach, slow or full."""


class MemoryStore:
    """
    This process only.

    :param clock: epoch seconds.
    """

    blocking = False

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._states: dict[str, dict[str, Any]] = {}
        self._lock = threading.RLock()

    def update(self, key: str, change: StateChange[T]) -> T:
        with self._lock:
            self._states[key], result = change(self._states.get(key), self._clock())
        return result

    def clear(self) -> None:
        """Forget all budgets."""
        with self._lock:
            self._states.clear()


class SQLiteStore:
    """
    A file that the processes of one machine share. It needs no set-up.

    :param path: of the file; its folder must exist.
    """

    blocking = True

    def __init__(self, path: str) -> None:
        self.path = path
        self._threads = threading.Lock()

    def update(self, key: str, change: StateChange[T]) -> T:
        # SQLite has no queue: the many threads of a triggerer would keep other processes out of the file.
        if not self._threads.acquire(timeout=THREADS_TIMEOUT):
            raise StoreError(f"{self.path}: held by another thread")
        try:
            with closing(self._connect()) as database:
                database.execute("BEGIN IMMEDIATE")
                row = database.execute("SELECT state FROM budgets WHERE key = ?", (key,)).fetchone()
                now = time.time()
                state, result = change(parsed(row[0]) if row else None, now)
                database.execute(
                    "REPLACE INTO budgets (key, state, used_at) VALUES (?, ?, ?)",
                    (key, json.dumps(state), now),
                )
                if row is None:
                    database.execute("DELETE FROM budgets WHERE used_at < ?", (now - KEPT,))
                database.execute("COMMIT")
                return result
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", None) in _DAMAGED:
                # Half written when the power went: what it held matters less than that it is shared.
                with suppress(OSError):
                    self.clear()
            raise StoreError(f"{self.path}: {error}") from error
        finally:
            self._threads.release()

    def clear(self) -> None:
        """Forget all budgets."""
        for path in (f"{self.path}-journal", self.path):
            with suppress(FileNotFoundError):
                os.remove(path)

    def _connect(self) -> sqlite3.Connection:
        if not os.path.exists(self.path):
            # What it holds is no secret, and nobody else should be able to stop our requests with it.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        database = sqlite3.connect(self.path, timeout=CHANGE_TIMEOUT, isolation_level=None)
        # As text, a state in which a byte is damaged could never be read, nor replaced.
        database.text_factory = bytes
        # Lost with the machine's power, no more: then all windows are empty anyhow.
        database.execute("PRAGMA synchronous = OFF")
        database.execute(
            "CREATE TABLE IF NOT EXISTS budgets "
            "(key TEXT PRIMARY KEY, state TEXT NOT NULL, used_at REAL NOT NULL)"
        )
        return database


class FallbackStore:
    """
    A store, or this process's memory while that is out of reach: the night goes on, each process by itself.

    :param store: another one.
    """

    blocking = True

    def __init__(self, store: Store) -> None:
        self.store = store
        self._memory = MemoryStore()
        self._failed_at: float | None = None
        self._changing: set[int] = set()

    def update(self, key: str, change: StateChange[T]) -> T:
        thread = threading.get_ident()
        if thread in self._changing:
            # A signal came in the middle of a change: its handler would wait for a lock of its own thread.
            return self._memory.update(key, change)
        self._changing.add(thread)
        try:
            return self._update(key, change)
        finally:
            self._changing.discard(thread)

    def _update(self, key: str, change: StateChange[T]) -> T:
        failed_at = self._failed_at
        if failed_at is None or time.monotonic() - failed_at > OUT_OF_REACH:
            try:
                result = self.store.update(key, change)
                if failed_at is not None:
                    log.info("The shared budget of rate limits is back.")
                    self._failed_at = None
                return result
            except StoreError as error:
                if failed_at is None:
                    log.warning(
                        "The shared budget of rate limits is out of reach (%s); until it is back each "
                        "process counts its own requests.",
                        error,
                    )
                self._failed_at = time.monotonic()
        return self._memory.update(key, change)

    def clear(self) -> None:
        """Forget all budgets."""
        self._memory.clear()
        self.store.clear()


class SharedBudget:
    """
    The budget of one key, wherever it is kept.

    :param store: where.
    :param key: of the service, the server and the API key, as a digest.
    :param limits: sliding windows of the key.
    """

    def __init__(self, store: Store, key: str, limits: Sequence[Window]) -> None:
        self.store = store
        self.key = key
        self.limits = tuple(limits)

    def update(self, change: Change[T]) -> T:
        """
        Change the budget and return what ``change`` returns.

        :param change: gets the queue, whose ``budget`` is that of the key, and the store's time, epoch
            seconds.
        """

        def on_state(state: dict[str, Any] | None, now: float) -> tuple[dict[str, Any], T]:
            queue = restored(state, self.limits, now)
            result = change(queue, now)
            return {**queue.budget.state(now), "waiting": queue.state(), "at": now}, result

        return self.store.update(self.key, on_state)


def restored(state: dict[str, Any] | None, limits: Sequence[Window], now: float) -> TurnQueue:
    """
    Return the budget and the queue of a state; empty ones for none, for one of another version, and for one
    of the future: the clock was set back, and its times would stop the key until they come.

    :param state: as a store keeps it.
    :param limits: sliding windows of the key.
    :param now: epoch seconds.
    """
    queue = TurnQueue(RateBudget(limits))
    if state is not None:
        try:
            if float(state.get("at", now)) > now + SET_BACK:
                return queue
            queue.budget.restore(state)
            queue.restore(state["waiting"], now)
        except (KeyError, TypeError, ValueError, AttributeError):
            return TurnQueue(RateBudget(limits))
    return queue


def parsed(text: str | bytes) -> dict[str, Any] | None:
    """Return a state as a store keeps it; ``None`` for what is none."""
    try:
        state = json.loads(text)
    except ValueError:
        return None
    return state if isinstance(state, dict) else None


_memory = MemoryStore()
_stores: dict[str, FallbackStore] = {}
_redis_stores: dict[str, tuple[dict[str, Any], FallbackStore]] = {}
"""By connection id, with what its client was told; a changed password makes another one."""


def in_airflow_home(name: str) -> str:
    """Return the path of what the processes of this machine share, in Airflow's home folder."""
    home = os.path.expanduser(os.path.expandvars(os.environ.get("AIRFLOW_HOME") or "~/airflow"))
    return os.path.join(home, name)


def embedded_store() -> Store:
    """Return the store of this machine: a file in Airflow's home folder."""
    path = in_airflow_home(FILE_NAME)
    if path not in _stores:
        _stores[path] = FallbackStore(SQLiteStore(path))
    return _stores[path]


def memory_store() -> Store:
    """Return the store of this process."""
    return _memory


def redis_store(connection: Any) -> Store:
    """
    Return the store that an Airflow connection to Redis leads to.

    :param connection: see :func:`~airflow_provider.core.budget.redis_store.client_options`.
    :raises ConfigurationError: the package ``redis`` is missing, or the connection cannot be used.
    """
    try:
        from airflow_provider.core.budget.redis_store import RedisStore, client_options
    except ImportError:
        from airflow_provider.exceptions import ConfigurationError

        raise ConfigurationError(
            f"Connection {connection.conn_id!r} is named as `budget_conn_id`, and the package `redis` is "
            "not installed: pip install redis.",
            parameter="budget_conn_id",
        ) from None
    options = client_options(connection)
    known = _redis_stores.get(connection.conn_id)
    if known is None or known[0] != options:
        known = _redis_stores[connection.conn_id] = options, FallbackStore(RedisStore.of_options(options))
    return known[1]
