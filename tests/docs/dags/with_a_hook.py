"""Ask a service for something that no operator covers."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider.exceptions import NotFoundError
from airflow_provider.hooks.silent_witness import SilentWitnessHook


@dag(schedule=None)
def with_a_hook(case_id: str = "") -> None:
    @task
    def reports_of(case_id: str) -> dict[str, str]:
        with SilentWitnessHook("silent_witness_default") as hook:
            try:
                return {report["id"]: report["status"] for report in hook.list_reports(case_id)}
            except NotFoundError:
                return {}

    reports_of(case_id)


with_a_hook()
