"""
The pipelines of ``live_night.py`` with the HTTP provider, for `make bench-night`.

With a ``response_check``, which this API needs, its deferrable sensor does not defer.
"""

from __future__ import annotations

import json
from typing import Any

import requests
from airflow.providers.http.hooks.http import HttpHook
from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk import DAG, task

from tests.live.harness.night import (
    CONNECTION,
    PHOTO,
    PIPELINES,
    RETRIES,
    SLOTS,
    case_of,
    photos,
    report_of,
    save,
)


def is_completed(response: requests.Response) -> bool:
    """Whether the report can be downloaded."""
    return bool(response.json()["data"]["status"] == "completed")


with DAG(
    "live_night_http",
    schedule=None,
    max_active_tasks=SLOTS,
    default_args={**RETRIES, "http_conn_id": CONNECTION},
):

    @task
    def upload_photos(case_id: Any, dag_run: Any = None) -> None:
        """Upload the photos: the operator sends no files."""
        hook = HttpHook("POST", dag_run.conf["conn_id"])
        for photo in photos(dag_run.conf):
            data = {"case_id": case_id, **PHOTO}
            hook.run("/api/files/upload", data=data, files={"file": photo.open("rb")})

    @task
    def download(report_id: Any, dag_run: Any = None) -> None:
        """Read the report's links, and fetch both documents."""
        response = HttpHook("GET", dag_run.conf["conn_id"]).run(f"/api/reports/{report_id}")
        save(response.json()["data"]["output"], dag_run.conf, dag_run.run_id, report_id)

    for number in range(PIPELINES):
        case = HttpOperator(
            task_id=f"case_{number}",
            endpoint="/api/cases",
            headers={"Content-Type": "application/json"},
            data=json.dumps(case_of(number)),
            response_filter=lambda response: response.json()["data"]["case"]["id"],
        )
        report = HttpOperator(
            task_id=f"report_{number}",
            endpoint="/api/reports",
            headers={"Content-Type": "application/json"},
            data=json.dumps(report_of(f"{{{{ ti.xcom_pull('case_{number}') }}}}")),
            response_filter=lambda response: response.json()["data"]["id"],
        )
        wait = HttpSensor(
            task_id=f"wait_{number}",
            endpoint=f"/api/reports/{{{{ ti.xcom_pull('report_{number}') }}}}",
            response_check=is_completed,
            deferrable=True,
            mode="reschedule",
            poke_interval=30,
            timeout=600,
        )
        upload_photos.override(task_id=f"upload_{number}")(case.output) >> report >> wait
        wait >> download.override(task_id=f"download_{number}")(report.output)
