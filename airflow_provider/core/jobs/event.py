"""The event with which a task is resumed, checked: anything may come in place of a trigger's."""

from __future__ import annotations

from typing import Any

from airflow_provider.core.text import clean
from airflow_provider.exceptions import WaitError


def says_outcome(event: object) -> bool:
    """Whether it is the event of a wait: it names a job and says how the wait ended."""
    return isinstance(event, dict) and all(isinstance(event.get(name), str) for name in ("status", "job_id"))


def no_outcome(event: Any) -> WaitError:
    """Return the error for any other event."""
    return WaitError(f"Airflow resumed the task with an event that names no job: {clean(repr(event), 200)}")
