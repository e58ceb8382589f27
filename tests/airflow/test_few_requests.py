"""How many requests a pipeline sends: nothing is asked whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateCaseOperator,
    SilentWitnessCreateReportOperator,
    SilentWitnessUploadEvidenceOperator,
)
from airflow_provider.simulator import Simulator
from airflow_provider.testing.throwaway import run_dag
from tests.airflow.jobs import SOON
from tests.simulator.talk import picture

PARTIES: dict[str, Any] = {
    "plaintiff_name": "Ann Smith",
    "defendant_name": "Bob Jones",
    "attorney_name": "Cleo Park",
    "accident": {"date": "2026-01-31", "description": "Rear-ended at a light", "location": "Main and 3rd"},
    "vehicles": [{"role": "plaintiff", "vehicle_maker": "Toyota", "vehicle_year": "2020"}],
}


@pytest.mark.usefixtures("airflow_db", "silent_witness_conn")
def test_a_report_with_its_documents_costs_few_requests(
    simulator: Simulator, deferrable: bool, tmp_path: Path
) -> None:
    simulator.script("silent_witness", duration=SOON)
    for name, color in {"a": (200, 0, 0), "b": (0, 0, 200)}.items():
        (tmp_path / f"{name}.jpg").write_bytes(picture(color, (64, 48)))
    with DAG("few", schedule=None, default_args={"deferrable": deferrable}) as dag:
        case = SilentWitnessCreateCaseOperator(task_id="case", **PARTIES)
        case_id = "{{ ti.xcom_pull('case', key='case_id') }}"
        evidence = SilentWitnessUploadEvidenceOperator(
            task_id="evidence", case_id=case_id, files=[f"{tmp_path}/*.jpg"]
        )
        report = SilentWitnessCreateReportOperator(
            task_id="report", case_id=case_id, output_path=str(tmp_path / "out"), poll_interval=0.6
        )
        case >> evidence >> report
    run = run_dag(dag)
    assert run.state == "success"
    sent = simulator.ledger()["requests"]
    requests = {route: count for route, count in sent.items() if "/api/" in route}
    (read,) = (route for route in requests if route.startswith("GET /api/reports/"))
    reads = requests.pop(read)
    assert requests == {"POST /api/cases": 1, "POST /api/files/upload": 2, "POST /api/reports": 1}
    (report_id,) = (report["id"] for report in simulator.ledger()["reports"])
    assert reads == simulator.ledger()["polls"][report_id]["count"] <= 3
    for suffix in ("pdf", "docx"):
        assert (tmp_path / "out" / f"{report_id}.{suffix}").stat().st_size > 1000
