"""The four error shapes of MediaMagic.

https://docs.mediamagic-lite.northell.io/reference/error-codes and ``/reference/rate-limiting``.
"""

from __future__ import annotations

import math

from airflow_provider.simulator.replies import Refusal, Reply, json_reply

DOCS_ASSETS = "https://docs.mediamagic.app/concepts/assets"

_DETAILS = {
    400: "Bad request",
    401: "Invalid API key",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "File too large",
    415: "Unsupported content type",
    500: "Internal server error",
    502: "Stored result could not be loaded",
}


def domain_error(status: int, detail: str, docs_url: str | None = None) -> Reply:
    """Most errors: ``detail`` and sometimes ``docs_url``."""
    body = {"detail": detail}
    if docs_url:
        body["docs_url"] = docs_url
    return json_reply(status, body)


def refuse(status: int, detail: str, docs_url: str | None = None) -> Refusal:
    """A domain error to raise."""
    return Refusal(domain_error(status, detail, docs_url))


def validation_error(*problems: tuple[str, str]) -> Reply:
    """422: a structured envelope; its keys are not documented.

    :param problems: dotted field and what is wrong with it.
    """
    errors = [{"field": name, "message": message} for name, message in problems]
    return json_reply(422, {"message": "Request validation failed", "errors": errors})


def invalid(field: str, message: str) -> Refusal:
    """A validation error to raise."""
    return Refusal(validation_error((field, message)))


def rate_limited(bucket: str, wait: float) -> Reply:
    """429, always with ``Retry-After``."""
    what = {
        "upload": "uploads",
        "submission_write": "submission writes",
        "submission_read": "submission reads",
        "webhook_write": "webhook writes",
        "webhook_read": "webhook reads",
        "sandbox": "sandbox requests",
    }.get(bucket, "requests")
    headers = [("Retry-After", str(max(1, math.ceil(wait))))]
    return json_reply(429, {"error": f"Rate limit exceeded: too many {what}"}, headers)


def plan_gated(bucket: str) -> Reply:
    """402: the plan of the key has no API access."""
    return json_reply(
        402,
        {
            "error_code": "tier_not_authorized_for_integrations_api",
            "message": "Your plan does not include access to the Integrations API.",
            "bucket": bucket,
        },
    )


def default_error(status: int, bucket: str) -> Reply:
    """The body that goes with a status when nothing more is known."""
    if status == 402:
        return plan_gated(bucket)
    if status == 422:
        return validation_error(("body", "Invalid"))
    if status == 429:
        return rate_limited(bucket, 1)
    return domain_error(status, _DETAILS.get(status, "Service unavailable"))
