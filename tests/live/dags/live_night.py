"""Dags for the live tests and `make bench-night`: many pipelines that begin together on one key."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from airflow_provider.operators.mediamagic import MediaMagicCreateSubmissionOperator
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateCaseOperator,
    SilentWitnessCreateReportOperator,
    SilentWitnessUploadEvidenceOperator,
)
from tests.live.harness.night import CONNECTION, FOLDER, PIPELINES, SLOTS, SUBMISSIONS, case_of, is_parsed


def reports(dag_id: str, **default_args: Any) -> None:
    """A case, its photos, a report and its documents, many times."""
    default_args |= {"retries": 0, "silent_witness_conn_id": CONNECTION}
    with DAG(dag_id, schedule=None, max_active_tasks=SLOTS, default_args=default_args):
        for number in range(PIPELINES):
            case = SilentWitnessCreateCaseOperator(task_id=f"case_{number}", **case_of(number))
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


def submissions(dag_id: str, **default_args: Any) -> None:
    """A submission of several files, many times."""
    default_args |= {"retries": 0, "mediamagic_conn_id": CONNECTION}
    with DAG(dag_id, schedule=None, max_active_tasks=SLOTS, default_args=default_args):
        for number in range(SUBMISSIONS):
            MediaMagicCreateSubmissionOperator(
                task_id=f"submission_{number}",
                files=[f"{FOLDER}/{number}/*.txt"],
                metadata={"item": f"item-{number}"},
            )


for make, name in ((reports, "live_night"), (submissions, "live_night_submissions")):
    for mode in ("deferred", "sync"):
        if is_parsed(f"{name}_{mode}"):
            make(f"{name}_{mode}", deferrable=mode == "deferred")
