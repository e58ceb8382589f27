"""A report whose retries come when they are of use."""

from __future__ import annotations

from airflow.sdk import dag

from airflow_provider.operators.silent_witness import SilentWitnessCreateReportOperator
from airflow_provider.retry_policy import JobRetryPolicy


@dag(schedule=None)
def report_with_retries(case_id: str = "") -> None:
    SilentWitnessCreateReportOperator(
        task_id="report",
        case_id=case_id,
        deferrable=True,
        report_retries=1,
        retries=3,
        retry_policy=JobRetryPolicy(),
        pool="paid_jobs",
    )


report_with_retries()
