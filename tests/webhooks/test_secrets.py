"""Connections are looked up seldom, whatever strangers ask for, and soon enough after a change."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from airflow_provider.exceptions import ConfigurationError
from airflow_provider.mediamagic.assets import name_and_uri
from airflow_provider.mediamagic.webhooks.secrets import (
    LOOKUPS,
    NEGATIVE_TTL,
    RECHECK_AFTER,
    RELIST_AFTER,
    TTL,
    WINDOW,
    Secrets,
    look_up,
    look_up_all,
)
from tests.webhooks.conftest import settled
from tests.webhooks.envelopes import OTHER_SECRET, SECRET


class World:
    """Connections, a clock, and what was looked up."""

    def __init__(self, **secrets: tuple[str, ...]) -> None:
        self.secrets = secrets
        self.listed: tuple[str, ...] = ()
        self.now = 1000.0
        self.looked_up: list[str] = []
        self.lists = 0
        self.broken: Exception | None = None

    def look_up(self, conn_id: str) -> tuple[str, ...]:
        self.looked_up.append(conn_id)
        if self.broken:
            raise self.broken
        return self.secrets.get(conn_id, ())

    def look_up_all(self) -> dict[str, tuple[str, ...]]:
        self.lists += 1
        if self.broken:
            raise self.broken
        return {conn_id: self.secrets.get(conn_id, ()) for conn_id in self.listed}

    def run(self, act: Callable[[Secrets], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            secrets = Secrets(self.look_up, self.look_up_all, clock=lambda: self.now)
            await secrets.ready()
            return await act(secrets)

        return asyncio.run(main())


async def asked(secrets: Secrets, conn_id: str) -> tuple[str, ...]:
    """Return what is known once a wrong signature has had the connection looked up."""
    secrets.recheck(conn_id)
    await settled(secrets)
    return secrets.of(conn_id)


def test_what_can_be_listed_is_read_once_before_anything_is_answered() -> None:
    world = World(mm=(SECRET,))
    world.listed = ("mm", "bare")

    async def act(secrets: Secrets) -> Any:
        await asyncio.gather(*(secrets.ready() for _ in range(50)))
        return [secrets.of(conn_id) for conn_id in ("mm", "bare", "nobody")]

    assert world.run(act) == [(SECRET,), (), ()]
    assert (world.lists, world.looked_up) == (1, [])


def test_nothing_is_answered_before_the_connections_could_be_listed() -> None:
    world = World(mm=(SECRET,))
    world.listed = ("mm",)

    async def main() -> None:
        secrets = Secrets(world.look_up, world.look_up_all)
        world.broken = OSError("no database")
        with pytest.raises(OSError, match="no database"):
            await secrets.ready()
        world.broken = None
        await secrets.ready()
        assert secrets.of("mm") == (SECRET,)

    asyncio.run(main())


def test_a_connection_is_looked_up_once_for_all() -> None:
    world = World(mm=(SECRET,))

    async def act(secrets: Secrets) -> Any:
        return await asyncio.gather(*(asked(secrets, "mm") for _ in range(50)))

    assert set(world.run(act)) == {(SECRET,)}
    assert world.looked_up == ["mm"]


def test_a_new_secret_is_seen_after_the_ttl_and_nobody_waits_for_it() -> None:
    world = World(mm=(SECRET,))

    async def act(secrets: Secrets) -> None:
        await asked(secrets, "mm")
        world.secrets["mm"] = (OTHER_SECRET,)
        world.now += TTL
        assert secrets.of("mm") == (SECRET,)
        await settled(secrets)
        assert secrets.of("mm") == (OTHER_SECRET,)

    world.run(act)
    assert world.looked_up == ["mm", "mm"]


def test_a_wrong_signature_brings_a_new_secret_in_soon_but_not_at_will() -> None:
    world = World(mm=(SECRET,))

    async def act(secrets: Secrets) -> None:
        await asked(secrets, "mm")
        world.secrets["mm"] = (OTHER_SECRET,)
        for _ in range(100):
            secrets.recheck("mm")
        assert len(world.looked_up) == 1
        world.now += RECHECK_AFTER + 1
        for _ in range(100):
            secrets.recheck("mm")
        await settled(secrets)
        assert secrets.of("mm") == (OTHER_SECRET,)

    world.run(act)
    assert len(world.looked_up) == 2


def test_a_connection_that_is_made_later_is_found() -> None:
    world = World()

    async def act(secrets: Secrets) -> None:
        assert await asked(secrets, "mm") == ()
        world.secrets["mm"] = (SECRET,)
        assert await asked(secrets, "mm") == ()
        world.now += NEGATIVE_TTL
        assert await asked(secrets, "mm") == (SECRET,)

    world.run(act)


def test_invented_ids_cause_few_lookups_and_hold_no_listed_connection_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(mm=(SECRET,), made_later=(SECRET,))
    world.listed = ("mm",)

    async def act(secrets: Secrets) -> None:
        for number in range(5000):
            secrets.recheck(f"made-up-{number}")
        assert secrets.of("mm") == (SECRET,)
        assert secrets.exhausted
        world.listed = ("mm", "made_later")
        world.now += RELIST_AFTER
        for number in range(100):
            secrets.recheck(f"made-up-{number}")
        assert await asked(secrets, "made_later") == (SECRET,)
        assert len(secrets._known) <= 2 * LOOKUPS + 2
        world.now += WINDOW
        assert not secrets.exhausted

    world.run(act)
    assert len(world.looked_up) == 2 * LOOKUPS
    assert world.lists == 2
    assert len(caplog.messages) == 2


def test_without_the_database_what_was_known_stays() -> None:
    world = World(mm=(SECRET,))

    async def act(secrets: Secrets) -> None:
        await asked(secrets, "mm")
        world.broken = OSError("no database")
        world.now += TTL
        for conn_id in ("mm", "nobody"):
            await asked(secrets, conn_id)
        assert secrets.of("mm") == (SECRET,)

    world.run(act)


def test_what_is_wrong_with_a_connection_is_said_and_turns_webhooks_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(mm=(SECRET,))

    async def act(secrets: Secrets) -> Any:
        world.broken = ConfigurationError("Connection 'mm' is odd.")
        return await asked(secrets, "mm")

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


def test_connections_are_listed_wherever_they_can_be(
    airflow_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the database, in the environment, by an asset that a Dag waits for, and by a task that waits."""
    from airflow.models.asset import AssetModel
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    kept = json.dumps({"conn_type": "mediamagic", "password": "k", "extra": {"webhook_secret": SECRET}})
    monkeypatch.setenv("AIRFLOW_CONN_OF_ENVIRONMENT", kept)
    monkeypatch.setenv("AIRFLOW_CONN_OF_ANOTHER_SERVICE", kept.replace("mediamagic", "http"))
    monkeypatch.setenv("AIRFLOW_CONN_ODD", kept.replace(SECRET, "not base64!"))
    given = json.dumps({"webhook_secret": SECRET})
    extra_of = dict.fromkeys(("of_database", "of_environment", "of_asset", "of_task"), given) | {"odd": "{"}
    monkeypatch.setattr(
        "airflow.models.connection.Connection.get_connection_from_secrets",
        lambda conn_id: Connection(conn_id=conn_id, **json.loads(kept) | {"extra": extra_of[conn_id]}),
    )
    name, uri = name_and_uri("of_asset", "failed")
    with create_session() as session:
        session.add(Connection(conn_id="of_database", conn_type="mediamagic"))
        session.add(Connection(conn_id="of_something_else", conn_type="http"))
        session.add(AssetModel(name=name, uri=uri, extra={}))
    try:
        found = look_up_all(["of_task"])
    finally:
        with create_session() as session:
            session.execute(delete(Connection).where(Connection.conn_id.startswith("of_")))
            session.execute(delete(AssetModel).where(AssetModel.name == name))
    assert found == dict.fromkeys(("of_database", "of_environment", "of_asset", "of_task"), (SECRET,))
