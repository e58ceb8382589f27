"""Wait for a submission and a report that something else started."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task

from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.sensors.mediamagic import MediaMagicSubmissionSensor
from airflow_provider.sensors.silent_witness import SilentWitnessReportSensor


@dag(schedule=None)
def jobs_of_others(submission_id: str = "", case_id: str = "") -> None:
    MediaMagicSubmissionSensor(task_id="submission", submission_id=submission_id, deferrable=True)

    @task
    def newest_report(case_id: str) -> str:
        with SilentWitnessHook() as hook:
            newest: dict[str, Any] = max(hook.list_reports(case_id), key=lambda report: report["created_at"])
            return str(newest["id"])

    report_id: Any = newest_report(case_id)
    SilentWitnessReportSensor(
        task_id="report", report_id=report_id, mode="reschedule", timeout=timedelta(hours=1)
    )


jobs_of_others()
