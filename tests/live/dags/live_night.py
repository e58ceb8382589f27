"""Dags for the live tests: many pipelines that begin together on one key, without retries."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateCaseOperator,
    SilentWitnessCreateReportOperator,
    SilentWitnessUploadEvidenceOperator,
)

PIPELINES = 12

CONNECTION = "{{ dag_run.conf['conn_id'] }}"
FOLDER = "{{ dag_run.conf['folder'] }}"

for mode in ("deferred", "sync"):
    default_args = {"retries": 0, "deferrable": mode == "deferred", "silent_witness_conn_id": CONNECTION}
    with DAG(f"live_night_{mode}", schedule=None, default_args=default_args) as dag:
        for number in range(PIPELINES):
            case = SilentWitnessCreateCaseOperator(
                task_id=f"case_{number}",
                plaintiff_name=f"Ann Smith {number}",
                defendant_name="Bob Jones",
                attorney_name="Cleo Park",
                accident={"date": "2026-01-31", "description": "Rear-ended", "location": "Main and 3rd"},
                vehicles=[{"role": "plaintiff", "vehicle_maker": "Toyota", "vehicle_year": "2020"}],
            )
            case_id = f"{{{{ ti.xcom_pull('case_{number}', key='case_id') }}}}"
            evidence = SilentWitnessUploadEvidenceOperator(
                task_id=f"evidence_{number}", case_id=case_id, files=[f"{FOLDER}/*.jpg"]
            )
            report = SilentWitnessCreateReportOperator(
                task_id=f"report_{number}",
                case_id=case_id,
                output_path=f"{FOLDER}/{{{{ run_id }}}}",
                use_demo_data=True,
            )
            case >> evidence >> report
    globals()[dag.dag_id] = dag
