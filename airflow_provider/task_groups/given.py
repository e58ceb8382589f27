"""What a task group hands to its operators: what it was given, so that ``default_args`` decide the rest."""

from __future__ import annotations

from typing import Any

from airflow.sdk import TaskGroup


def given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that are not ``None``: those override ``default_args``."""
    return {name: value for name, value in arguments.items() if value is not None}


def deferred(group: TaskGroup, deferrable: bool | None) -> dict[str, Any]:
    """Return ``deferrable`` for the group's job: as given, else by ``default_args``, else true."""
    defaults = {**group.dag.default_args, **group.default_args}
    return {"deferrable": defaults.get("deferrable", True) if deferrable is None else deferrable}
