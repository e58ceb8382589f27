"""
Which report or case is the lost one: what a paid request whose answer was lost has created.

The request was carried out, if ever, between its intent and the time when it no longer can be; so was one of
an earlier attempt that was searched for in vain. What was created in such a window is ours, what was created
at another time is not. It is taken when it is the only one;
while another may be it as well, none is, and the error names them all.

Three clocks are in this. Ours has written the record. The service's is known by the ``Date`` of its answers,
then, when the answer was lost, and now: it may have been set between the two. What is created may be dated by
another clock, of which nobody knows anything; so may be ours what is dated near the window, or in the future.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable
from enum import Enum, auto
from math import isnan, nan
from typing import TYPE_CHECKING, Any

from airflow_provider.core.jobs.claims import Claims
from airflow_provider.core.jobs.search import UnclearError, carried_out_between
from airflow_provider.core.polling.wait import epoch_seconds
from airflow_provider.exceptions import LedgerError, MalformedResponseError

if TYPE_CHECKING:
    from airflow_provider.core.jobs.ledger import Entry
    from airflow_provider.hooks.silent_witness import SilentWitnessHook

MARGIN = 2.0
"""Seconds that a creation may seem to precede its request: dates and timestamps may be whole seconds."""

AGREE = 5.0
"""Seconds by which clocks differ that agree."""

NEAR = 600.0
"""Seconds by which a creation may be dated wrong though the service's clock and ours agree."""

WRONG_BY = 3600.0
"""The same, where they do not, or the service's clock is not known from the time of the request."""

MOST_NAMED = 20
"""Candidates that an error names."""

DAY = 86_400.0
ANY_ZONE = 14 * 3600.0
"""Seconds by which a time without a zone may differ from UTC, or a clock be wrong that is never shown."""


