"""Which jobs other tasks have, of this Dag and of others, so that none is taken for a lost one."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from airflow_provider.core.jobs.nested import EARLIER
from airflow_provider.core.jobs.task_state import GIVEN_UP, GOING_ON

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.jobs.owners import JobOwners

log = logging.getLogger(__name__)

ACTIVE = (*GIVEN_UP, *GOING_ON)
"""States of a task that goes on, or has its next attempt due."""

MOST_RUNS = 20
"""Other runs of the Dag that are asked about at most: each is one request to Airflow."""


class Claims(Collection[str]):
    """
    The jobs that others have.

    :param ids: those of other tasks of this Dag.
    :param owners: knows those of all Dags, one by one.
    """

    def __init__(self, ids: Collection[str], owners: JobOwners) -> None:
        self._ids = ids
        self._owners = owners

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._ids or self._owners.is_others(str(job_id))

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def claimed_ids(context: Context, key: str) -> set[str] | None:
    """
    Return the ids that other tasks of this Dag have pushed to XCom, in this run and in others.

    :param context: of the running task instance.
    :param key: XCom key of such ids.
    :return: ``None`` when Airflow does not say.
    """
    dag: Any = context.get("dag")
    if dag is None:
        return set()
    ti: Any = context["ti"]
    claimed: Counter[str] = Counter()
    try:
        for run_id in [ti.run_id, *_other_runs(ti)]:
            found = ti.xcom_pull(task_ids=list(dag.task_ids), key=key, run_id=run_id)
            claimed.update(value for value in found or () if isinstance(value, str))
        for several in ti.xcom_pull(task_ids=list(dag.task_ids), key=EARLIER + key) or ():
            claimed.update(several if isinstance(several, list) else ())
        own = ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index)
    except Exception as error:
        log.warning("Which jobs the other tasks of this Dag have is not known: %s", error)
        return None
    claimed.subtract([own] if isinstance(own, str) else [])
    return {value for value, times in claimed.items() if times > 0}


def _other_runs(ti: Any) -> list[str]:
    """Return the other runs of the Dag with this task: those in which it goes on first, then the latest."""
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id])
    runs = sorted((run_id for run_id in states if run_id != ti.run_id), key=_when, reverse=True)
    # A stable sort: false comes before true.
    runs.sort(key=lambda run_id: not any(str(one) in ACTIVE for one in states[run_id].values()))
    return runs[:MOST_RUNS]


def _when(run_id: str) -> str:
    """Return what most ids of runs end with: a date that sorts as text."""
    return run_id.rpartition("__")[2]
