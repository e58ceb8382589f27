"""Cache of webhook secrets by connection, with a bound on look-ups: strangers decide what is asked for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from airflow_provider.core.http.connection import ConnectionSettings
from airflow_provider.exceptions import ConfigurationError
from airflow_provider.hooks.mediamagic_connection import MEDIAMAGIC, read_secrets

log = logging.getLogger(__name__)

TTL = 60.0
"""Seconds after which a connection with a secret is looked up again, in the background."""

NEGATIVE_TTL = 15.0
"""Seconds for which a connection without a secret, or none at all, is taken as such."""

RECHECK_AFTER = 5.0
"""After a wrong signature a connection looked up longer ago than this is looked up again."""

MOST_REMEMBERED = 1000

LOOKUPS, WINDOW = 20, 10.0
"""At most so many lookups of connections not seen before in so many seconds; others have to come again."""


def look_up(conn_id: str) -> tuple[str, ...]:
    """
    Return the secrets of a connection; blocks. Empty when there is no such connection, or none in it.

    :raises ConfigurationError: the connection says something about webhooks that cannot be used.
    """
    from airflow.models.connection import Connection
    from airflow.models.variable import Variable

    from airflow_provider.compat import AirflowNotFoundException

    try:
        connection: Any = Connection.get_connection_from_secrets(conn_id)
    except AirflowNotFoundException:
        return ()
    if connection.conn_type != MEDIAMAGIC.conn_type:
        return ()
    settings = ConnectionSettings.from_connection(connection, MEDIAMAGIC)
    secrets = settings.webhook_secrets
    name = settings.webhook_secret_variable
    if name:
        value = Variable.get(name, default_var=None)
        holder = f"Connection {conn_id!r}: the Airflow Variable {name!r}"
        if not value:
            raise ConfigurationError(f"{holder}, which is to hold the webhook secret, does not exist.")
        try:
            secrets += read_secrets(value)
        except ValueError as error:
            raise ConfigurationError(f"{holder} must hold {error}.") from None
    if not secrets:
        log.warning(
            "An event came for connection %r, whose extra has no `webhook_secret`: it was refused. Put the "
            "secret that MediaMagic returned with the subscription there.",
            conn_id,
        )
    return secrets


@dataclass(slots=True)
class _Known:
    secrets: tuple[str, ...]
    at: float

    def fresh(self, now: float) -> bool:
        return now - self.at < (TTL if self.secrets else NEGATIVE_TTL)


class Secrets:
    """
    A cache of :func:`look_up`.

    :param look_up: as the function of that name; runs in a thread.
    :param clock: seconds, monotonic.
    :param run: runs a blocking call without blocking the event loop.
    """

    def __init__(
        self,
        look_up: Callable[[str], tuple[str, ...]] = look_up,
        *,
        clock: Callable[[], float] = time.monotonic,
        run: Callable[..., Awaitable[tuple[str, ...]]] = asyncio.to_thread,
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._run = run
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[tuple[str, ...]]] = {}
        self._window_began = -WINDOW
        self._in_window = 0

    async def of(self, conn_id: str) -> tuple[str, ...] | None:
        """
        Return the secrets of a connection; empty when it has none. ``None``: not known, for too many strange
        ids were asked for.
        """
        now = self._clock()
        known = self._known.get(conn_id)
        if known is not None and known.fresh(now):
            return known.secrets
        if known is not None and known.secrets:
            self._refresh(conn_id)
            return known.secrets
        if conn_id not in self._under_way and not self._may_look_up(now):
            return None
        return await asyncio.shield(self._refresh(conn_id))

    @property
    def exhausted(self) -> bool:
        """Whether strange ids cannot be looked up just now."""
        return self._in_window >= LOOKUPS and self._clock() - self._window_began < WINDOW

    def doubt(self, conn_id: str) -> None:
        """Look a connection up again soon: a signature was wrong, and the secret may be a new one."""
        known = self._known.get(conn_id)
        if known is not None and known.secrets and self._clock() - known.at > RECHECK_AFTER:
            self._refresh(conn_id)

    def _may_look_up(self, now: float) -> bool:
        if now - self._window_began >= WINDOW:
            self._window_began, self._in_window = now, 0
        if self._in_window >= LOOKUPS:
            return False
        self._in_window += 1
        if self._in_window == LOOKUPS:
            log.warning("Events came for %d connections not seen before: more have to come again.", LOOKUPS)
        return True

    def _refresh(self, conn_id: str) -> asyncio.Task[tuple[str, ...]]:
        task = self._under_way.get(conn_id)
        if task is None:
            task = self._under_way[conn_id] = asyncio.create_task(self._renew(conn_id))
            task.add_done_callback(lambda _: self._under_way.pop(conn_id, None))
        return task

    async def _renew(self, conn_id: str) -> tuple[str, ...]:
        try:
            secrets = await self._run(self._look_up, conn_id)
        except ConfigurationError as error:
            log.warning("Webhooks are off: %s", error)
            secrets = ()
        except Exception as error:
            # The metadata database may be away; what was known is better than nothing.
            log.warning("Could not look connection %r up: %s", conn_id, type(error).__name__)
            known = self._known.get(conn_id)
            secrets = known.secrets if known else ()
        self._known[conn_id] = _Known(secrets, self._clock())
        self._known.move_to_end(conn_id)
        self._forget()
        return secrets

    def _forget(self) -> None:
        # Those without a secret first: strangers can make any number of them.
        while len(self._known) > MOST_REMEMBERED:
            gone = next((name for name, known in self._known.items() if not known.secrets), None)
            self._known.pop(gone if gone is not None else next(iter(self._known)))
