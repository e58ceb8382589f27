"""A budget in Redis or Valkey, for workers and triggerers on several machines."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import LockError, ReadOnlyError, RedisError
from redis.retry import Retry

from airflow_provider.core.budget.store import BUSY_TIMEOUT, CHANGE_TIMEOUT, StateChange, StoreError, parsed

if TYPE_CHECKING:
    from airflow_provider.exceptions import ConfigurationError

T = TypeVar("T")

PREFIX = "airflow_provider:rate_limits:"
KEPT = 86400
"""Seconds that a budget stays after its last request."""

_WITH_TLS = ("rediss", "valkeys")
_TYPES = ("redis", "valkey", *_WITH_TLS, "generic", "")
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class RedisStore:
    """
    A server that all machines reach. Its clock is the one that counts.

    :param client: a connected client; it must decode nothing.
    """

    blocking = True

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @classmethod
    def of_options(cls, options: dict[str, Any]) -> RedisStore:
        """
        Return the store of a server.

        :param options: of :func:`client_options`.
        """
        # Once more, for a kept connection that was closed; the client's own ten take minutes in all.
        retry = Retry(NoBackoff(), 1)
        return cls(
            redis.Redis(
                **options, socket_timeout=BUSY_TIMEOUT, socket_connect_timeout=BUSY_TIMEOUT, retry=retry
            )
        )

    def update(self, key: str, change: StateChange[T]) -> T:
        name = PREFIX + key
        try:
            with self._client.lock(
                f"{name}:lock", timeout=5 * BUSY_TIMEOUT, blocking_timeout=CHANGE_TIMEOUT, sleep=0.01
            ):
                both = self._client.pipeline(transaction=False)
                both.get(name)
                both.time()
                text, (seconds, microseconds) = both.execute()
                state, result = change(parsed(text or "null"), seconds + microseconds / 1e6)
                self._client.set(name, json.dumps(state), ex=KEPT)
                return result
        except (RedisError, LockError, OSError, ValueError) as error:
            if isinstance(error, ReadOnlyError):
                # After a failover the same name leads to another server: a new connection finds it.
                self._client.connection_pool.disconnect(inuse_connections=False)
            raise StoreError(f"{type(error).__name__}: {error}") from error

    def clear(self) -> None:
        """Forget all budgets."""
        for name in self._client.scan_iter(f"{PREFIX}*"):
            self._client.delete(name)


def client_options(connection: Any) -> dict[str, Any]:
    """
    Return what the client is told of an Airflow connection.

    :param connection: host, port, login and password; in its extra ``db``, ``ssl`` and what else the Redis
        provider takes there for TLS. A type of ``rediss`` means TLS, and the schema may be the database.
    :raises ConfigurationError: names the field or the extra that is wrong.
    """

    def wrong(what: str) -> ConfigurationError:
        from airflow_provider.exceptions import ConfigurationError

        return ConfigurationError(
            f"Connection {connection.conn_id!r}, named as `budget_conn_id`: {what}",
            parameter="budget_conn_id",
        )

    def switch(name: str, value: Any) -> bool:
        text = str(value).strip().lower()
        if text not in ("true", "false"):
            raise wrong(f"the extra `{name}` must be true or false.")
        return text == "true"

    kind = connection.conn_type or ""
    if kind not in _TYPES:
        raise wrong(f"it is of type {kind!r} and no Redis. Its password was not sent anywhere.")
    try:
        # ``extra_dejson`` reports to the supervisor on every call and can block an event loop.
        extra = json.loads(connection.extra or "null") or {}
        given = {name: value for name, value in extra.items() if value not in (None, "")}
        options = {
            "host": connection.host or "localhost",
            "port": int(connection.port or 6379),
            "username": connection.login or None,
            "password": connection.password or None,
            "db": int(given.get("db") or connection.schema or 0),
        }
    except (ValueError, TypeError, AttributeError):
        raise wrong("its extra must be a JSON object, and `db` and port numbers.") from None
    if not switch("ssl", given.get("ssl", kind in _WITH_TLS)):
        return options
    options["ssl"] = True
    for name in _TLS_FILES:
        if name in given:
            if not os.path.exists(str(given[name])):
                raise wrong(f"the file of its extra `{name}` does not exist here.")
            options[name] = str(given[name])
    if "ssl_cert_reqs" in given:
        if given["ssl_cert_reqs"] not in ("none", "optional", "required"):
            raise wrong("the extra `ssl_cert_reqs` must be none, optional or required.")
        options["ssl_cert_reqs"] = given["ssl_cert_reqs"]
    if "ssl_check_hostname" in given:
        options["ssl_check_hostname"] = switch("ssl_check_hostname", given["ssl_check_hostname"])
    return options
