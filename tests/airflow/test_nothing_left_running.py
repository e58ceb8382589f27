"""An attempt that no retry follows leaves no report running, whatever it ends with."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.exceptions import LedgerError, ProviderError
from tests.airflow.jobs import ENDLESS, ReportJob
from tests.airflow.lone import FakeStateStore, FakeTaskInstance, execute


class FullStore(FakeStateStore):
    """A store that takes no record with an id."""

    def set(self, key: str, value: dict[str, Any]) -> None:
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
    by_hand = report.order()
    attempt(report, store, wait_for_completion=False, report_id=by_hand, **arguments)
    assert report.cancels() == [first["id"]]
