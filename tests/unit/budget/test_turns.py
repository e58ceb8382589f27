"""What a task makes of its turn."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider.core.budget.store import MemoryStore, SharedBudget
from airflow_provider.core.budget.turn_queue import Priority, Ticket
from airflow_provider.core.budget.turns import TurnAwaitedError, Turns


def test_a_turn_that_was_granted_before_a_429_waits_for_its_end() -> None:
    budget = SharedBudget(MemoryStore(time.time), "key", ())
    ticket = Ticket("mine", Priority.START, time.time())
    assert budget.update(lambda queue, now: queue.ask(ticket, now)).granted
    budget.update(lambda queue, now: queue.budget.on_429(now, 600.0))
    hook: Any = SimpleNamespace(conn_id="toy", shared_budget=lambda bucket: budget)
    with pytest.raises(TurnAwaitedError) as awaited:
        Turns(patience=3600.0, defers=True, ticket=ticket).take(hook, "")
    assert awaited.value.ticket == ticket
