"""A deferred task of another provider, which shares the triggerer with ours."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import DAG

with DAG("live_neighbour", schedule=None) as neighbour:
    TimeDeltaSensor(task_id="job", delta=timedelta(seconds=90), deferrable=True)
