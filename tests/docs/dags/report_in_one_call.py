"""Evidence to documents, in one call."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from airflow_provider.task_groups.silent_witness import SilentWitnessReportTaskGroup


@dag(schedule=None)
def report_in_one_call(case_id: str = "", photos: str = "", output_dir: str = "reports") -> None:
    report = SilentWitnessReportTaskGroup(
        case_id=case_id,
        evidence=[{"files": ["{{ params.photos }}"], "vehicle_role": "plaintiff"}],
        output_path=output_dir,
        report_retries=1,
    )

    @task
    def paths(files: list[dict[str, Any]]) -> list[str]:
        return [file["path"] for file in files]

    paths(report.files)


report_in_one_call()
