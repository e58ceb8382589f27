"""A Dag that runs on events out of a message queue; only where there is one."""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider.triggers.mediamagic_events import MediaMagicEventTrigger

if "LIVE_QUEUE_URL" in os.environ:
    watcher = AssetWatcher(
        name="queue",
        trigger=MediaMagicEventTrigger(
            scheme="sqs",
            conn_id="live_queue",
            sqs_queue=os.environ["LIVE_QUEUE_URL"],
            aws_conn_id="live_queue_aws",
            wait_time_seconds=1,
            waiter_delay=1,
        ),
    )

    with DAG("live_on_queue", schedule=[Asset("live_queued", watchers=[watcher])]):

        @task
        def heard(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
            """What the events say."""
            return [event.extra["payload"] for events in triggering_asset_events.values() for event in events]

        heard()
