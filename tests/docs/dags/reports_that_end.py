"""A Dag for every report that ends."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, AssetWatcher, dag, literal, task

from airflow_provider.operators.silent_witness import SilentWitnessDownloadReportOperator
from airflow_provider.triggers.silent_witness_events import SilentWitnessEventTrigger

reports = Asset(
    "silent_witness_reports",
    watchers=[AssetWatcher(name="account", trigger=SilentWitnessEventTrigger())],
)


@dag(schedule=[reports], catchup=False, tags=["silent_witness"])
def reports_that_end(output_dir: str = "silent-witness-reports") -> None:
    @task
    def completed(triggering_asset_events: Any = None) -> list[str]:
        ended = [event.extra["payload"] for events in triggering_asset_events.values() for event in events]
        return [report["report_id"] for report in ended if report["status"] == "completed"]

    report_ids = completed().map(literal)
    SilentWitnessDownloadReportOperator.partial(
        task_id="download_report", output_path=output_dir, overwrite=True
    ).expand(report_id=report_ids)


reports_that_end()
