"""Find what a paid request with a lost answer has created, and nothing that may be somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

from airflow_provider.core.jobs.pay_once import carried_out_until
from airflow_provider.core.polling.wait import epoch_seconds
from airflow_provider.exceptions import LedgerError, MalformedResponseError

if TYPE_CHECKING:
    from airflow_provider.core.jobs.ledger import Entry
    from airflow_provider.hooks.silent_witness import SilentWitnessHook

MARGIN = 2.0
"""Seconds that a creation may seem to precede its request: dates and timestamps may be whole seconds."""

WRONG_BY = 3600.0
"""Seconds by which the service's clock may be wrong where no answer of it has a ``Date``."""


def created_since(
    read_rows: Callable[[], Iterable[dict[str, Any]]],
    entry: Entry,
    hook: SilentWitnessHook,
    *,
    noun: str,
    argument: str,
    claimed: Collection[str],
) -> str | None:
    """
    Return the id of the one thing that was created while a request may have been carried out, on the
    service's own clock, which the ``Date`` of its answers shows.

    :param read_rows: lists what may be it, with ``id`` and ``created_at``.
    :param entry: the record of the request.
    :param hook: that lists the rows.
    :param noun: what they are, for the error.
    :param argument: of the operator, which takes the id of one of them.
    :param claimed: ids that other tasks have.
    :return: ``None`` when there is none.
    :raises LedgerError: it cannot be told which is meant, or whether one is.
    """
    others = {*entry.details.get("earlier_ids", ()), *claimed}
    try:
        rows = list(read_rows())
    except MalformedResponseError as error:
        raise LedgerError(
            f"A request for a {noun} was sent and its answer lost, and the {noun}s cannot be listed: {error} "
            "Nothing was sent again, and what was asked for may be billed. A retry searches again; "
            f"{argument}='...' takes one that exists and pays nothing."
        ) from error
    since = hook.service_time(entry.intent_at) - MARGIN
    until = hook.service_time(carried_out_until(entry, hook.settings.read_timeout)) + MARGIN
    doubt = WRONG_BY if hook.clock_offset is None else 0.0
    found, doubtful = [], []
    for row in rows:
        created_at = epoch_seconds(row.get("created_at"))
        if row["id"] in others:
            continue
        if created_at is None:
            doubtful.append(row["id"])
        elif since <= created_at <= until:
            found.append(row["id"])
        elif since - doubt <= created_at <= until + doubt:
            doubtful.append(row["id"])
    if doubtful or len(found) > 1:
        when = "may have been" if doubtful else "were"
        raise LedgerError(
            f"A request for a {noun} was sent and its answer lost; these {when} created since: "
            f"{', '.join([*found, *doubtful])}. Nothing was sent again, and what was asked for may be "
            f"billed. Look at them and name the right one: {argument}='...' takes it and pays nothing."
        )
    return found[0] if found else None
