"""How many polls a key affords, and how the waits on it divide them. Pure: no I/O, no clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_provider.core.budget.windows import HOUR

if TYPE_CHECKING:
    from airflow_provider.core.budget.rate_budget import RateBudget

PLANNED_FOR = 300.0
"""Shortest time in seconds that is planned: shorter limits count over it, and waits that begin within it
begin together."""

LEAST_SPARE = 0.3
"""Part of an hour's limit with which polls are planned, however much else is sent."""

PLENTY = 10.0
"""A wait whose share is fewer polls plans with less of it, at least half: others may use the key too."""

GOOD_POLLS = 3.25
"""Polls planned per cube root of a large share: each further one gains less, and later waits can use it."""

SPENT = 0.5
"""When less than this part of its share is left, a wait no longer spends polls on the likely range."""


@dataclass(frozen=True)
class PollingLoad:
    """
    What a key affords, and the waits that divide it. What follows from it is reckoned once for all of them.

    :param capacity: status requests that the key allows for polling within the hour, beside all others;
        ``None`` when unlimited.
    :param sustained_rate: status requests per second that can go on for ever; ``None`` when unlimited.
    :param active: waits going on now.
    :param recent: waits of the last hour, those that have ended included; at least ``active``.
    :param left: what is left of the capacity now; ``None`` when not known.
    :param others: requests of the last hour that were no polls; 0 where polls have a part of their own.
    :param span: seconds over which the waits of the last hour began.
    :param going_on: seconds for which as many more are expected to begin: what has gone on for long goes on
        for as long again.
    :param processes: that wait with the key.
    """

    capacity: float | None = None
    sustained_rate: float | None = None
    active: int = 1
    recent: int = 1
    left: float | None = None
    others: float = 0.0
    span: float = 0.0
    going_on: float = 0.0
    processes: int = 1

    def within(self, budget: RateBudget, now: float) -> PollingLoad:
        """
        Return the same waits with what this budget affords them.

        :param now: epoch seconds.
        """
        parts = [(budget.polls_of(window), window.seconds) for window in budget.limits]
        rates = [polls / seconds for polls, seconds in parts]
        if budget.spacing:
            rates.append(1.0 / budget.spacing)
        load = replace(
            self,
            sustained_rate=min(rates, default=None),
            left=budget.left(now),
            others=0 if budget.busy else budget.others(now),
        )
        others = load.others_each * load.in_all
        capacities = []
        for polls, seconds in parts:
            whole = polls * max(1.0, PLANNED_FOR / seconds)
            shared = seconds > PLANNED_FOR
            capacities.append(max(whole - others, LEAST_SPARE * whole) if shared else whole)
        return replace(load, capacity=min(capacities, default=None))

    def expected(self, ahead: float) -> float:
        """
        Return how many more waits are expected to begin.

        :param ahead: within so many seconds.
        """
        return self.recent * min(ahead, self.going_on) / max(self.span, PLANNED_FOR)

    @cached_property
    def others_each(self) -> float:
        """Requests for each wait that are no polls."""
        return self.others / max(1, self.recent)

    @cached_property
    def in_all(self) -> float:
        """Waits that divide an hour: those that began in it, and those expected in the rest of it."""
        return max(1, self.recent, self.active) + self.expected(max(0.0, HOUR - self.span))

    @cached_property
    def sustained_pause(self) -> float:
        """Seconds between two polls of one wait that all active waits can keep up for ever."""
        return self._pause_beside(self.others_each)

    @cached_property
    def spare_pause(self) -> float:
        """The same for polls that find no end, beside one for each wait that does."""
        return self._pause_beside(1.0 + self.others_each)

    def _pause_beside(self, requests: float) -> float:
        if not self.sustained_rate:
            return 0.0
        begin = self.recent / max(self.span, PLANNED_FOR) if self.going_on else 0.0
        return self.active / max(self.sustained_rate - begin * requests, LEAST_SPARE * self.sustained_rate)

    def shared(self, requests: float) -> PollingLoad:
        """
        Return the load as it is when all waits are served by the same requests.

        :param requests: for one poll of all.
        """
        if self.capacity is None or self.sustained_rate is None:
            return self
        served = self.active / requests
        return PollingLoad(self.capacity * served, self.sustained_rate * served, self.active, self.active)

    def distance(self, length: float) -> float:
        """
        Return the seconds between two polls of a job that ends anywhere in a range of ages.

        :param length: of the range, in seconds.
        """
        if self.capacity is None:
            return 0.0
        # A job that ends anywhere in a range r is found after r / 2d + 1/2 polls at a distance d, on average.
        return length / (2.0 * self._polls - 1.0) if self._polls > 0.5 else math.inf

    @cached_property
    def _polls(self) -> float:
        """How many polls a wait spends on the range in which its job may end; 0 for none."""
        share = (self.capacity or 0.0) / self.in_all
        if self.left is not None and self.left < SPENT * share * self.active:
            return 0.0
        return min(share * max(0.5, share / PLENTY), GOOD_POLLS * math.cbrt(share))
