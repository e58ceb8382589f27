"""No trigger resumes a task that was deferred only just now: Airflow might fail it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airflow_provider.compat import SHORTEST_DEFERRAL
from airflow_provider.core.jobs.turn_trigger import TurnTrigger
from airflow_provider.core.polling.shared_clients import SharedClients
from airflow_provider.core.polling.wait import JobState, Observation
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


@pytest.mark.parametrize("trigger_id", [7, None])
def test_a_turn_that_comes_at_once_resumes_its_task_later(
    monkeypatch: pytest.MonkeyPatch, silent_witness_conn: str, trigger_id: int | None
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("airflow_provider.core.jobs.turn_trigger.asyncio.sleep", sleep)
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
    assert (sum(slept) > 0.5 * SHORTEST_DEFERRAL) == (trigger_id is not None)
