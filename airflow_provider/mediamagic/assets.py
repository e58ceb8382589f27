"""
Airflow assets for MediaMagic webhooks, for Dags to be scheduled on.

A verified webhook becomes an asset event whose ``extra`` holds ``event_id``, ``type``, ``conn_id``,
``submission_id``, ``asset_id``, ``status`` and ``timestamp``. It is a hint and never a result: read the truth
with a hook or an operator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import Asset

KINDS = {"asset.processing.completed": "reviewed", "asset.processing.failed": "failed"}
"""What each type of event says of a MediaMagic asset."""


URI_PREFIX = "mediamagic://webhooks"
"""What the URIs of these assets begin with, before the connection's id."""


def name_and_uri(conn_id: str, kind: str) -> tuple[str, str]:
    """Return how Airflow knows the asset of one connection and kind; a contract with every Dag on it."""
    return f"mediamagic_{kind}_{conn_id}", f"{URI_PREFIX}/{conn_id}/{kind}"


def mediamagic_reviewed(conn_id: str = "mediamagic_default") -> Asset:
    """
    Return the asset that changes when the review of a MediaMagic asset has completed.

    :param conn_id: the connection whose webhooks are meant.
    """
    return _asset(conn_id, "reviewed")


def mediamagic_failed(conn_id: str = "mediamagic_default") -> Asset:
    """
    Return the asset that changes when the review of a MediaMagic asset has failed.

    :param conn_id: the connection whose webhooks are meant.
    """
    return _asset(conn_id, "failed")


def _asset(conn_id: str, kind: str) -> Asset:
    from airflow.sdk import Asset

    name, uri = name_and_uri(conn_id, kind)
    return Asset(name=name, uri=uri)
