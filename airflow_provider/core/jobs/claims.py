"""Which jobs the other tasks of a Dag have, so that none is taken for a lost one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider.core.jobs.task_state import GIVEN_UP, GOING_ON

if TYPE_CHECKING:
    from airflow.sdk import Context

MOST_RUNS = 20
"""Other runs of the Dag that are asked about at most: each is one request to Airflow."""

log = logging.getLogger(__name__)


def claimed_ids(context: Context, key: str) -> set[str]:
    """
    Return the ids that tasks of this Dag have pushed to XCom, in this run and in others that are going on.

    What other Dags have is not known here.

    :param context: of the running task instance.
    :param key: XCom key of such ids.
    """
    dag: Any = context.get("dag")
    if dag is None:
        return set()
    ti: Any = context["ti"]
    claimed: set[str] = set()
    try:
        for run_id in [ti.run_id, *_other_runs(ti)]:
            found = ti.xcom_pull(task_ids=list(dag.task_ids), key=key, run_id=run_id)
            claimed.update(value for value in found or () if isinstance(value, str))
    except Exception as error:
        log.warning("Which jobs the other tasks of this Dag have is not known: %s", error)
    return claimed


def _other_runs(ti: Any) -> list[str]:
    """Return the other runs of the Dag in which this task is going on, or has its next attempt due."""
    runs = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id])
    going_on = [
        run_id
        for run_id, states in runs.items()
        if run_id != ti.run_id and any(str(state) in (*GIVEN_UP, *GOING_ON) for state in states.values())
    ]
    return going_on[-MOST_RUNS:]
