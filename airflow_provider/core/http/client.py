"""ServiceHook: one service, one connection, and the one place that sends, sends again and reads answers."""

from __future__ import annotations

import asyncio
import os
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from logging import Logger
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

from airflow.sdk import BaseHook

from airflow_provider.compat import AirflowNotFoundException, answers_asynchronously
from airflow_provider.core.arguments import positive_seconds
from airflow_provider.core.budget.store import SharedBudget, embedded_store, memory_store, redis_store
from airflow_provider.core.budget.turns import Turns
from airflow_provider.core.http.connection import LONGEST_IDLE, ConnectionSettings, Service
from airflow_provider.core.http.error_bodies import Paid, error_for, outcome_unknown
from airflow_provider.core.http.responses import (
    Body,
    Reader,
    Request,
    Response,
    endpoint_of,
    http_date,
    new_request,
    parse_json,
)
from airflow_provider.core.http.retry import IDEMPOTENT, Attempts, RetryPolicy, may_have_started
from airflow_provider.core.text import redact
from airflow_provider.exceptions import (
    ApiError,
    InvalidInputError,
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    TransportError,
    UndefinedConnectionError,
)

if TYPE_CHECKING:
    import aiohttp
    import requests
    from airflow.sdk import Connection

    from airflow_provider.core.budget.store import Store
    from airflow_provider.core.files.bodies import MultipartBody

T = TypeVar("T")

LARGE_BODY = 256 * 1024
"""Bytes of an answer above which it is not parsed on the event loop, where thousands of waits would stand."""


def _as_sent(body: Body) -> Any:
    return body.data


