"""A wait of another provider, in the triggerer that our waits are in."""

from __future__ import annotations

from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG

with DAG("live_neighbour", schedule=None):
    DateTimeSensorAsync(task_id="job", target_time="{{ dag_run.conf['until'] }}")
