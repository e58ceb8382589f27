"""Checks of arguments, made before anything is sent. Every error names the argument."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

from airflow_provider.core.text import snippet
from airflow_provider.exceptions import InvalidInputError

IF_NO_FILES: Final = ("fail", "skip")
"""What a task may do that has no file to send."""

PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""What an id of either service may look like: nothing that a path, a template or a log reads as its own."""


def required_id(argument: str, value: Any) -> str:
    """
    Return an id that must be there: upstream tasks may have returned nothing.

    :raises InvalidInputError: it is empty or not a string.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # Dags with render_template_as_native_obj turn digits into numbers
    if not isinstance(value, str) or not value.strip() or value.strip() == "None":
        raise InvalidInputError(
            f"{argument} must be a non-empty string; got {value!r}. Did the upstream task push its XCom?",
            parameter=argument,
        )
    return value.strip()


def as_bool(argument: str, value: Any) -> bool:
    """
    Return a boolean that a template may have turned into text.

    :raises InvalidInputError: it is neither a boolean nor ``true`` or ``false``.
    """
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in ("true", "false"):
        raise InvalidInputError(f"{argument} must be true or false; got {value!r}.", parameter=argument)
    return text == "true"


def switch(argument: str, value: Any) -> bool:
    """
    Return a boolean argument that is no template: the text of one would count as true.

    :raises InvalidInputError: it is anything but ``True`` or ``False``.
    """
    if not isinstance(value, bool):
        raise InvalidInputError(
            f"{argument} must be True or False, and is no template; got {value!r}.", parameter=argument
        )
    return value


def whole_number(argument: str, value: Any, *, least: int = 0) -> int:
    """
    Return a count that is no template.

    :raises InvalidInputError: it is no whole number, or less than ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInputError(
            f"{argument} must be a whole number from {least}, and is no template; got {value!r}.",
            parameter=argument,
        )
    return value


def positive_seconds(argument: str, value: Any) -> float:
    """
    Return a duration in seconds; a template may have turned it into text.

    :raises InvalidInputError: it is no positive number and no timedelta.
    """
    try:
        seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if isinstance(value, bool) or not 0 < seconds < float("inf"):
        raise InvalidInputError(
            f"{argument} must be a positive number of seconds or a timedelta; got {value!r}.",
            parameter=argument,
        )
    return seconds


def one_of(argument: str, value: Any, allowed: Sequence[str]) -> str:
    """
    Return a value that must be one of ``allowed``.

    :raises InvalidInputError: it is not.
    """
    if not isinstance(value, str) or value not in allowed:
        raise InvalidInputError(
            f"{argument} must be one of {', '.join(allowed)}; got {value!r}.", parameter=argument
        )
    return value


def required_text(argument: str, value: Any) -> str:
    """
    Return a text.

    :raises InvalidInputError: it is not text, or blank.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(f"{argument} must be a non-empty text; got {value!r}.", parameter=argument)
    return value


def is_plain_id(value: Any) -> bool:
    """Whether it is a text of :data:`PLAIN_ID`, and no dot segment, which would name another endpoint."""
    return isinstance(value, str) and bool(PLAIN_ID.fullmatch(value)) and value not in (".", "..")


def plain_id(argument: str, value: Any) -> str:
    """
    Return an id of the service, which may have come from anywhere.

    :raises InvalidInputError: it is none, see :func:`is_plain_id`.
    """
    if not is_plain_id(value):
        raise InvalidInputError(
            f"{argument} must be an id: 1 to 128 of the characters A-Z a-z 0-9 _ . : -; got "
            f"{snippet(repr(value))}.",
            parameter=argument,
        )
    return str(value)


def quoted_id(argument: str, value: Any) -> str:
    """
    Return an id for use in a path.

    :raises InvalidInputError: it is no :func:`plain_id`.
    """
    return quote(plain_id(argument, value), safe="")


def named_files(files: Any) -> list[str]:
    """Return what ``files`` names, before any of it is looked for; what is no list is refused then."""
    if isinstance(files, str | bytes | os.PathLike | Mapping) or not isinstance(files, Iterable):
        return [str(files)]
    return [str(item.get("path", item) if isinstance(item, Mapping) else item) for item in files]
