"""A budget in Redis or Valkey, for workers and triggerers on several machines."""

from __future__ import annotations

import json
import time
from typing import Any, TypeVar

import redis
from redis.exceptions import LockError, RedisError

from airflow_provider.core.budget.store import BUSY_TIMEOUT, StateChange, StoreError

T = TypeVar("T")

PREFIX = "airflow_provider:rate_limits:"
KEPT = 86400
"""Seconds that a budget stays after its last request."""


class RedisStore:
    """
    A server that all machines reach. Its clock is the one that counts.

    :param client: a connected client; it must decode nothing.
    """

    blocking = True

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._offset: float | None = None

    @classmethod
    def of_connection(cls, connection: Any) -> RedisStore:
        """
        Return the store that an Airflow connection of type ``redis`` leads to.

        :param connection: host, port, password, ``db`` and ``ssl`` in its extra, as the Redis provider
            takes them.
        """
        extra = connection.extra_dejson
        return cls(
            redis.Redis(
                host=connection.host or "localhost",
                port=connection.port or 6379,
                username=connection.login or None,
                password=connection.password or None,
                db=int(extra.get("db") or connection.schema or 0),
                ssl=bool(extra.get("ssl", False)),
                socket_timeout=BUSY_TIMEOUT,
                socket_connect_timeout=BUSY_TIMEOUT,
            )
        )

    def update(self, key: str, change: StateChange[T]) -> T:
        name = PREFIX + key
        try:
            with self._client.lock(
                f"{name}:lock", timeout=5 * BUSY_TIMEOUT, blocking_timeout=BUSY_TIMEOUT, sleep=0.01
            ):
                text: Any = self._client.get(name)
                state, result = change(json.loads(text) if text else None, self._now())
                self._client.set(name, json.dumps(state), ex=KEPT)
                return result
        except (RedisError, LockError, OSError, ValueError) as error:
            raise StoreError(f"{type(error).__name__}: {error}") from error

    def clear(self) -> None:
        """Forget all budgets."""
        for name in self._client.scan_iter(f"{PREFIX}*"):
            self._client.delete(name)

    def _now(self) -> float:
        if self._offset is None:
            seconds, microseconds = self._client.time()
            self._offset = seconds + microseconds / 1e6 - time.time()
        return time.time() + self._offset
