"""What both hooks share: the one place that sends, sends again, and reads the answer."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider import __version__
from airflow_provider.core.http.connected import ConnectedHook
from airflow_provider.core.http.connection import ConnectionSettings
from airflow_provider.core.http.responses import Paid, Response, error_for, parse_json, redact
from airflow_provider.core.http.retry import RetryPolicy, may_have_started
from airflow_provider.exceptions import (
    ApiError,
    AuthenticationError,
    InvalidInputError,
    MalformedResponseError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    SubmitOutcomeUnknownError,
    TransportError,
)

if TYPE_CHECKING:
    import aiohttp
    import requests

    from airflow_provider.core.files.upload import MultipartBody

T = TypeVar("T")

__all__ = ["ConnectionSettings", "ServiceHook"]


def _as_sent(data: Any) -> Any:
    return data


class ServiceHook(ConnectedHook):
    """
    Base of both hooks. Creating one looks up no connection and opens none.

    :param conn_id: Airflow connection id.
    :param settings: use these instead of looking the connection up.
    """

    def test_connection(self) -> tuple[bool, str]:
        """Ask the API something that starts nothing; return whether the connection works, and what to do."""
        try:
            return True, self._probe()
        except AuthenticationError as error:
            return False, f"{self.service.name} refused the API key. {error}"
        except PermissionDeniedError as error:
            return False, f"{self.service.name} knows the API key and does not let it in. {error}"
        except NotFoundError as error:
            return False, f"Something answers, but not the API: check the host. {error}"
        except ProviderError as error:
            if isinstance(error, MalformedResponseError) and error.http_status == 404:
                return False, f"Something answers, but not the API: check the host. {error}"
            return False, str(error)
        except Exception as error:
            # Airflow could not be asked for the connection, or something nobody thought of.
            secrets = self._settings.secrets if self._settings else ()
            return False, redact(f"{type(error).__name__}: {error}", secrets)

    def _probe(self) -> str:
        raise NotImplementedError

    # -- sending ---------------------------------------------------------------------------------------------

    def _headers(
        self, settings: ConnectionSettings, request_id: str | None, *, accept: str = "application/json"
    ) -> dict[str, str]:
        headers = {
            "X-API-Key": settings.api_key,
            "Accept": accept,
            "User-Agent": f"airflow-provider/{__version__}",
        }
        if request_id:
            headers["X-Request-ID"] = request_id
        return headers

    def _new_request_id(self) -> str | None:
        """Return an id to send along where the service takes one, so that a lost answer can be traced."""
        return None

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        body: MultipartBody | None = None,
        read: Callable[[Any], T] = _as_sent,
        paid: Paid | None = None,
        pending: bool = False,
        read_timeout: float | None = None,
        policy: RetryPolicy | None = None,
    ) -> T:
        """
        Send one API request, again where that can do nothing twice, and return what ``read`` makes of it.

        :param path: with the leading slash; ids in it are quoted.
        :param params: query; entries that are ``None`` are left out.
        :param json: body to send as JSON.
        :param body: body to stream as multipart.
        :param read: takes the parsed JSON and returns the result; raises MalformedResponseError.
        :param paid: set for a call that starts something paid: an unknown outcome becomes
            SubmitOutcomeUnknownError.
        :param pending: whether a 404 may mean that the thing is not ready yet.
        :param read_timeout: seconds; by default the connection's.
        :param policy: how patiently to send again; by default the connection's ``max_retries``.
        """
        settings = self.settings
        endpoint = f"{method} {path}"

        attempts = 0

        def attempt() -> T:
            nonlocal attempts
            attempts += 1
            if paid is not None and attempts > 1 and self.before_resending is not None:
                self.before_resending()
            answer = self._answer(
                method,
                path,
                params=params,
                json=json,
                body=body,
                read_timeout=read_timeout,
                # A pooled connection may be closed by the server just as the request goes out, and then
                # nobody knows whether it arrived. A paid call pays for a connection of its own instead.
                fresh=paid is not None,
            )
            if not 200 <= answer.status < 300:
                raise error_for(answer, settings.secrets, pending=pending, paid=paid)
            return read(parse_json(answer, settings.secrets))

        try:
            return self._persist(attempt, method, endpoint, policy or RetryPolicy(settings.max_retries))
        except (TransportError, MalformedResponseError) as error:
            if paid is None or not may_have_started(error):
                raise
            raise _outcome_unknown(paid, error, endpoint) from error

    def _persist(self, attempt: Callable[[], T], method: str, endpoint: str, policy: RetryPolicy) -> T:
        started, retries = self._now(), 0
        while True:
            try:
                return attempt()
            except ApiError as error:
                elapsed = self._now() - started
                pause = policy.pause(error, method=method, retries=retries, elapsed=elapsed, rng=self._rng)
                if pause is None:
                    raise
                retries += 1
                self._log_retry(error, endpoint, pause, retries, policy)
            self._sleep(pause)

    def _log_retry(
        self, error: ApiError, endpoint: str, pause: float, retries: int, policy: RetryPolicy
    ) -> None:
        reason = (
            f"answered {error.http_status}" if error.http_status else str(error).removeprefix(f"{endpoint} ")
        )
        self.log.warning(
            "%s: %s; sending it again in %.1f s (retry %d of %d)",
            endpoint,
            reason,
            pause,
            retries,
            policy.max_retries,
        )

    def _open(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        body: MultipartBody | None = None,
        read_timeout: float | None = None,
        request_id: str | None = None,
        session: requests.Session | None = None,
        accept: str = "application/json",
    ) -> requests.Response:
        """Make one attempt and return the response with its body unread."""
        settings = self.settings
        headers = self._headers(settings, request_id, accept=accept)
        data: Any = None
        if json is not None:
            headers["Content-Type"] = "application/json"
            data = _as_json(json)
        elif body is not None:
            headers["Content-Type"] = body.content_type
            data = body
        return self._send(
            session or self.get_conn(),
            method,
            settings.url(path),
            f"{method} {path}",
            params={name: value for name, value in (params or {}).items() if value is not None},
            headers=headers,
            data=data,
            read_timeout=read_timeout,
            request_id=request_id,
        )

    def _answer(self, method: str, path: str, *, fresh: bool = False, **kwargs: Any) -> Response:
        from airflow_provider.core.http.sessions import read_response

        request_id = self._new_request_id()
        session = self._new_session() if fresh else self.get_conn()
        try:
            response = self._open(method, path, request_id=request_id, session=session, **kwargs)
            return read_response(
                response, f"{method} {path}", request_id=request_id, secrets=self.settings.secrets
            )
        finally:
            if fresh:
                session.close()

    def _send(
        self,
        session: requests.Session,
        method: str,
        url: str,
        endpoint: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, Any] | None = None,
        data: Any = None,
        read_timeout: float | None = None,
        request_id: str | None = None,
    ) -> requests.Response:
        import requests
        import urllib3.exceptions

        from airflow_provider.core.http.sessions import failure

        settings = self.settings
        try:
            return session.request(
                method,
                url,
                params=params,
                headers=dict(headers),
                data=data,
                timeout=(settings.connect_timeout, read_timeout or settings.read_timeout),
                allow_redirects=False,
                stream=True,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise failure(error, endpoint, request_id=request_id, secrets=settings.secrets) from error

    def _stream(self, path: str, chunk_size: int) -> Iterator[bytes]:
        """GET raw bytes: the request is made now, the body is read by the iterator."""
        import requests
        import urllib3.exceptions

        from airflow_provider.core.http.sessions import failure, read_response

        endpoint = f"GET {path}"
        secrets = self.settings.secrets

        def attempt() -> requests.Response:
            request_id = self._new_request_id()
            response = self._open("GET", path, request_id=request_id, accept="*/*")
            if response.status_code == 200:
                return response
            raise error_for(
                read_response(response, endpoint, request_id=request_id, secrets=secrets), secrets
            )

        response = self._persist(attempt, "GET", endpoint, RetryPolicy(self.settings.max_retries))

        def pieces() -> Iterator[bytes]:
            with response:
                try:
                    yield from response.iter_content(chunk_size)
                except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                    raise failure(error, endpoint, secrets=secrets) from error

        return pieces()

    # -- the asynchronous half -------------------------------------------------------------------------------

    async def _arequest(
        self,
        client: aiohttp.ClientSession,
        method: str,
        path: str,
        *,
        read: Callable[[Any], T] = _as_sent,
        attempts: int = 1,
        read_timeout: float | None = None,
        total: float = 120.0,
    ) -> T:
        """
        Send one API request through a shared client: same reading and same errors as :meth:`_request`.

        Not repeated unless asked, because the wait around it tolerates trouble on its own.

        :param client: from :func:`~airflow_provider.core.http.async_sessions.new_async_client`.
        :param attempts: how often to try at most.
        :param read_timeout: seconds; by default the client's.
        :param total: seconds in which a further attempt may begin.
        """
        import aiohttp
        import yarl

        from airflow_provider.core.http.async_sessions import failure, read_response

        settings = await self.aload_settings()
        endpoint = f"{method} {path}"
        policy = RetryPolicy(attempts - 1, total=total)
        options: dict[str, Any] = {}
        if read_timeout is not None:
            options["timeout"] = aiohttp.ClientTimeout(
                total=settings.connect_timeout + read_timeout,
                sock_connect=settings.connect_timeout,
                sock_read=read_timeout,
            )

        async def attempt() -> T:
            request_id = self._new_request_id()
            try:
                async with client.request(
                    method,
                    yarl.URL(settings.url(path), encoded=True),
                    headers=self._headers(settings, request_id),
                    allow_redirects=False,
                    **options,
                ) as response:
                    answer = await read_response(response, endpoint, request_id=request_id)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise failure(error, endpoint, request_id=request_id, secrets=settings.secrets) from error
            if self.on_headers is not None:
                self.on_headers(answer.headers)
            return read(parse_json(answer, settings.secrets))

        started, retries = self._now(), 0
        while True:
            try:
                return await attempt()
            except ApiError as error:
                elapsed = self._now() - started
                pause = policy.pause(error, method=method, retries=retries, elapsed=elapsed, rng=self._rng)
                if pause is None:
                    raise
                retries += 1
                self._log_retry(error, endpoint, pause, retries, policy)
            await self._asleep(pause)


def _as_json(payload: Any) -> bytes:
    try:
        return jsonlib.dumps(payload, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"The request cannot be written as JSON, so nothing was sent: {error}", parameter="json"
        ) from error


def _outcome_unknown(
    paid: Paid, error: TransportError | MalformedResponseError, endpoint: str
) -> SubmitOutcomeUnknownError:
    return SubmitOutcomeUnknownError(
        f"{endpoint} was sent and no usable answer came back, so {paid.noun} may or may not exist, and may "
        f"be billed. It was not sent again. {paid.find_out} What went wrong: {error}",
        http_status=error.http_status,
        request_id=error.request_id,
        endpoint=endpoint,
    )
