"""What every endpoint of Silent Witness shares: the envelope, body parsing, pages, ids."""

from __future__ import annotations

import secrets
from typing import Any, TypeVar

from airflow_provider.simulator.calls import Call, NotJson
from airflow_provider.simulator.replies import Reply, json_reply
from airflow_provider.simulator.silent_witness.errors import Problem

T = TypeVar("T")


def success(data: Any, status: int = 200) -> Reply:
    """``{"success": true, "data": ...}``."""
    return json_reply(status, {"success": True, "data": data})


def new_id(prefix: str) -> str:
    """An id such as ``case_...``."""
    return f"{prefix}_{secrets.token_hex(12)}"


async def json_object(call: Call, code: str) -> dict[str, Any]:
    """The body.

    :param code: ``error_code`` when it is no JSON object.
    """
    try:
        data = await call.json()
    except NotJson:
        raise Problem(400, code, "Request body is not valid JSON") from None
    if not isinstance(data, dict):
        raise Problem(400, code, "Request body is not a JSON object")
    return data


def as_listed(row: dict[str, Any], times: str) -> dict[str, Any]:
    """A row with as much of ``created_at`` as the settings say."""
    return {**row, "created_at": {"time": row["created_at"], "date": row["created_at"][:10]}.get(times)}


def page(
    call: Call, rows: list[T], default_limit: int | None, *, cap: int = 0, only_first: bool = False
) -> list[T]:
    """One page of a list: ``limit``/``offset`` (new) or ``page``/``limit`` (old, at most 100).

    :param default_limit: of the new form; ``None`` is everything.
    :param cap: most rows, whatever is asked for; 0 is no cap.
    :param only_first: whatever is asked for.
    """
    if "page" in call.query:
        limit = min(_number(call, "limit", 20), cap or 100)
        offset = (max(_number(call, "page", 1), 1) - 1) * limit
    else:
        given = call.query.get("limit")
        limit = (
            len(rows)
            if given is None and default_limit is None
            else _number(call, "limit", default_limit or 0)
        )
        offset = _number(call, "offset", 0)
    offset = 0 if only_first else offset
    return rows[offset : offset + (min(limit, cap) if cap else limit)]


def _number(call: Call, name: str, default: int) -> int:
    text = call.query.get(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise Problem(400, "invalid_parameter", f"{name} must be a non-negative integer", name)
    return int(text)
