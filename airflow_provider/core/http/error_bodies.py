"""
The errors that answers of an API mean.

The HTTP status decides. Of a 404 it also matters whether the API itself has answered: it says that something
paid for is gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from airflow_provider.core.http.responses import Response, load_json, malformed
from airflow_provider.core.http.retry import retry_after
from airflow_provider.core.text import snippet
from airflow_provider.exceptions import (
    ApiError,
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    MalformedResponseError,
    NotFoundError,
    NotReadyError,
    PermissionDeniedError,
    PlanError,
    RateLimitedError,
    ServerError,
    SubmitOutcomeUnknownError,
)

_ERROR_FIELDS: Final = frozenset({"detail", "error", "error_code", "message"})
"""Fields of which the APIs' error bodies have at least one."""


@dataclass(frozen=True, slots=True)
class Paid:
    """
    What a paid call starts.

    :param noun: with its article: ``the submission``.
    :param find_out: how to learn whether it exists, after an answer was lost.
    """

    noun: str
    find_out: str


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """
    What an error body says, whatever its shape; redacted and short.

    No vendor promises one shape: a message is found under ``detail``, ``error``, ``message`` or ``errors``,
    as text, as an object or as a list of them, beside ``error_code``, ``error_param``, ``details``,
    ``bucket`` and ``request_id``; a proxy in between sends HTML.

    :param names: of its fields; none where it is no JSON object.
    """

    text: str = ""
    code: str | None = None
    parameter: str | None = None
    request_id: str | None = None
    bucket: str | None = None
    names: frozenset[str] = frozenset()

    @classmethod
    def read(cls, body: bytes, secrets: Iterable[str] = ()) -> ErrorBody:
        try:
            data = load_json(body)
        except ValueError:
            data = None
        return cls.of(data, secrets) if isinstance(data, dict) else cls(text=snippet(body, secrets))

    @classmethod
    def of(cls, data: Mapping[str, Any], secrets: Iterable[str]) -> ErrorBody:
        details = data.get("details")
        details = details if isinstance(details, dict) else {}
        text, parameter = "", None
        for name in ("error", "message", "detail", "errors"):
            found, at = _message_in(data.get(name))
            text, parameter = text or found, parameter or at
        extra = _text(details.get("message"))
        if extra and extra not in text:
            text = f"{text} ({extra})" if text else extra
        parameter = _text(data.get("error_param")) or _text(details.get("field")) or parameter
        return cls(
            text=snippet(text or json.dumps(data), secrets),
            code=snippet(_text(data.get("error_code")), secrets) or None,
            parameter=snippet(parameter or "", secrets) or None,
            request_id=snippet(_text(data.get("request_id")), secrets) or None,
            bucket=snippet(_text(data.get("bucket")), secrets) or None,
            names=frozenset(data),
        )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _message_in(value: Any) -> tuple[str, str | None]:
    """Find a message, and the field it is about, in text, in an object or in a list of them."""
    if isinstance(value, str):
        return value, None
    if isinstance(value, list):
        found = [_message_in(item) for item in value[:5]]
        texts = [f"{text} (at {at})" if at else text for text, at in found if text]
        return "; ".join(texts), next((at for _, at in found if at), None)
    if isinstance(value, dict):
        at = value.get("loc") or value.get("field") or value.get("path")
        at = ".".join(str(part) for part in at) if isinstance(at, list) else at
        text = next((value[k] for k in ("msg", "message", "error", "detail") if _text(value.get(k))), "")
        return text or json.dumps(value, default=str), _text(at) or None
    return "", None


_ADVICE: Final[Mapping[type[ApiError], str]] = {
    AuthenticationError: (
        "Check the API key in the connection's password field; keys expire, can be revoked, and belong to "
        "one environment."
    ),
    PermissionDeniedError: (
        "The key is valid and may not do this; check which workspace or account it belongs to."
    ),
    PlanError: "Ask the vendor to enable the API for the plan; a retry does not help.",
    NotFoundError: "Check the id, and that the key belongs to the workspace or account that owns it.",
    NotReadyError: (
        "The service answers so until the asset has finished, so ask again later. It gives the same answer "
        "for an unknown id: check the ids if it persists."
    ),
    ConflictError: "Look at the current state before trying again.",
    RateLimitedError: (
        "Slow down: lower requests_per_minute or requests_per_hour in the connection's extra, or ask the "
        "vendor for a higher limit."
    ),
    ServerError: "The fault is at the service and may pass; try again later.",
    InvalidRequestError: "Correct the request; sending it unchanged fails again.",
}

