"""Which reports of an account have ended since they are watched; times are passed in."""

from __future__ import annotations

import asyncio
import json
from typing import Any

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
