"""Checks of arguments, made before anything is sent. Every error names the argument."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import date, time, timedelta
from decimal import Decimal
from math import isfinite
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from airflow_provider.exceptions import InvalidInputError

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    PathArgument = str | os.PathLike[str] | ObjectStoragePath
    """What an argument takes that names a file or a folder."""

LONGEST: Final = 10 * 365 * 86400.0
"""Seconds that stand for ever: Airflow and Python know no date as far away as a number may say."""

IF_NO_FILES: Final = ("fail", "skip")
"""What a task may do that has no file to send."""


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
    Return a duration in seconds, at most :data:`LONGEST`; a template may have turned it into text.

    :raises InvalidInputError: it is no positive number and no timedelta.
    """
    try:
        seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = -1.0
    if isinstance(value, bool) or not 0 < seconds < float("inf"):
        raise InvalidInputError(
            f"{argument} must be a positive number of seconds or a timedelta; got {value!r}.",
            parameter=argument,
        )
    return min(seconds, LONGEST)


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

    :raises InvalidInputError: it is not text, is blank, or holds half a character.
    """
    if not isinstance(value, str) or not value.strip() or value != value.encode(errors="replace").decode():
        raise InvalidInputError(f"{argument} must be a non-empty text; got {value!r}.", parameter=argument)
    return value


def plain_json(argument: str, value: Any) -> Any:
    """
    Return a copy of a value as JSON has it, converting what rows of databases and DataFrames hold: dates,
    times and UUIDs become text, decimals and NumPy's scalars numbers.

    :raises InvalidInputError: names the place of what JSON does not know: bytes, a set, a number that is not
        finite, half a surrogate pair, an object within itself.
    """
    try:
        return _plain(argument, value)
    except RecursionError:
        raise InvalidInputError(
            f"{argument} is nested too deeply, or within itself.", parameter=argument
        ) from None


def _plain(argument: str, value: Any) -> Any:
    if hasattr(value, "dtype") and not getattr(value, "ndim", 1):
        value = value.item()
    if isinstance(value, Mapping):
        return {_plain_name(name): _plain(f"{argument}.{name}", each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return [_plain(f"{argument}[{at}]", each) for at, each in enumerate(value)]
    if value is None or isinstance(value, int) or (isinstance(value, str) and _is_unicode(value)):
        return value
    if isinstance(value, float | Decimal) and isfinite(value):
        return int(value) if isinstance(value, Decimal) and value == int(value) else float(value)
    if isinstance(value, date | time) and value == value:  # pandas' NaT is a date, and equals nothing
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    missing = " None says that a value is missing." if isinstance(value, float | Decimal | date) else ""
    raise InvalidInputError(
        f"{argument} is {value!a}, which JSON does not know.{missing}", parameter=argument
    )


def _plain_name(name: Any) -> Any:
    return name if name is None or isinstance(name, str | int | float) else str(name)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def path_as_template(value: Any) -> Any:
    """
    Return a ``Path`` as text, for Airflow renders no other; anything else as it is.

    Airflow renders its ``ObjectStoragePath`` itself, which on Airflow 3.1 is a ``Path`` with a protocol.
    """
    return str(value) if isinstance(value, PurePath) and not hasattr(value, "protocol") else value


def named_files(files: Any) -> list[str]:
    """Return what ``files`` names, before any of it is looked for; what is no list is refused then."""
    if not is_list_of_files(files):
        return [str(files)]
    return [str(item.get("path", item) if isinstance(item, Mapping) else item) for item in in_order(files)]


def is_list_of_files(files: Any) -> bool:
    """Whether files are given as something that can be read again and again, and not as one path."""
    return isinstance(files, Iterable) and not isinstance(
        files, str | bytes | os.PathLike | Mapping | Iterator
    )


def in_order(files: Iterable[Any]) -> Iterable[Any]:
    """Return files in an order that a retry has too: that of a set is another one in every process."""
    return sorted(files, key=str) if isinstance(files, Set) else files
