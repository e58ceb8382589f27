"""What a task group hands to its operators: what it was given, so that ``default_args`` decide the rest."""

from __future__ import annotations

from typing import Any

from airflow.sdk import TaskGroup


def given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that are not ``None``: what is handed on outweighs ``default_args``."""
    return {name: value for name, value in arguments.items() if value is not None}


def deferred(group: TaskGroup, deferrable: bool | None) -> dict[str, Any]:
    """Return whether the group's job waits in the triggerer; it does, where nobody says otherwise."""
    defaults = {**group.dag.default_args, **group.default_args}
    return {"deferrable": defaults.get("deferrable", True) if deferrable is None else deferrable}
