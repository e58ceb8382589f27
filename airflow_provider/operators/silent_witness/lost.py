"""
Find what a paid request has created whose answer was lost: a report or a case.

A request can have created something only in a window of time: from its intent until the latest moment at
which it can have been carried out. A request of an earlier attempt that was searched for in vain has a window
too. What was created within a window is ours, and what was created at another time is not. It is taken when
it is the only candidate; while another may be ours as well, none is taken, and the error names them all.

Three clocks matter. Ours has written the record. The service's is known by the ``Date`` of its answers, at
the time of the lost request and now, and may have been set in between. The timestamps of what is created may
come from a third one, of which nothing is known: what is dated near a window, or in the future, may be ours.
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
"""Seconds by which two clocks may differ and still count as the same."""

NEAR = 600.0
"""Seconds by which a timestamp may be wrong although the service's clock and ours agree."""

WRONG_BY = 3600.0
"""The same, where they do not agree, or the service's clock was not known when the request was sent."""

MOST_NAMED = 20
"""Candidates that an error names."""

DAY = 86_400.0
ANY_ZONE = 14 * 3600.0
"""Seconds by which a timestamp without a zone may differ from UTC, or be wrong where no clock is known."""


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
    spent = entry.details.get("earlier_ids", ())
    candidates = [Candidate(row) for row in rows if row["id"] not in spent]
    ours, unclear = Window(entry, hook).judge(candidates, claimed)
    if len(ours) == 1 and not unclear:
        return ours[0]
    if ours or unclear:
        ids = [*ours, *unclear]
        more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
        raise UnclearError(
            f"{sent}; these {'may have been' if unclear else 'were'} created since: "
            f"{', '.join(ids[:MOST_NAMED])}{more}. {unpaid} Look at them: {way_on}"
        )
    if incomplete is not None:
        raise type(incomplete)(f"{sent}. {incomplete} {unpaid} Look for it: {way_on}") from incomplete
    return None


class Candidate:
    """
    What a list shows of something that the request may have created.

    ``at`` is when it was created, in epoch seconds; ``nan`` when the list shows no time.
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
    When a request, or one of an earlier attempt, may have been carried out, by our clock; and what is known
    of the other clocks.
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

    def judge(self, candidates: Iterable[Candidate], claimed: Collection[str]) -> tuple[list[str], list[str]]:
        """Return the ids of what the request has created, and of what puts that in doubt or may be it."""
        # Whether another task has it is asked last: that may take a request for each.
        possible = {
            one.id: one
            for one in candidates
            if self.verdict(one) is not Verdict.NOT_OURS and not self.is_others(one, claimed)
        }.values()
        ours = [one for one in possible if self.verdict(one) is Verdict.OURS]
        unclear = [one for one in possible if one not in ours and (not ours or self.is_rival(one, ours[0]))]
        return [one.id for one in ours], [one.id for one in unclear]

    def verdict(self, one: Candidate) -> Verdict:
        """Tell from its time alone whether the request has created it."""
        if self._is_undated(one):
            return Verdict.NOT_KNOWN
        if self._is_within(one) and not self._is_later_by_new_clock(one):
            return Verdict.OURS
        if self._is_near(one) or self._is_between(one) or self._is_in_future(one):
            return Verdict.NOT_KNOWN
        return Verdict.NOT_OURS

    def is_others(self, one: Candidate, claimed: Collection[str]) -> bool:
        """
        Whether another task has it. What was created within the window had no owner before: an older claim is
        to something earlier that had the same id.
        """
        if one.id not in claimed:
            return False
        dated = not self._clocks_were_wrong and self.verdict(one) is Verdict.OURS
        if not dated or not isinstance(claimed, Claims):
            return True
        # Ages are compared and not times: each of them is measured by one clock.
        return not claimed.older_than(time.time() - self._spans[0][0] + MARGIN, one.id)

    def is_rival(self, one: Candidate, ours: Candidate) -> bool:
        """
        Whether something that may be ours puts in doubt what seems to be ours: it is undated, or it is the
        later of the two and a clock is wrong.
        """
        if self._is_undated(one):
            return True
        wrong = self._is_in_future(one) or (self._clocks_differ and self._is_near(one))
        return wrong and one.at > ours.at

    def _is_undated(self, one: Candidate) -> bool:
        """Whether it shows no time, or only a date that may be that of the window."""
        return isnan(one.at) or (one.is_date_alone and self._is_near(one))

    def _is_within(self, one: Candidate) -> bool:
        """Whether it is dated within the window, by the service's clock as it was then."""
        return not one.is_date_alone and self._holds(one, self._then)

    def _is_later_by_new_clock(self, one: Candidate) -> bool:
        """Whether the service's clock was set, and by the new time it was created after the window."""
        since = self._spans[-1][1] + self._now
        return self._clock_was_set and since < one.at <= self._service_time + MARGIN

    def _is_near(self, one: Candidate) -> bool:
        """Whether it may be within the window by another clock, or by one that is wrong."""
        doubt = WRONG_BY if self._clocks_differ else NEAR
        doubt = doubt if one.has_zone and self._clock_is_known else ANY_ZONE
        doubt += DAY if one.is_date_alone else 0.0
        return any(self._holds(one, offset, doubt) for offset in self._clocks)

    def _is_between(self, one: Candidate) -> bool:
        """Whether it is dated between two windows: ours, carried out very late, or another's."""
        return self._spans[0][1] <= one.at - self._then <= self._spans[-1][0]

    def _is_in_future(self, one: Candidate) -> bool:
        """Whether it is dated later than now, so by a wrong clock."""
        return self._service_time + MARGIN < one.at < self._service_time + DAY

    def _holds(self, one: Candidate, offset: float, doubt: float = 0.0) -> bool:
        """
        Whether it is dated within a window.

        :param offset: seconds by which its clock is ahead of ours.
        :param doubt: seconds by which it may be outside all the same.
        """
        at = one.at - offset
        return any(since - doubt <= at <= until + doubt for since, until in self._spans)
