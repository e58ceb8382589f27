"""No trigger resumes a task that was deferred only just now: Airflow might fail it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airflow_provider.compat import SHORTEST_DEFERRAL
from airflow_provider.core.budget.rate_budget import Grant
from airflow_provider.core.budget.turn_queue import TurnQueue
from airflow_provider.core.jobs.turn_trigger import RESUME_LEAD, TurnTrigger
from airflow_provider.core.polling.shared_clients import SharedClients
from airflow_provider.core.polling.wait import JobState, Observation
from airflow_provider.hooks.silent_witness import SilentWitnessHook
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
    assert slept == pytest.approx([0.0, 0.0, 0.0], abs=0.5)
