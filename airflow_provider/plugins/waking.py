"""
Resume deferred tasks from the API server: the one module that relies on Airflow's own trigger table.

It uses ``Trigger.kwargs`` and ``Trigger.submit_event``, which are the same in Airflow 3.1 to 3.4, and is
tested on each. Where they differ, it says so once, and tasks wait for their polls.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from airflow_provider import compat
from airflow_provider.mediamagic.webhooks.events import Event

log = logging.getLogger(__name__)

CLASSPATH: Final = "airflow_provider.triggers.mediamagic.MediaMagicSubmissionTrigger"

_ROWS: Final = 500


class Outcome(StrEnum):
    """What an event did to the tasks that wait for its submission."""

    WOKEN = "woken"
    NOTED = "noted"
    """The task goes on waiting for other assets; which have ended is recorded with its trigger."""
    EARLY = "early"
    """The task was deferred only just now; the event is tried again in a moment."""
    NOBODY = "nobody"
    """No task waits for the submission, or none yet."""


class Waker:
    """
    Finds the waiting task of a submission and resumes it.

    What a trigger waits for is encrypted in its row. Each row is decrypted once per process; to find new ones
    takes one query for the ids of all our triggers.
    """

    def __init__(self) -> None:
        self._waits_of_trigger: dict[int, tuple[str, str]] = {}
        self._triggers_of_wait: dict[tuple[str, str], set[int]] = {}
        self._warned = False
        self._reading = threading.Lock()

    def connections(self) -> set[str]:
        """Return the ids of the connections that tasks wait on; blocks."""
        try:
            self._read_triggers()
        except (ImportError, AttributeError, TypeError):  # said by the first event
            return set()
        return {conn_id for conn_id, _ in tuple(self._triggers_of_wait)}

    def wake(self, events: Sequence[Event]) -> list[Outcome]:
        """
        Hand events on, each in a transaction of its own; blocks.

        :return: what became of each. Repeating an event changes nothing.
        :raises Exception: of the database; nothing is lost when the events are handed on again.
        """
        try:
            self._read_triggers()
            return [self._wake(event) for event in events]
        except (ImportError, AttributeError, TypeError) as error:
            if not self._warned:
                log.warning(
                    "Webhooks cannot wake tasks on this version of Airflow; they wait for polls: %s: %s",
                    type(error).__name__,
                    error,
                )
                self._warned = True
            return [Outcome.NOBODY] * len(events)

    def _read_triggers(self) -> None:
        from airflow.models.trigger import Trigger
        from airflow.utils.session import create_session
        from sqlalchemy import select
        from sqlalchemy.orm import lazyload

        with self._reading, create_session() as session:
            live = set(session.scalars(select(Trigger.id).where(Trigger.classpath == CLASSPATH)))
            new = sorted(live - self._waits_of_trigger.keys())
            for at in range(0, len(new), _ROWS):
                rows = session.scalars(
                    select(Trigger)
                    .where(Trigger.id.in_(new[at : at + _ROWS]))
                    .options(lazyload(Trigger.task_instance))
                )
                for row in rows:
                    wait = _wait_of(row)
                    self._waits_of_trigger[row.id] = wait
                    self._triggers_of_wait.setdefault(wait, set()).add(row.id)
            self._forget(self._waits_of_trigger.keys() - live)

    def _forget(self, gone: Iterable[int]) -> None:
        for trigger_id in list(gone):
            wait = self._waits_of_trigger.pop(trigger_id)
            triggers = self._triggers_of_wait[wait]
            triggers.discard(trigger_id)
            if not triggers:
                del self._triggers_of_wait[wait]

    def _wake(self, event: Event) -> Outcome:
        found = [
            _wake_one(trigger_id, event)
            for trigger_id in sorted(self._triggers_of_wait.get((event.conn_id, event.submission_id), ()))
        ]
        return next((kind for kind in Outcome if kind in found), Outcome.NOBODY)


def _wait_of(row: Any) -> tuple[str, str]:
    """Return connection id and submission id of a trigger; what cannot be read waits for nothing."""
    try:
        kwargs = row.kwargs
        return str(kwargs["conn_id"]), str(kwargs["job_id"])
    except Exception as error:
        log.warning(
            "Trigger %s cannot be read, its task waits for its polls: %s", row.id, type(error).__name__
        )
        return "", ""


def _wake_one(trigger_id: int, event: Event) -> Outcome:
    """Resume the task of one trigger, or note that one of several assets has ended."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.triggers.base import TriggerEvent
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select
    from sqlalchemy.orm import lazyload

    with create_session() as session:
        # The lock makes events for assets of one submission count one after the other, whichever API server
        # receives them.
        row = session.scalar(
            select(Trigger)
            .where(Trigger.id == trigger_id)
            .options(lazyload(Trigger.task_instance))
            .with_for_update(of=Trigger)
        )
        waiting = select(TaskInstance.id).where(
            TaskInstance.trigger_id == trigger_id, TaskInstance.state == TaskInstanceState.DEFERRED
        )
        if row is None or session.scalar(waiting.with_for_update()) is None:
            return Outcome.NOBODY
        kwargs = dict(row.kwargs)
        left = still_awaited(kwargs.get("awaited"), event.asset_id)
        if left is not None and left != kwargs["awaited"]:
            row.kwargs = kwargs | {"awaited": left}
        if left:
            return Outcome.NOTED
        if (datetime.now(UTC) - row.created_date).total_seconds() < compat.SHORTEST_DEFERRAL:
            return Outcome.EARLY
        Trigger.submit_event(trigger_id, TriggerEvent(waking_event(kwargs, event)), session=session)
        return Outcome.WOKEN


def still_awaited(awaited: Any, asset_id: str) -> list[str] | None:
    """
    Return which assets have not ended after one has; ``None`` when that is not known.

    :param awaited: asset ids that the task waited for when it was deferred, less those that have ended since.
    """
    if not isinstance(awaited, list) or not asset_id:
        return None
    return [one for one in awaited if one != asset_id]


def waking_event(kwargs: dict[str, Any], event: Event) -> dict[str, Any]:
    """
    Return what the task resumes with: that it was woken, and nothing that it should believe.

    :param kwargs: of its trigger; a sensor that waits on needs its deadline again.
    """
    return {
        "status": "woken",
        "job_id": kwargs["job_id"],
        "raw_status": "",
        "message": f"Event {event.id}: asset {event.asset_id or '?'} of it has ended.",
        "polls": 0,
        "submitted_at": kwargs.get("submitted_at"),
        "deadline": kwargs.get("deadline"),
    }