_FOREIGN: Final = (
    "The API gives its reason in JSON, so something else has answered, such as a proxy in front of it. Check "
    "the connection's host; if it is right, try again later."
)


def error_for(
    answer: Response,
    secrets: Iterable[str] = (),
    *,
    pending: bool = False,
    paid: Paid | None = None,
) -> ApiError:
    """
    Turn an answer that is not 2xx, a 2xx of ``{"success": false}`` or one that is not documented into the
    error that says what to do.

    A 404 that is not in the API's words, such as an ingress sends while nothing is behind it, says nothing
    about the thing asked for, and a web page of status 403, as firewalls send it to many requests and hosts
    for a stopped app, nothing about the key: they become MalformedResponseError, which a retry may help.

    :param secrets: values that must not be quoted.
    :param pending: whether the endpoint answers 404 while its asset is unfinished (issues, topics).
    :param paid: set for a call that starts something paid: a 5xx then says that the outcome is not
        documented.
    """
    status = answer.status
    said = ErrorBody.read(answer.body, secrets)
    known: dict[str, Any] = {
        "http_status": status,
        "code": said.code,
        "parameter": said.parameter,
        "request_id": said.request_id
        or snippet(answer.headers.get("x-request-id", ""), secrets)
        or answer.request_id,
        "endpoint": answer.endpoint,
    }
    if 200 <= status < 300:
        endpoint = known.pop("endpoint")
        what = '`"success": false` with a success status' if "success" in said.names else f"status {status}"
        return malformed(endpoint, f"{what}: {said.text}" if said.text else what, **known)
    if status < 400:
        return _redirected(answer, known)
    page = status == 403 and answer.body.lstrip()[:1] == b"<"
    foreign = page or (status == 404 and _ERROR_FIELDS.isdisjoint(said.names))
    kind = _kind_for(status, pending, foreign)
    parts = [f"{answer.endpoint} answered {status}" + (f": {said.text.rstrip('.')}." if said.text else ".")]
    if said.code:
        parts.append(f"Code: {said.code}.")
    if said.parameter:
        parts.append(f"Field: {said.parameter}.")
    if kind is PlanError and said.bucket:
        parts.append(f"Bucket: {said.bucket}.")
    if known["request_id"]:
        parts.append(f"Request id: {known['request_id']}.")
    wait = retry_after(answer.headers) if status in (429, 503) else None
    if wait is not None:
        parts.append(f"The service asks to wait {wait:.0f} s.")
    if kind is ServerError and paid:
        advice = (
            f"Whether {paid.noun} exists all the same is not documented, so the request was not sent again. "
            f"{paid.find_out}"
        )
    elif foreign:
        advice = _FOREIGN
    else:
        advice = _ADVICE[kind]
    error = kind(" ".join([*parts, advice]), **known)
    error.retry_after = wait
    return error


def _kind_for(status: int, pending: bool, foreign: bool) -> type[ApiError]:
    if foreign:
        return MalformedResponseError
    if status >= 500 or status in (408, 425):
        return ServerError
    if status == 404 and pending:
        return NotReadyError
    return {
        401: AuthenticationError,
        402: PlanError,
        403: PermissionDeniedError,
        404: NotFoundError,
        409: ConflictError,
        429: RateLimitedError,
    }.get(status, InvalidRequestError)


def _redirected(answer: Response, known: dict[str, Any]) -> MalformedResponseError:
    try:
        host = snippet(urlsplit(answer.headers.get("location", "")).hostname or "")
    except ValueError:
        host = ""
    what = "a redirect" if answer.status >= 300 else "no final status"
    to = f" to {host}" if host else ""
    return MalformedResponseError(
        f"{answer.endpoint} answered {answer.status}, {what}{to}. Redirects are not followed, so that "
        "the API key stays where the connection says. Correct the connection's host.",
        **known,
    )


def outcome_unknown(error: ApiError, endpoint: str, paid: Paid) -> SubmitOutcomeUnknownError:
    """Return the error for a paid call that may have done its work although it ended with this one."""
    return SubmitOutcomeUnknownError(
        f"{endpoint} was sent and no usable answer came back, so {paid.noun} may or may not exist, and may "
        f"be billed. It was not sent again. {paid.find_out} What went wrong: {error}",
        http_status=error.http_status,
        request_id=error.request_id,
        endpoint=endpoint,
    )
