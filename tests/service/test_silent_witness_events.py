"""Reports that end become events, whoever has ordered them: the trigger against the simulated service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider.core.polling.pages import Pages
from airflow_provider.core.polling.shared_clients import SharedClients
from airflow_provider.core.polling.wait import JobState
from airflow_provider.exceptions import MalformedResponseError, NotFoundError, ServerError
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.hooks.silent_witness_report import REPORT
from airflow_provider.simulator import Simulator
from airflow_provider.testing.services import KEYS
from airflow_provider.triggers import silent_witness_events
from airflow_provider.triggers.silent_witness_events import SilentWitnessEventTrigger
from tests.airflow.lone import FakeAssetStore
from tests.simulator.talk import SilentWitnessTalk

HOURS = 7200.0


class Dashboard:
    """A person who orders reports without Airflow."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.talk = SilentWitnessTalk(simulator)
        self.talk.key = KEYS["silent_witness"]

    def case(self) -> str:
        return self.talk.ready_case()

    def order(self, case_id: str, **outcome: Any) -> str:
        """Order a report that takes hours, unless the outcome says otherwise."""
        self.simulator.script("silent_witness", match={"case_id": case_id}, **{"duration": HOURS, **outcome})
        try:
            return str(self.talk.order(case_id).json()["data"]["id"])
        finally:
            self.simulator.clear_scripts()

    def cancel(self, report_id: str) -> None:
        assert self.talk.send("DELETE", f"/api/reports/{report_id}").status_code == 200


@pytest.fixture
def dashboard(simulator: Simulator, silent_witness_conn: str, monkeypatch: pytest.MonkeyPatch) -> Dashboard:
    monkeypatch.setattr(silent_witness_events, "HINT_INTERVAL", 0.05)
    simulator.settings(silent_witness_limits="off")
    return Dashboard(simulator)


def watching(store: Any = None, poll_interval: float = 0.1) -> SilentWitnessEventTrigger:
    trigger = SilentWitnessEventTrigger(poll_interval=poll_interval)
    trigger.asset_state_store = store
    return trigger


def read(trigger: SilentWitnessEventTrigger, count: int, then: Callable[[], object]) -> list[dict[str, Any]]:
    """
    Return the payloads of so many events.

    :param then: done once the whole list was read.
    """

    async def main() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        first = asyncio.Event()
        plain = Pages.read_all

        async def seen(*args: Any) -> tuple[dict[str, Any], int]:
            read = await plain(*args)
            first.set()
            return read

        async def act() -> None:
            await first.wait()
            await asyncio.to_thread(then)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Pages, "read_all", seen)
            acting = asyncio.create_task(act())
            async with asyncio.timeout(60), aclosing(trigger.run()) as events:  # type: ignore[type-var]
                while len(found) < count:
                    found.append((await anext(events)).payload)
                await acting
        return found

    return asyncio.run(main())


def nothing() -> None:
    """What happens is what has happened."""


def ids(events: list[dict[str, Any]]) -> set[str]:
    assert len({event["report_id"] for event in events}) == len(events), "each once"
    return {event["report_id"] for event in events}


def test_a_report_that_ends_becomes_an_event(dashboard: Dashboard) -> None:
    case_id = dashboard.case()
    report_id = dashboard.order(case_id)
    (event,) = read(watching(FakeAssetStore()), 1, lambda: dashboard.simulator.advance(HOURS))
    assert event.pop("created_at")
    assert event == {
        "report_id": report_id,
        "case_id": case_id,
        "status": "completed",
        "conn_id": "silent_witness_default",
    }


def test_failed_and_cancelled_reports_are_told_too(dashboard: Dashboard) -> None:
    failing = dashboard.order(dashboard.case(), status="failed")
    cancelled = dashboard.order(dashboard.case())

    def then() -> None:
        dashboard.cancel(cancelled)
        dashboard.simulator.advance(HOURS)

    events = read(watching(FakeAssetStore()), 2, then)
    assert {event["report_id"]: event["status"] for event in events} == {
        failing: "failed",
        cancelled: "cancelled",
    }


