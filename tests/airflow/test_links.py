"""Links beside a task: read as the API server reads them, from the serialized Dag and the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY
from urllib.parse import quote

import pytest
from airflow.sdk import DAG

from airflow_provider import links
from airflow_provider.core import links as core_links
from airflow_provider.operators.mediamagic import MediaMagicGetIssuesOperator as GetIssues
from airflow_provider.operators.silent_witness import SilentWitnessCreateReportOperator as CreateReport
from airflow_provider.operators.silent_witness import SilentWitnessDownloadReportOperator as DownloadReport
from airflow_provider.sensors.silent_witness import SilentWitnessReportSensor as ReportSensor
from tests.airflow.conftest import Connect, RunTask
from tests.airflow.jobs import ENDLESS, SOON, ReportJob, SubmissionJob
from tests.airflow.task_run import TaskRun, as_stored, fresh_session, register
from tests.service.files.s3_server import s3_server

DASHBOARD = "https://app.staging.silentwitness.ai"
REPORT_LINKS = {
    "Silent Witness dashboard": DASHBOARD,
    "Report": ANY,
}
SUBMISSION_LINKS = {"Review": ANY}


@pytest.fixture(autouse=True)
def _simulator_is_staging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(links.DASHBOARDS, "127.0.0.1", DASHBOARD)


def shown(dag: DAG) -> dict[str, list[dict[str, str]]]:
    """The links that are not empty: by task, in the order of its map indexes."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    stored = as_stored(dag)
    rows = fresh_session().scalars(
        select(TaskInstance).where(TaskInstance.dag_id == dag.dag_id).order_by(TaskInstance.map_index)
    )
    found: dict[str, list[dict[str, str]]] = {}
    for ti in rows:
        task = stored.get_task(ti.task_id)
        addresses = {name: task.get_extra_links(ti, name) for name in task.extra_links}
        found.setdefault(ti.task_id, []).append({name: url for name, url in addresses.items() if url})
    return found


