"""The errors that a wait tells apart; they need no Airflow. ``airflow_provider.exceptions`` has them too."""

from __future__ import annotations

from typing import Any, ClassVar


class ProviderError(Exception):
    """
    Root of the tree.

    :param message: what happened, to which job or endpoint, and what to do next.
    :param http_status: status of the answer, if there was one.
    :param code: the vendor's machine-readable code (Silent Witness ``error_code``, MediaMagic 402).
    :param parameter: the input field or argument at fault.
    :param request_id: the vendor's id of the request, for support.
    :param job_id: submission id or report id.
    :param endpoint: ``METHOD /path`` as sent, without query string.

    ``not_found`` says whether the service does not know the thing asked for.
    """

    not_found: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        http_status: int | None = None,
        code: str | None = None,
        parameter: str | None = None,
        request_id: str | None = None,
        job_id: str | None = None,
        endpoint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code
        self.parameter = parameter
        self.request_id = request_id
        self.job_id = job_id
        self.endpoint = endpoint


class UndefinedConnectionError(ProviderError):
    """
    Airflow says that the connection is not defined.

    It says the same when its metadata database cannot be asked, so a retry can help.
    """


class ApiError(ProviderError):
    """
    The service refused a request, failed to answer it, or answered with something else.

    ``retry_after`` is the number of seconds that the service asked to wait, on a 429 or a 503 that says so;
    ``key_refused`` whether another API key may be taken.
    """

    retry_after: float | None = None
    key_refused: ClassVar[bool] = False


class RateLimitedError(ApiError):
    """
    429.

    :param retry_after: seconds that the service asked to wait; ``None`` when it did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        http_status: int | None = 429,
        **known: Any,
    ) -> None:
        super().__init__(message, http_status=http_status, **known)
        self.retry_after = retry_after


class ServerError(ApiError):
    """5xx, 408 or 425: the fault is at the service and may pass."""


class TransportError(ApiError, ConnectionError):
    """
    The request got no usable answer: refused, reset, timed out, cut short.

    :param sent: whether any of the request may have reached the service. ``False`` means that sending it
        again cannot do anything twice.
    """

    def __init__(self, message: str, *, sent: bool = True, **known: Any) -> None:
        super().__init__(message, **known)
        self.sent = sent


class MalformedResponseError(ApiError):
    """
    The answer is not what the endpoint documents: no JSON, an empty body, a missing field, or a 404 that is
    not in the API's words, or a 403 that is a web page, so that something in front of it has answered.
    """
