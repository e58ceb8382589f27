"""Reports that wait together in a triggerer, against the simulated service: who is asked, and how often."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider.core.polling.shared_clients import SharedClients
from airflow_provider.core.polling.wait import JobState
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.hooks.silent_witness_report import REPORT, read_listed_states
from airflow_provider.simulator import Simulator
from airflow_provider.testing.services import KEYS
from airflow_provider.triggers.silent_witness import SilentWitnessReportTrigger
from tests.simulator.talk import SilentWitnessTalk

SCALE = 60.0
CONN_ID = "swept"
COUNT = 8


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator(time_scale=SCALE) as simulator:
        yield simulator


@pytest.fixture
def fast(server: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """A service whose time runs sixty times as fast, and a connection to it."""
    server.reset()
    connection = {"conn_type": "silent_witness", "host": server.url, "password": KEYS["silent_witness"]}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
    return server


def ordered(simulator: Simulator, durations: list[float]) -> dict[str, str]:
    """Order reports on a case each; return the cases by report id."""
    talk = SilentWitnessTalk(simulator)
    talk.key = KEYS["silent_witness"]
    cases = [talk.ready_case() for _ in durations]
    found = {}
    for case_id, duration in zip(cases, durations, strict=True):
        simulator.script("silent_witness", match={"case_id": case_id}, duration=duration)
        found[str(talk.order(case_id).json()["data"]["id"])] = case_id
    return found


def follow(reports: dict[str, str], *, known: bool, proven: bool = True) -> list[str]:
    """
    Wait for reports as a triggerer does; return how the waits ended.

    :param known: whether the triggers were told the cases.
    :param proven: whether the list of cases has announced ends before.
    """

    async def one(clients: SharedClients, report_id: str, case_id: str) -> str:
        now = clients.clock()
        case = {"case_id": case_id} if known else {}
        trigger = SilentWitnessReportTrigger(CONN_ID, report_id, now, now + 600.0, **case)
        events = [event async for event in trigger.run()]
        return str(events[0].payload["status"])

    async def main() -> list[str]:
        began = time.time()

        async def sleep(seconds: float) -> None:
            await asyncio.sleep(seconds / SCALE)

        clients = SharedClients(clock=lambda: began + (time.time() - began) * SCALE, sleep=sleep)
        SharedClients._of_loop[asyncio.get_running_loop()] = clients
        async with clients.lease(SilentWitnessHook, CONN_ID) as lease:
            assert REPORT.listing is not None
            (await lease.key_state()).sweep(REPORT.listing).health.proven = proven
            return list(await asyncio.gather(*(one(clients, *report) for report in reports.items())))

    return asyncio.run(main())


def requests(simulator: Simulator, path: str) -> int:
    return int(simulator.ledger()["requests"].get(f"GET {path}", 0))


def polls(simulator: Simulator, reports: dict[str, str]) -> list[int]:
    return [simulator.ledger()["polls"][report_id]["count"] for report_id in reports]


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_a_list_of_cases_takes_the_place_of_polls(fast: Simulator, order: str) -> None:
    fast.settings(list_order=order)
    reports = ordered(fast, [100.0 + 10 * number for number in range(COUNT)])
    assert set(follow(reports, known=True)) == {"success"}
    assert requests(fast, "/api/cases") >= 5
    assert sum(polls(fast, reports)) <= 3 * COUNT


def test_a_trigger_that_was_deferred_without_the_case_learns_it_from_its_first_poll(fast: Simulator) -> None:
    reports = ordered(fast, [200.0] * COUNT)
    assert set(follow(reports, known=False)) == {"success"}
    assert requests(fast, "/api/cases") >= 3
    assert sum(polls(fast, reports)) <= 5 * COUNT


@pytest.mark.parametrize("status", ["processing", "none", "completed", "in review"])
def test_a_list_that_lies_loses_no_report(fast: Simulator, status: str) -> None:
    fast.settings(list_status=status)
    reports = ordered(fast, [30.0] * COUNT)
    assert set(follow(reports, known=True, proven=False)) == {"success"}


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 403},
        {"kind": "status", "status": 404},
        {"kind": "status", "status": 500},
        {"kind": "garbage"},
        {"kind": "html"},
        {"kind": "reset"},
        {"kind": "truncate"},
        {"kind": "empty"},
    ],
    ids=lambda fault: str(fault.get("status", fault["kind"])),
)
def test_a_list_that_cannot_be_read_loses_no_report(fast: Simulator, fault: dict[str, Any]) -> None:
    reports = ordered(fast, [30.0] * COUNT)
    fast.fault(path="/api/cases", method="GET", **fault)
    assert set(follow(reports, known=True)) == {"success"}
    assert 1 <= requests(fast, "/api/cases") <= 12


def test_what_a_row_says_of_a_report(fast: Simulator) -> None:
    running, done, failed = ordered(fast, [9000.0, 0.0, 0.0]).values()
    talk = SilentWitnessTalk(fast)
    talk.key = KEYS["silent_witness"]
    unused = talk.case()

    async def read() -> dict[str, JobState | None]:
        hook = SilentWitnessHook(CONN_ID)
        await hook.aload_settings()
        async with hook.new_async_client() as client:
            return await read_listed_states(hook, client, offset=0, limit=100, page=1)

    states = asyncio.run(read())
    assert {running: JobState.ACTIVE, done: JobState.SUCCEEDED, unused: None}.items() <= states.items()
    assert failed in states
    fast.settings(list_status="in review")
    assert set(asyncio.run(read()).values()) == {JobState.ACTIVE}, "a word that nobody knows is active"
