"""New reports after failures that may pass, and the reports they replace."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider.core.jobs.run import JobRun
from airflow_provider.exceptions import JobFailedError, JobInputError
from airflow_provider.operators.silent_witness import report as report_module
from tests.airflow.jobs import SOON, ReportJob


@pytest.fixture(autouse=True)
def _no_advised_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "RETRY_PAUSE", 0.0)


def _fail_first(report: ReportJob, times: int, message: str = "Report generation timed out") -> None:
    report.fails(message=message, times=times)
    report.takes(SOON)


def test_a_new_report_is_made_on_the_same_case(report: ReportJob, deferrable: bool) -> None:
    _fail_first(report, 1)
    run = report.task(report_retries=1, deferrable=deferrable).test()
    failed, made = sorted(report.seen(), key=lambda one: one["status"], reverse=True)
    assert run.value == report.result_of(made["id"])
    assert failed["case_id"] == made["case_id"]
    assert run.tries == 1


def test_the_id_in_xcom_is_that_of_the_new_report(report: ReportJob, deferrable: bool) -> None:
    _fail_first(report, 1)
    run = report.task(report_retries=1, deferrable=deferrable).test()
    assert run.xcoms["report_id"] == run.value["id"]


def test_the_number_of_new_reports_is_kept(report: ReportJob, deferrable: bool) -> None:
    _fail_first(report, 9)
    run = report.task(report_retries=2, deferrable=deferrable).test()
    assert type(run.error) is JobFailedError
    assert report.creations() == 3


def test_bad_photos_are_never_paid_for_again(report: ReportJob, deferrable: bool) -> None:
    _fail_first(report, 9, message="Delta-v calculation failed: image quality insufficient")
    run = report.task(report_retries=2, deferrable=deferrable).test()
    assert type(run.error) is JobInputError
    assert report.creations() == 1


def test_missing_occupants_are_never_paid_for_again(report: ReportJob) -> None:
    _fail_first(report, 9, message="Biomechanics analysis failed: occupant data incomplete")
    run = report.task(report_retries=2, deferrable=False).test()
    assert type(run.error) is JobInputError
    assert report.creations() == 1


def test_no_new_report_is_paid_for_that_has_no_time_to_end(report: ReportJob) -> None:
    report.fails(times=1)
    run = report.task(deferrable=False, report_retries=1, execution_timeout=timedelta(seconds=90)).test()
    assert type(run.error) is JobFailedError
    assert len(report.seen()) == 1


def test_the_pause_before_a_new_report_is_the_advised_one(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(report_module, "RETRY_PAUSE", 60.0)
    monkeypatch.setattr(JobRun, "pause", lambda self, seconds: pauses.append(seconds))
    _fail_first(report, 1)
    report.task(report_retries=1, deferrable=False).test()
    assert pauses == [60.0]


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_no_error_promises_a_new_report_in_place_of_one_that_was_named(
    report: ReportJob, deferrable: bool, status: str
) -> None:
    case_id = report.case()
    named = report.order(case_id)
    report.simulator.fault("set_field", report.status_path, "GET", field="data.status", value=status)
    run = report.task(case_id=case_id, report_id=named, deferrable=deferrable, retries=1).test()
    assert all("nothing is paid for in its place" in str(error) for error in run.errors)
    assert [one["id"] for one in report.seen()] == [named]
