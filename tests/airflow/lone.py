"""An operator by itself, where what matters is what it sends and raises, not what Airflow makes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from airflow.sdk.bases.operator import ExecutorSafeguard

try:
    from airflow.sdk.exceptions import TaskDeferred as TaskDeferred
except ImportError:  # Airflow 3.1
    from airflow.exceptions import TaskDeferred as TaskDeferred  # type: ignore[no-redef]


@dataclass
class FakeTaskInstance:
    """The little of a task instance that operators use."""

    dag_id: str = "dag"
    run_id: str = "manual__2026-11-21"
    task_id: str = "job"
    try_number: int = 1
    max_tries: int = 0
    map_index: int = -1
    xcoms: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int = -1) -> Any:
        return self.xcoms.get(key)


DAG_RUN = SimpleNamespace(run_after=datetime(2026, 11, 21, tzinfo=UTC))


@dataclass
class FakeStateStore:
    """Airflow 3.3's task state store."""

    values: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.values[key] = value


def execute(operator: Any, *, ti: FakeTaskInstance | None = None, store: FakeStateStore | None = None) -> Any:
    """Make one attempt; returns or raises what the operator does."""
    context = {
        "ti": ti or FakeTaskInstance(),
        "task_state_store": store or FakeStateStore(),
        "run_id": "manual__2026-11-21",
        "dag_run": DAG_RUN,
    }
    method: Callable[..., Any] = operator.execute
    return method(context, **{f"{type(operator).__name__}__sentinel": ExecutorSafeguard.sentinel_value})


def run(operator: Any) -> tuple[Any, int]:
    """Run an operator as Airflow does, its triggers too; return its result and the number of deferrals."""
    context: Any = {
        "ti": FakeTaskInstance(),
        "task_state_store": FakeStateStore(),
        "run_id": "manual__2026-11-21",
        "dag_run": DAG_RUN,
    }
    ExecutorSafeguard.tracker.set(operator)
    step: Callable[[], Any] = lambda: operator.execute(context)  # noqa: E731
    deferrals = 0
    while True:
        try:
            return step(), deferrals
        except TaskDeferred as deferred:
            deferrals += 1
            assert deferrals < 30, "it never gets further"
            _, kwargs = deferred.trigger.serialize()
            assert json.loads(json.dumps(kwargs)) == kwargs
            assert "sk" not in json.dumps(kwargs)
            event = asyncio.run(_event(type(deferred.trigger)(**kwargs)))
            method, arguments = deferred.method_name, {"event": event}  # as `dag.test()`
            step = lambda: operator.resume_execution(method, arguments, context)  # noqa: B023, E731


async def _event(trigger: Any) -> Any:
    events = trigger.run()
    try:
        return (await anext(events)).payload
    finally:
        await events.aclose()


class FakeAssetStore:
    """
    An asset's state store, as Airflow gives it to a trigger.

    :param watched: how many assets share the trigger; Airflow has no store for more than one.
    :param broken: raised in place of writing.
    """

    def __init__(self, watched: int = 1, broken: Exception | None = None) -> None:
        self.values: dict[str, str] = {}
        self.watched = watched
        self.broken = broken

    async def aget(self, key: str, default: Any = None) -> Any:
        if self.watched != 1:
            raise ValueError(f"Task has {self.watched} concrete inlets and outlets")
        return json.loads(self.values[key]) if key in self.values else default

    async def aset(self, key: str, value: Any) -> None:
        if self.broken:
            raise self.broken
        self.values[key] = json.dumps(value)
