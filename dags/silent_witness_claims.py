"""
Order a report for every claim that a SQL query returns.

One mapped task group per claim makes the case, uploads its photos, waits for the report and writes
``<claim id>.pdf`` and ``<claim id>.docx``. A claim that fails does not stop the others. Needs the connection
``silent_witness_default``. Every claim of the day raises an invoice and pays for a report: on a schedule,
give ``filed_on`` the day of the run, so that the next run pays for other claims.

The query reads a SQLite file; for another database use the hook of its provider.

Try it: ``airflow dags test silent_witness_claims --conf '{"database": "claims.db", "output_dir": "out"}'``.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from airflow.sdk import dag, task, task_group

from airflow_provider.operators.silent_witness import SilentWitnessCreateCaseOperator
from airflow_provider.task_groups.silent_witness import SilentWitnessReportTaskGroup

QUERY = """
    SELECT claim_id, claimant, other_party, attorney, accident, accident_date, place, maker, model, photos
    FROM claims WHERE filed_on = ? ORDER BY claim_id
"""


@dag(schedule=None, catchup=False, tags=["silent_witness", "example"])
def silent_witness_claims(
    database: str = "claims.db", filed_on: str = "2026-03-16", output_dir: str = "silent-witness-claims"
) -> None:
    @task
    def claims(database: str, filed_on: str) -> list[dict[str, str]]:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(QUERY, [filed_on])]

    @task(multiple_outputs=True)
    def request(claim: dict[str, str]) -> dict[str, Any]:
        return {
            **claim,
            "name": f"{claim['claim_id']}: {claim['claimant']} v. {claim['other_party']}",
            "accident": {
                "description": claim["accident"],
                "date": claim["accident_date"],
                "location": claim["place"],
            },
            "vehicles": [
                {"role": "plaintiff", "vehicle_maker": claim["maker"], "vehicle_model": claim["model"]}
            ],
        }

    @task_group
    def claim_report(claim: dict[str, str]) -> None:
        # What a task returns, handed on like this, is never rendered as a template.
        asked: Any = request(claim)
        case = SilentWitnessCreateCaseOperator(
            task_id="case",
            name=asked["name"],
            plaintiff_name=asked["claimant"],
            defendant_name=asked["other_party"],
            attorney_name=asked["attorney"],
            accident=asked["accident"],
            vehicles=asked["vehicles"],
        )
        SilentWitnessReportTaskGroup(
            case_id=case.output["case_id"],
            case_name=asked["name"],
            evidence=[{"files": [asked["photos"]], "vehicle_role": "plaintiff"}],
            filename=asked["claim_id"],
            output_path=output_dir,
            overwrite=True,
        )

    claim_report.expand(claim=claims(database, filed_on))


silent_witness_claims()