def of_job(run: TaskRun) -> dict[str, str]:
    (only,) = shown(run.dag)["job"]
    return only


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket whose server has a console; the connection of its URL is defined."""
    server = s3_server()
    monkeypatch.setenv("AIRFLOW_CONN_FILES_S3", server.connection)
    monkeypatch.setattr(core_links, "_aws_console", lambda location: "https://console.example")
    server.fill()
    yield "s3://files_s3@bucket"
    server.clear()


def test_a_deferred_report_has_links(report: ReportJob) -> None:
    report.takes(ENDLESS)
    run = report.task(deferrable=True).attempt(until_deferred=True)
    assert run.state == "deferred"
    assert of_job(run) == REPORT_LINKS


def test_a_deferred_submission_has_links(submission: SubmissionJob) -> None:
    submission.takes(ENDLESS)
    assert of_job(submission.task(deferrable=True).attempt(until_deferred=True)) == SUBMISSION_LINKS


def test_a_review_is_found_where_airflow_is_served(
    submission: SubmissionJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/ops/")
    submission.takes(ENDLESS)
    run = submission.task(deferrable=True).attempt(until_deferred=True)
    page = "https://airflow.example/ops/paid-jobs/review.html"
    assert of_job(run) == {"Review": f"{page}?dag_id={run.dag.dag_id}&run_id={quote(run.run_id, safe='')}"}


def test_links_stay_after_success(report: ReportJob, deferrable: bool) -> None:
    report.takes(SOON)
    run = report.task(deferrable=deferrable).test()
    assert run.state == "success"
    assert of_job(run) == REPORT_LINKS


def test_links_stay_after_failure_and_over_retries(report: ReportJob, deferrable: bool) -> None:
    report.fails()
    run = report.task(deferrable=deferrable, retries=1).test()
    assert (run.state, run.tries) == ("failed", 2)
    assert of_job(run) == REPORT_LINKS


def test_links_of_a_deferral_survive_that_the_connection_is_gone(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.takes(ENDLESS)
    run = report.task(deferrable=True).attempt(until_deferred=True)
    monkeypatch.delenv("AIRFLOW_CONN_SILENT_WITNESS_DEFAULT")
    run.resume({"status": "error", "job_id": report.seen()[0]["id"], "message": "Lost."})
    assert run.state == "failed"
    assert of_job(run) == REPORT_LINKS


@pytest.mark.parametrize("kind", ["operator", "sensor"])
def test_links_show_while_the_worker_waits(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    report.takes(SOON)
    run = report.task() if kind == "operator" else report.waiting(report.order())
    job = run.task.job
    seen: list[dict[str, str]] = []

    def observed(body: Any) -> Any:
        seen.append(of_job(run))
        return job.observe(body)

    monkeypatch.setattr(type(run.task), "job", replace(job, observe=observed))
    run.test()
    assert run.state == "success"
    assert REPORT_LINKS in seen


def test_every_mapped_task_has_links_of_its_own(report: ReportJob, airflow_db: None, bucket: str) -> None:
    report.takes(SOON)
    cases = [report.case(), report.case()]
    with DAG("links_mapped", schedule=None) as dag:
        made = CreateReport.partial(task_id="report", deferrable=True, poll_interval=0.05).expand(
            case_id=cases
        )
        ids = made.output.map(lambda one: one["id"])
        ReportSensor.partial(task_id="wait", mode="reschedule").expand(report_id=ids)
        DownloadReport.partial(task_id="download", output_path=f"{bucket}/links").expand(report_id=ids)
    register(dag)
    dag.test()
    found = shown(dag)
    assert found["report"] == found["wait"] == [REPORT_LINKS, REPORT_LINKS]
    report_ids = [one["id"] for case in cases for one in report.seen() if one["case_id"] == case]
    assert found["download"] == [
        {
            "Silent Witness dashboard": DASHBOARD,
            "Report (PDF)": f"https://console.example/s3/object/bucket?prefix=links%2F{report_id}.pdf",
            "Report (DOCX)": f"https://console.example/s3/object/bucket?prefix=links%2F{report_id}.docx",
        }
        for report_id in report_ids
    ]


def test_local_files_and_unknown_hosts_have_no_link(
    task_run: RunTask, report: ReportJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(links.DASHBOARDS, "127.0.0.1")
    report.takes(0)
    run = task_run(DownloadReport, report_id=report.order(), output_path=str(tmp_path)).test()
    assert run.state == "success"
    assert of_job(run) == {}


def test_landed_issues_have_a_link(task_run: RunTask, submission: SubmissionJob, bucket: str) -> None:
    submission.takes(0)
    submission_id = submission.order()
    (asset,) = submission.vendor_says(submission_id)["assets"]
    run = task_run(
        GetIssues,
        submission_id=submission_id,
        asset_id=asset["assetId"],
        output_path=f"{bucket}/issues.jsonl",
    ).test()
    assert of_job(run) == {
        **SUBMISSION_LINKS,
        "File": "https://console.example/s3/object/bucket?prefix=issues.jsonl",
    }


@pytest.mark.parametrize(
    ("host", "dashboard"),
    [
        ("", "https://app.silentwitness.ai"),
        ("api.silentwitness.ai/api", "https://app.silentwitness.ai"),
        ("https://api.staging.silentwitness.ai", "https://app.staging.silentwitness.ai"),
        ("https://gateway.example/silentwitness", ""),
    ],
)
def test_the_dashboard_is_that_of_the_connection(connect: Connect, host: str, dashboard: str) -> None:
    connect("silent_witness", host=host, password="sk-1")
    task = CreateReport(task_id="job", case_id="case_1")
    assert links.SilentWitnessDashboardLink().get_link(task, ti_key=None) == dashboard  # type: ignore[arg-type]
