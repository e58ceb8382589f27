"""Wait for a submission and a report that something else started."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag

from airflow_provider.sensors.mediamagic import MediaMagicSubmissionSensor
from airflow_provider.sensors.silent_witness import SilentWitnessReportSensor


@dag(schedule=None)
def jobs_of_others(submission_id: str = "", report_id: str = "") -> None:
    MediaMagicSubmissionSensor(task_id="submission", submission_id=submission_id, deferrable=True)
    SilentWitnessReportSensor(
        task_id="report", report_id=report_id, mode="reschedule", timeout=timedelta(hours=1)
    )


jobs_of_others()
