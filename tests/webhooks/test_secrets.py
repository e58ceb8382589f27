"""Connections are looked up seldom, whatever strangers ask for, and soon enough after a change."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from airflow_provider.exceptions import ConfigurationError
from airflow_provider.mediamagic.webhooks.secrets import (
    LOOKUPS,
    NEGATIVE_TTL,
    RECHECK_AFTER,
    TTL,
    WINDOW,
    Secrets,
    look_up,
)
from tests.webhooks.envelopes import OTHER_SECRET, SECRET


class World:
    """Connections, a clock, and what was looked up."""

    def __init__(self, **secrets: tuple[str, ...]) -> None:
        self.secrets = secrets
        self.now = 1000.0
        self.looked_up: list[str] = []
        self.broken: Exception | None = None

    def look_up(self, conn_id: str) -> tuple[str, ...]:
        self.looked_up.append(conn_id)
        if self.broken:
            raise self.broken
        return self.secrets.get(conn_id, ())

    def run(self, act: Callable[[Secrets], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            secrets = Secrets(self.look_up, clock=lambda: self.now)
            return await act(secrets)

        return asyncio.run(main())


async def settled(secrets: Secrets) -> None:
    """What is looked up in the background is looked up."""
    await asyncio.gather(*secrets._under_way.values())


def test_a_connection_is_looked_up_once_for_all() -> None:
    world = World(mm=(SECRET,))

    async def act(secrets: Secrets) -> Any:
        return await asyncio.gather(*(secrets.of("mm") for _ in range(50)))

    assert set(world.run(act)) == {(SECRET,)}
    assert world.looked_up == ["mm"]


def test_a_new_secret_is_seen_after_the_ttl_and_nobody_waits_for_it() -> None:
    world = World(mm=(SECRET,))

    async def act(secrets: Secrets) -> None:
        await secrets.of("mm")
        world.secrets["mm"] = (OTHER_SECRET,)
        world.now += TTL
        assert await secrets.of("mm") == (SECRET,)
        await settled(secrets)
        assert await secrets.of("mm") == (OTHER_SECRET,)

    world.run(act)
    assert world.looked_up == ["mm", "mm"]


def test_a_wrong_signature_brings_a_new_secret_in_soon_but_not_at_will() -> None:
    world = World(mm=(SECRET,))

    async def act(secrets: Secrets) -> None:
        await secrets.of("mm")
        world.secrets["mm"] = (OTHER_SECRET,)
        for _ in range(100):
            secrets.doubt("mm")
        assert len(world.looked_up) == 1
        world.now += RECHECK_AFTER + 1
        for _ in range(100):
            secrets.doubt("mm")
        await settled(secrets)
        assert await secrets.of("mm") == (OTHER_SECRET,)

    world.run(act)
    assert len(world.looked_up) == 2


def test_a_connection_that_is_made_later_is_found() -> None:
    world = World()

    async def act(secrets: Secrets) -> None:
        assert await secrets.of("mm") == ()
        world.secrets["mm"] = (SECRET,)
        assert await secrets.of("mm") == ()
        world.now += NEGATIVE_TTL
        assert await secrets.of("mm") == (SECRET,)

    world.run(act)


def test_strange_ids_cause_few_lookups_and_a_known_connection_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(mm=(SECRET,))

    async def act(secrets: Secrets) -> None:
        assert await secrets.of("mm") == (SECRET,)
        for number in range(5000):
            found = await secrets.of(f"made-up-{number}")
            assert found == (() if number < LOOKUPS - 1 else None)
        exhausted = [secrets.exhausted]
        assert await secrets.of("mm") == (SECRET,)
        assert len(secrets._known) <= LOOKUPS
        world.now += WINDOW
        assert [*exhausted, secrets.exhausted] == [True, False]
        assert await secrets.of("made-up") == ()

    world.run(act)
    assert len(world.looked_up) == LOOKUPS + 1
    assert len(caplog.messages) == 1


def test_without_the_database_what_was_known_stays() -> None:
    world = World(mm=(SECRET,))

    async def act(secrets: Secrets) -> None:
        await secrets.of("mm")
        world.broken = OSError("no database")
        world.now += TTL
        await secrets.of("mm")
        await settled(secrets)
        assert await secrets.of("mm") == (SECRET,)

    world.run(act)


def test_what_is_wrong_with_a_connection_is_said_and_turns_webhooks_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(mm=(SECRET,))
    world.broken = ConfigurationError("Connection 'mm' is odd.")

    async def act(secrets: Secrets) -> Any:
        return await secrets.of("mm")

    with caplog.at_level(logging.WARNING):
        assert world.run(act) == ()
    assert "Webhooks are off: Connection 'mm' is odd." in caplog.text


def connection(monkeypatch: pytest.MonkeyPatch, conn_type: str = "mediamagic", **extra: Any) -> None:
    fields = {"conn_type": conn_type, "password": "sk_live_1", "extra": json.dumps(extra)}
    monkeypatch.setenv("AIRFLOW_CONN_MM", json.dumps(fields))


def test_secrets_come_from_the_connection_and_its_variable(
    airflow_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection(monkeypatch, webhook_secret=SECRET, webhook_secret_variable="mm_secret")
    monkeypatch.setenv("AIRFLOW_VAR_MM_SECRET", json.dumps({"subscription-1": OTHER_SECRET}))
    assert look_up("mm") == (SECRET, OTHER_SECRET)


@pytest.mark.parametrize("value", [None, "no secret"])
def test_a_variable_without_a_secret_is_an_error_that_names_it(
    airflow_db: None, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    connection(monkeypatch, webhook_secret_variable="mm_secret")
    if value:
        monkeypatch.setenv("AIRFLOW_VAR_MM_SECRET", value)
    with pytest.raises(ConfigurationError, match="'mm_secret'") as caught:
        look_up("mm")
    assert "no secret" not in str(caught.value)


def test_a_connection_without_a_secret_is_inert_and_says_why(
    airflow_db: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connection(monkeypatch)
    with caplog.at_level(logging.WARNING):
        assert look_up("mm") == ()
    assert "'mm'" in caplog.text
    assert "`webhook_secret`" in caplog.text


def test_connections_of_other_types_and_unknown_ones_are_none(
    airflow_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection(monkeypatch, conn_type="http", webhook_secret=SECRET)
    assert look_up("mm") == ()
    assert look_up("not_there") == ()
