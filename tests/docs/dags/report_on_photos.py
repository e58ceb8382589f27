"""The first Dag of the README for Silent Witness."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider.task_groups.silent_witness import SilentWitnessReportTaskGroup

PHOTOS = {"files": ["/data/photos/*.jpg"], "vehicle_role": "plaintiff"}
with DAG("report_on_photos"):
    SilentWitnessReportTaskGroup(case_id="case_1", evidence=[PHOTOS], output_path="/data/reports")
