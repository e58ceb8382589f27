"""
Connection lookups, shared by all waits of a process: one at a time per connection id, refreshed now and then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider.exceptions import ProviderError, TransportError, UndefinedConnectionError

if TYPE_CHECKING:
    from airflow_provider.core.http.client import ConnectionSettings, ServiceHook

log = logging.getLogger(__name__)

CONNECTION_TTL = 300.0
"""Seconds after which a connection is looked up again, so that a rotated key is picked up."""

RECHECK_AFTER = 1.0
"""A connection looked up less than so many seconds ago is not looked up again for a refused key."""


class Lookup:
    """
    The settings of one connection, looked up once for everybody.

    :param hook_class: the service's hook.
    :param conn_id: connection id.
    :param clock: epoch seconds.
    """

    def __init__(self, hook_class: type[ServiceHook], conn_id: str, *, clock: Callable[[], float]) -> None:
        self.hook_class = hook_class
        self.conn_id = conn_id
        self.lookups = 0
        self._clock = clock
        self._settings: ConnectionSettings | None = None
        self._at = 0.0
        self._lock = asyncio.Lock()

    def current(self) -> ConnectionSettings | None:
        """Return the settings if they are known and young enough."""
        return self._settings if self._clock() - self._at < CONNECTION_TTL else None

    async def settings(self) -> ConnectionSettings:
        """
        Return the settings, looked up now only when they are unknown or older than the TTL.

        :raises ConfigurationError: the connection is unusable.
        :raises TransportError: Airflow could not be asked, or knows no such connection, which it also says
            when its database does not answer. A connection known from before goes on being used instead.
        """
        if self._settings is not None and self._clock() - self._at < CONNECTION_TTL:
            return self._settings
        async with self._lock:
            if self._settings is None or self._clock() - self._at >= CONNECTION_TTL:
                try:
                    await self._look_up()
                except TransportError as error:
                    if self._settings is None:
                        raise
                    log.warning("Going on with the connection as looked up before: %s", error)
                    self._at = self._clock() - CONNECTION_TTL / 2
        assert self._settings is not None
        return self._settings

    async def refresh(self, refused: ConnectionSettings) -> None:
        """
        Look the connection up again because the key of ``refused`` was answered with 401.

        Does nothing when it has another key by now, or was looked up only just now: a thousand waits with the
        same refused key cause one lookup.
        """
        async with self._lock:
            known = self._settings
            if known and known.identity == refused.identity and self._clock() - self._at >= RECHECK_AFTER:
                await self._look_up()

    async def _look_up(self) -> None:
        self.lookups += 1
        try:
            self._settings = await self.hook_class(self.conn_id).aload_settings()
        except UndefinedConnectionError as error:
            raise TransportError(str(error)) from error
        except ProviderError:
            raise
        except Exception as error:
            raise TransportError(
                f"Could not look up connection {self.conn_id!r}: {type(error).__name__}: {error}"
            ) from error
        self._at = self._clock()
