"""Find what a paid request with a lost answer has created, and nothing that may be somebody else's."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

from airflow_provider.core.jobs.pay_once import asked_at
from airflow_provider.core.jobs.search import carried_out_until
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
"""Seconds by which the clock of what is created may be wrong though ``Date`` and our own clock agree."""

WRONG_BY = 3600.0
"""The same, where they do not, or no ``Date`` is known from the time of the request."""

MOST_NAMED = 20
"""Candidates that an error names."""

DAY = 86_400.0
ANY_ZONE = 14 * 3600.0
"""Seconds by which a time of day without a zone may differ from UTC."""


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

    That clock may be wrong, be set between the request and the search, and ``Date`` may not show it: what
    was created near that time by any of the clocks, or later than now, may be it as well. So may be what
    shows no time, a date alone, or a time in an unknown zone.

    :param read_rows: lists what may be it, with ``id`` and ``created_at``.
    :param entry: the record of the request.
    :param hook: that lists the rows.
    :param noun: what they are, for the error.
    :param argument: of the operator, which takes the id of one of them.
    :param claimed: ids that other tasks have.
    :return: ``None`` when there is none.
    :raises LedgerError: it cannot be told which is meant, or whether one is.
    """
    earlier = entry.details.get("earlier_ids", ())
    rows: list[dict[str, Any]] = []
    incomplete: LedgerError | None = None
    try:
        rows.extend(row for row in read_rows() if row["id"] not in earlier)
    except MalformedResponseError as error:
        raise LedgerError(
            f"A request for a {noun} was sent and its answer lost, and the {noun}s cannot be listed: {error} "
            "Nothing was sent again, and what was asked for may be billed. A retry searches again; "
            f"{_way_on(argument)}"
        ) from error
    except LedgerError as error:
        incomplete = error
    window = Window(entry, hook)
    times = {
        row["id"]: row.get("created_at")
        for row in rows
        if window.concerns(row.get("created_at")) and row["id"] not in claimed
    }
    found = [one for one, created_at in times.items() if window.has(created_at)]
    undated = [one for one, created_at in times.items() if one not in found and window.is_undated(created_at)]
    near = [
        one
        for one, created_at in times.items()
        if one not in found
        and (window.rivals(created_at, times[found[0]]) if found else window.may_have(created_at))
    ]
    if len(found) == 1 and not undated and not near:
        return str(found[0])
    candidates = list(dict.fromkeys([*found, *undated, *near]))
    if candidates:
        when = "were" if len(found) == len(candidates) else "may have been"
        raise LedgerError(
            f"A request for a {noun} was sent and its answer lost; these {when} created since: "
            f"{_first(candidates)}. Nothing was sent again, and what was asked for may be billed. Look at "
            f"them: {_way_on(argument)}"
        )
    if incomplete is not None:
        raise incomplete
    return None


def _first(ids: list[str]) -> str:
    """Return ids for an error that a person reads."""
    shown = ", ".join(ids[:MOST_NAMED])
    return shown if len(ids) <= MOST_NAMED else f"{shown} and {len(ids) - MOST_NAMED} more"


def _way_on(argument: str) -> str:
    return f"{argument}='...' takes the right one and pays nothing; on_clear='new' and a clear pay anew."


class Window:
    """
    When a request may have been carried out.

    :param entry: the record of the request.
    :param hook: that has just listed what there is.
    """

    def __init__(self, entry: Entry, hook: SilentWitnessHook) -> None:
        self._since = asked_at(entry) - MARGIN
        self._until = carried_out_until(entry, hook.settings.read_timeout) + MARGIN
        now, then = hook.clock_offset, entry.details.get("clock_offset")
        known = [offset for offset in (then, now) if offset is not None]
        self._offset = known[0] if known else 0.0
        self._offset_now = known[-1] if known else 0.0
        self._other_offsets = {*known, 0.0}
        self._now = time.time() + self._offset_now
        self._is_set = abs(self._offset - self._offset_now) > AGREE
        self._is_doubtful = then is None or any(abs(offset) > AGREE for offset in known)
        self._doubt = WRONG_BY if self._is_doubtful else NEAR

    def has(self, created_at: Any) -> bool:
        """Whether a time is within it, and only there, whenever the clock was set."""
        moment = epoch_seconds(created_at)
        if moment is None or not _has_time(created_at) or not self._is_in(moment, self._offset):
            return False
        return not (self._is_set and self._until + self._offset_now < moment <= self._now + MARGIN)

    def concerns(self, created_at: Any) -> bool:
        """Whether a time may say anything about it."""
        return self.may_have(created_at) or self.has(created_at) or self.is_undated(created_at)

    def is_undated(self, created_at: Any) -> bool:
        """Whether a time says nothing about it."""
        moment = epoch_seconds(created_at)
        return moment is None or (not _has_time(created_at) and self._is_in(moment, self._offset, DAY))

    def may_have(self, created_at: Any) -> bool:
        """Whether a time may be within it, if a clock was set or is wrong."""
        moment = epoch_seconds(created_at)
        if moment is None:
            return True
        doubt = self._doubt if _has_zone(created_at) else max(self._doubt, ANY_ZONE)
        near = any(self._is_in(moment, offset, doubt) for offset in self._other_offsets)
        return near or self._is_future(moment)

    def rivals(self, created_at: Any, found_at: Any) -> bool:
        """
        Whether a time makes another doubtful that is within it: where a clock is wrong, of two that may be
        it the later one.
        """
        moment, found = epoch_seconds(created_at), epoch_seconds(found_at)
        if moment is None or found is None or moment <= found:
            return False
        return self._is_future(moment) or (self._is_doubtful and self.may_have(created_at))

    def _is_future(self, moment: float) -> bool:
        return self._now + MARGIN < moment < self._now + DAY

    def _is_in(self, moment: float, offset: float, doubt: float = 0.0) -> bool:
        return self._since + offset - doubt <= moment <= self._until + offset + doubt


def _has_time(created_at: str) -> bool:
    """Whether a timestamp is more than a date."""
    return re.search(r"\d[T ]?\d\d:?\d\d", created_at[8:]) is not None


def _has_zone(created_at: str) -> bool:
    return re.search(r"(Z|[+-]\d\d:?\d\d|[+-]\d\d)$", created_at.strip()[10:], re.IGNORECASE) is not None
