"""
The pipelines of ``live_night.py`` from the vendor's samples, for `make bench-night`.

"Production Polling" with its intervals, and three attempts after a 429.
"""

from __future__ import annotations

import time
from typing import Any

import requests
from airflow.sdk import DAG, BaseHook, task

from tests.live.harness.night import PHOTO, PIPELINES, RETRIES, SLOTS, case_of, photos, report_of, save


def api(conf: dict[str, Any], method: str, path: str, **kwargs: Any) -> Any:
    """One call as the vendor's rate limit page makes it."""
    connection = BaseHook.get_connection(conf["conn_id"])
    headers = {"X-API-Key": connection.extra_dejson["X-API-Key"]}
    for attempt in range(3):
        response = requests.request(method, f"{connection.host}{path}", headers=headers, timeout=60, **kwargs)
        if response.status_code != 429:
            break
        time.sleep(2**attempt)
    response.raise_for_status()
    return response.json()["data"]


with DAG("live_night_samples", schedule=None, max_active_tasks=SLOTS, default_args=RETRIES):

    @task
    def create_case(number: int, dag_run: Any = None) -> str:
        """Make a case."""
        return str(api(dag_run.conf, "POST", "/api/cases", json=case_of(number))["case"]["id"])

    @task
    def upload(case_id: Any, dag_run: Any = None) -> Any:
        """Upload the photos."""
        for photo in photos(dag_run.conf):
            data = {"case_id": case_id, **PHOTO}
            api(dag_run.conf, "POST", "/api/files/upload", data=data, files={"file": photo.open("rb")})
        return case_id

    @task
    def create_report(case_id: Any, dag_run: Any = None) -> str:
        """Order the report."""
        return str(api(dag_run.conf, "POST", "/api/reports", json=report_of(case_id))["id"])

    @task
    def wait_and_save(report_id: Any, dag_run: Any = None) -> None:
        """Wait for the report and download it."""
        deadline, interval = time.time() + 600, 3.0
        while time.time() < deadline:
            report = api(dag_run.conf, "GET", f"/api/reports/{report_id}")
            if report["status"] == "completed":
                return save(report["output"], dag_run.conf, dag_run.run_id, report_id)
            if report["status"] in ("failed", "cancelled"):
                raise RuntimeError(f"Report {report['status']}")
            time.sleep(interval)
            interval = min(interval * 1.5, 15)
        raise TimeoutError("Timed out waiting for report")

    for number in range(PIPELINES):
        wait_and_save(create_report(upload(create_case(number))))
