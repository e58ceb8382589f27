"""Task groups in Dags of users: what the Dag says counts, unless the group was given something else."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG, task_group

from airflow_provider.task_groups.mediamagic import MediaMagicReviewTaskGroup as Review
from airflow_provider.task_groups.silent_witness import SilentWitnessReportTaskGroup as Report
from tests.airflow.jobs import SOON, SubmissionJob
from tests.airflow.test_task_groups import run_whole, unmapped

pytestmark = pytest.mark.usefixtures("airflow_db", "simulated_pace")

OF_THE_DAG: dict[str, Any] = {
    "mediamagic_conn_id": "mm_eu",
    "silent_witness_conn_id": "sw_eu",
    "output_conn_id": "lake",
    "source_conn_id": "media",
    "deferrable": False,
    "timeout": 3600,
    "on_clear": "attach",
    "max_paid_requests": 2,
    "if_no_files": "skip",
    "allow_partial": True,
    "report_retries": 1,
    "overwrite": True,
    "formats": ["pdf"],
}


def operators_of(*, where: str, **given: Any) -> dict[str, Any]:
    """The operators of both groups, with default arguments of the Dag or of the groups."""
    of_group: dict[str, Any] = {"default_args": OF_THE_DAG} if where == "group" else {}
    with DAG("group_defaults", schedule=None, default_args=OF_THE_DAG if where == "dag" else {}) as dag:
        Review(files=["claims.txt"], topics=True, policy={}, **of_group, **given)
        evidence = [{"files": ["rear.jpg"]}]
        Report(case_id="case", output_path="out", evidence=evidence, **of_group, **given)
    return {name: unmapped(each) for name, each in dag.task_dict.items() if name != "review.assets"}


@pytest.mark.parametrize("where", ["dag", "group"])
def test_default_arguments_count_for_what_a_group_is_not_given(where: str) -> None:
    for operator in operators_of(where=where).values():
        for name, value in OF_THE_DAG.items():
            assert getattr(operator, name, value) == value, (operator.task_id, name)


def test_what_a_group_is_given_outweighs_default_arguments() -> None:
    operators = operators_of(where="dag", deferrable=True, timeout=60, if_no_files="fail")
    assert {operators[name].deferrable for name in ("review.submit", "report.report")} == {True}
    assert {operators[name].timeout for name in ("review.submit", "report.report")} == {60}
    assert operators["report.evidence"].if_no_files == "fail"


def test_groups_wait_in_the_triggerer_where_nobody_says_otherwise() -> None:
    with DAG("group_deferred", schedule=None) as dag:
        Review(files=["claims.txt"])
        Report(case_id="case", output_path="out")
    assert {unmapped(dag.get_task(name)).deferrable for name in ("review.submit", "report.report")} == {True}


def test_the_dag_of_a_group_can_be_an_argument() -> None:
    dag = DAG("group_of_argument", schedule=None)
    Review(files=["claims.txt"], topics=True, policy={}, dag=dag)
    Report(case_id="case", output_path="out", evidence=[{"files": ["rear.jpg"]}], dag=dag)
    assert {task.dag for task in dag.tasks} == {dag}
    assert {*dag.task_ids} == {
        *(f"review.{name}" for name in ("submit", "assets", "issues", "topics", "gate")),
        *(f"report.{name}" for name in ("evidence", "report", "download")),
    }


@pytest.mark.parametrize("mapped", [False, True], ids=["each", "whole"])
def test_a_default_path_is_not_that_of_each_asset(submission: SubmissionJob, mapped: bool) -> None:
    """A Dag's own ``output_path`` would take the issues of all assets, one after the other."""
    submission.takes(SOON)
    with DAG(f"group_path_{mapped}", schedule=None, default_args={"output_path": "/nowhere/x.jsonl"}) as dag:

        @task_group
        def campaign(files: Any) -> None:
            Review(files=files, topics=True)

        if mapped:
            campaign.expand(files=[submission.arguments()["files"]])
        else:
            Review(files=submission.arguments()["files"], topics=True)
    assert run_whole(dag).state == "success"
