"""How a job stands while it is waited for, as XComs for people and for the page of paid jobs."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider.core.jobs.run import JobRun
    from airflow_provider.core.polling.wait import Wait

log = logging.getLogger(__name__)

EXPECTED_KEY = "job_expected"
"""XCom key of what is expected of a job when its wait begins."""

PROGRESS_KEY = "job_progress"
"""XCom key of how a job stands."""

PAUSE = 60.0
"""Seconds between two XComs of one job at least."""


def expect(run: JobRun) -> None:
    """Push what is expected of a job whose wait begins, for a worker that will wait or defer."""
    shortest, longest = run.job.typical_for(run.task.sort())
    push(
        run.ti,
        EXPECTED_KEY,
        {
            "job_id": run.entry.job_id,
            "name": run.summary.name,
            "submitted_at": run.entry.submitted_at,
            "usual_seconds": [shortest, longest],
            "deadline": run.entry.deadline,
            "paid_requests": run.summary.as_json(run.ti)["paid_requests"],
        },
    )


def push(ti: Any, key: str, value: dict[str, Any]) -> None:
    """Push an XCom that nothing depends on: whatever goes wrong is logged."""
    try:
        ti.xcom_push(key=key, value=value)
    except Exception as error:
        log.warning("Could not push XCom %s: %s", key, error)


class Progress:
    """
    Tells what is worth an XCom: status or progress that has changed, at most once in :data:`PAUSE`.

    ``shown`` is what the last XCom told, see :attr:`Wait.standing`.
    """

    def __init__(self) -> None:
        self.shown: tuple[Any, ...] | None = None
        self._pushed_at = -math.inf
        self._pushing: asyncio.Task[None] | None = None

    def changed(self, wait: Wait, now: float) -> dict[str, Any] | None:
        """
        Return the XCom that is due; ``None`` for none. A job that has ended has its summary instead.

        :param wait: after a poll.
        :param now: epoch seconds.
        """
        last, standing = wait.last, wait.standing
        if last is None or last.finished or now - self._pushed_at < PAUSE or standing == self.shown:
            return None
        self.shown, self._pushed_at = standing, now
        return {
            "job_id": wait.job_id,
            "status": last.raw_status,
            "progress": last.progress,
            "fraction": last.fraction,
            "status_requests": wait.polls,
            "seen_at": wait.seen_at,
        }

    def send(self, ti: Any, wait: Wait, now: float) -> None:
        """
        Push the XCom that is due, from the triggerer while the wait goes on; nothing depends on it.

        :param ti: the task instance that the trigger waits for; ``None`` where there is none.
        :param wait: after a poll.
        :param now: epoch seconds.
        """
        value = self.changed(wait, now)
        if ti is None or value is None:
            return
        if self._pushing is None or self._pushing.done():
            # In a task of its own, which nobody cancels: Airflow 3.1 needs every answer to be read.
            self._pushing = asyncio.create_task(_send(ti, value))


async def _send(ti: Any, value: dict[str, Any]) -> None:
    try:
        from airflow.sdk.bases.xcom import BaseXCom
        from airflow.sdk.execution_time.comms import SetXCom
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

        place = {"key": PROGRESS_KEY, "dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id}
        map_index = -1 if ti.map_index is None else ti.map_index
        stored = BaseXCom.serialize_value(value, **place, map_index=map_index)
        await SUPERVISOR_COMMS.asend(SetXCom(value=stored, **place, map_index=map_index))
    except Exception as error:
        log.info("Could not push XCom %s: %s", PROGRESS_KEY, error)
