"""Which jobs the other tasks of a Dag run have, so that none is taken for a lost one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


def claimed_ids(context: Context, key: str) -> set[str]:
    """
    Return the ids that tasks of this Dag run have pushed to XCom.

    :param context: of the running task instance.
    :param key: XCom key of such ids.
    """
    dag: Any = context.get("dag")
    if dag is None:
        return set()
    ti: Any = context["ti"]
    try:
        found = ti.xcom_pull(task_ids=list(dag.task_ids), key=key)
        return {value for value in found or () if isinstance(value, str)}
    except Exception as error:
        log.warning("Which jobs the other tasks of this run have is not known: %s", error)
        return set()
