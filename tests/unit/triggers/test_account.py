"""Which reports of an account have ended since they are watched; times are passed in."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from airflow_provider.core.polling.wait import JobState
from airflow_provider.triggers.silent_witness_events import Account

NOW = 1_800_000_000.0
RUNNING, DONE = JobState.ACTIVE, JobState.SUCCEEDED


class Store:
    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def aget(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    async def aset(self, key: str, value: Any) -> None:
        self.values[key] = json.dumps(value)


def report(report_id: str, status: str, created_at: float) -> dict[str, Any]:
    from datetime import UTC, datetime

    created = datetime.fromtimestamp(created_at, tz=UTC).isoformat()
    return {"id": report_id, "status": status, "created_at": created}


def told(account: Account, reports: list[dict[str, Any]], now: float) -> list[str]:
    return [event["report_id"] for event in account.ended("case", reports, now)]


def changed(account: Account, state: JobState | None, now: float, changed_at: float = NOW - 1e6) -> list[str]:
    return account.changed({"case": state}, {"case": changed_at}, now)


def restarted(store: Store) -> Account:
    account = Account("c", store)
    asyncio.run(account.load())
    return account


def test_what_had_ended_on_a_case_before_anybody_watched_is_not_told() -> None:
    account = Account("c")
    assert changed(account, RUNNING, NOW) == []
    assert changed(account, DONE, NOW + 120) == ["case"]
    reports = [report("new", "completed", NOW - 100), report("old", "completed", NOW - 9000)]
    assert told(account, reports, NOW + 120) == ["new"]


def test_a_report_that_was_seen_running_is_told_wherever_it_stands_and_after_a_restart() -> None:
    store = Store()
    account = restarted(store)
    changed(account, RUNNING, NOW)
    changed(account, DONE, NOW + 120)
    reports = [report("newer", "completed", NOW - 50), report("older", "processing", NOW - 100)]
    assert told(account, reports, NOW + 120) == ["newer"]
    asyncio.run(account.save())

    account = restarted(store)
    assert changed(account, DONE, NOW + 9000) == ["case"]
    reports = [report("newer", "completed", NOW - 50), report("older", "failed", NOW - 100)]
    assert told(account, reports, NOW + 9000) == ["older"]
    assert changed(account, DONE, NOW + 9120) == []


def test_a_case_that_nobody_knows_is_looked_at_when_it_has_changed_since_the_list_was_read() -> None:
    store = Store()
    account = restarted(store)
    account.changed({}, {}, NOW)
    asyncio.run(account.save())
    assert changed(restarted(store), DONE, NOW + 9000, changed_at=NOW + 10) == ["case"]
    assert changed(restarted(store), DONE, NOW + 9000, changed_at=NOW - 600) == []
    assert changed(restarted(store), None, NOW + 9000, changed_at=NOW + 10) == [], "it has no report"


def test_a_case_that_left_the_list_is_looked_at_after_a_while() -> None:
    account = Account("c")
    changed(account, RUNNING, NOW)
    assert account.changed({}, {}, NOW + 120) == []
    assert account.changed({}, {}, NOW + 400) == ["case"]
    assert told(account, [report("one", "completed", NOW)], NOW + 400) == ["one"]
    assert account.changed({}, {}, NOW + 9000) == []


def test_a_report_without_a_status_says_nothing() -> None:
    account = Account("c")
    changed(account, RUNNING, NOW)
    assert told(account, [{"id": "one", "status": None, "created_at": None}], NOW) == []


@pytest.mark.parametrize("gone", [False, True])
def test_a_case_that_cannot_be_read_is_read_again_at_growing_distances(gone: bool) -> None:
    account, reads = Account("c"), []
    changed(account, RUNNING, NOW)
    for now in range(int(NOW) + 120, int(NOW) + 7 * 86400, 120):
        if changed(account, DONE, now):
            reads.append(now - NOW)
            account.unreadable("case", gone=gone)
    assert reads[:4] == [120, 240, 360, 600]
    assert len(reads) <= 20
    assert changed(account, DONE, NOW + 9 * 86400) == ["case"]
    assert told(account, [report("one", "completed", NOW)], NOW + 9 * 86400) == ["one"]


def test_a_case_that_is_neither_listed_nor_known_is_forgotten() -> None:
    account = Account("c")
    changed(account, RUNNING, NOW)
    assert account.changed({}, {}, NOW + 400) == ["case"]
    account.unreadable("case", gone=True)
    assert account.changed({}, {}, NOW + 9000) == []


def test_a_case_that_goes_on_being_shown_as_running_is_read_ever_less() -> None:
    account, reads = Account("c"), []
    for now in range(int(NOW), int(NOW) + 7 * 86400, 120):
        if changed(account, RUNNING, now):
            reads.append(now)
            told(account, [report("one", "failed", NOW)], now)
    assert len(reads) <= 20
    assert changed(account, DONE, NOW + 8 * 86400) == ["case"]


def test_a_case_whose_report_does_run_is_read_as_often_as_before() -> None:
    account, reads = Account("c"), []
    for now in range(int(NOW), int(NOW) + 3600, 100):
        if changed(account, RUNNING, now):
            reads.append(now)
            told(account, [report("one", "processing", NOW)], now)
    assert len(reads) == 11


def test_a_list_that_says_nothing_for_once_has_no_case_read_again() -> None:
    account = Account("c")
    for state in (DONE, None, DONE):
        assert changed(account, state, NOW) == []


def test_an_old_report_that_the_list_shows_as_running_is_not_told() -> None:
    account = Account("c")
    changed(account, RUNNING, NOW)
    assert changed(account, RUNNING, NOW + 400) == ["case"]
    assert told(account, [report("old", "failed", NOW - 30 * 86400)], NOW + 400) == []


def test_a_case_that_the_list_shows_minutes_late_is_read() -> None:
    account = Account("c")
    account.changed({}, {}, NOW)
    assert changed(account, DONE, NOW + 120, changed_at=NOW - 240) == ["case"]
