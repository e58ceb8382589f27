"""What Airflow thinks of a task instance: tells a user's kill from an attempt that Airflow itself gave up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from airflow_provider.core.jobs.ledger import Ledger

T = TypeVar("T")

log = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds to wait for the answer; a killed process has five before it is killed for good."""

GIVEN_UP = ("up_for_retry", "scheduled", "queued")
"""States of a task whose next attempt is due while an earlier one is told to end; a clear is `restarting`."""

RESET = "none"
"""State of a task that a scheduler has reset, because the one that ran it died; its next attempt is due."""

CLEARED = "restarting"
"""State of a task that a user has cleared while it ran."""

ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")
"""States of a task that has no further attempt, unless a user clears it."""

RUNNING = "running"

GOING_ON = (RUNNING, "deferred", "awaiting_input")
"""States that this attempt may be in, or the one that has replaced it."""


def given_up(ti: Any, ledger: Ledger, *, or_cleared: bool = False) -> bool | None:
    """
    Return whether this attempt ends for the next one, which may be running by now: Airflow has given it up,
    or its worker is shut down.

    :param ti: the running task instance.
    :param ledger: its lasting record, in which this attempt has written.
    :param or_cleared: whether a user's clear counts too.
    :return: ``None`` when it cannot be learnt in time.
    """

    def ask() -> bool:
        state = _state(ti)
        return (
            state in (*GIVEN_UP, RESET)
            or (or_cleared and state == CLEARED)
            # A user's kill is in the state before the signal comes; a worker that is shut down has none.
            or (state == RUNNING and not ledger.last_try)
            or (state in GOING_ON and ledger.is_replaced())
        )

    return _answer(ask, PATIENCE)


def task_state(ti: Any, *, patience: float = PATIENCE) -> str | None:
    """
    Return the state of a task instance, whichever of its attempts that is.

    :param ti: the running task instance, or the one a trigger waits for.
    :param patience: seconds to wait for the answer.
    :return: ``none`` when it has no state, as after a clear; ``None`` when that cannot be learnt in time.
    """
    return _answer(lambda: _state(ti), patience)


def _state(ti: Any) -> str:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states = RuntimeTaskInstance.get_task_states(
        dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
    )
    found = [state for tasks in states.values() for state in tasks.values()]
    if not found:
        return "removed"  # with its Dag, which may be deleted while tasks are deferred
    (state,) = found
    return "none" if state is None else str(state)


def _answer(question: Callable[[], T], patience: float) -> T | None:
    """
    Ask Airflow from a thread of its own: a signal may have come while the main thread was talking to it.

    :return: ``None`` when it cannot be learnt in time.
    """
    found: list[T] = []

    def ask() -> None:
        try:
            found.append(question())
        except Exception as error:  # a killed task has no time to ask again
            log.warning("Airflow did not say in what state the task is: %s", error)

    thread = threading.Thread(target=ask, name="task-state", daemon=True)
    thread.start()
    thread.join(patience)
    return found[0] if found else None
