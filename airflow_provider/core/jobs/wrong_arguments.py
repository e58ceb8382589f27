"""Arguments that are wrong where a job is paid for already: it is found and waited for, none is paid for."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from airflow_provider.exceptions import InvalidInputError

if TYPE_CHECKING:
    from airflow_provider.core.jobs.ledger import Ledger

Wrong = dict[str, InvalidInputError]
"""Errors by the argument that is wrong, in the order in which they were found."""


def check_all(task: Any, check: Callable[[], object], *, kept: Collection[str] = ()) -> Wrong:
    """
    Check a task's arguments, and give each that is wrong its default, where it has one.

    :param task: the operator.
    :param check: checks its arguments; raises the first error.
    :param kept: arguments that shape the result: without the right ones it is not returned.
    :return: what was wrong.
    """
    wrong: Wrong = {}
    defaults: dict[str, Any] = {}
    while True:
        try:
            check()
        except InvalidInputError as error:
            argument = re.split(r"[.\[]", error.parameter or "", maxsplit=1)[0]
            defaults = defaults or _defaults(type(task))
            known = argument in wrong or argument not in defaults
            wrong.setdefault(argument, error)
            if known or argument in kept:
                return wrong
            setattr(task, argument, defaults[argument])
        else:
            return wrong


def stop_unless_paid(wrong: Wrong, ledger: Ledger) -> None:
    """
    Stop an attempt with wrong arguments before anything is sent, unless an earlier one has sent its request.

    :raises InvalidInputError: the first error.
    """
    if wrong:
        entry = ledger.read()
        if entry is None or not entry.intent_at:
            raise next(iter(wrong.values()))


def _defaults(operator: type[Any]) -> dict[str, Any]:
    return {
        parameter.name: parameter.default
        for cls in reversed(operator.__mro__)
        if "__init__" in vars(cls)
        for parameter in inspect.signature(vars(cls)["__init__"]).parameters.values()
        if parameter.default is not parameter.empty
    }
