"""No trigger resumes a task that was deferred only just now: Airflow might fail it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from airflow_provider.compat import SHORTEST_DEFERRAL
from airflow_provider.core.budget.rate_budget import Grant
from airflow_provider.core.budget.store import MemoryStore
from airflow_provider.core.budget.turn_queue import TurnQueue
from airflow_provider.core.jobs.turn_trigger import RESUME_LEAD, TurnTrigger
from airflow_provider.core.polling.shared_clients import SharedClients
from airflow_provider.core.polling.wait import JobState, Observation
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.operators.silent_witness import SilentWitnessDownloadReportOperator
from tests.airflow.lone import TaskDeferred, execute
from tests.unit.triggers.virtual import START, Hook, Trigger, event, run, seen


async def _done(job_id: str, now: float, hook: Hook) -> Observation:
    return seen(job_id, JobState.SUCCEEDED)


@pytest.mark.parametrize(("trigger_id", "after"), [(7, SHORTEST_DEFERRAL), (None, 0.0)])
def test_a_job_that_ends_at_once_resumes_its_task_later(trigger_id: int | None, after: float) -> None:
    Trigger.answer = staticmethod(_done)

    async def main(clients: SharedClients) -> float:
        trigger = Trigger("toy", "job", submitted_at=START, deadline=START + 600, poll_interval=1.0)
        trigger.trigger_id = trigger_id
        assert (await event(trigger))["status"] == "success"
        return clients.clock() - START

    assert after <= run(main) < after + 5.0


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The sleeps of turn triggers, which take no time."""
    seconds: list[float] = []

    async def sleep(pause: float) -> None:
        seconds.append(pause)

    monkeypatch.setattr("airflow_provider.core.jobs.turn_trigger.asyncio.sleep", sleep)
    return seconds


def _granted(trigger_id: int | None) -> None:
    trigger: Any = TurnTrigger(
        hook="airflow_provider.hooks.silent_witness.SilentWitnessHook",
        conn_id="silent_witness_default",
        bucket="",
        ticket="ticket",
        priority=1,
        since=0.0,
        requests=1,
        not_before=0.0,
        until=4e9,
        method="execute",
        arguments={},
    )
    trigger.trigger_id = trigger_id

    async def first() -> Any:
        return await anext(trigger.run())

    assert asyncio.run(first()).payload["status"] == "granted"


@pytest.mark.usefixtures("silent_witness_conn")
@pytest.mark.parametrize("trigger_id", [7, None])
def test_a_turn_that_comes_at_once_resumes_its_task_later(slept: list[float], trigger_id: int | None) -> None:
    _granted(trigger_id)
    assert (sum(slept) > 0.5 * SHORTEST_DEFERRAL) == (trigger_id is not None)


@pytest.mark.usefixtures("silent_witness_conn")
@pytest.mark.parametrize(("start_takes", "lead"), [(0.0, RESUME_LEAD), (20.0, 20.0)])
def test_a_task_that_takes_long_to_start_is_resumed_the_sooner(
    slept: list[float], start_takes: float, lead: float
) -> None:
    def pause(queue: TurnQueue, now: float) -> None:
        for _ in range(100):
            queue.budget.on_start(Grant(1, now, now, resumed_at=now - start_takes), now)
        queue.budget.paused_until = now + lead

    SilentWitnessHook("silent_witness_default").shared_budget("").update(pause)
    _granted(None)
    assert slept == pytest.approx([0.0, 0.0], abs=0.5)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """Of the budgets; its clock is that of this machine, until a test sets it."""
    store = MemoryStore(time.time)
    monkeypatch.setattr("airflow_provider.core.http.client.embedded_store", lambda: store)
    return store


def _deferred(pause: float) -> dict[str, Any]:
    """Let a key refuse, and return what is stored with a task that waits for its turn."""
    budget = SilentWitnessHook("silent_witness_default").shared_budget("")
    budget.update(lambda queue, now: queue.budget.on_429(now, pause))
    task = SilentWitnessDownloadReportOperator(
        task_id="t", report_id="rpt_1", output_path="/nowhere", deferrable=True
    )
    with pytest.raises(TaskDeferred) as deferred:
        execute(task)
    kwargs: dict[str, Any] = deferred.value.trigger.serialize()[1]
    return kwargs


def _event(kwargs: dict[str, Any]) -> str:
    async def first() -> Any:
        return await anext(TurnTrigger(**kwargs).run())

    return str(asyncio.run(first()).payload["status"])


@pytest.mark.usefixtures("silent_witness_conn")
@pytest.mark.parametrize("ahead", [-86400.0, -3600.0, 3600.0, 86400.0])
def test_worker_and_triggerer_go_by_the_clock_of_their_store(
    slept: list[float], store: MemoryStore, ahead: float
) -> None:
    store._clock = lambda: time.time() + ahead
    kwargs = _deferred(600.0)
    store._clock = lambda: time.time() + ahead + 601.0
    assert _event(kwargs) == "granted"
    assert sum(slept) < 60.0
    store._clock = lambda: time.time() + ahead + 2 * 86400.0
    assert _event(kwargs) == "timeout"


@pytest.mark.usefixtures("silent_witness_conn")
def test_a_key_that_was_replaced_takes_the_tasks_that_waited_for_the_old_one(
    slept: list[float], store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1e9

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds
        connection = {"conn_type": "silent_witness", "host": "http://localhost:1", "password": "k" * 40}
        monkeypatch.setenv("AIRFLOW_CONN_SILENT_WITNESS_DEFAULT", json.dumps(connection))

    monkeypatch.setattr("airflow_provider.core.jobs.turn_trigger.asyncio.sleep", sleep)
    store._clock = lambda: now
    kwargs = _deferred(3600.0)

    async def first() -> Any:
        SharedClients._of_loop[asyncio.get_running_loop()] = SharedClients(clock=lambda: now)
        return await anext(TurnTrigger(**kwargs).run())

    assert asyncio.run(first()).payload["status"] == "granted"
    assert sum(slept) < 700.0


@pytest.mark.usefixtures("silent_witness_conn")
def test_a_clock_that_is_set_back_holds_no_task_in_the_triggerer(
    slept: list[float], store: MemoryStore
) -> None:
    store._clock = lambda: time.time() + sum(slept)
    kwargs = _deferred(600.0)
    store._clock = lambda: time.time() + sum(slept) - (3600.0 if slept else 0.0)
    assert _event(kwargs) == "granted"
    assert sum(slept) < 700.0
