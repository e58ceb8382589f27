"""
Reading Silent Witness answers: the envelope, and the spellings of its two generations of documentation.

See https://docs.staging.silentwitness.ai/api-reference/overview
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from airflow_provider.core.http.responses import malformed, require, require_object
from airflow_provider.exceptions import NotFoundError

T = TypeVar("T")


def read_data(endpoint: str, take: Callable[[Any], T]) -> Callable[[Any], T]:
    """Return a function that unwraps ``{"success": true, "data": ...}`` and hands the data on."""

    def read(body: Any) -> T:
        envelope = require_object(body, endpoint)
        if envelope.get("data") is None:
            found = "null" if "data" in envelope else "nothing"
            raise malformed(endpoint, f"{found} in the field `data`")
        return take(envelope["data"])

    return read


def read_object(endpoint: str, key: str | None = None, *fields: str) -> Callable[[Any], dict[str, Any]]:
    """Return a function that reads an object, bare or under its name, in which these text fields are set."""

    def take(data: Any) -> dict[str, Any]:
        found = require_object(inner(data, key) if key else data, endpoint)
        for name in fields:
            require(found, name, str, endpoint)
        return found

    return read_data(endpoint, take)


def read_deleted(endpoint: str) -> Callable[[Any], dict[str, Any]]:
    """Return a function that reads the answer to a DELETE; the error pages also list 204, without a body."""

    def read(body: Any) -> dict[str, Any]:
        return {} if body is None else read_object(endpoint)(body)

    return read


def inner(data: Any, key: str) -> Any:
    """Return the object under its name, or the data itself when that is the object already."""
    if isinstance(data, dict) and "id" not in data and isinstance(data.get(key), dict):
        return data[key]
    return data


def read_rows(data: Any, key: str, endpoint: str) -> list[dict[str, Any]]:
    """Read a list: bare, as older pages show it, or under its name."""
    rows = data.get(key) if isinstance(data, dict) else data
    if rows is None and isinstance(data, dict) and data.get("total") == 0:
        return []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise malformed(endpoint, f"something other than a list of {key}")
    return rows


def read_report(report_id: str, path: str) -> Callable[[Any], dict[str, Any]]:
    """Return a function that reads a report; ``"data": null`` is how the API says that it knows none."""
    endpoint = f"GET {path}"

    def read(body: Any) -> dict[str, Any]:
        envelope = require_object(body, endpoint)
        if "data" in envelope and envelope["data"] is None:
            raise NotFoundError(
                f"{endpoint}: Silent Witness knows no report {report_id!r} (it answers 200 with `data` "
                "null). Check the id, and that the key belongs to the account that owns the report.",
                http_status=200,
                job_id=report_id,
                endpoint=endpoint,
            )
        return read_object(endpoint, "report", "id", "status")(body)

    return read
