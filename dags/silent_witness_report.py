"""
Have Silent Witness reconstruct an accident and write the report.

A case is made, its evidence uploaded side by side, the report waited for in the triggerer and downloaded as
PDF and DOCX. Needs the connection ``silent_witness_default``. Creating a case raises an invoice, so none is
made without evidence to report on.

Try it: ``airflow dags test silent_witness_report --conf '{"photos": ["rear.jpg"], "output_dir": "out"}'``.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, literal, task

from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateCaseOperator,
    SilentWitnessCreateReportOperator,
    SilentWitnessDownloadReportOperator,
    SilentWitnessUploadEvidenceOperator,
)

PHOTOS = Param(None, type=["null", "array"], description="Paths or URLs of vehicle photos, one per line")
EDR_REPORTS = Param(None, type=["null", "array"], description="Paths or URLs of EDR documents, one per line")


def as_it_is(entry: dict[str, Any]) -> dict[str, Any]:
    """Keep Airflow from rendering what a task returned: ``expand_kwargs`` takes every text for a template."""
    return {name: literal(value) for name, value in entry.items()}


@dag(
    schedule=None,
    catchup=False,
    params={"photos": PHOTOS, "edr_reports": EDR_REPORTS},
    tags=["silent_witness", "example"],
)
def silent_witness_report(
    photos: list[str] | None = None,
    edr_reports: list[str] | None = None,
    output_dir: str = "silent-witness-report",
) -> None:
    case = SilentWitnessCreateCaseOperator(
        task_id="create_case",
        plaintiff_name="Ada Smith",
        defendant_name="Ben Johnson",
        attorney_name="Carla Gomez",
        analysis_type="accident_injury",
        accident={
            "description": "Rear-end collision at a red light",
            "date": "2026-03-14",
            "time": "08:15",
            "location": "Springfield, Main Street and 3rd Avenue",
        },
        vehicles=[
            {
                "role": "plaintiff",
                "vehicle_maker": "Toyota",
                "vehicle_model": "Camry",
                "vehicle_year": "2020",
                "vehicle_type": "sedan",
            },
            {
                "role": "defendant",
                "vehicle_maker": "Ford",
                "vehicle_model": "F-150",
                "vehicle_year": "2018",
                "vehicle_type": "truck",
            },
        ],
        occupants=[
            {
                "name": "Ada Smith",
                "age": 41,
                "gender": "female",
                "height_inches": 66,
                "weight_lbs": 150,
                "position": "driver",
                "seatbelt_worn": True,
                "alleged_injuries": ["cervical_spine"],
            }
        ],
    )

    @task
    def evidence(photos: list[str] | None, edr_reports: list[str] | None) -> list[dict[str, object]]:
        found: list[dict[str, object]] = [
            {"files": [path], "category": category, "vehicle_role": "plaintiff"}
            for category, paths in (("vehicle_photo", photos), ("edr_document", edr_reports))
            for path in paths or []
        ]
        if not found:
            raise ValueError("Name photos or edr_reports: a report needs one of them")
        return found

    entries = evidence(photos, edr_reports)
    entries >> case
    uploads = SilentWitnessUploadEvidenceOperator.partial(
        task_id="upload_evidence", case_id=case.output["case_id"]
    ).expand_kwargs(entries.map(as_it_is))

    report = SilentWitnessCreateReportOperator(
        task_id="create_report",
        case_id=case.output["case_id"],
        analysis_type="accident_injury",
        deferrable=True,
    )
    uploads >> report

    SilentWitnessDownloadReportOperator(
        task_id="download_report",
        report_id=report.output["report_id"],
        output_path=output_dir,
        overwrite=True,
    )


silent_witness_report()
