"""Deduplicate verified webhook events and hand them on in batches."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from airflow_provider.mediamagic.webhooks.events import TOLERANCE, Event
from airflow_provider.plugins.asset_events import record
from airflow_provider.plugins.waking import Outcome

log = logging.getLogger(__name__)

REMEMBERED: Final = 4 * TOLERANCE
"""Seconds for which an event is not handed on twice by this process."""

MOST_REMEMBERED: Final = 50_000
MOST_QUEUED: Final = 2000
MOST_IN_BATCH: Final = 50

SECOND_LOOKS: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""
Pauses in seconds after which an event that nobody waited for is tried again: a job may end while its task is
still on the way to being deferred.
"""

MOST_EARLY: Final = 5000


class FullError(Exception):
    """More events came than can be handed on."""


class Inbox:
    """
    Hands events on from one thread, so that no number of them takes the API server's own threads or database
    connections.

    :param wake: as :meth:`Waker.wake`.
    :param record: as :func:`~airflow_provider.plugins.asset_events.record`.
    :param clock: seconds, monotonic.
    :param second_looks: as :data:`SECOND_LOOKS`.
    """

    def __init__(
        self,
        wake: Callable[[Sequence[Event]], list[Outcome]],
        record: Callable[[Event], bool] = record,
        *,
        clock: Callable[[], float] = time.monotonic,
        second_looks: Sequence[float] = SECOND_LOOKS,
    ) -> None:
        self._wake = wake
        self._record = record
        self._clock = clock
        self._second_looks = second_looks
        self._done: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._under_way: dict[tuple[str, str], asyncio.Future[None]] = {}
        self._queue: list[tuple[Event, asyncio.Future[None]]] = []
        self._early: dict[tuple[str, str], tuple[Event, float, int]] = {}
        self._carrier: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

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
        self._carry()
        # When the sender hangs up, the event is handed on all the same.
        await asyncio.shield(handed_on)
        return True

    def _carry(self) -> None:
        self._news.set()
        if self._carrier is None or self._carrier.done():
            self._carrier = asyncio.create_task(self._carry_all())

    async def _carry_all(self) -> None:
        while self._queue or self._early:
            if not self._queue:
                pause = min(due for _, due, _ in self._early.values()) - self._clock()
                if pause <= 0:
                    await self._look_again()
                    continue
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), pause)
                continue
            batch, self._queue = self._queue[:MOST_IN_BATCH], self._queue[MOST_IN_BATCH:]
            try:
                outcomes = await asyncio.to_thread(self._hand_on, [event for event, _ in batch])
            except Exception as error:
                log.error("Could not hand %d events on: %s: %s", len(batch), type(error).__name__, error)
                for _, handed_on in batch:
                    if not handed_on.done():
                        handed_on.set_exception(error)
                        handed_on.exception()  # the sender may have hung up; nobody else needs to know
                continue
            now = self._clock()
            for (event, handed_on), outcome in zip(batch, outcomes, strict=True):
                log.info("Event %s for submission %s: %s", event.id, event.submission_id, outcome)
                self._done[(event.conn_id, event.id)] = now
                if outcome in (Outcome.NOBODY, Outcome.EARLY) and len(self._early) < MOST_EARLY:
                    self._early[(event.conn_id, event.id)] = (event, now + self._second_looks[0], 0)
                if not handed_on.done():
                    handed_on.set_result(None)

    def _hand_on(self, events: list[Event]) -> list[Outcome]:
        for event in events:
            self._record(event)
        return self._wake(events)

    async def _look_again(self) -> None:
        now = self._clock()
        due = [(key, entry) for key, entry in self._early.items() if entry[1] <= now]
        try:
            outcomes = await asyncio.to_thread(self._wake, [event for _, (event, _, _) in due])
        except Exception as error:
            log.warning("Could not look for waiting tasks again: %s: %s", type(error).__name__, error)
            outcomes = [Outcome.NOBODY] * len(due)
        for (key, (event, _, looks)), outcome in zip(due, outcomes, strict=True):
            if outcome is Outcome.EARLY:
                self._early[key] = (event, self._clock() + self._second_looks[0], 0)
            elif outcome is not Outcome.NOBODY or looks + 1 == len(self._second_looks):
                log.info("Event %s for submission %s: %s", event.id, event.submission_id, outcome)
                del self._early[key]
            else:
                self._early[key] = (event, self._clock() + self._second_looks[looks + 1], looks + 1)

    def _forget(self) -> None:
        old = self._clock() - REMEMBERED
        while self._done and (len(self._done) > MOST_REMEMBERED or next(iter(self._done.values())) < old):
            self._done.popitem(last=False)
