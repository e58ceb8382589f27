"""Turns: which task may send its requests next. What was paid for is finished before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

from airflow_provider.core.budget.rate_budget import Grant, RateBudget

GRANT_LASTS = 300.0
"""Seconds in which a task must begin to use its turn; Airflow may need minutes to start it."""

ASK_AGAIN = 60.0
"""Seconds after which a task that waits asks again at the latest; the sooner, the later it was expected."""

FORGOTTEN_AFTER = 60.0
"""Seconds past the time at which it was to ask again after which a waiting task counts as gone."""

ALONE = 5.0
"""Seconds between two looks whether a 429 has passed, by those that let another find out."""

ALONE_FOR = 60.0
"""Seconds that a task has to find out."""

AGEING = 3600.0
"""Seconds of waiting that move a task up by one priority, so that none starves."""


FREE_RESERVE_AFTER = 300.0
"""Seconds after which a task that waits on its worker may use what is kept for those that finish a job."""


class Priority(IntEnum):
    """What a task's next requests are for; the lowest number goes first."""

    CANCEL = 0
    FINISH = 1
    CONTINUE = 2
    START = 3


SHARES = {Priority.CANCEL: 1.0, Priority.FINISH: 1.0, Priority.CONTINUE: 0.95, Priority.START: 0.9}
"""Part of each limit that such requests may use: what was started can always be finished."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """
    A task's place in the queue.

    :param id: made up by the task.
    :param priority: what its requests are for.
    :param since: when it began to wait, epoch seconds.
    :param requests: how many its next step needs.
    :param in_place: it holds a worker slot meanwhile, which a task that finishes a job may need.
    :param bucket: of the service's rate limits, empty where there is one.
    """

    id: str
    priority: Priority
    since: float
    requests: int = 1
    in_place: bool = False
    bucket: str = ""

    def share(self, now: float) -> float:
        """Return the part of each limit that its requests may use."""
        held = self.in_place and now - self.since >= FREE_RESERVE_AFTER
        return 1.0 if held else SHARES[self.priority]


@dataclass(frozen=True, slots=True)
class Turn:
    """
    What a task is told.

    :param at: when it may send, epoch seconds; an estimate while it is not granted.
    :param granted: how many requests it may send then; 0 while others go first.
    :param ahead: how many tasks go first.
    """

    at: float
    granted: int = 0
    ahead: int = 0


@dataclass(slots=True)
class _Waiting:
    priority: int
    since: float
    requests: int
    until: float


class TurnQueue:
    """
    The tasks that wait for a turn on one key.

    :param budget: of the key.
    """

    def __init__(self, budget: RateBudget) -> None:
        self.budget = budget
        self._waiting: dict[str, _Waiting] = {}

    def ask(self, ticket: Ticket, now: float, *, lead: float = 0.0) -> Turn:
        """
        Ask for a turn; a task that gets none asks again at the time that it is told, or leaves.

        :param lead: seconds before its time at which a turn is granted already.
        """
        self._waiting = {name: other for name, other in self._waiting.items() if other.until > now}
        budget, share = self.budget, ticket.share(now)
        if (grant := budget.grants.get(ticket.id)) is not None:
            return self._granted(ticket, grant, now)
        requests = min(ticket.requests, budget.most_at_once(now, share))
        mine = _Waiting(ticket.priority, ticket.since, requests, now)
        before = [
            other
            for name, other in self._waiting.items()
            if name != ticket.id and (_rank(other, now), name) < (_rank(mine, now), ticket.id)
        ]
        at = budget.turn_at(now, requests, share=share, ahead=sum(other.requests for other in before))
        # After a 429 one task goes alone, to learn whether the others may follow.
        held_back = budget.refusing and bool(before or self._finds_out(now))
        if held_back:
            at = max(at, now + ALONE)
        if at <= now + lead and not held_back:
            self._waiting.pop(ticket.id, None)
            budget.grants[ticket.id] = Grant(requests, at, at + GRANT_LASTS)
            granted = requests
        else:
            granted = 0
            mine.until = min(at, now + ASK_AGAIN) + FORGOTTEN_AFTER
            self._waiting[ticket.id] = mine
        budget.busy = bool(self._waiting)
        return Turn(at, granted, len(before))

    def _granted(self, ticket: Ticket, grant: Grant, now: float) -> Turn:
        budget = self.budget
        # Others may have come later for theirs than was planned.
        at = max(grant.at, budget.paused_until, budget.room_at(now))
        if budget.refusing and self._finds_out(now) not in (ticket.id, None):
            at = max(at, now + ALONE)
        grant.until = max(grant.until, at + GRANT_LASTS)
        return Turn(at, grant.requests)

    def _finds_out(self, now: float) -> str | None:
        """Return the ticket that is to show whether a 429 has passed; ``None`` when none has been granted."""
        budget = self.budget
        due = {name: max(grant.at, budget.paused_until) for name, grant in budget.grants.items()}
        soon = [(at, name) for name, at in due.items() if now < at + ALONE_FOR]
        return min(soon)[1] if soon else None

    def leave(self, ticket_id: str) -> None:
        """Give up a place in the queue, and what was granted."""
        self._waiting.pop(ticket_id, None)
        self.budget.grants.pop(ticket_id, None)
        self.budget.busy = bool(self._waiting)

    def state(self) -> dict[str, Any]:
        """Return those who wait, as plain JSON."""
        return {name: asdict(waiting) for name, waiting in self._waiting.items()}

    def restore(self, state: Mapping[str, Any], now: float) -> None:
        """
        Go on with what :meth:`state` has returned.

        :raises TypeError: it is something else.
        """
        self._waiting = {name: _Waiting(**waiting) for name, waiting in state.items()}
        self.budget.busy = any(waiting.until > now for waiting in self._waiting.values())


def _rank(waiting: _Waiting, now: float) -> tuple[float, float]:
    return waiting.priority - max(0.0, now - waiting.since) // AGEING, waiting.since
