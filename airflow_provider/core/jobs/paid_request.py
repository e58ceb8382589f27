"""PaidRequest: what an operator says about the one thing that it pays for."""

from __future__ import annotations

from collections.abc import Collection
from logging import Logger
from typing import Any, Protocol

from airflow_provider.core.arguments import one_of, switch, whole_number
from airflow_provider.core.jobs.ledger import Entry, Ledger
from airflow_provider.exceptions import InvalidInputError, ProviderError

ATTACH, NEW = "attach", "new"
"""What a user's clear may mean; ``None`` is the rule of :meth:`PayOnce.still_owed`."""


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
    """

    arrives_within: float
    conflict_may_be_own: bool
    reuse_completed: bool
    on_clear: str | None
    max_paid_requests: int | None

    @property
    def adopts(self) -> str | None:
        """Id of a thing that exists already and is to be taken instead of paying for one."""

    @property
    def noun(self) -> str: ...

    @property
    def conn_id(self) -> str: ...

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