def test_a_report_that_is_ordered_and_ends_between_two_reads_is_told(dashboard: Dashboard) -> None:
    made: list[str] = []
    events = read(
        watching(FakeAssetStore()), 1, lambda: made.append(dashboard.order(dashboard.case(), duration=0))
    )
    assert ids(events) == set(made)


def test_what_had_ended_before_is_not_told(dashboard: Dashboard) -> None:
    dashboard.order(dashboard.case(), duration=0)
    dashboard.simulator.advance(HOURS)
    running = dashboard.order(dashboard.case())
    assert ids(read(watching(FakeAssetStore()), 1, lambda: dashboard.simulator.advance(HOURS))) == {running}


def test_a_restart_tells_what_has_ended_meanwhile_and_nothing_twice(dashboard: Dashboard) -> None:
    store = FakeAssetStore()
    first, second = (dashboard.order(dashboard.case()) for _ in range(2))
    dashboard.simulator.advance(HOURS / 2)
    third = dashboard.order(dashboard.case())
    events = read(watching(store), 2, lambda: dashboard.simulator.advance(HOURS / 2))
    assert ids(events) == {first, second}
    dashboard.simulator.advance(HOURS)
    fourth = dashboard.order(dashboard.case(), duration=0)
    assert ids(read(watching(store), 2, nothing)) == {third, fourth}
    fifth = dashboard.order(dashboard.case())
    assert ids(read(watching(store), 1, lambda: dashboard.simulator.advance(HOURS))) == {fifth}


def test_reports_that_share_a_case_are_each_told_once(dashboard: Dashboard) -> None:
    case_id = dashboard.case()
    older = dashboard.order(case_id, duration=2 * HOURS)
    newer = dashboard.order(case_id)

    def then() -> None:
        dashboard.simulator.advance(HOURS)

    store = FakeAssetStore()
    assert ids(read(watching(store), 1, then)) == {newer}
    assert ids(read(watching(store), 1, then)) == {older}


def test_a_second_report_on_a_case_is_told_alone(dashboard: Dashboard) -> None:
    case_id, store = dashboard.case(), FakeAssetStore()
    first = dashboard.order(case_id)
    assert ids(read(watching(store), 1, lambda: dashboard.simulator.advance(HOURS))) == {first}
    second = dashboard.order(case_id)
    assert ids(read(watching(store), 1, lambda: dashboard.simulator.advance(HOURS))) == {second}


def test_a_list_that_goes_on_saying_processing_is_not_believed_for_long(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silent_witness_events, "LONGEST", 0.3)
    dashboard.simulator.settings(list_status="processing")
    report_id = dashboard.order(dashboard.case())
    assert ids(read(watching(FakeAssetStore()), 1, lambda: dashboard.simulator.advance(HOURS))) == {report_id}


@pytest.mark.parametrize("settings", [{"list_cap": 1}, {"null_lists": True}, {"list_order": "oldest"}])
def test_every_page_is_read(dashboard: Dashboard, settings: dict[str, Any]) -> None:
    dashboard.simulator.settings(**settings)
    reports = {dashboard.order(dashboard.case()) for _ in range(3)}
    assert ids(read(watching(FakeAssetStore()), 3, lambda: dashboard.simulator.advance(HOURS))) == reports


@pytest.mark.parametrize("path", ["/api/cases", "/api/reports"])
@pytest.mark.parametrize("kind", [{"kind": "status", "status": 500}, {"kind": "html"}, {"kind": "reset"}])
def test_trouble_loses_no_event(dashboard: Dashboard, path: str, kind: dict[str, Any]) -> None:
    reports = {dashboard.order(dashboard.case()) for _ in range(2)}

    def then() -> None:
        dashboard.simulator.fault(path=path, method="GET", times=2, **kind)
        dashboard.simulator.advance(HOURS)
        reports.add(dashboard.order(dashboard.case(), duration=0))

    assert ids(read(watching(FakeAssetStore()), 3, then)) == reports


