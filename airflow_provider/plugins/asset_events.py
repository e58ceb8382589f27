"""Record webhook events as Airflow asset events, through Airflow's own models."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider.mediamagic.assets import KINDS, name_and_uri
from airflow_provider.mediamagic.webhooks.events import TOLERANCE, Event

REMEMBERED = timedelta(seconds=4 * TOLERANCE)
"""How long the same event is not recorded twice. A copy made by a stranger is refused after half of that."""


def record(event: Event) -> bool:
    """
    Record an event once, however many API servers receive however many copies of it; blocks.

    :return: whether it was recorded now; not when no Dag knows the asset, or when it had been.
    """
    from airflow.assets.manager import asset_manager
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import Text, cast, select

    name, uri = name_and_uri(event.conn_id, KINDS[event.type])
    with create_session() as session:
        # The lock makes copies of an event that arrive at the same time wait for one another.
        asset_id = session.scalar(
            select(AssetModel.id).where(AssetModel.name == name, AssetModel.uri == uri).with_for_update()
        )
        if asset_id is None:
            return False
        seen = session.scalar(
            select(AssetEvent.id)
            .where(
                AssetEvent.asset_id == asset_id,
                AssetEvent.timestamp > datetime.now(UTC) - REMEMBERED,
                cast(AssetEvent.extra, Text).contains(f'"{event.id}"', autoescape=True),
            )
            .limit(1)
        )
        if seen is not None:
            return False
        model: Any = session.get(AssetModel, asset_id)
        asset_manager.register_asset_change(
            asset=model,
            extra=event.as_extra(),
            session=session,
        )
    return True
