"""Operators that a running task calls itself, as in ``Operator(...).execute(context)``."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider.exceptions import InvalidInputError

if TYPE_CHECKING:
    from airflow.sdk import Context

EARLIER = "earlier_"
"""What the XCom key of the ids begins with that operators called before in the same task have pushed."""

log = logging.getLogger(__name__)


def require_running_task(operator: Any, context: Any) -> None:
    """
    Refuse to run outside a task, where there is no record to find a paid job by.

    :raises InvalidInputError: the context has no task instance.
    """
    if not context or context.get("ti") is None:
        raise InvalidInputError(
            f"{type(operator).__name__}.execute needs the context of a running task. Let Airflow run the "
            "operator (dag.test() does as well), or pass get_current_context() inside a @task.",
            parameter="context",
        )


def is_nested(operator: Any, context: Context) -> bool:
    """Whether another task runs, and calls the operator."""
    task = getattr(context["ti"], "task", operator)
    return not hasattr(task, "resume_after_turn") or task.task_id != operator.task_id


def part_of_record(operator: Any, context: Context, request: Callable[[], dict[str, Any]]) -> str:
    """
    Return what tells the record of a nested operator from those of others that its task calls; empty for one
    that is the task.

    :param request: returns what is asked for, as plain JSON.
    """
    if not is_nested(operator, context):
        return ""
    asked = [operator.task_id, type(operator).__name__, operator.conn_id, request()]
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:16]


def keep_earlier_ids(context: Context, key: str) -> None:
    """
    Keep what operators called before in the same task have pushed, which the next one replaces.

    :param context: of the running task instance.
    :param key: XCom key of the id.
    """
    ti: Any = context["ti"]
    own = {"task_ids": ti.task_id, "map_indexes": ti.map_index}
    try:
        last = ti.xcom_pull(key=key, **own)
        if isinstance(last, str):
            ti.xcom_push(key=EARLIER + key, value=[*(ti.xcom_pull(key=EARLIER + key, **own) or ()), last])
    except Exception as error:
        log.warning("Could not keep which %s this task had before: %s", key, error)
