"""
PaidRequest: what an operator says about the one thing that it pays for, and the checks of its arguments.

An argument that is wrong where something is paid for already stops nothing: what was paid for is found and
waited for, and no more is paid for.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection
from logging import Logger
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider.core.arguments import one_of, switch, whole_number
from airflow_provider.core.jobs.ledger import Entry, Ledger
from airflow_provider.exceptions import InvalidInputError, ProviderError

if TYPE_CHECKING:
    from airflow.sdk import Context

Wrong = dict[str, InvalidInputError]
"""Errors by the argument that is wrong, in the order in which they were found."""

ATTACH, NEW = "attach", "new"
"""What a user's clear may mean; ``None`` is the rule of :meth:`PayOnce.still_owed`."""

NAMED = "The user has named it: nothing is paid for in its place."
"""What errors say of a named job that does not serve."""


class PaidInVainError(Exception):
    """What an earlier call started exists, cannot be found, and the user has chosen to pay for another."""


class PreparedInVainError(Exception):
    """
    The service refused what had been prepared for a paid call, and did nothing.

    :param error: the refusal.
    :param details: of the entry, without what was refused.
    :param again: whether an earlier attempt had prepared it, so that preparing it anew may help.
    """

    def __init__(self, error: ProviderError, details: dict[str, Any], *, again: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.details = details
        self.again = again


class PaidRequest(Protocol):
    """
    What an operator says about the one thing it pays for.

    ``noun`` is what the service calls it. ``arrives_within`` are the seconds within which the paid request
    may still reach the service after its sender died, where finding it is reading only: a retry that comes
    sooner must not conclude from an empty list that there is nothing. ``conflict_may_be_own`` says whether a
    409 to the paid request may be about that request itself, which something on the way has sent twice.
    ``wrong`` are the arguments that are: with one nothing is paid for, and what was paid for is taken.
    """

    arrives_within: float
    conflict_may_be_own: bool
    reuse_completed: bool
    on_clear: str | None
    max_paid_requests: int | None
    wrong: Wrong

    @property
    def adopts(self) -> str | None:
        """Id of a thing that exists already and is to be taken instead of paying for one."""

    @property
    def noun(self) -> str: ...

    @property
    def id_key(self) -> str:
        """XCom key of the id."""

    @property
    def task_log(self) -> Logger: ...

    def request(self) -> dict[str, Any]:
        """Return what was asked for, as plain JSON, for its fingerprint. Sends and reads nothing."""

    def older_request(self) -> dict[str, Any] | None:
        """Return the same as older versions put it, where they did otherwise. May read files."""

    def prepare(self, hook: Any, ledger: Ledger, entry: Entry) -> Entry:
        """Do what must precede the paid call, recording what a later attempt need not repeat."""

    def submit(self, hook: Any, entry: Entry) -> dict[str, Any]:
        """
        Send the paid call; return the service's answer.

        :raises PreparedInVainError: the service refused what was prepared.
        """

    def find_orphaned(
        self, hook: Any, entry: Entry, *, may_probe: bool, claimed: Collection[str]
    ) -> dict[str, Any] | None:
        """
        Find what an earlier paid call with a lost answer started.

        :param may_probe: whether that call is over, so that it can be told by sending it again where the
            service refuses a second one.
        :param claimed: ids that other tasks of this Dag run have.
        :return: the service's description of it; ``None`` when the call never arrived.
        :raises LedgerError: it cannot be found out without paying twice.
        :raises PaidInVainError: it arrived, and another one is to be paid for.
        """

    def fetch(self, hook: Any, job_id: str) -> dict[str, Any]:
        """Return the service's present description of the thing paid for."""

    def id_of(self, body: dict[str, Any]) -> str:
        """Return its id from the service's description."""

    def announce(self, context: Context, job_id: str | None) -> None:
        """Push the id to XCom at once, for people, links and other tasks; ``None`` takes it back."""

    def push_result(self, context: Context, value: Any) -> None:
        """Push what the task is about to return, to know whether Airflow takes it."""


def check_paying(paid: PaidRequest) -> None:
    """
    Check the arguments of everything that pays.

    :raises InvalidInputError: names the one that is wrong.
    """
    switch("reuse_completed", paid.reuse_completed)
    if paid.on_clear is not None:
        one_of("on_clear", paid.on_clear, (ATTACH, NEW))
        if paid.on_clear == NEW and paid.reuse_completed:
            raise InvalidInputError(
                "on_clear='new' and reuse_completed=True contradict each other.", parameter="on_clear"
            )
    if paid.max_paid_requests is not None:
        whole_number("max_paid_requests", paid.max_paid_requests)


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
