"""Which jobs other tasks have, of this Dag and of others, so that none is taken for a lost one."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from airflow_provider.core.jobs.task_state import GIVEN_UP, GOING_ON

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

EARLIER = "earlier_"
"""What the XCom key of the ids begins with that operators called before in the same task have pushed."""

ACTIVE = (*GIVEN_UP, *GOING_ON)
"""States of a task that goes on, or has its next attempt due."""

MOST_RUNS = 20
"""Other runs of the Dag that are asked about at most: each is one request to Airflow."""


class JobOwners:
    """
    The owners of jobs. What cannot be read or written is not known: nothing but a search depends on it.

    :param hook: of the service; jobs are told apart by its host and key.
    :param name: of the task instance that asks, see :attr:`Ledger.owner`; empty for none.
    :param noun: what the service calls such a job: ids that are numbers are told apart by it.
    """

    def __init__(self, hook: Any, name: str, noun: str) -> None:
        self._hook = hook
        self._name = name
        self._noun = noun

    def take(self, job_id: str) -> None:
        """Record that the task instance has the job, unless another has it."""
        self._change(job_id, lambda owner: owner or self._name)

    def give_back(self, job_id: str) -> None:
        """Record that the task instance does not have the job after all."""
        self._change(job_id, lambda owner: "" if owner == self._name else owner)

    def is_others(self, job_id: str) -> bool:
        """Whether another task instance has the job."""
        return self._change(job_id, lambda owner: owner)[0] not in ("", self._name)

    def held_for(self, job_id: str) -> float | None:
        """Return for how many seconds its owner has had the job; ``None`` when that is not known."""
        return self._change(job_id, lambda owner: owner)[1]

    def _change(self, job_id: str, change: Callable[[str], str]) -> tuple[str, float | None]:
        """Change who has the job, empty for nobody; return who has it, and for how many seconds."""

        def on_state(
            state: dict[str, Any] | None, now: float
        ) -> tuple[dict[str, Any], tuple[str, float | None]]:
            known = state or {}
            before = str(known.get("owner") or "")
            owner = change(before)
            since: float | None = known.get("since") if owner == before else now
            return {"owner": owner, "since": since}, (owner, None if since is None else now - since)

        if not self._name:
            return "", None
        try:
            key = f"{self._hook.settings.identity}:{self._noun}:{job_id}"
            found: tuple[str, float | None] = self._hook.store.update(key, on_state)
        except Exception as error:
            log.warning("Which task has job %s is not known: %s", job_id, error)
            return "", None
        return found


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

    def older_than(self, seconds: float, job_id: str) -> bool:
        """Whether the job is known from a task of another Dag alone, and that has had it for longer."""
        held_for = None if job_id in self._ids else self._owners.held_for(job_id)
        return held_for is not None and held_for > seconds

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