class ServiceHook(BaseHook):
    """
    Base of a service's hook. Creating one looks up no connection and opens none.

    :param conn_id: Airflow connection id; default ``default_conn_name``.
    :param settings: use these instead of looking the connection up.
    :param max_turn_wait: seconds, or a timedelta, that a request may wait, here, for the key's rate limit to
        have room for it. Default 0: requests are counted and not held back, and a 429 is retried like other
        trouble.
    :param named: the connection id by the name in ``conn_name_attr``, as ``Connection.get_hook()`` gives it.
    :raises InvalidInputError: the connection id is given twice, or ``max_turn_wait`` is no duration.
    """

    service: ClassVar[Service]
    conn_name_attr: ClassVar[str] = "conn_id"
    default_conn_name: ClassVar[str]
    conn_type: ClassVar[str]
    hook_name: ClassVar[str]

    def __init__(
        self,
        conn_id: str | None = None,
        *,
        settings: ConnectionSettings | None = None,
        max_turn_wait: float | timedelta = 0.0,
        **named: str | None,
    ) -> None:
        super().__init__()
        own_name = named.pop(self.conn_name_attr, None)
        if named:
            raise TypeError(f"{type(self).__name__} takes no argument {sorted(named)[0]!r}")
        if conn_id is not None and own_name is not None:
            raise InvalidInputError(
                f"Give {self.conn_name_attr} or conn_id, not both.", parameter=self.conn_name_attr
            )
        given = own_name if conn_id is None else conn_id
        self.conn_id = self.default_conn_name if given is None else given
        self._given, self._settings = settings, settings
        #: called with the headers of every answer to an asynchronous request
        self.on_headers: Callable[[Mapping[str, str]], None] | None = None
        #: called before a paid request goes out again, after a pause that may have been long
        self.before_resending: Callable[[], None] | None = None
        #: seconds by which the service's clock is ahead of ours, by its latest ``Date``; ``None``: not known
        self.clock_offset: float | None = None
        #: through which requests go to their turn on the key
        patience = positive_seconds("max_turn_wait", max_turn_wait) if max_turn_wait else 0.0
        self.turns = Turns(patience=patience, log=cast("Logger", self.log))
        self._aiohttp_refuses = False
        self._store: Store | None = None
        self._sessions: dict[tuple[str, int], requests.Session] = {}
        self._asked_at = 0.0
        # Replaced in tests, so that none of them sleeps.
        self._now: Callable[[], float] = time.monotonic
        self._sleep: Callable[[float], None] = time.sleep
        self._asleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self._rng: Callable[[], float] = random.random

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, also in another process, looks the connection up itself: no key goes into a pickle."""
        return partial(type(self), self.conn_id, settings=self._given, max_turn_wait=self.turns.patience), ()

    # -- the connection --------------------------------------------------------------------------------------

    @classmethod
    async def aget_connection(cls, conn_id: str) -> Connection:
        """
        Look a connection up without blocking the event loop, except in ``dag.test()``, which cannot.

        :raises AirflowNotFoundException: there is none, or Airflow cannot look.
        """
        try:
            return await super().aget_connection(conn_id)
        except AirflowNotFoundException:
            if answers_asynchronously():
                raise
            return cls.get_connection(conn_id)

    @property
    def settings(self) -> ConnectionSettings:
        """
        The checked connection, looked up on first use. From async code call :meth:`aload_settings` first.

        :raises ConfigurationError: the connection is unusable.
        :raises UndefinedConnectionError: there is none, or Airflow cannot look.
        """
        if self._settings is None:
            from airflow.sdk.log import mask_secret

            with self._defined():
                connection = self.get_connection(self.conn_id)
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
            with self._defined():
                connection = await self.aget_connection(self.conn_id)
            self._settings = ConnectionSettings.from_connection(connection, self.service)
            try:
                from airflow.sdk.log import amask_secret
            except ImportError:  # Before Airflow 3.3 masking would block the loop.
                return self._settings
            for secret in self._settings.secrets:
                await amask_secret(secret)
        return self._settings

    @contextmanager
    def _defined(self, parameter: str = "conn_id") -> Iterator[None]:
        try:
            yield
        except AirflowNotFoundException as error:
            if parameter == "conn_id":
                what = (
                    f"Connection {self.conn_id!r} is not defined. Create it with type {self.conn_type!r} and "
                    "the API key as password."
                )
            else:
                named = self.settings.budget_conn_id
                what = f"Connection {named!r}, the {parameter} of {self.conn_id!r}, is not defined."
            raise UndefinedConnectionError(
                f"{what} Airflow says the same while its database is out of reach.", parameter=parameter
            ) from error

    def test_connection(self) -> tuple[bool, str]:
        """Ask the API something that starts nothing; return whether the connection works, and what to do."""
        name = self.service.name
        advice = {
            401: f"{name} refused the API key. ",
            403: f"{name} knows the API key and does not let it in. ",
            404: "Something answers, but not the API: check the host. ",
        }
        try:
            return True, self._probe()
        except ProviderError as error:
            foreign = error.http_status == 403 and isinstance(error, MalformedResponseError)
            return False, f"{advice.get(404 if foreign else error.http_status or 0, '')}{error}"
        except Exception as error:
            # Airflow could not be asked for the connection, or something unexpected.
            secrets = self._settings.secrets if self._settings else ()
            return False, redact(f"{type(error).__name__}: {error}", secrets)

    def _probe(self) -> str:
        raise NotImplementedError

    # -- the key's rate limit --------------------------------------------------------------------------------

    def shared_budget(self, bucket: str) -> SharedBudget:
        """
        Return the budget that all who use the key share, where they can.

        :param bucket: which of the service's limits; empty where there is one.
        """
        return self.settings.budget_in(self.store, bucket)

    @property
    def store(self) -> Store:
        """What all who use the key share, where they can."""
        if self._store is None:
            settings = self.settings
            if not settings.shared_budget:
                self._store = memory_store()
            elif settings.budget_conn_id is None:
                self._store = embedded_store()
            else:
                with self._defined("budget_conn_id"):
                    connection = self.get_connection(settings.budget_conn_id)
                self._store = redis_store(connection)
        return self._store

    async def astore(self) -> Store:
        """Return :attr:`store` without blocking the event loop; the settings must be loaded."""
        settings = self.settings
        if self._store is None and settings.shared_budget and settings.budget_conn_id is not None:
            with self._defined("budget_conn_id"):
                connection = await self.aget_connection(settings.budget_conn_id)
            self._store = redis_store(connection)
        return self.store

    # -- sessions --------------------------------------------------------------------------------------------

    def get_conn(self) -> requests.Session:
        """Return the hook's session for API calls. It holds no key: each request adds it."""
        session = self._session("api")
        if self._now() - self._asked_at > LONGEST_IDLE:
            session.close()  # its connections; it opens new ones
        self._asked_at = self._now()
        return session

    @property
    def storage_session(self) -> requests.Session:
        """A session for signed links: same TLS and proxy settings, and never the API key."""
        return self._session("storage")

    def _session(self, use: str) -> requests.Session:
        # A fork of the process would read answers from the same sockets.
        key = use, os.getpid()
        if key not in self._sessions:
            self._sessions[key] = self._new_session()
        return self._sessions[key]

    def _new_session(self) -> requests.Session:
        from airflow_provider.core.http.sessions import Session

        return Session(self.settings)

    def new_async_client(self) -> aiohttp.ClientSession:
        """Return an aiohttp client for :meth:`settings`, which must be loaded; the caller closes it."""
        from airflow_provider.core.http.async_sessions import new_async_client

        return new_async_client(self.settings)

    def close(self) -> None:
        """Close the sessions; the hook opens new ones when it is used again."""
        while self._sessions:
            self._sessions.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- requests --------------------------------------------------------------------------------------------

    def _new_request(self, method: str, path: str, **options: Any) -> Request:
        """Return one attempt of a request, with an id of its own; see :func:`new_request`."""
        prefix = self.service.request_id_prefix
        request_id = None if prefix is None else f"{prefix}{uuid.uuid4().hex}"
        return new_request(self.settings, method, path, request_id=request_id, **options)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        body: MultipartBody | None = None,
        read: Reader[T] = _as_sent,
        paid: Paid | None = None,
        pending: bool = False,
        read_timeout: float | None = None,
        policy: RetryPolicy | None = None,
    ) -> T:
        """
        Send one API request, again where that can do nothing twice, and return the parsed answer.

        What the methods of a hook are made of, and the way to an endpoint that has none:
        ``hook.request("GET", "/api/cases", params={"limit": 1})`` returns the JSON as it was sent.

        :param method: HTTP method. A ``GET``, ``PUT`` or ``DELETE`` is sent again after trouble, any other
            only after a 429 or when no connection was made.
        :param path: of the endpoint, with the leading slash; never a full URL. Ids in it must be quoted.
        :param params: query; entries that are ``None`` are left out.
        :param json: body to send as JSON.
        :param body: body to stream as multipart.
        :param read: takes the parsed body and returns the result; raises MalformedResponseError.
        :param paid: set for a call that starts something paid: it gets a connection of its own, and an
            unknown outcome becomes SubmitOutcomeUnknownError. Without it a lost answer is a TransportError
            that leaves open what happened; only the operators keep a record that prevents paying twice.
        :param pending: whether a 404 may mean that the thing is not ready yet.
        :param read_timeout: seconds; by default the connection's.
        :param policy: how patiently to send again; by default the connection's ``max_retries``.
        :raises InvalidInputError: the path or the body cannot be sent; nothing was.
        :raises ApiError: the service refused, or gave no usable answer.
        """
        method = method.upper()

        def attempt() -> T:
            request = self._new_request(
                method, path, params=params, json=json, body=body, read_timeout=read_timeout
            )
            # A pooled connection may be closed by the server just as the request goes out, and then nobody
            # knows whether it arrived. A paid call pays for a connection of its own instead.
            answer = self._answer(request, self.service.bucket(method, path), fresh=paid is not None)
            return self._result(answer, read, pending=pending, paid=paid)

        try:
            return self._with_retries(attempt, method, path, policy, self.before_resending if paid else None)
        except (TransportError, MalformedResponseError) as error:
            if paid is None or not may_have_started(error):
                raise
            raise outcome_unknown(error, endpoint_of(method, path), paid) from error

    def _with_retries(
        self,
        attempt: Callable[[], T],
        method: str,
        path: str,
        policy: RetryPolicy | None = None,
        before_resending: Callable[[], None] | None = None,
    ) -> T:
        attempts = self._attempts(method, path, policy or RetryPolicy(self.settings.max_retries))
        bucket = self.service.bucket(method, path)
        sent, waited = False, 0.0
        while True:
            waited = self.turns.take(self, bucket, waited)
            if sent and before_resending is not None:
                before_resending()
            sent = True
            try:
                return attempt()
            except RateLimitedError as error:
                self.turns.refused(self, bucket, error)
                if self.turns.patience:
                    continue
                pause = attempts.pause_after(error)
            except ApiError as error:
                pause = attempts.pause_after(error)
            self._sleep(pause)

    def _attempts(self, method: str, path: str, policy: RetryPolicy) -> Attempts:
        log = cast("Logger", self.log)
        return Attempts(method, endpoint_of(method, path), policy, log, self._now, self._rng, self._now())

    def _answer(self, request: Request, bucket: str, *, fresh: bool = False) -> Response:
        """Make one attempt, read the response whole and learn from its headers."""
        answer = self._exchange(request, fresh=fresh)
        self._compare_clocks(answer)
        self.turns.answered(self, bucket, answer.status, answer.headers)
        return answer

    def _exchange(self, request: Request, *, fresh: bool = False) -> Response:
        from airflow_provider.core.http.sessions import read_response, send

        session = self._new_session() if fresh else self.get_conn()
        try:
            return read_response(send(session, request, self.settings), request)
        finally:
            if fresh:
                session.close()

    def _result(
        self, answer: Response, read: Reader[T], *, pending: bool = False, paid: Paid | None = None
    ) -> T:
        secrets = self.settings.secrets
        succeeded = 200 <= answer.status < 300
        data = parse_json(answer, secrets) if succeeded else None
        if not succeeded or (isinstance(data, dict) and data.get("success") is False):
            raise error_for(answer, secrets, pending=pending, paid=paid)
        return read(Body(answer.endpoint, data))

    def _stream(self, path: str, chunk_size: int) -> Iterator[bytes]:
        """GET raw bytes: the request is made now, the body is read by the iterator."""
        from airflow_provider.core.http.sessions import read_pieces, read_response, send

        def attempt() -> Iterator[bytes]:
            request = self._new_request("GET", path, accept="*/*")
            response = send(self.get_conn(), request, self.settings)
            if response.status_code == 200:
                return read_pieces(response, request, chunk_size)
            raise error_for(read_response(response, request), request.secrets)

        return self._with_retries(attempt, "GET", path)

    # -- the service's clock ---------------------------------------------------------------------------------

    def service_time(self, moment: float) -> float:
        """
        Return a moment of this machine's clock as the service's clock showed it, by its latest ``Date``.

        :param moment: epoch seconds.
        """
        return moment + (self.clock_offset or 0.0)

    def local_time(self, moment: float) -> float:
        """
        Return a moment of the service's clock as this machine's clock shows it.

        :param moment: epoch seconds.
        """
        return moment - (self.clock_offset or 0.0)

    def _compare_clocks(self, answer: Response) -> None:
        if (served_at := http_date(answer.headers.get("date", ""))) is not None:
            self.clock_offset = served_at - time.time()

    # -- the asynchronous half -------------------------------------------------------------------------------

    async def arequest(
        self,
        client: aiohttp.ClientSession,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        read: Reader[T] = _as_sent,
        read_quickly: Callable[[bytes], T] | None = None,
        attempts: int = 1,
        read_timeout: float | None = None,
        total: float = 120.0,
    ) -> T:
        """
        Send one API request through a shared client: same reading and same errors as :meth:`request`.

        Not repeated unless asked, because the wait around it tolerates trouble on its own.

        :param client: from :func:`~airflow_provider.core.http.async_sessions.new_async_client`.
        :param params: query; entries that are ``None`` are left out.
        :param read_quickly: tried before ``read`` on the bytes of an answer of status 200, for one that is
            large and asked for often; raises ValueError where it is not exactly as documented.
        :param attempts: how often to try at most.
        :param read_timeout: seconds; by default the client's.
        :param total: seconds in which a further attempt may begin.
        """
        await self.aload_settings()
        method = method.upper()

        def result(answer: Response) -> T:
            if read_quickly is not None and answer.status == 200:
                with suppress(ValueError):
                    return read_quickly(answer.body)
            return self._result(answer, read)

        tries = self._attempts(method, path, RetryPolicy(attempts - 1, total=total))
        while True:
            try:
                answer = await self._aexchange(client, method, path, params=params, read_timeout=read_timeout)
                self._compare_clocks(answer)
                if self.on_headers is not None:
                    self.on_headers(answer.headers)
                if len(answer.body) > LARGE_BODY:
                    return await asyncio.to_thread(result, answer)
                return result(answer)
            except ApiError as error:
                pause = tries.pause_after(error)
            await self._asleep(pause)

    async def _aexchange(
        self, client: aiohttp.ClientSession, method: str, path: str, **options: Any
    ) -> Response:
        """
        Make one attempt with aiohttp.

        requests is less strict about answers. A worker that has paid for a job with its help must not leave
        the job to a trigger that cannot read the same service: what aiohttp refuses, requests reads.
        """
        from airflow_provider.core.http.async_sessions import UnreadableAnswerError, send

        if not self._aiohttp_refuses:
            try:
                return await send(client, self._new_request(method, path, **options), self.settings)
            except UnreadableAnswerError as error:
                if method not in IDEMPOTENT:
                    raise
                self._aiohttp_refuses = error.lasting
                now_on = ", from now on" if error.lasting else ""
                self.log.warning("%s. Asking again with requests instead of aiohttp%s.", error, now_on)
        request = self._new_request(method, path, **options)
        return await asyncio.to_thread(self._exchange, request, fresh=True)
