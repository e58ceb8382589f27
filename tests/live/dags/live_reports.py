"""A Dag that runs when a report ends, whoever has ordered it; only where it is asked for."""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider.triggers.silent_witness_events import SilentWitnessEventTrigger

if "LIVE_REPORTS" in os.environ:
    watcher = AssetWatcher(
        name="account", trigger=SilentWitnessEventTrigger(conn_id="live_reports", poll_interval=2.0)
    )

    with DAG("live_on_report", schedule=[Asset("live_ended_reports", watchers=[watcher])]):

        @task
        def heard(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
            """What the events say."""
            return [event.extra["payload"] for events in triggering_asset_events.values() for event in events]

        heard()
