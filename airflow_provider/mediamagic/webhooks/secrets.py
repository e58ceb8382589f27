"""Cache of webhook secrets by connection. Look-ups are bounded: anybody can ask for any connection id."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from airflow_provider.core.http.connection import ConnectionSettings
from airflow_provider.exceptions import ConfigurationError
from airflow_provider.hooks.mediamagic_connection import MEDIAMAGIC, read_secrets
from airflow_provider.mediamagic.assets import URI_PREFIX

log = logging.getLogger(__name__)

TTL = 60.0
"""Seconds after which a connection with a secret is looked up again, in the background."""

NEGATIVE_TTL = 15.0
"""Seconds for which a connection that has no secret, or does not exist, is not looked up again."""

RECHECK_AFTER = 5.0
"""After a wrong signature a connection looked up longer ago than this is looked up again."""

RELIST_AFTER = 15.0
"""Seconds after which an event for an unknown connection has all be read again that can be listed."""

MOST_REMEMBERED = 1000

LOOKUPS, WINDOW = 20, 10.0
"""At most so many lookups of connections that cannot be listed in so many seconds."""


def look_up(conn_id: str) -> tuple[str, ...]:
    """
    Return the secrets of a connection; blocks. Empty when there is no such connection, or none in it.

    :raises ConfigurationError: the connection says something about webhooks that cannot be used.
    """
    secrets = _look_up(conn_id)
    if secrets == ():
        log.warning(
            "An event came for connection %r, whose extra has no `webhook_secret`: it was refused. Put the "
            "secret that MediaMagic returned with the subscription there.",
            conn_id,
        )
    return secrets or ()


def look_up_all(conn_ids: Iterable[str] = ()) -> dict[str, tuple[str, ...]]:
    """
    Return the secrets of all connections that can be listed; blocks. A secrets backend lists nothing.

    :param conn_ids: further ones, beside those in the database, in environment variables and of assets.
    """
    from airflow.models.asset import AssetModel
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    names = set(conn_ids)
    with create_session() as session:
        names.update(
            session.scalars(select(Connection.conn_id).where(Connection.conn_type == MEDIAMAGIC.conn_type))
        )
        uris = session.scalars(select(AssetModel.uri).where(AssetModel.uri.startswith(f"{URI_PREFIX}/")))
        names.update(uri.removeprefix(f"{URI_PREFIX}/").partition("/")[0] for uri in uris)
    prefix = "AIRFLOW_CONN_"
    names.update(
        name.removeprefix(prefix).lower()
        for name, value in os.environ.items()
        if name.startswith(prefix) and MEDIAMAGIC.conn_type in value
    )
    found = {}
    for name in sorted(names)[:MOST_REMEMBERED]:
        try:
            found[name] = _look_up(name) or ()
        except Exception as error:  # said when an event comes for it
            log.debug("Connection %r cannot be used for webhooks: %s", name, type(error).__name__)
    return found


def _look_up(conn_id: str) -> tuple[str, ...] | None:
    from airflow.models.connection import Connection
    from airflow.models.variable import Variable

    from airflow_provider.compat import AirflowNotFoundException

    try:
        connection: Any = Connection.get_connection_from_secrets(conn_id)
    except AirflowNotFoundException:
        return None
    if connection.conn_type != MEDIAMAGIC.conn_type:
        return None
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
    return secrets


@dataclass(slots=True)
class _Known:
    secrets: tuple[str, ...]
    at: float


class Secrets:
    """
    A cache of :func:`look_up`.

    Connections that can be listed are read before the first event is answered: then requests for invented
    ids cannot delay them, and no answer comes sooner for them. Others are looked up one by one, at most
    :data:`LOOKUPS` in :data:`WINDOW` seconds.

    :param look_up: as the function of that name; runs in a thread.
    :param look_up_all: as the function of that name; runs in a thread.
    :param clock: seconds, monotonic.
    """

    def __init__(
        self,
        look_up: Callable[[str], tuple[str, ...]] = look_up,
        look_up_all: Callable[[], dict[str, tuple[str, ...]]] = look_up_all,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look_up = look_up
        self._look_up_all = look_up_all
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._listing: asyncio.Task[None] | None = None
        self._listed_at: float | None = None
        self._window_began = -WINDOW
        self._in_window = 0

    async def ready(self) -> None:
        """
        Wait until the connections that can be listed were read for the first time.

        :raises Exception: they could not be; the next call tries again.
        """
        if self._listed_at is None:
            await asyncio.shield(self._list())

    def of(self, conn_id: str) -> tuple[str, ...]:
        """Return the secrets of a connection as far as they are known; empty when there are none."""
        known = self._known.get(conn_id)
        if known is None:
            return ()
        if known.secrets and self._clock() - known.at >= TTL:
            self._refresh(conn_id)
        return known.secrets

    @property
    def exhausted(self) -> bool:
        """Whether connections that cannot be listed cannot be looked up just now."""
        return self._in_window >= LOOKUPS and self._clock() - self._window_began < WINDOW

    def recheck(self, conn_id: str) -> None:
        """Look a connection up again soon: a signature was wrong, and the secret may be a new one."""
        now = self._clock()
        known = self._known.get(conn_id)
        if known is not None and known.secrets:
            if now - known.at > RECHECK_AFTER:
                self._refresh(conn_id)
            return
        if self._listed_at is not None and now - self._listed_at >= RELIST_AFTER:
            self._list()
        recent = known is not None and now - known.at < NEGATIVE_TTL
        if not recent and conn_id not in self._under_way and self._may_look_up(now):
            self._refresh(conn_id)

    def _list(self) -> asyncio.Task[None]:
        if self._listing is None or self._listing.done():
            self._listing = asyncio.create_task(self._read_all())
        return self._listing

    async def _read_all(self) -> None:
        try:
            found = await asyncio.to_thread(self._look_up_all)
        except Exception as error:
            log.warning("Could not list the connections: %s", type(error).__name__)
            if self._listed_at is None:
                raise
            return
        self._listed_at = self._clock()
        for conn_id, secrets in found.items():
            if secrets:
                self._remember(conn_id, secrets)

    def _may_look_up(self, now: float) -> bool:
        if now - self._window_began >= WINDOW:
            self._window_began, self._in_window = now, 0
        if self._in_window >= LOOKUPS:
            return False
        self._in_window += 1
        if self._in_window == LOOKUPS:
            log.warning("Events came for %d unknown connections: more have to come again.", LOOKUPS)
        return True

    def _refresh(self, conn_id: str) -> None:
        if conn_id not in self._under_way:
            task = self._under_way[conn_id] = asyncio.create_task(self._renew(conn_id))
            task.add_done_callback(lambda _: self._under_way.pop(conn_id, None))

    async def _renew(self, conn_id: str) -> None:
        try:
            secrets = await asyncio.to_thread(self._look_up, conn_id)
        except ConfigurationError as error:
            log.warning("Webhooks are off: %s", error)
            secrets = ()
        except Exception as error:
            # The metadata database may be away; what was known is better than nothing.
            log.warning("Could not look connection %r up: %s", conn_id, type(error).__name__)
            known = self._known.get(conn_id)
            secrets = known.secrets if known else ()
        self._remember(conn_id, secrets)

    def _remember(self, conn_id: str, secrets: tuple[str, ...]) -> None:
        self._known[conn_id] = _Known(secrets, self._clock())
        self._known.move_to_end(conn_id)
        # Those without a secret go first: strangers can make any number of them.
        while len(self._known) > MOST_REMEMBERED:
            gone = next((name for name, known in self._known.items() if not known.secrets), None)
            self._known.pop(gone if gone is not None else next(iter(self._known)))
