"""The receiver with everything behind it recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from airflow_provider.mediamagic.webhooks.events import Event
from airflow_provider.mediamagic.webhooks.secrets import Secrets
from airflow_provider.plugins.inbox import Inbox
from airflow_provider.plugins.receiver import make_app
from airflow_provider.plugins.waking import Outcome
from tests.webhooks.envelopes import SECRET


@dataclass
class Behind:
    """What the receiver has asked and handed on."""

    secrets: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"mm": (SECRET,)})
    looked_up: list[str] = field(default_factory=list)
    woken: list[Event] = field(default_factory=list)
    recorded: list[Event] = field(default_factory=list)
    #: the connections that can be listed
    listed: tuple[str, ...] = ("mm",)
    #: raised instead of handing on
    broken: Exception | None = None

    def look_up(self, conn_id: str) -> tuple[str, ...]:
        self.looked_up.append(conn_id)
        return self.secrets.get(conn_id, ())

    def look_up_all(self) -> dict[str, tuple[str, ...]]:
        return {conn_id: self.secrets.get(conn_id, ()) for conn_id in self.listed}

    def app(self, clock: Callable[[], float] = time.monotonic) -> FastAPI:
        """Return a receiver that refuses as soon as what is looked up meanwhile is known."""
        secrets = Secrets(self.look_up, self.look_up_all, clock=clock)

        async def pause(_: float) -> None:
            await settled(secrets)

        return make_app(secrets, Inbox(self.wake, self.record), pause=pause)

    def wake(self, events: Sequence[Event]) -> list[Outcome]:
        if self.broken:
            raise self.broken
        self.woken += events
        return [Outcome.WOKEN] * len(events)

    def record(self, event: Event) -> bool:
        self.recorded.append(event)
        return True


async def settled(secrets: Secrets) -> None:
    """Wait for what is looked up in the background."""
    tasks = [*secrets._under_way.values(), *([secrets._listing] if secrets._listing else [])]
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
def receiver(behind: Behind) -> Iterator[TestClient]:
    with TestClient(behind.app()) as client:
        yield client
