"""The links beside a task, as a person sees them: deferred, finished, mapped, failed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import ANY

import pytest
from airflow.sdk import DAG

from airflow_provider import links
from airflow_provider.core import links as core_links
from airflow_provider.operators.silent_witness import SilentWitnessCreateReportOperator as CreateReport
from airflow_provider.operators.silent_witness import SilentWitnessDownloadReportOperator as DownloadReport
from airflow_provider.simulator import Simulator
from tests.airflow.jobs import ENDLESS, SOON
from tests.airflow.task_run import Recorder, TaskRun, register
from tests.browser.web import Web
from tests.conftest import SILENT_WITNESS_KEY
from tests.service.files.s3_server import s3_server
from tests.simulator.talk import OCCUPANT, SilentWitnessTalk

CONSOLE = "https://console.aws.amazon.com"
REPORT_LINKS = {
    "Silent Witness dashboard": "https://app.silentwitness.ai",
    "Report": ANY,
}


@dataclass
class Runs:
    """What was run before the browser looks."""

    deferred: TaskRun
    failed: TaskRun
    finished: DAG
    finished_run_id: str
    report_ids: list[str]


@pytest.fixture(scope="module")
def runs(simulated_services_process: Simulator, airflow_db: None) -> Iterator[Runs]:
    """Tasks in every state; the simulator counts as production, and its S3 as Amazon's."""
    simulated_services_process.reset()
    talk = SilentWitnessTalk(simulated_services_process)
    talk.key = SILENT_WITNESS_KEY
    store = s3_server()
    store.fill()

    def case() -> str:
        return talk.ready_case(analysis_type="accident_injury", occupants=[OCCUPANT])

    def report(**script: Any) -> TaskRun:
        simulated_services_process.reset()
        simulated_services_process.script("silent_witness", **script)
        return TaskRun(
            lambda **basic: CreateReport(**basic, case_id=case(), deferrable=True, poll_interval=0.05),
            Recorder(),
        )

    connection = {
        "conn_type": "silent_witness",
        "host": simulated_services_process.url,
        "password": SILENT_WITNESS_KEY,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(links.DASHBOARDS, "127.0.0.1", "https://app.silentwitness.ai")
        patch.setattr(core_links, "_aws_console", lambda location: CONSOLE)
        patch.setenv("AIRFLOW_CONN_SILENT_WITNESS_DEFAULT", json.dumps(connection))
        patch.setenv("AIRFLOW_CONN_FILES_S3", store.connection)
        simulated_services_process.script("silent_witness", duration=SOON)
        cases = [case(), case()]
        with DAG("crash_reports", schedule=None) as dag:
            reports = CreateReport.partial(task_id="report", deferrable=True, poll_interval=0.05).expand(
                case_id=cases
            )
            DownloadReport.partial(task_id="download", output_path="s3://files_s3@bucket/reports").expand(
                report_id=reports.output.map(lambda one: one["id"])
            )
        register(dag)
        run_id = dag.test().run_id
        made = simulated_services_process.ledger()["reports"]
        report_ids = [one["id"] for each in cases for one in made if one["case_id"] == each]
        deferred = report(duration=ENDLESS).attempt(until_deferred=True)
        failed = report(duration=SOON, status="failed", message="Report generation timed out").test()
        yield Runs(deferred, failed, dag, run_id, report_ids)
    store.clear()
    simulated_services_process.reset()


def test_of_a_deferred_task(runs: Runs, web: Web) -> None:
    assert runs.deferred.state == "deferred"
    shown = web.links(runs.deferred.dag.dag_id, runs.deferred.run_id, "job")
    web.picture("links-deferred")
    assert shown == REPORT_LINKS


def test_of_a_failed_task(runs: Runs, web: Web) -> None:
    assert runs.failed.state == "failed"
    shown = web.links(runs.failed.dag.dag_id, runs.failed.run_id, "job")
    web.picture("links-failed")
    assert shown == REPORT_LINKS


@pytest.mark.parametrize("map_index", [0, 1])
def test_of_mapped_tasks_that_have_finished(runs: Runs, web: Web, map_index: int) -> None:
    dag_id = runs.finished.dag_id
    assert web.links(dag_id, runs.finished_run_id, "report", map_index) == REPORT_LINKS
    web.picture("links-finished-mapped")
    file = f"{CONSOLE}/s3/object/bucket?prefix=reports%2F{runs.report_ids[map_index]}"
    shown = web.links(dag_id, runs.finished_run_id, "download", map_index)
    web.picture("links-downloaded-mapped")
    assert shown == {
        "Silent Witness dashboard": "https://app.silentwitness.ai",
        "Report (PDF)": f"{file}.pdf",
        "Report (DOCX)": f"{file}.docx",
    }