@pytest.mark.parametrize(
    "error", [NotFoundError("404"), ServerError("500", http_status=500), MalformedResponseError("of another")]
)
def test_a_case_whose_reports_cannot_be_read_holds_no_other_back(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    cases = [dashboard.case() for _ in range(3)]
    reports = [dashboard.order(case_id) for case_id in cases]
    plain = SilentWitnessHook.alist_reports

    async def broken(hook: Any, client: Any, case_id: str) -> list[dict[str, Any]]:
        if case_id == cases[1]:
            raise error
        return await plain(hook, client, case_id)

    monkeypatch.setattr(SilentWitnessHook, "alist_reports", broken)
    events = read(watching(FakeAssetStore()), 2, lambda: dashboard.simulator.advance(HOURS))
    assert ids(events) == {reports[0], reports[2]}


@pytest.mark.parametrize("store", [None, FakeAssetStore(watched=2)], ids=["older Airflow", "two assets"])
def test_without_a_store_events_are_told_while_the_trigger_runs(
    dashboard: Dashboard, store: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    report_id = dashboard.order(dashboard.case())
    assert ids(read(watching(store), 1, lambda: dashboard.simulator.advance(HOURS))) == {report_id}
    assert "needs Airflow 3.3.2" in capfd.readouterr().out


def test_a_store_that_cannot_be_read_yet_ends_no_watch(dashboard: Dashboard) -> None:
    class Away(FakeAssetStore):
        asked = 0

        async def aget(self, key: str, default: Any = None) -> Any:
            self.asked += 1
            if self.asked == 1:
                raise OSError("no API")
            return await super().aget(key, default)

    report_id = dashboard.order(dashboard.case())
    assert ids(read(watching(Away()), 1, lambda: dashboard.simulator.advance(HOURS))) == {report_id}


def test_a_store_that_fails_holds_no_event_back(
    dashboard: Dashboard, capfd: pytest.CaptureFixture[str]
) -> None:
    store = FakeAssetStore()
    store.broken = RuntimeError("database is gone")
    report_id = dashboard.order(dashboard.case())
    assert ids(read(watching(store), 1, lambda: dashboard.simulator.advance(HOURS))) == {report_id}
    assert "could not be stored" in capfd.readouterr().out


def test_what_waits_on_the_key_have_read_makes_it_quicker(dashboard: Dashboard) -> None:
    case_id = dashboard.case()
    report_id = dashboard.order(case_id)
    seen: dict[str, JobState | None] = {}

    def then() -> None:
        dashboard.simulator.advance(HOURS)
        seen[case_id] = JobState.SUCCEEDED

    async def main() -> list[dict[str, Any]]:
        trigger = watching(FakeAssetStore(), poll_interval=3600.0)
        async with SharedClients.current().lease(SilentWitnessHook, trigger.conn_id) as lease:
            assert REPORT.listing is not None
            (await lease.key_state()).sweep(REPORT.listing).listed = seen
            async with asyncio.timeout(60), aclosing(trigger.run()) as events:  # type: ignore[type-var]
                reader = asyncio.ensure_future(anext(events))
                while not dashboard.simulator.ledger()["requests"].get("GET /api/cases", 0) >= 2:
                    await asyncio.sleep(0.05)
                await asyncio.to_thread(then)
                return [(await reader).payload]

    assert ids(asyncio.run(main())) == {report_id}


def test_it_survives_its_serialization() -> None:
    trigger = SilentWitnessEventTrigger(conn_id="c", poll_interval=60.0)
    path, kwargs = trigger.serialize()
    assert path.endswith(".SilentWitnessEventTrigger")
    assert SilentWitnessEventTrigger(**kwargs).serialize() == (path, kwargs)


def test_the_trigger_can_be_given_to_a_queue_of_triggerers() -> None:
    trigger = SilentWitnessEventTrigger(queue="outside")
    assert trigger.queue == "outside"
    assert "queue" not in trigger.serialize()[1]


def test_an_interval_may_be_a_timedelta() -> None:
    trigger = SilentWitnessEventTrigger(poll_interval=timedelta(minutes=1))
    assert trigger.serialize()[1]["poll_interval"] == 60.0


@pytest.mark.parametrize("interval", [0, "soon", True, timedelta(0)])
def test_an_interval_that_cannot_be_is_refused(interval: Any) -> None:
    with pytest.raises(ValueError, match="poll_interval"):
        SilentWitnessEventTrigger(poll_interval=interval)
