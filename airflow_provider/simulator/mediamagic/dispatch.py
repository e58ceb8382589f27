"""Sending deliveries over HTTP, and sending them again.

The documentation leaves that to an external delivery service and says nothing of its schedule.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider.simulator.agenda import Agenda
from airflow_provider.simulator.mediamagic.deliveries import Deliveries, Delivery
from airflow_provider.simulator.mediamagic.events import Event
from airflow_provider.simulator.mediamagic.signatures import headers
from airflow_provider.simulator.mediamagic.subscriptions import Subscription
from airflow_provider.simulator.world import World

if TYPE_CHECKING:
    from aiohttp import ClientSession

#: Seconds that an idle connection is kept: shorter than any usual server keeps its end, so that a request
#: never meets a connection that is just being closed, which would look like a failure of the receiver.
_KEEP_ALIVE = 1.0


class Dispatcher:
    """Puts deliveries on the agenda and carries them out."""

    def __init__(self, world: World, agenda: Agenda, deliveries: Deliveries) -> None:
        self._world = world
        self._agenda = agenda
        self._deliveries = deliveries
        self._session: ClientSession | None = None
        self._running: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Get ready, so that the first delivery is not later than the others."""
        # Imported late: who needs no webhooks does not wait for it at every start.
        from aiohttp import ClientSession, DummyCookieJar, TCPConnector

        if self._session is None:
            connector = TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE)
            self._session = ClientSession(connector=connector, cookie_jar=DummyCookieJar())

    def dispatch(self, event: Event, subscription: Subscription) -> None:
        """Send an event, or do with it what the faults want."""
        copies = self._world.webhook_faults.copies()
        delivery = Delivery(event, subscription.id, len(copies))
        self._deliveries.add(delivery)
        for delay in copies:
            moment = event.happened_at + self._world.clock.real(delay)
            self._agenda.at(moment, partial(self._start, delivery, subscription, 0))

    def reset(self) -> None:
        """Drop what is under way."""
        for task in self._running:
            task.cancel()

    async def close(self) -> None:
        """Drop what is under way, and all connections."""
        self.reset()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _start(self, delivery: Delivery, subscription: Subscription, failures: int) -> None:
        task = asyncio.get_running_loop().create_task(self._carry_out(delivery, subscription, failures))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _carry_out(self, delivery: Delivery, subscription: Subscription, failures: int) -> None:
        clock = self._world.clock
        async with subscription.slots:
            if not subscription.enabled:
                return
            sent_at = clock.now()
            if delivery.sent_at is None:
                delivery.sent_at = sent_at
            status = await self._post(delivery.event, subscription)
        now = clock.now()
        if self._deliveries.attempted(delivery, sent_at, status).succeeded:
            if delivery.delivered_at is None:
                delivery.delivered_at = now
            return
        delays = self._world.settings.webhook_retry_delays
        if failures < len(delays):
            again = partial(self._start, delivery, subscription, failures + 1)
            self._agenda.at(now + clock.real(delays[failures]), again)

    async def _post(self, event: Event, subscription: Subscription) -> int | None:
        """One request.

        :return: the status of the answer, ``None`` without one.
        """
        from aiohttp import ClientError, ClientTimeout

        assert self._session is not None
        body = event.body()
        how = self._world.webhook_faults.signature
        try:
            async with self._session.post(
                subscription.endpoint_url,
                data=body,
                headers={
                    "Content-Type": "application/json",
                    **headers(subscription.secret, event.id, body, how),
                },
                timeout=ClientTimeout(total=self._world.settings.webhook_timeout),
                allow_redirects=False,
            ) as answer:
                await answer.read()
                return answer.status
        except (ClientError, TimeoutError, OSError):
            return None