class Verdict(Enum):
    """Whether a request has created something."""

    OURS = auto()
    NOT_OURS = auto()
    NOT_KNOWN = auto()


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
    Return the id of what the request has created.

    :param read_rows: lists what may be it, with ``id`` and ``created_at``.
    :param entry: the record of the request.
    :param hook: that lists the rows.
    :param noun: what they are, for the error.
    :param argument: of the operator, which takes the id of one of them.
    :param claimed: ids that other tasks have.
    :return: ``None`` when there is none.
    :raises LedgerError: it cannot be told which is meant, or whether one is.
    """
    sent = f"A request for a {noun} was sent and its answer lost"
    unpaid = "Nothing was sent again, and what was asked for may be billed."
    way_on = f"{argument}='...' takes the right one and pays nothing; on_clear='new' and a clear pay anew."
    rows: list[dict[str, Any]] = []
    incomplete: LedgerError | None = None
    try:
        rows.extend(read_rows())
    except MalformedResponseError as error:
        raise UnclearError(
            f"{sent}, and the {noun}s cannot be listed: {error} {unpaid} A retry searches again; {way_on}"
        ) from error
    except LedgerError as error:
        incomplete = error
    window = Window(entry, hook)
    spent = entry.details.get("earlier_ids", ())
    candidates = [Candidate(row) for row in rows if row["id"] not in spent]
    # Who has which is asked last: it may be a request for each.
    possible = {
        one.id: one
        for one in candidates
        if window.verdict(one) is not Verdict.NOT_OURS and not window.is_others(one, claimed)
    }.values()
    ours = [one for one in possible if window.verdict(one) is Verdict.OURS]
    unclear = [one for one in possible if one not in ours and (not ours or window.is_rival(one, ours[0]))]
    if len(ours) == 1 and not unclear:
        return ours[0].id
    if ours or unclear:
        ids = [one.id for one in (*ours, *unclear)]
        more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
        raise UnclearError(
            f"{sent}; these {'may have been' if unclear else 'were'} created since: "
            f"{', '.join(ids[:MOST_NAMED])}{more}. {unpaid} Look at them: {way_on}"
        )
    if incomplete is not None:
        raise incomplete
    return None


class Candidate:
    """
    What a list shows of something that the request may have created.

    :param row: of the list. ``at`` is when it was created, in epoch seconds; ``nan`` when it shows no time.
    """

    def __init__(self, row: dict[str, Any]) -> None:
        self.id = str(row["id"])
        shown = row.get("created_at")
        at = epoch_seconds(shown)
        self.at = nan if at is None else at
        text = shown.strip().upper() if isinstance(shown, str) else ""
        self.is_date_alone = not isnan(self.at) and not re.search(r"\d[T ]?\d\d:?\d\d", text[8:])
        self.has_zone = re.search(r"(Z|[+-]\d\d:?\d\d|[+-]\d\d)$", text[10:]) is not None


class Window:
    """
    When a request may have been carried out, or one of an earlier attempt, by our clock; and what is known of
    the other clocks.

    :param entry: the record of the request.
    :param hook: that has just listed what there is.
    """

    def __init__(self, entry: Entry, hook: SilentWitnessHook) -> None:
        spans = carried_out_between(entry, hook.settings.read_timeout)
        self._spans = [(since - MARGIN, until + MARGIN) for since, until in spans]
        then, now = entry.details.get("clock_offset"), hook.clock_offset
        known = [offset for offset in (then, now) if offset is not None]
        self._clock_is_known = bool(known)
        known = known or [0.0]
        self._then, self._now = known[0], known[-1]
        self._clocks = {*known, 0.0}
        self._clock_was_set = abs(self._then - self._now) > AGREE
        self._clocks_were_wrong = any(abs(offset) > AGREE for offset in known)
        self._clocks_differ = then is None or self._clocks_were_wrong
        self._service_time = time.time() + self._now

    def verdict(self, one: Candidate) -> Verdict:
        """Whether the request has created it, by its time alone."""
        if self._is_undated(one):
            return Verdict.NOT_KNOWN
        if self._is_within(one) and not self._is_later_by_new_clock(one):
            return Verdict.OURS
        if self._is_near(one) or self._is_between(one) or self._is_in_future(one):
            return Verdict.NOT_KNOWN
        return Verdict.NOT_OURS

    def is_others(self, one: Candidate, claimed: Collection[str]) -> bool:
        """
        Whether another task has it. One that was created within the window can have had no owner before: an
        older claim is to an earlier thing of that id.
        """
        if one.id not in claimed:
            return False
        dated = not self._clocks_were_wrong and self.verdict(one) is Verdict.OURS
        if not dated or not isinstance(claimed, Claims):
            return True
        # Of two durations each is measured by one clock.
        return not claimed.older_than(time.time() - self._spans[0][0] + MARGIN, one.id)

    def is_rival(self, one: Candidate, ours: Candidate) -> bool:
        """
        Whether something that is not known to be ours makes doubtful what is: it is undated, or the later of
        the two where a clock is wrong.
        """
        if self._is_undated(one):
            return True
        wrong = self._is_in_future(one) or (self._clocks_differ and self._is_near(one))
        return wrong and one.at > ours.at

    def _is_undated(self, one: Candidate) -> bool:
        """It shows no time, or a date alone that may be that of the window."""
        return isnan(one.at) or (one.is_date_alone and self._is_near(one))

    def _is_within(self, one: Candidate) -> bool:
        """It is dated within the window, by the service's clock as it was then."""
        return not one.is_date_alone and self._holds(one, self._then)

    def _is_later_by_new_clock(self, one: Candidate) -> bool:
        """The clock was set, and by what it shows now it was created since the window."""
        since = self._spans[-1][1] + self._now
        return self._clock_was_set and since < one.at <= self._service_time + MARGIN

    def _is_near(self, one: Candidate) -> bool:
        """It would be within the window by another clock, or by one that is wrong."""
        doubt = WRONG_BY if self._clocks_differ else NEAR
        doubt = doubt if one.has_zone and self._clock_is_known else ANY_ZONE
        doubt += DAY if one.is_date_alone else 0.0
        return any(self._holds(one, offset, doubt) for offset in self._clocks)

    def _is_between(self, one: Candidate) -> bool:
        """It is dated between two windows: of a request that was carried out very late, or another's."""
        return self._spans[0][1] <= one.at - self._then <= self._spans[-1][0]

    def _is_in_future(self, one: Candidate) -> bool:
        """It is dated later than now, so by a wrong clock."""
        return self._service_time + MARGIN < one.at < self._service_time + DAY

    def _holds(self, one: Candidate, offset: float, doubt: float = 0.0) -> bool:
        """It is dated within the window, by a clock that differs so much from ours, give or take a doubt."""
        at = one.at - offset
        return any(since - doubt <= at <= until + doubt for since, until in self._spans)
