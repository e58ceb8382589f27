"""What Airflow's OpenLineage provider learns of our tasks, from the events that it emits."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.openlineage.extractors import OperatorLineage

from tests.airflow.jobs import SOON, Job, ReportJob
from tests.conftest import MEDIAMAGIC_KEY, SILENT_WITNESS_KEY
from tests.user_project import Project

pytestmark = pytest.mark.timeout(660)  # Airflow 3.1 and 3.2 need four times as long for a task as 3.3


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The events of one run of all kinds of tasks, in a process that has OpenLineage switched on."""
    folder = tmp_path_factory.mktemp("lineage")
    project = Project(folder)
    transport = {"type": "file", "log_file_path": str(folder / "events.jsonl"), "append": True}
    project.write("pytest.ini", "[pytest]\nthrowaway_airflow = true\n")
    project.write(
        "conftest.py",
        f"import os\nos.environ['AIRFLOW__OPENLINEAGE__TRANSPORT'] = {json.dumps(transport)!r}\n",
    )
    project.write("claims.txt", "A guaranteed cure.")
    project.write(
        "test_it.py",
        """
        from pathlib import Path
        from airflow.sdk import dag
        from airflow_provider.operators.mediamagic import *
        from airflow_provider.operators.silent_witness import *
        from airflow_provider.sensors.mediamagic import MediaMagicSubmissionSensor

        HERE = Path(__file__).parent

        @dag(schedule=None)
        def both():
            uploaded = MediaMagicUploadFilesOperator(task_id="upload", files=[f"{HERE}/claims.txt"])
            review = MediaMagicCreateSubmissionOperator(
                task_id="review", files=[f"{HERE}/*.txt"], deferrable=True
            )
            submission_id = review.output["submission_id"]
            MediaMagicSubmissionSensor(task_id="sensor", submission_id=submission_id)
            MediaMagicGetIssuesOperator(
                task_id="issues",
                submission_id=submission_id,
                asset_id="{{ ti.xcom_pull('review')['completedAssetIds'][0] }}",
                output_path=f"{HERE}/issues.jsonl",
            )
            report = SilentWitnessCreateReportOperator(
                task_id="report", case_id="{{ dag_run.conf['case_id'] }}", deferrable=True
            )
            SilentWitnessDownloadReportOperator(
                task_id="download", report_id=report.output["report_id"], output_path="memory://store/out"
            )

        def test_it(simulated_services):
            simulated_services.asset_takes(20)
            simulated_services.report_takes(20)
            run = simulated_services.run(both(), {"case_id": simulated_services.ready_case()})
            assert run.state == "success"
            (HERE / "ids.txt").write_text(
                simulated_services.submissions[0]["id"] + " " + simulated_services.reports[0]["id"]
            )
        """,
    )
    said = project.pytest()
    assert "1 passed" in said, said
    return folder


@pytest.fixture
def events(emitted: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The last event of each task and type."""
    lines = (emitted / "events.jsonl").read_text().splitlines()
    return {
        (event["job"]["name"].removeprefix("both."), event["eventType"]): event
        for event in map(json.loads, lines)
    }


def datasets(event: dict[str, Any], kind: str) -> list[tuple[str, str]]:
    return [(one["namespace"], one["name"]) for one in event[kind]]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["upload", "review"])
def test_media_are_inputs(emitted: Path, events: dict[tuple[str, str], dict[str, Any]], task: str) -> None:
    assert datasets(events[task, "COMPLETE"], "inputs") == [("file", f"{emitted}/claims.txt")]


@pytest.mark.slow
def test_inputs_that_are_named_are_known_at_the_start(
    emitted: Path, events: dict[tuple[str, str], dict[str, Any]]
) -> None:
    assert datasets(events["upload", "START"], "inputs") == [("file", f"{emitted}/claims.txt")]


@pytest.mark.slow
def test_landed_and_downloaded_files_are_outputs(
    emitted: Path, events: dict[tuple[str, str], dict[str, Any]]
) -> None:
    _, report_id = (emitted / "ids.txt").read_text().split()
    assert datasets(events["issues", "COMPLETE"], "outputs") == [("file", f"{emitted}/issues.jsonl")]
    assert datasets(events["download", "COMPLETE"], "outputs") == [
        ("memory://store", f"out/{report_id}.pdf"),
        ("memory://store", f"out/{report_id}.docx"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "service", "status"),
    [
        ("review", "mediamagic", "complete"),
        ("sensor", "mediamagic", None),
        ("issues", "mediamagic", None),
        ("report", "silent_witness", "completed"),
        ("download", "silent_witness", None),
    ],
)
def test_the_job_is_a_run_facet(
    emitted: Path, events: dict[tuple[str, str], dict[str, Any]], task: str, service: str, status: str | None
) -> None:
    ids = dict(zip(("mediamagic", "silent_witness"), (emitted / "ids.txt").read_text().split(), strict=True))
    facet = events[task, "COMPLETE"]["run"]["facets"][f"{service}_job"]
    assert facet["_schemaURL"].startswith("https://openlineage.io/spec/")
    assert (facet["service"], facet["jobId"], facet.get("status")) == (service, ids[service], status)
    if status:
        assert facet["url"].startswith("http://127.0.0.1:")
        assert (facet["attempt"], facet["paidRequests"]) == (1, 1)
        assert facet["statusRequests"] >= 1


@pytest.mark.slow
def test_no_key_is_in_any_event(emitted: Path) -> None:
    text = (emitted / "events.jsonl").read_text()
    assert MEDIAMAGIC_KEY not in text
    assert SILENT_WITNESS_KEY not in text


def test_a_failed_job_is_described_without_another_request(job: Job, deferrable: bool) -> None:
    job.fails()
    ran: list[Any] = []
    job.task(deferrable=deferrable, on_failure_callback=lambda context: ran.append(context["ti"])).test()
    before = job.simulator.ledger()["total_requests"]
    (ti,) = ran
    lineage = ti.task.get_openlineage_facets_on_failure(ti)
    assert isinstance(lineage, OperatorLineage)
    facet = lineage.run_facets[f"{job.service}_job"]
    assert (facet.jobId, facet.status) == (job.seen()[0]["id"], "failed")
    assert facet.url == job.simulator.url
    assert job.simulator.ledger()["total_requests"] == before


def test_lineage_never_raises(report: ReportJob, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    report.takes(SOON)
    run = report.task(deferrable=False)
    monkeypatch.setattr(run.task, "lineage_inputs", lambda: [object()])
    with caplog.at_level(logging.WARNING):
        assert run.task.get_openlineage_facets_on_start() is None
    assert "No lineage for this task: AttributeError" in caplog.text


def test_without_the_provider_nothing_fails(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage.extractors", None)
    assert job.task().task.get_openlineage_facets_on_start() is None


def test_operators_do_not_import_openlineage() -> None:
    code = (
        "import sys, airflow_provider.operators.mediamagic, airflow_provider.operators.silent_witness\n"
        "print([name for name in sys.modules if name.partition('.')[0] == 'openlineage'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
