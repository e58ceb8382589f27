"""Search for what a paid request with a lost answer has started, for as long as it may be carried out."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from airflow_provider.core.polling.wait import REFUSALS_BELIEVED
from airflow_provider.exceptions import ApiError, LedgerError, NotFoundError

if TYPE_CHECKING:
    from airflow_provider.core.jobs.ledger import Entry
    from airflow_provider.core.jobs.pay_once import PayOnce

ARRIVES_WITHIN = 30.0
"""Seconds in which a request may still be carried out, beside those in which it may have been answered."""

SHOWN_WITHIN = 10.0
"""Seconds by which what a service shows may be behind what it has carried out."""

SEARCH_PAUSES = (2.0, 3.0, 5.0, 10.0)
"""Seconds between searches for what a request has started; the last one repeats."""


class UnclearError(LedgerError):
    """Which job is meant cannot be told now; it may be later, when other tasks have told which is theirs."""


def search(paying: PayOnce, entry: Entry, *, may_probe: bool) -> dict[str, Any] | None:
    """
    Return what the request has started; ``None`` when it was not carried out and no longer can be.

    What is found early may be another's whose own comes later: it is taken when the time is over. Until then
    trouble with the list, and what is unclear, may pass.

    :param paying: what was paid for, and the jobs that other tasks have.
    :param entry: the record of the request.
    :param may_probe: see :meth:`PaidRequest.find_orphaned`.
    :raises LedgerError: it cannot be told which is meant, or whether one is.
    """
    paid, hook = paying.paid, paying.hook
    # 1 but in tests, whose time may run faster, and 0 where searching is no mere reading.
    pace = paid.arrives_within / ARRIVES_WITHIN
    read_timeout = hook.settings.read_timeout
    left = carried_out_until(entry, read_timeout, pace=pace) + pace * SHOWN_WITHIN - time.time()
    # No longer than from the intent on, should this machine's clock have been set back since.
    until = time.monotonic() + min(left, pace * (longest(read_timeout) + SHOWN_WITHIN))
    pauses = itertools.chain(SEARCH_PAUSES, itertools.repeat(SEARCH_PAUSES[-1]))
    found: dict[str, Any] | None = None
    refused = 0  # in a row
    while True:
        others = paying.jobs_of_others()
        claimed = () if others is None else others
        trouble: ApiError | UnclearError | None = None
        try:
            # A search that began again from the start would take the loss for one of an earlier attempt.
            with hook.turns.in_place():
                found = paid.find_orphaned(hook, entry, may_probe=may_probe, claimed=claimed) or found
        except (ApiError, UnclearError) as error:
            trouble = error
        if found is not None and paid.id_of(found) == paid.request().get(paid.id_key):
            return found  # the user has named it: it is nobody else's, whoever else has it too
        remaining = until - time.monotonic()
        refused = refused + 1 if isinstance(trouble, ApiError) else 0
        if remaining <= 0 and (not pace or not 0 < refused < REFUSALS_BELIEVED):
            break
        pause = pace * next(pauses)
        if remaining > 0:
            pause = remaining if found is not None and trouble is None else min(remaining, pause)
        paying.pause(pause)
    if isinstance(trouble, UnclearError):
        raise LedgerError(str(trouble)) from trouble
    if trouble is not None:
        message = (
            f"A request for a {paid.noun} was sent and its answer lost, and what it has started cannot be "
            f"read. Nothing was sent again, and it may be billed; a retry searches again. {trouble}"
        )
        if isinstance(trouble, NotFoundError):
            raise LedgerError(message) from trouble
        trouble.args = (message, *trouble.args[1:])
        raise trouble
    if found is not None and pace:
        _claim(paying, paid.id_of(found))
    return found


def _claim(paying: PayOnce, job_id: str) -> None:
    """
    Take what was found for this task alone.

    :raises LedgerError: another task has it, or may have.
    """
    # Two tasks may search at once: each tells first and asks then, so that one of them at least sees both.
    paying.announce(job_id)
    others = paying.jobs_of_others()
    if others is not None and job_id not in others:
        return
    paying.withdraw(job_id)
    why = "which jobs other tasks have is not known" if others is None else "another task has taken it"
    raise LedgerError(
        f"A request for a {paying.paid.noun} was sent and its answer lost; {job_id} may be what it has "
        f"started, and {why}. Nothing was sent again; a retry searches again."
    )


def carried_out_until(entry: Entry, read_timeout: float, *, pace: float = 1.0) -> float:
    """
    Return until when a request with a lost answer may be carried out, epoch seconds.

    :param pace: 1, and less in tests, whose time runs faster.
    """
    # A sender that died may have waited for its answer for as long as it was allowed to.
    lost_at: float = entry.details.get("lost_at") or entry.intent_at + pace * read_timeout
    return lost_at + pace * (ARRIVES_WITHIN + read_timeout)


def longest(read_timeout: float) -> float:
    """Return for how many seconds after its intent a request may be carried out at most."""
    return 2 * read_timeout + ARRIVES_WITHIN


def lost_requests(entry: Entry) -> list[float]:
    """Return when requests were sent of which nobody knows what became, in their order, epoch seconds."""
    earlier: list[float] = entry.details.get("lost_requests", [])
    older: float | None = entry.details.get("asked_at")  # an older version kept the first one alone
    return [*([older] if older else []), *earlier, entry.intent_at]


def carried_out_between(entry: Entry, read_timeout: float) -> list[tuple[float, float]]:
    """Return from when until when each of them may have been carried out."""
    *earlier, last = lost_requests(entry)
    until = carried_out_until(entry, read_timeout)
    return [*((sent, sent + longest(read_timeout)) for sent in earlier), (last, until)]
