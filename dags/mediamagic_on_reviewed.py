"""
Fetch the issues of every asset that MediaMagic has reviewed, as soon as it says so: no task waits for it.

MediaMagic's webhooks must reach this Airflow; ``mediamagic_webhooks`` in this folder subscribes to them. Each
run is for the events that came since the one before; from Airflow 3.4 on each event makes a run of its own,
unless ``[scheduler] batch_asset_events`` is on. An event is a hint, so the issues are read from the API.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, literal, task

from airflow_provider.mediamagic.assets import mediamagic_reviewed
from airflow_provider.operators.mediamagic import MediaMagicGetIssuesOperator


def as_it_is(asset: dict[str, Any]) -> dict[str, Any]:
    """Keep Airflow from rendering what a task returned: ``expand_kwargs`` takes every text for a template."""
    return {name: literal(value) for name, value in asset.items()}


@dag(schedule=[mediamagic_reviewed()], catchup=False, tags=["mediamagic", "example"])
def mediamagic_on_reviewed() -> None:
    @task
    def reviewed(triggering_asset_events: Any = None) -> list[dict[str, str]]:
        return [
            {"submission_id": event.extra["submission_id"], "asset_id": event.extra["asset_id"]}
            for events in triggering_asset_events.values()
            for event in events
        ]

    @task
    def report(issues: list[list[dict[str, Any]]]) -> int:
        return sum(len(found) for found in issues)

    assets = reviewed().map(as_it_is)
    issues = MediaMagicGetIssuesOperator.partial(task_id="get_issues").expand_kwargs(assets)
    report(issues.output)


mediamagic_on_reviewed()
