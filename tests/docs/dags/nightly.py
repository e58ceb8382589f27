"""The first Dag of the README."""

from __future__ import annotations

from airflow.sdk import dag

from airflow_provider.operators.mediamagic import MediaMagicCreateSubmissionOperator
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateReportOperator,
    SilentWitnessDownloadReportOperator,
)


@dag(schedule="@daily")
def nightly() -> None:
    MediaMagicCreateSubmissionOperator(
        task_id="review", files=["s3://media/{{ ds }}/*.mp4"], deferrable=True, allow_partial=True
    )

    report = SilentWitnessCreateReportOperator(task_id="report", case_id="case_1", deferrable=True)
    SilentWitnessDownloadReportOperator(
        task_id="download", report_id=report.output["report_id"], output_path="s3://evidence/{{ ds }}"
    )


nightly()
