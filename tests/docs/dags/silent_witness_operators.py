"""Every operator for cases and reports but cancelling, as the page shows them."""

from __future__ import annotations

from airflow.sdk import dag

from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateCaseOperator,
    SilentWitnessCreateReportOperator,
    SilentWitnessDownloadReportOperator,
    SilentWitnessUploadEvidenceOperator,
)


@dag(schedule=None)
def silent_witness_operators() -> None:
    case = SilentWitnessCreateCaseOperator(
        task_id="case",
        plaintiff_name="Ada Smith",
        defendant_name="Ben Johnson",
        attorney_name="Carla Gomez",
        accident={"description": "Rear-end collision", "date": "2026-03-14"},
        vehicles=[{"role": "plaintiff", "vehicle_maker": "Toyota", "vehicle_model": "Camry"}],
    )

    evidence = SilentWitnessUploadEvidenceOperator(
        task_id="evidence",
        case_id=case.output["case_id"],
        files=["/data/photos/*.jpg"],
        category="vehicle_photo",
        vehicle_role="plaintiff",
    )

    report = SilentWitnessCreateReportOperator(
        task_id="report",
        case_id=case.output["case_id"],
        deferrable=True,
    )

    SilentWitnessDownloadReportOperator(
        task_id="download", report_id=report.output["report_id"], output_path="/data/reports"
    )

    evidence >> report


silent_witness_operators()
