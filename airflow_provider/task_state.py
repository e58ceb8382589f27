"""What Airflow thinks of a task instance: tells a user's kill from an attempt that Airflow itself gave up."""

from __future__ import annotations

import threading
from typing import Any

PATIENCE = 2.0
"""Seconds to wait for the answer; a killed process has five before it is killed for good."""


def task_state(ti: Any, *, patience: float = PATIENCE) -> str | None:
    """
    Return the state of a task instance, whichever of its attempts that is; ``None`` when it cannot be learnt.

    Asks from a thread of its own: a signal may have come while the main thread was talking to Airflow itself.

    :param ti: the running task instance, or the one a trigger waits for.
    :param patience: seconds to wait for the answer.
    """
    found: list[Any] = []

    def ask() -> None:
        try:
            from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

            states = RuntimeTaskInstance.get_task_states(
                dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
            )
        except Exception:  # whatever it is, the state is not known, and a killed task has no time to retry
            return
        found.extend(state for tasks in states.values() for state in tasks.values())

    thread = threading.Thread(target=ask, name="task-state", daemon=True)
    thread.start()
    thread.join(patience)
    return str(found[0]) if len(found) == 1 and found[0] is not None else None
