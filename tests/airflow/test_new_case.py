"""A case or evidence that is new: that the service does not know it everywhere yet ends no night."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider.core.jobs import pay_once
from airflow_provider.core.jobs.run import JobRun
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateCaseOperator,
    SilentWitnessCreateReportOperator,
    SilentWitnessUploadEvidenceOperator,
    new_case,
)
from airflow_provider.simulator import Simulator
from airflow_provider.testing.throwaway import run_dag
from tests.airflow.jobs import ENDLESS, SOON, ReportJob
from tests.airflow.test_few_requests import PARTIES
from tests.conftest import SILENT_WITNESS_KEY
from tests.simulator.talk import SilentWitnessTalk, picture

PATHS = ("/api/files/upload", "/api/reports")


def states_of_a_pipeline(
    simulator: Simulator, tmp_path: Path, *, deferrable: bool, case_id: str | None, unknown: int
) -> dict[str, str]:
    """Let a case, its evidence and a report be made, with some answers that deny the case."""
    simulator.script("silent_witness", duration=SOON)
    for path in PATHS:
        simulator.fault("status", path, "POST", status=404, times=unknown)
    (tmp_path / "front.jpg").write_bytes(picture())
    with DAG("new_case", schedule=None, default_args={"deferrable": deferrable}) as dag:
        case = SilentWitnessCreateCaseOperator(task_id="case", case_id=case_id, **PARTIES)
        made: Any = "{{ ti.xcom_pull('case', key='case_id') }}"
        evidence = SilentWitnessUploadEvidenceOperator(
            task_id="evidence", case_id=made, files=[str(tmp_path / "front.jpg")]
        )
        report = SilentWitnessCreateReportOperator(task_id="report", case_id=made, poll_interval=0.1)
        case >> evidence >> report
    return {ti.task_id: str(ti.state) for ti in run_dag(dag).get_task_instances()}


@pytest.fixture(autouse=True)
def _reads_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pay_once, "READ_PAUSES", (0.01,) * 3)


@pytest.mark.usefixtures("airflow_db", "silent_witness_conn")
@pytest.mark.parametrize(("unknown", "known_in_time"), [(2, True), (4, False)])
def test_a_case_of_this_run_that_is_not_found_is_asked_about_again(
    simulator: Simulator, deferrable: bool, tmp_path: Path, unknown: int, known_in_time: bool
) -> None:
    states = states_of_a_pipeline(simulator, tmp_path, deferrable=deferrable, case_id=None, unknown=unknown)
    assert states["evidence"] == ("success" if known_in_time else "failed")
    if known_in_time:
        assert states["report"] == "success"
        ledger = simulator.ledger()
        assert (len(ledger["cases"]), len(ledger["reports"]), len(ledger["uploads"])) == (1, 1, 1)


@pytest.mark.usefixtures("airflow_db", "silent_witness_conn")
def test_a_case_that_a_user_names_is_believed_not_to_be_there(simulator: Simulator, tmp_path: Path) -> None:
    talk = SilentWitnessTalk(simulator)
    talk.key = SILENT_WITNESS_KEY
    case_id = talk.case()
    states = states_of_a_pipeline(simulator, tmp_path, deferrable=False, case_id=case_id, unknown=1)
    assert states["evidence"] == "failed"


@pytest.mark.parametrize("fresh", [True, False], ids=["fresh evidence", "old evidence"])
@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed"])
def test_evidence_of_a_moment_ago_that_a_report_is_refused_for_is_waited_for(
    report: ReportJob, deferrable: bool, monkeypatch: pytest.MonkeyPatch, fresh: bool, listed: bool
) -> None:
    report.takes(SOON)
    run = report.task(deferrable=deferrable)
    report.simulator.fault("status", "/api/reports", "POST", status=422, times=2)
    if not listed:
        report.simulator.fault("null_data", "/api/files", "GET")
    if not fresh:
        monkeypatch.setattr(new_case, "NEW_FOR", 0.0)
        report.simulator.advance(2.0)
    run.test()
    assert run.state == ("success" if fresh or not listed else "failed")
    assert len(report.seen()) == (run.state == "success")


@pytest.mark.parametrize("clocks", [(0.0, 300.0), (-300.0, 300.0), (300.0, -300.0), (0.0, -7200.0)], ids=str)
def test_evidence_is_new_on_any_of_the_clocks(report: ReportJob, clocks: tuple[float, float]) -> None:
    report.takes(SOON)
    clock, date = clocks
    report.simulator.settings(clock_skew=clock, date_skew=date)
    run = report.task()
    report.simulator.fault("status", "/api/reports", "POST", status=422, times=1)
    assert run.test().state == "success"


@pytest.mark.parametrize("status", [400, 403])
def test_other_refusals_of_a_report_are_believed(report: ReportJob, status: int) -> None:
    report.simulator.fault("status", "/api/reports", "POST", status=status, times=1)
    assert report.task().test().state == "failed"


def test_the_intent_of_a_report_that_is_sent_again_is_as_young_as_the_request(
    report: ReportJob, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search for a lost report counts from it."""
    paused: list[float] = []
    monkeypatch.setattr(JobRun, "pause", lambda self, seconds: paused.append(time.time()))
    report.takes(ENDLESS)
    report.simulator.fault("status", "/api/reports", "POST", status=422, times=2)
    record = report.task(deferrable=deferrable, wait_for_completion=False).test().record
    assert record is not None
    assert len(paused) == 2
    assert record["intent_at"] >= paused[-1]
