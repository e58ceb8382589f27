"""Arguments that every endpoint checks before anything is sent."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow_provider.exceptions import InvalidInputError


def quoted_id(value: Any, name: str) -> str:
    """
    Return an id for use in a path.

    :raises InvalidInputError: not text, empty, or a dot segment, which would name another endpoint.
    """
    if not isinstance(value, str) or not value.strip() or value in (".", ".."):
        raise InvalidInputError(f"{name} must be a non-empty id; got {value!r}.", parameter=name)
    return quote(value, safe="")


def required_text(value: Any, name: str) -> str:
    """
    Return a text argument.

    :raises InvalidInputError: not text, or empty.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(f"{name} must be a non-empty text; got {value!r}.", parameter=name)
    return value
