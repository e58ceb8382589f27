"""Turns of a task: each request waits until its key has room for it, in the triggerer or on the worker."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from logging import Logger
from typing import TYPE_CHECKING

from airflow_provider.core.budget.store import SharedBudget
from airflow_provider.core.budget.turn_queue import ASK_AGAIN, SHARES, Priority, Ticket, Turn, TurnQueue
from airflow_provider.errors import RateLimitedError

if TYPE_CHECKING:
    from airflow_provider.core.http.client import ServiceHook

SHORT_WAIT = 3.0
"""Seconds that a task waits for its turn on the worker all the same: a deferral costs about as much."""

GRANTED_WAIT = 10.0
"""The same when the turn has been granted: the task was resumed early, so that it comes in time."""

SLICE = 1.0
"""Longest single sleep in seconds, so that a kill is noticed soon."""


class TurnAwaitedError(BaseException):
    """
    A task has to wait for its turn, and is to be deferred until then. Nothing was sent.

    Like Airflow's own ``TaskDeferred`` it is no ``Exception``: nothing on its way takes it for a failure.

    :param ticket: the task's place in the queue.
    :param wait: seconds until the turn is expected.
    :param ahead: how many tasks go first.
    :param pause: seconds in which the service takes no request at all.
    :param now: by the clock of the budget's store, epoch seconds.
    """

    def __init__(self, ticket: Ticket, *, wait: float, ahead: int, pause: float, now: float) -> None:
        super().__init__(f"no turn yet; expected in {wait:.0f} s")
        self.ticket = ticket
        self.wait = wait
        self.ahead = ahead
        self.pause = pause
        self.now = now


@dataclass(slots=True)
class _Told:
    turn: Turn
    now: float
    paused_until: float
    most: int


class Turns:
    """
    What stands between a hook and its key. Without patience requests are counted and never held back.

    A task that is deferred sends again what it had sent since its last record, so it asks for twice as many
    requests at once the next time. One that has sent as many as a turn can be for waits on the worker, and so
    does one that was deferred for the same before: it would never get further.

    :param patience: seconds to wait for one turn at most; 0 to let the caller deal with a 429.
    :param defers: raise :class:`TurnAwaitedError` in place of a wait longer than some seconds.
    :param priority: what the requests are for.
    :param ticket: of an earlier attempt that has been granted its turn.
    :param log: says why and until when is waited.
    :param check: called at least once a second while waiting; raises to give up.

    ``progressed`` is whether something of what was sent is on record.
    """

    def __init__(
        self,
        *,
        patience: float = 0.0,
        defers: bool = False,
        priority: Priority = Priority.FINISH,
        ticket: Ticket | None = None,
        log: Logger | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.patience = patience
        self.defers = defers
        self.priority = priority
        self.check = check
        self.progressed = False
        self._log = log
        self._tickets = {} if ticket is None else {ticket.bucket: ticket}
        self._resumed = ticket is not None
        self._requests = 1
        self._unrecorded = 0
        self._held: dict[str, SharedBudget] = {}
        self._refusing = False
        self._lock = threading.Lock()
        # Replaced in tests, so that none of them sleeps.
        self._sleep: Callable[[float], None] = time.sleep

    def expect(self, requests: int) -> None:
        """
        Take the next turn for so many requests.

        :param requests: what the step that follows will send.
        """
        self._requests = max(1, requests)

    def recorded(self) -> None:
        """What was sent so far is on record: the task does not send it again when it begins anew."""
        self._unrecorded, self.progressed = 0, True

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Send without waiting for a turn, as a cancel must."""
        patience, self.patience = self.patience, 0.0
        try:
            yield
        finally:
            self.patience = patience

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Wait on the worker in here, where a task cannot be interrupted and begun again."""
        defers, self.defers = self.defers, False
        try:
            yield
        finally:
            self.defers = defers

    def take(self, hook: ServiceHook, bucket: str, waited: float = 0.0) -> float:
        """
        Count one request, once its turn has come; return the seconds that it has waited here.

        :param bucket: of the service's rate limits.
        :param waited: seconds that it had waited when it was refused.
        :raises TurnAwaitedError: the task is to be deferred until then.
        :raises RateLimitedError: no turn came within ``patience``.
        """
        budget = hook.shared_budget(bucket)
        if not self.patience:
            self._refusing = budget.update(_count)
            return waited
        with self._lock:
            said = False
            while True:
                told = budget.update(partial(self._ask, bucket))
                self._held[bucket] = budget
                wait = told.turn.at - told.now
                if told.turn.granted and wait <= 0:
                    self._unrecorded += 1
                    return waited
                # With others ahead it is an estimate, by a limit that may only have been learned.
                if waited >= self.patience or (not told.turn.ahead and waited + wait > self.patience):
                    self.close()
                    raise RateLimitedError(
                        f"No turn on the key of connection {hook.conn_id!r} within {self.patience:.0f} s "
                        "(max_turn_wait, execution_timeout): its rate limit is used up. Nothing was sent.",
                        http_status=None,
                    )
                early = told.turn.granted and told.paused_until <= told.now
                short = wait <= (GRANTED_WAIT if early else SHORT_WAIT)
                if self.defers and not short and not self._is_kept_here(told):
                    self._defer(bucket, told, wait)
                if not said and wait > SHORT_WAIT and self._log is not None:
                    self._log.info("%s", waiting_line(hook.conn_id, wait, told.turn.ahead, self.patience))
                    said = True
                pause = min(max(wait, 0.05), ASK_AGAIN, self.patience - waited)
                self._pause(pause)
                # By what was slept: the clock may be set meanwhile.
                waited += pause

    def refused(self, hook: ServiceHook, bucket: str, error: RateLimitedError) -> None:
        """Let all who use the key know of a 429; the next :meth:`take` waits for it to pass."""
        self._unrecorded = max(0, self._unrecorded - 1)
        hook.shared_budget(bucket).update(lambda queue, now: queue.budget.on_429(now, error.retry_after))

    def answered(self, hook: ServiceHook, bucket: str, status: int, headers: Mapping[str, str]) -> None:
        """
        Take from an answer what it says about the limit.

        :param headers: with lower-case names.
        """
        if status == 429 or not (self._refusing or "x-ratelimit-remaining" in headers):
            return

        def learn(queue: TurnQueue, now: float) -> None:
            queue.budget.on_success(now)
            queue.budget.on_headers(now, headers)

        hook.shared_budget(bucket).update(learn)

    def close(self) -> None:
        """Give back what was granted and not sent."""
        while self._tickets:
            bucket, ticket = self._tickets.popitem()
            if (budget := self._held.get(bucket)) is not None:
                budget.update(partial(_leave, ticket))

    def _ask(self, bucket: str, queue: TurnQueue, now: float) -> _Told:
        budget, ticket = queue.budget, self._tickets.get(bucket)
        if ticket is not None and ticket.id in budget.grants:
            budget.on_start(budget.grants[ticket.id], now)
        else:
            ticket = self._tickets[bucket] = Ticket(
                uuid.uuid4().hex[:16] if ticket is None else ticket.id,
                self.priority,
                now if ticket is None else ticket.since,
                self._requests,
                in_place=not self.defers,
                bucket=bucket,
            )
        turn = queue.ask(ticket, now)
        if turn.granted and turn.at <= now:
            budget.use(ticket.id, now)
            self._requests = max(1, self._requests - 1)
            if turn.granted == 1:
                del self._tickets[bucket]
        self._refusing = budget.refusing
        most = budget.most_at_once(now, SHARES[self.priority])
        return _Told(turn, now, budget.paused_until, most)

    def _is_kept_here(self, told: _Told) -> bool:
        """Whether the task would send all again that it has sent, and would come no further than now."""
        begun_anew = self._resumed and self._unrecorded > 0 and told.paused_until <= told.now
        return begun_anew or self._unrecorded >= told.most

    def _defer(self, bucket: str, told: _Told, wait: float) -> None:
        ticket = self._tickets.pop(bucket)
        pause = max(0.0, told.paused_until - told.now)
        ticket = replace(ticket, requests=max(ticket.requests, 2 * self._unrecorded))
        raise TurnAwaitedError(ticket, wait=wait, ahead=told.turn.ahead, pause=pause, now=told.now)

    def _pause(self, seconds: float) -> None:
        while seconds > 0:
            self.check()
            self._sleep(min(seconds, SLICE))
            seconds -= SLICE


def _leave(ticket: Ticket, queue: TurnQueue, now: float) -> None:
    queue.leave(ticket.id)


def _count(queue: TurnQueue, now: float) -> bool:
    queue.budget.acquire(now, poll=False)
    return queue.budget.refusing


def waiting_line(conn_id: str, wait: float, ahead: int, patience: float) -> str:
    """
    Return what a task's log says when it waits for a turn.

    :param wait: seconds until the turn is expected.
    :param ahead: how many tasks go first.
    :param patience: seconds that it waits at most.
    """
    expected = f"{datetime.fromtimestamp(time.time() + wait, UTC):%H:%M:%S} UTC"
    before = {0: "nobody is", 1: "1 task is"}.get(ahead, f"{ahead} tasks are")
    return (
        f"The rate limit of connection {conn_id} is used up. Waiting for a turn: {before} ahead, expected "
        f"about {expected} (in {wait:.0f} s), for at most {patience / 3600:.1f} h (max_turn_wait, "
        "execution_timeout)."
    )
