"""Inbox of verified webhook events: drops copies, and hands events on in batches."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from airflow_provider.mediamagic.webhooks.events import TOLERANCE, Event
from airflow_provider.plugins.asset_events import record
from airflow_provider.plugins.waking import Outcome

log = logging.getLogger(__name__)

REMEMBERED: Final = 4 * TOLERANCE
"""Seconds for which an event is not handed on twice by this process."""

MOST_REMEMBERED: Final = 50_000
MOST_QUEUED: Final = 2000
MOST_IN_BATCH: Final = 50

RETRY_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""
Pauses in seconds before an event is tried again that no task waited for: a job may end before its task is
deferred.
"""

MOST_EARLY: Final = 5000
"""Events that are kept to be tried again."""

_Key = tuple[str, str]
"""Connection id and event id."""


class FullError(Exception):
    """More events came than can be handed on."""


class _Early(NamedTuple):
    """An event that no task waited for, when it is tried again, and how often it was."""

    event: Event
    due: float
    retries: int


class Inbox:
    """
    Hands events on from one thread, so that no number of them takes the API server's own threads or database
    connections.

    :param wake: as :meth:`Waker.wake`.
    :param record: as :func:`~airflow_provider.plugins.asset_events.record`.
    :param retry_pauses: as :data:`RETRY_PAUSES`.
    """

    def __init__(
        self,
        wake: Callable[[Sequence[Event]], list[Outcome]],
        record: Callable[[Event], bool] = record,
        *,
        retry_pauses: Sequence[float] = RETRY_PAUSES,
    ) -> None:
        self._wake = wake
        self._record = record
        self._retry_pauses = retry_pauses
        self._done: OrderedDict[_Key, float] = OrderedDict()
        self._under_way: dict[_Key, asyncio.Future[None]] = {}
        self._queue: list[tuple[Event, asyncio.Future[None]]] = []
        self._early: dict[_Key, _Early] = {}
        self._worker: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()

    async def take(self, event: Event) -> bool:
        """
        Hand an event on; return once that is safely done.

        :return: whether it was new.
        :raises FullError: too much is queued.
        :raises Exception: it could not be handed on; it may be sent again.
        """
        key = (event.conn_id, event.id)
        self._forget()
        if key in self._done:
            return False
        if key in self._under_way:
            await asyncio.shield(self._under_way[key])
            return False
        if len(self._queue) >= MOST_QUEUED:
            raise FullError
        handed_on = asyncio.get_running_loop().create_future()
        self._under_way[key] = handed_on
        handed_on.add_done_callback(lambda _: self._under_way.pop(key, None))
        self._queue.append((event, handed_on))
        self._arrived.set()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        # When the sender hangs up, the event is handed on all the same.
        await asyncio.shield(handed_on)
        return True

    async def _work(self) -> None:
        while self._queue or self._early:
            if self._queue:
                await self._hand_on_batch()
                continue
            pause = min(early.due for early in self._early.values()) - time.monotonic()
            if pause <= 0:
                await self._retry_early()
                continue
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), pause)

    async def _hand_on_batch(self) -> None:
        batch, self._queue = self._queue[:MOST_IN_BATCH], self._queue[MOST_IN_BATCH:]
        try:
            outcomes = await asyncio.to_thread(self._hand_on, [event for event, _ in batch])
        except Exception as error:
            log.error("Could not hand %d events on: %s: %s", len(batch), type(error).__name__, error)
            for _, handed_on in batch:
                if not handed_on.done():
                    handed_on.set_exception(error)
                    handed_on.exception()  # the sender may have hung up; nobody else needs to know
            return
        now = time.monotonic()
        for (event, handed_on), outcome in zip(batch, outcomes, strict=True):
            key = (event.conn_id, event.id)
            log.info("Event %s for submission %s: %s", event.id, event.submission_id, outcome)
            self._done[key] = now
            if outcome in (Outcome.NOBODY, Outcome.EARLY) and len(self._early) < MOST_EARLY:
                self._early[key] = _Early(event, now + self._retry_pauses[0], 0)
            if not handed_on.done():
                handed_on.set_result(None)

    def _hand_on(self, events: list[Event]) -> list[Outcome]:
        for event in events:
            self._record(event)
        return self._wake(events)

    async def _retry_early(self) -> None:
        now = time.monotonic()
        due = [(key, early) for key, early in self._early.items() if early.due <= now]
        try:
            outcomes = await asyncio.to_thread(self._wake, [early.event for _, early in due])
        except Exception as error:
            log.warning("Could not look for waiting tasks again: %s: %s", type(error).__name__, error)
            outcomes = [Outcome.NOBODY] * len(due)
        for (key, (event, _, retries)), outcome in zip(due, outcomes, strict=True):
            retries = 0 if outcome is Outcome.EARLY else retries + 1
            if outcome in (Outcome.NOBODY, Outcome.EARLY) and retries < len(self._retry_pauses):
                self._early[key] = _Early(event, time.monotonic() + self._retry_pauses[retries], retries)
            else:
                log.info("Event %s for submission %s: %s", event.id, event.submission_id, outcome)
                del self._early[key]

    def _forget(self) -> None:
        old = time.monotonic() - REMEMBERED
        while self._done and (len(self._done) > MOST_REMEMBERED or next(iter(self._done.values())) < old):
            self._done.popitem(last=False)
