"""Dags for the live tests of webhooks: a submission with the pace of the package, none of the Dag's own."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from airflow_provider.mediamagic.assets import mediamagic_reviewed
from airflow_provider.operators.mediamagic import MediaMagicCreateSubmissionOperator
from airflow_provider.sensors.mediamagic import MediaMagicSubmissionSensor

with DAG("live_webhooks", schedule=None, max_active_runs=256, render_template_as_native_obj=True):
    MediaMagicCreateSubmissionOperator(
        task_id="job",
        files="{{ dag_run.conf['files'] }}",
        mediamagic_conn_id="{{ dag_run.conf['conn_id'] }}",
        timeout="{{ dag_run.conf.get('timeout', 600) }}",
        deferrable=True,
        retries=0,
    )

with DAG("live_webhooks_sensor", schedule=None, max_active_runs=256):
    MediaMagicSubmissionSensor(
        task_id="job",
        submission_id="{{ dag_run.conf['submission_id'] }}",
        mediamagic_conn_id="{{ dag_run.conf['conn_id'] }}",
        deferrable=True,
        retries=0,
    )

# More at once than the machine has cores only make the API server run out of database connections.
with DAG("live_webhooks_many", schedule=None, max_active_tasks=8):

    @task
    def submissions(dag_run: Any = None) -> list[str]:
        """What the run waits for."""
        found: list[str] = dag_run.conf["submissions"]
        return found

    MediaMagicSubmissionSensor.partial(
        task_id="job",
        mediamagic_conn_id="{{ dag_run.conf['conn_id'] }}",
        deferrable=True,
        timeout=7200,
        retries=0,
    ).expand(submission_id=submissions())

with DAG("live_on_reviewed", schedule=[mediamagic_reviewed("live_assets")], max_active_runs=64):

    @task
    def heard(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        """What the events say."""
        return [event.extra for events in triggering_asset_events.values() for event in events]

    heard()
