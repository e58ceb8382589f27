"""Operators that a ``@task`` calls itself: each pays once for its own job, whatever the others do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider.core.jobs.operator import JobOperator
from airflow_provider.exceptions import InvalidInputError
from airflow_provider.operators.mediamagic import (
    MediaMagicCreateSubmissionOperator,
    MediaMagicUploadFilesOperator,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCancelReportOperator,
    SilentWitnessCreateCaseOperator,
    SilentWitnessCreateReportOperator,
    SilentWitnessUploadEvidenceOperator,
)
from airflow_provider.sensors.silent_witness import SilentWitnessReportSensor
from tests.airflow.interruptions import die_once
from tests.airflow.jobs import QUICK, SOON, Job, ReportJob
from tests.airflow.task_run import Recorder, register
from tests.airflow.test_few_requests import PARTIES
from tests.simulator.talk import picture


def run_inside(recorder: Recorder, work: Callable[[Any], Any], *, retries: int = 1) -> Any:
    """Run a ``@task``; returns its state."""

    @task(retries=retries, retry_delay=timedelta(0))
    def outer(**context: Any) -> None:
        work(context)

    with DAG(f"nested_{len(recorder.dag_ids)}_{id(work)}", schedule=None) as dag:
        outer()
    register(dag)
    recorder.dag_ids.append(dag.dag_id)
    return dag.test().state


@pytest.mark.parametrize("task_ids", [("one", "two"), ("same", "same"), ("outer", "outer")], ids="-".join)
def test_a_retry_finds_the_job_of_each_operator_that_a_task_calls(
    job: Job, recorder: Recorder, task_ids: tuple[str, str]
) -> None:
    job.takes(SOON)
    requests = [{**job.arguments(), **QUICK} for _ in task_ids]
    requests[1] |= {"metadata": {"n": 2}} if job.service == "mediamagic" else {"use_demo_data": True}
    seen: list[list[str]] = []

    def work(context: Any) -> None:
        results = [
            job.operator(task_id=task_id, **request).execute(context)
            for task_id, request in zip(task_ids, requests, strict=True)
        ]
        seen.append([result.get("submissionId") or result["id"] for result in results])
        if len(seen) == 1:
            raise RuntimeError("after both jobs")

    assert run_inside(recorder, work) == "success", recorder.errors
    assert seen[0] == seen[1]
    assert len({*seen[0]}) == len(job.seen()) == 2


def test_a_lost_report_is_not_taken_for_that_of_the_operator_before(
    report: ReportJob, recorder: Recorder
) -> None:
    """All were ordered in one second on one case, and the last one never arrived at first."""
    report.takes(SOON)
    arguments = {**report.arguments(), **QUICK, "wait_for_completion": False}
    kinds: list[dict[str, Any]] = [{"use_demo_data": False}, {"use_demo_data": True}, {"use_demo_data": True}]
    found: list[list[str]] = []
    refused: list[int] = []

    def work(context: Any) -> None:
        ids = []
        for number, kind in enumerate(kinds):
            if number == 2 and not refused:
                refused.append(number)
                report.simulator.fault("status", "/api/reports", "POST", status=500, times=1)
            operator = SilentWitnessCreateReportOperator(task_id=f"report_{number}", **arguments, **kind)
            ids.append(operator.execute(context)["id"])
        found.append(ids)

    assert run_inside(recorder, work) == "success", recorder.errors
    assert len({*found[0]}) == len(report.seen()) == 3


def test_cases_uploads_and_evidence_have_records_of_their_own(
    report: ReportJob, submission: Job, recorder: Recorder, tmp_path: Path
) -> None:
    photo = tmp_path / "front.jpg"
    photo.write_bytes(picture())
    text = submission.arguments()["files"]
    tries: list[Any] = []

    def work(context: Any) -> None:
        cases = [
            SilentWitnessCreateCaseOperator(task_id="case", name=name, **PARTIES).execute(context)
            for name in ("First", "Second")
        ]
        for case in cases:
            SilentWitnessUploadEvidenceOperator(
                task_id="evidence", case_id=case["case"]["id"], files=[str(photo)]
            ).execute(context)
        MediaMagicUploadFilesOperator(task_id="upload", files=text).execute(context)
        tries.append([case["case"]["id"] for case in cases])
        if len(tries) == 1:
            raise RuntimeError("after all")

    assert run_inside(recorder, work) == "success", recorder.errors
    ledger = report.simulator.ledger()
    assert tries[0] == tries[1] == [one["id"] for one in ledger["cases"]][-2:]
    assert len(ledger["uploads"]) == 3


def test_what_a_nested_operator_has_lost_it_finds_at_the_retry(
    report: ReportJob, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.takes(SOON)
    requests = [{**report.arguments(), **QUICK} for _ in range(2)]
    die_once(monkeypatch, JobOperator, "announce")
    found: list[str] = []

    def work(context: Any) -> None:
        for request in requests:
            operator = SilentWitnessCreateReportOperator(task_id="report", **request)
            found.append(operator.execute(context)["id"])

    assert run_inside(recorder, work) == "success", recorder.errors
    assert sorted(found) == sorted(one["id"] for one in report.seen())


@pytest.mark.parametrize("context", [{}, None, {"ti": None}], ids=["empty", "none", "no task"])
@pytest.mark.parametrize(
    "operator",
    [
        SilentWitnessCreateReportOperator(task_id="t", case_id="case_1"),
        SilentWitnessCreateCaseOperator(task_id="t", **PARTIES),
        SilentWitnessUploadEvidenceOperator(task_id="t", case_id="case_1", files=["a.jpg"]),
        SilentWitnessCancelReportOperator(task_id="t", report_id="rpt_1"),
        SilentWitnessReportSensor(task_id="t", report_id="rpt_1"),
        MediaMagicCreateSubmissionOperator(task_id="t", files=["a.txt"]),
        MediaMagicUploadFilesOperator(task_id="t", files=["a.txt"]),
    ],
    ids=lambda operator: type(operator).__name__,
)
def test_a_call_outside_of_a_task_says_what_it_needs(operator: Any, context: Any) -> None:
    with pytest.raises(InvalidInputError, match="get_current_context") as caught:
        operator.execute(context)
    assert caught.value.parameter == "context"
