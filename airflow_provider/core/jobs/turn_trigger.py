"""TurnTrigger: waits in the triggerer until a task may send its requests, so that it holds no worker slot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider.compat import SHORTEST_DEFERRAL, earliest_event
from airflow_provider.core.budget.turn_queue import ASK_AGAIN, Priority, Ticket, TurnQueue
from airflow_provider.core.polling.shared_clients import CONNECTION_TTL, SharedClients
from airflow_provider.core.text import clean
from airflow_provider.errors import ProviderError

if TYPE_CHECKING:
    from airflow_provider.core.budget.store import SharedBudget

RESUME_LEAD = 2.0
"""Least seconds before its turn at which a task is resumed: Airflow needs some to start it."""

WIRE_FORMAT = (
    "hook", "conn_id", "bucket", "ticket", "priority", "since", "requests", "not_before", "until", "method",
    "arguments",
)  # fmt: skip
"""Arguments that are stored with a deferred task."""

TROUBLE_PAUSE = 15.0
"""Seconds between two attempts to look a connection up."""


class TurnTrigger(BaseTrigger):
    """
    Wait for a task's turn on its key, then yield ``{"status": "granted" | "timeout" | "error", "message"}``
    with its own arguments.

    The keyword arguments are a wire format between versions, as those of ``JobTrigger``.

    :param hook: import path of the service's hook.
    :param conn_id: connection id.
    :param bucket: which of the service's rate limits.
    :param ticket: the task's place in the queue, made up by the task.
    :param priority: what its requests are for.
    :param since: when it began to wait, epoch seconds.
    :param requests: how many its next step needs.
    :param not_before: until when the service takes no request, epoch seconds of the budget's store.
    :param until: when waiting ends, epoch seconds of the budget's store.
    :param method: of the operator, to call again.
    :param arguments: of that method.
    """

    def __init__(
        self,
        hook: str,
        conn_id: str,
        bucket: str,
        ticket: str,
        priority: int,
        since: float,
        requests: int,
        not_before: float,
        until: float,
        method: str,
        arguments: dict[str, Any],
        **_: Any,
    ) -> None:
        super().__init__()
        self.hook = hook
        self.conn_id = conn_id
        self.bucket = bucket
        self.ticket = ticket
        self.priority = priority
        self.since = since
        self.requests = requests
        self.not_before = not_before
        self.until = until
        self.method = method
        self.arguments = arguments

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the keyword arguments that rebuild this trigger elsewhere."""
        kwargs = {name: getattr(self, name) for name in WIRE_FORMAT}
        return f"{type(self).__module__}.{type(self).__qualname__}", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then yield the one event."""
        earliest = earliest_event(self.trigger_id, time.time())
        try:
            granted = await self._granted(earliest)
        except Exception as error:  # an exception out of here would end all waits of the triggerer
            status, message = "error", clean(f"{type(error).__name__}: {error}")
        else:
            status, message = "granted" if granted else "timeout", ""
        await asyncio.sleep(min(max(0.0, earliest - time.time()), SHORTEST_DEFERRAL))
        yield TriggerEvent({**self.serialize()[1], "status": status, "message": message})

    async def _granted(self, earliest: float) -> bool:
        ticket = Ticket(self.ticket, Priority(self.priority), self.since, self.requests)
        paused: float | None = None
        key = ""
        while True:
            budget = await self._look_up()
            if budget is None:
                if time.time() >= self.until:
                    return False
                await asyncio.sleep(TROUBLE_PAUSE)
                continue
            if key not in ("", budget.key):
                paused = 0.0  # it was another key that was to be left alone
            key = budget.key
            least = min(earliest - time.time(), SHORTEST_DEFERRAL)
            granted, pause, paused = await self._ask(budget, ticket, paused, least)
            await asyncio.sleep(pause)
            if granted is not None:
                return granted

    async def _ask(
        self, budget: SharedBudget, ticket: Ticket, paused: float | None, least: float
    ) -> tuple[bool | None, float, float]:
        """
        Ask for a turn, by the clock of the budget's store: those of worker and triggerer may differ.

        :param paused: seconds for which the service takes no request, ``None`` at first; counted down, for
            that clock may be set meanwhile.
        :param least: seconds for which the task has to stay deferred.
        :return: whether there is a turn, ``None`` as long as that is open, the seconds until the task is to
            be resumed, or is to ask again, and what is left of ``paused`` then.
        """

        def ask(queue: TurnQueue, now: float) -> tuple[bool | None, float, float]:
            if now >= self.until:
                queue.leave(ticket.id)
                return False, 0.0, 0.0
            left = self.not_before - now if paused is None else paused
            if left > 0:
                pause = min(left, self.until - now, CONNECTION_TTL)
                return None, pause, left - pause
            lead = max(RESUME_LEAD, queue.budget.start_takes)
            turn = queue.ask(ticket, now, lead=max(lead, least))
            pause = max(0.0, turn.at - now - lead)
            if turn.granted:
                pause = max(pause, least)
                queue.budget.grants[ticket.id].resumed_at = now + pause
                return True, pause, 0.0
            # Those that wait for the same moment do not all come back in the same one.
            return None, min(max(pause, 0.2), ASK_AGAIN, self.until - now), 0.0

        return await asyncio.to_thread(budget.update, ask)

    async def _look_up(self) -> SharedBudget | None:
        """Return the budget of the key that the connection holds now; ``None`` when that is not known."""
        module, _, name = self.hook.rpartition(".")
        lookup = SharedClients.current().lookup(getattr(import_module(module), name), self.conn_id)
        try:
            settings = await lookup.settings()
        except ProviderError as error:
            self.log.warning("Connection %s could not be looked up: %s", self.conn_id, clean(error))
            return None
        assert lookup.store is not None
        return settings.budget_in(lookup.store, self.bucket)
