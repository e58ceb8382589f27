"""An attempt that no retry follows leaves no report running, whatever it ends with."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from airflow_provider.exceptions import (
    InvalidInputError,
    JobCancelledError,
    JobTimeoutError,
    LedgerError,
    NotFoundError,
    ProviderError,
)
from airflow_provider.operators.silent_witness import SilentWitnessCancelReportOperator
from airflow_provider.triggers.silent_witness import SilentWitnessReportTrigger
from tests.airflow.jobs import ENDLESS, ReportJob
from tests.airflow.lone import FakeStateStore, FakeTaskInstance, execute


class FullStore(FakeStateStore):
    """A store that takes no record with an id."""

    def set(self, key: str, value: dict[str, Any], *, retention: Any = None) -> None:
        if value["job_id"]:
            raise OSError("the database is read-only")
        super().set(key, value)


def attempt(
    report: ReportJob, store: FakeStateStore, ti: FakeTaskInstance | None = None, **arguments: Any
) -> Any:
    return execute(report.operator(task_id="job", deferrable=False, **arguments), store=store, ti=ti)


@pytest.fixture
def started(report: ReportJob) -> tuple[FakeStateStore, dict[str, Any]]:
    """The record of an attempt that has started a report and waited for nothing, and its arguments."""
    report.takes(ENDLESS)
    store, arguments = FakeStateStore(), report.arguments()
    attempt(report, store, wait_for_completion=False, **arguments)
    return store, arguments


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("tries_left", [0, 3])
def test_a_report_that_may_not_be_read_is_cancelled(
    report: ReportJob, started: tuple[FakeStateStore, dict[str, Any]], status: int, tries_left: int
) -> None:
    store, arguments = started
    report.simulator.fault("status", report.status_path, "GET", status=status)
    (seen,) = report.seen()
    with pytest.raises(ProviderError, match=rf"{seen['id']} was cancelled"):
        attempt(report, store, FakeTaskInstance(try_number=1, max_tries=tries_left), **arguments)
    assert report.cancels() == [seen["id"]]


@pytest.mark.parametrize("last", [True, False])
def test_a_report_that_cannot_be_recorded_is_cancelled_by_the_last_attempt(
    report: ReportJob, last: bool
) -> None:
    report.takes(ENDLESS)
    ti = FakeTaskInstance(try_number=1, max_tries=0 if last else 1)
    with pytest.raises(LedgerError) as caught:
        attempt(report, FullStore(), ti, **report.arguments())
    (seen,) = report.seen()
    assert seen["id"] in str(caught.value)
    assert report.cancels() == ([seen["id"]] if last else [])


def test_the_report_that_another_one_is_named_for_is_cancelled(
    report: ReportJob, started: tuple[FakeStateStore, dict[str, Any]]
) -> None:
    store, arguments = started
    (first,) = report.seen()
    with pytest.raises(NotFoundError):
        attempt(report, store, wait_for_completion=False, report_id="rpt_typo", **arguments)
    assert report.cancels() == []
    by_hand = report.order(arguments["case_id"])
    attempt(report, store, wait_for_completion=False, report_id=by_hand, **arguments)
    assert report.cancels() == [first["id"]]


def test_what_report_id_names_must_be_a_report_of_the_case(report: ReportJob) -> None:
    arguments = report.arguments()
    for wrong, why in ((report.order(), "a report of case"), (arguments["case_id"], "is a case")):
        report.order(arguments["case_id"])
        with pytest.raises(InvalidInputError, match=f"report_id.*{why}"):
            attempt(report, FakeStateStore(), report_id=wrong, **arguments)
    assert report.cancels() == []


@pytest.mark.parametrize("status", [403, 404, 409, 500])
@pytest.mark.parametrize("after", [False, True], ids=["refused", "carried out"])
def test_a_cancel_counts_by_how_the_report_stands_and_not_by_its_answer(
    report: ReportJob, deferrable: bool, status: int, after: bool
) -> None:
    report.takes(ENDLESS)
    report.simulator.fault("status", report.status_path, "DELETE", status=status, after=after, times=1)
    run = report.task(deferrable=deferrable, timeout=0.3).test()
    assert type(run.error) is JobTimeoutError
    assert "The report was cancelled" in str(run.error)
    assert report.running() == []


def test_a_report_that_has_ended_when_it_would_be_cancelled_is_the_result(
    report: ReportJob, deferrable: bool
) -> None:
    """Nobody could read it before, and no retry follows."""
    report.takes(0.0)
    report.simulator.fault("status", report.status_path, "GET", status=403, times=6)
    run = report.task(deferrable=deferrable).test()
    assert run.value == report.result_of(report.seen()[0]["id"])


NOTHING_DONE: dict[str, Any] = {"status": 200, "body": {"success": True, "data": {"status": "cancelled"}}}


@pytest.mark.parametrize("times", [1, 2])
def test_a_cancel_that_is_accepted_and_not_carried_out_is_sent_again(
    report: ReportJob, deferrable: bool, times: int
) -> None:
    report.takes(ENDLESS)
    report.simulator.fault("status", report.status_path, "DELETE", times=times, **NOTHING_DONE)
    run = report.task(deferrable=deferrable, timeout=0.3).test()
    assert "The report was cancelled" in str(run.error)
    assert report.running() == []


def test_a_report_that_is_never_cancelled_is_not_called_so(report: ReportJob, deferrable: bool) -> None:
    report.takes(ENDLESS)
    report.simulator.fault("status", report.status_path, "DELETE", **NOTHING_DONE)
    run = report.task(deferrable=deferrable, timeout=0.3).test()
    assert "The report goes on" in str(run.error)


def test_a_killed_trigger_sends_a_cancel_again_that_is_not_carried_out(report: ReportJob) -> None:
    report.takes(ENDLESS)
    now = time.time()
    trigger = SilentWitnessReportTrigger(
        "silent_witness_default", report.order(), now, now + 600, cancel_on_kill=True
    )
    report.simulator.fault("status", report.status_path, "DELETE", times=1, **NOTHING_DONE)
    asyncio.run(trigger.on_kill())
    assert report.running() == []


@pytest.mark.parametrize("status", [403, 404, 500])
@pytest.mark.parametrize("refused", [0, 404, 409])
def test_a_killed_trigger_cancels_a_report_that_it_cannot_read(
    report: ReportJob, status: int, refused: int
) -> None:
    report.takes(ENDLESS)
    now = time.time()
    conn_id = "silent_witness_default"
    trigger = SilentWitnessReportTrigger(conn_id, report.order(), now, now + 600, cancel_on_kill=True)
    report.simulator.fault("status", report.status_path, "GET", status=status)
    if refused:
        report.simulator.fault("status", report.status_path, "DELETE", status=refused, times=1)
    asyncio.run(trigger.on_kill())
    assert report.running() == []


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_teardown_cancels_a_report_that_it_cannot_read(report: ReportJob, status: int) -> None:
    report.takes(ENDLESS)
    report.simulator.fault("status", report.status_path, "GET", status=status)
    report_id = report.order()
    cancelled = execute(SilentWitnessCancelReportOperator(task_id="cancel", report_id=report_id))
    assert cancelled == {"id": report_id, "status": "cancelled"}
    assert report.running() == []


@pytest.mark.parametrize("status", [404, 500])
def test_a_kill_during_re_attachment_cancels_the_recorded_report(
    report: ReportJob,
    started: tuple[FakeStateStore, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    deferrable: bool,
    status: int,
) -> None:
    """The user kills the task while it reads a report that it may wait for again."""
    store, arguments = started
    report.simulator.fault("status", report.status_path, "GET", status=status)
    task = report.operator(task_id="job", deferrable=deferrable, **arguments)
    fetch = task.fetch

    def killed(*args: Any) -> Any:
        task.on_kill()
        return fetch(*args)

    monkeypatch.setattr(task, "fetch", killed)
    with pytest.raises(JobCancelledError, match="was cancelled"):
        execute(task, store=store)
    assert report.running() == []


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "searched for"])
def test_a_kill_while_a_new_report_cannot_be_recorded_cancels_it(
    report: ReportJob, deferrable: bool, lost: bool
) -> None:
    report.takes(ENDLESS)
    if lost:
        report.simulator.fault("lost_answer", report.create_path, "POST", times=1)
    task = report.operator(task_id="job", deferrable=deferrable, **report.arguments())

    class Killed(FullStore):
        def set(self, key: str, value: dict[str, Any], *, retention: Any = None) -> None:
            if value["job_id"]:
                task.on_kill()
            super().set(key, value, retention=retention)

    with pytest.raises(JobCancelledError, match="was cancelled"):
        execute(task, store=Killed())
    assert report.running() == []


@pytest.mark.parametrize("named_next", ["another", None], ids=str)
@pytest.mark.parametrize("cleared", [True, False], ids=["cleared", "retried"])
def test_a_report_that_was_only_named_is_not_cancelled_when_it_is_named_no_more(
    report: ReportJob, deferrable: bool, named_next: str | None, cleared: bool
) -> None:
    """The user may have named the wrong one of several."""
    report.takes(ENDLESS)
    case_id = report.case()
    theirs = report.order(case_id)
    run = report.task(
        case_id=case_id, deferrable=deferrable, report_id=theirs, wait_for_completion=False
    ).attempt()
    run.task.report_id = report.order(case_id) if named_next else None
    if not named_next:
        run.task.use_demo_data = True
    if cleared:
        run.clear()
    run.attempt()
    assert run.value["id"] != theirs
    assert theirs in report.simulator.ledger()["running_ids"]


def test_a_clear_pays_for_a_new_report_beside_one_that_was_only_named(report: ReportJob) -> None:
    report.takes(ENDLESS)
    case_id = report.case()
    theirs = report.order(case_id)
    run = report.task(case_id=case_id, report_id=theirs, wait_for_completion=False).attempt()
    run.task.report_id = None
    run.clear().attempt()
    assert run.value["id"] != theirs
    assert theirs in report.simulator.ledger()["running_ids"]
