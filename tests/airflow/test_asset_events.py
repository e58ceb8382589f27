"""A verified event becomes an Airflow asset event, once, and starts the Dags that wait for it."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from airflow_provider.mediamagic.assets import mediamagic_failed, mediamagic_reviewed
from airflow_provider.mediamagic.webhooks.events import Event
from airflow_provider.plugins.asset_events import record
from tests.airflow.task_run import register
from tests.webhooks.envelopes import COMPLETED, FAILED

_numbers = itertools.count()


@pytest.fixture
def event(airflow_db: None) -> Event:
    """An event of a connection of its own, whose assets a Dag is scheduled on."""
    from airflow.sdk import DAG

    conn_id = f"mm_{next(_numbers)}"
    for number, asset in enumerate((mediamagic_reviewed(conn_id), mediamagic_failed(conn_id))):
        dag = DAG(f"on_{conn_id}_{number}", schedule=[asset], is_paused_upon_creation=False)
        register(dag)
    return Event(conn_id, "evt_1", COMPLETED, "sub-1", "asset-1", "complete", "2026-01-02T03:04:05Z")


def recorded(event: Event) -> list[tuple[str, dict[str, Any]]]:
    """What Airflow has of this connection: asset and extra."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        rows = session.execute(
            select(AssetModel.name, AssetEvent.extra)
            .join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
            .where(AssetModel.name.endswith(f"_{event.conn_id}"))
            .order_by(AssetEvent.id)
        )
        return [(name, dict(extra)) for name, extra in rows]


def queued(event: Event) -> int:
    """How many Dags are to run for it."""
    from airflow.models.asset import AssetDagRunQueue, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import func, select

    with create_session() as session:
        found = session.scalar(
            select(func.count())
            .select_from(AssetDagRunQueue)
            .join(AssetModel, AssetModel.id == AssetDagRunQueue.asset_id)
            .where(AssetModel.name.endswith(f"_{event.conn_id}"))
        )
        return int(found or 0)


def test_an_event_says_what_happened_to_which_asset(event: Event) -> None:
    assert record(event)
    assert recorded(event) == [
        (
            f"mediamagic_reviewed_{event.conn_id}",
            {
                "event_id": "evt_1",
                "type": COMPLETED,
                "conn_id": event.conn_id,
                "submission_id": "sub-1",
                "asset_id": "asset-1",
                "status": "complete",
                "timestamp": "2026-01-02T03:04:05Z",
            },
        )
    ]
    assert queued(event) == 1


def test_the_same_event_is_recorded_once_whichever_api_server_hears_it(event: Event) -> None:
    assert [record(event), record(event)] == [True, False]
    assert len(recorded(event)) == 1


def test_another_event_with_a_longer_id_is_another_one(event: Event) -> None:
    assert record(dataclasses.replace(event, id="evt_11"))
    assert record(event)
    assert record(dataclasses.replace(event, id="evt%"))
    assert len(recorded(event)) == 3


def test_failures_are_an_asset_of_their_own(event: Event) -> None:
    assert record(dataclasses.replace(event, type=FAILED))
    assert [name for name, _ in recorded(event)] == [f"mediamagic_failed_{event.conn_id}"]


def test_without_a_dag_that_wants_them_events_make_no_rows(event: Event) -> None:
    other = dataclasses.replace(event, conn_id="nobody")
    assert not record(other)
    assert recorded(other) == []
