"""A hook that knows its connection: settings, sessions, and closing them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Self

from airflow.sdk import BaseHook

from airflow_provider.compat import AirflowNotFoundException
from airflow_provider.core.http.connection import ConnectionSettings, Service
from airflow_provider.exceptions import UndefinedConnectionError

if TYPE_CHECKING:
    import aiohttp
    import requests


class ConnectedHook(BaseHook):
    """
    The lower half of :class:`~airflow_provider.core.http.client.ServiceHook`. Creating one looks
    nothing up and opens nothing.

    :param conn_id: Airflow connection id.
    :param settings: use these instead of looking the connection up.
    """

    service: ClassVar[Service]
    conn_name_attr: ClassVar[str] = "conn_id"
    default_conn_name: ClassVar[str]
    conn_type: ClassVar[str]
    hook_name: ClassVar[str]

    def __init__(self, conn_id: str, *, settings: ConnectionSettings | None = None) -> None:
        super().__init__()
        self.conn_id = conn_id
        self._settings = settings
        #: called with the headers of every answer to an asynchronous request
        self.on_headers: Callable[[Mapping[str, str]], None] | None = None
        #: called before a paid request goes out again, after a pause that may have been long
        self.before_resending: Callable[[], None] | None = None
        self._session: requests.Session | None = None
        self._storage_session: requests.Session | None = None
        # Replaced in tests, so that none of them sleeps.
        self._now: Callable[[], float] = time.monotonic
        self._sleep: Callable[[float], None] = time.sleep
        self._asleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self._rng: Callable[[], float] = random.random

    @property
    def settings(self) -> ConnectionSettings:
        """
        The checked connection, looked up on first use. From async code call :meth:`aload_settings` first.

        :raises ConfigurationError: the connection is unusable.
        :raises UndefinedConnectionError: there is none, or Airflow cannot look.
        """
        if self._settings is None:
            from airflow.sdk.log import mask_secret

            try:
                connection = self.get_connection(self.conn_id)
            except AirflowNotFoundException as error:
                raise self._undefined() from error
            self._settings = ConnectionSettings.from_connection(connection, self.service)

            # The lookup masks the password; nested extras, such as a proxy's password, are ours to name.
            for secret in self._settings.secrets:
                mask_secret(secret)
        return self._settings

    async def aload_settings(self) -> ConnectionSettings:
        """
        Look the connection up without blocking the event loop; later calls return what is known.

        :raises ConfigurationError: the connection is unusable.
        :raises UndefinedConnectionError: there is none, or Airflow cannot look.
        """
        if self._settings is None:
            try:
                connection = await self.aget_connection(self.conn_id)
            except AirflowNotFoundException as error:
                raise self._undefined() from error
            self._settings = ConnectionSettings.from_connection(connection, self.service)
            try:
                from airflow.sdk.log import amask_secret
            except ImportError:  # Before Airflow 3.3 masking would block the loop.
                return self._settings
            for secret in self._settings.secrets:
                await amask_secret(secret)
        return self._settings

    def _undefined(self) -> UndefinedConnectionError:
        return UndefinedConnectionError(
            f"Connection {self.conn_id!r} is not defined. Create it with type {self.conn_type!r} and the "
            "API key as password. Airflow says the same while its database is out of reach.",
            parameter="conn_id",
        )

    def get_conn(self) -> requests.Session:
        """Return the hook's session for API calls. It holds no key: each request adds it."""
        if self._session is None:
            self._session = self._new_session()
        return self._session

    @property
    def storage_session(self) -> requests.Session:
        """
        A session for signed links and presigned uploads: same TLS and proxy settings, and never the API key.
        """
        if self._storage_session is None:
            self._storage_session = self._new_session()
        return self._storage_session

    def _new_session(self) -> requests.Session:
        from airflow_provider.core.http.sessions import Session

        return Session(self.settings)

    def new_async_client(self, *, limit: int = 100) -> aiohttp.ClientSession:
        """Return an aiohttp client for :meth:`settings`, which must be loaded; the caller closes it."""
        from airflow_provider.core.http.async_sessions import new_async_client

        return new_async_client(self.settings, limit=limit)

    def close(self) -> None:
        """Close the sessions; the hook opens new ones when it is used again."""
        for session in (self._session, self._storage_session):
            if session is not None:
                session.close()
        self._session = self._storage_session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
