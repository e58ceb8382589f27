"""The Redis of a budget: what a connection may say, and a server that changes under its name."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from airflow.sdk import Connection

from airflow_provider.core.budget.redis_store import PREFIX, RedisStore, client_options
from airflow_provider.core.budget.store import SharedBudget, StoreError, redis_store
from airflow_provider.core.budget.turn_queue import TurnQueue
from airflow_provider.core.budget.windows import Window
from airflow_provider.exceptions import ConfigurationError, UndefinedConnectionError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from tests.unit.budget.redis_server import needs_redis, redis_server

PLAIN = {"host": "h", "port": 6379, "username": None, "password": "p@ss/w:rd", "db": 0}


def _uri(text: str) -> Connection:
    connection: Connection = Connection.from_uri(text, conn_id="budget")
    return connection


def _extra(**extra: Any) -> Connection:
    return Connection(
        conn_id="budget", conn_type="redis", host="h", password="p@ss/w:rd", extra=json.dumps(extra)
    )


@pytest.mark.parametrize(
    ("connection", "more"),
    [
        (_uri("redis://:p%40ss%2Fw%3Ard@h"), {}),
        (_uri("redis://:p%40ss%2Fw%3Ard@h/2?ssl=false"), {"db": 2}),
        (_uri("redis://:p%40ss%2Fw%3Ard@h?ssl=True&db=3"), {"db": 3, "ssl": True}),
        (_uri("rediss://:p%40ss%2Fw%3Ard@h:6380/0"), {"port": 6380, "ssl": True}),
        (_uri("valkey://:p%40ss%2Fw%3Ard@h"), {}),
        (_extra(ssl=None, db="", ssl_ca_certs=None, ssl_check_hostname=False), {}),
        (
            _extra(ssl=True, ssl_cert_reqs="none", ssl_ca_certs=__file__, ssl_check_hostname="false"),
            {
                "ssl": True,
                "ssl_cert_reqs": "none",
                "ssl_ca_certs": __file__,
                "ssl_check_hostname": False,
            },
        ),
    ],
)
def test_a_connection_says_what_the_redis_provider_takes(
    connection: Connection, more: dict[str, Any]
) -> None:
    assert client_options(connection) == PLAIN | more


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        (_uri("postgres://:secret@h/0"), "'postgres' and no Redis"),
        (_uri("redis://:secret@h/airflow"), "`db` and port numbers"),
        (_extra(db="first"), "`db` and port numbers"),
        (_extra(ssl="maybe"), "`ssl` must be true or false"),
        (_extra(ssl=True, ssl_ca_certs="/no/such/ca.pem"), "`ssl_ca_certs` does not exist"),
        (_extra(ssl=True, ssl_cert_reqs="CERT_NONE"), "none, optional or required"),
    ],
)
def test_what_is_wrong_with_it_is_named_without_its_secret(connection: Connection, said: str) -> None:
    with pytest.raises(ConfigurationError, match="budget_conn_id") as caught:
        redis_store(connection)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_changed_password_makes_another_client() -> None:
    before, again, after = (redis_store(_uri(f"redis://:{key}@h")) for key in ("old", "old", "new"))
    assert before is again
    assert after is not before


def test_a_budget_connection_that_is_not_defined_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_MEDIAMAGIC_DEFAULT",
        json.dumps({"conn_type": "mediamagic", "password": "sk_live_1", "extra": {"budget_conn_id": "none"}}),
    )

    async def ask() -> None:
        hook = MediaMagicHook()
        await hook.aload_settings()
        await hook.astore()

    asks: tuple[Callable[[], object], ...] = (
        lambda: MediaMagicHook().shared_budget(""),
        lambda: asyncio.run(ask()),
    )
    for look in asks:
        with pytest.raises(UndefinedConnectionError, match=r"'none', the budget_conn_id of 'mediamagic_def"):
            look()


def _count(queue: TurnQueue, now: float) -> int:
    queue.budget.acquire(now)
    return len(queue.budget.state(now)["sent"])


def test_a_server_that_hangs_up_is_not_called_again_and_again() -> None:
    calls = 0
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            nonlocal calls
            with suppress(OSError):  # the test has ended
                while True:
                    server.accept()[0].close()
                    calls += 1

        threading.Thread(target=serve, daemon=True).start()
        store = RedisStore.of_options({"host": "127.0.0.1", "port": server.getsockname()[1]})
        with pytest.raises(StoreError):
            store.update("key", lambda state, now: ({}, None))
    assert calls <= 4


@needs_redis
def test_a_failover_under_one_name_is_followed(tmp_path: Path) -> None:
    name = tmp_path / "name"
    with ExitStack() as servers:
        sockets = [tmp_path / each for each in ("first", "second")]
        for path in sockets:
            servers.enter_context(redis_server(path))
        first, second = (redis.Redis(unix_socket_path=str(path)) for path in sockets)
        name.symlink_to(tmp_path / "first")
        store = RedisStore(redis.Redis(unix_socket_path=str(name)))
        budget = SharedBudget(store, "key", [Window(1000, 60.0)])
        assert [budget.update(_count), budget.update(_count)] == [1, 2]
        assert second.dbsize() == 0

        first.execute_command("REPLICAOF", "127.0.0.1", "1")
        name.unlink()
        name.symlink_to(tmp_path / "second")
        with pytest.raises(StoreError, match="read only replica"):
            budget.update(_count)
        assert budget.update(_count) == 1


@needs_redis
@pytest.mark.parametrize("junk", [b"{half", b"\xff", b"[1]"])
def test_what_is_no_budget_is_replaced(tmp_path: Path, junk: bytes) -> None:
    with redis_server(tmp_path / "socket"):
        client = redis.Redis(unix_socket_path=str(tmp_path / "socket"))
        client.set(f"{PREFIX}key", junk)
        budget = SharedBudget(RedisStore(client), "key", [Window(1000, 60.0)])
        assert [budget.update(_count), budget.update(_count)] == [1, 2]


@needs_redis
def test_many_who_change_it_at_once_are_waited_for(tmp_path: Path) -> None:
    with redis_server(tmp_path / "socket"):
        client = redis.Redis(unix_socket_path=str(tmp_path / "socket"))
        client.set(f"{PREFIX}key:lock", "others", px=2500)
        assert SharedBudget(RedisStore(client), "key", [Window(1000, 60.0)]).update(_count) == 1
