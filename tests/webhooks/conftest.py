"""The receiver with everything behind it recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
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
    #: raised instead of handing on
    broken: Exception | None = None

    def look_up(self, conn_id: str) -> tuple[str, ...]:
        self.looked_up.append(conn_id)
        return self.secrets.get(conn_id, ())

    def wake(self, events: Sequence[Event]) -> list[Outcome]:
        if self.broken:
            raise self.broken
        self.woken += events
        return [Outcome.WOKEN] * len(events)

    def record(self, event: Event) -> bool:
        self.recorded.append(event)
        return True


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
def receiver(behind: Behind) -> Iterator[TestClient]:
    app = make_app(Secrets(behind.look_up), Inbox(behind.wake, behind.record))
    with TestClient(app) as client:
        yield client
