"""Cancel a report that is no longer wanted, on any Airflow."""

from __future__ import annotations

from airflow.sdk import dag

from airflow_provider.operators.silent_witness import (
    SilentWitnessCancelReportOperator,
    SilentWitnessCreateReportOperator,
)


@dag(schedule=None)
def report_with_teardown(case_id: str = "") -> None:
    report = SilentWitnessCreateReportOperator(
        task_id="report", case_id=case_id, deferrable=True, cancel_on_timeout=False
    )
    cancel = SilentWitnessCancelReportOperator(
        task_id="cancel", report_id="{{ ti.xcom_pull(task_ids='report', key='report_id') }}"
    )
    report >> cancel.as_teardown()


report_with_teardown()
