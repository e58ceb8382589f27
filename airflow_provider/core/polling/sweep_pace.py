"""When a list is read in place of polls: by what the key allows, and by what the reads so far have saved."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_provider.core.budget.windows import HOUR
from airflow_provider.core.polling.hints import LONGEST, HintHealth
from airflow_provider.core.polling.schedule import PLANNED_FOR

if TYPE_CHECKING:
    from airflow_provider.core.polling.hints import Watch
    from airflow_provider.core.polling.key_state import KeyState
    from airflow_provider.core.polling.schedule import AdaptiveSchedule, PollingLoad

LATE_PACE = 0.1
"""Pause for a job that takes longer than nearly all, as a share of the seconds by which it does."""

STRETCHED, STRETCHED_AFTER = 1.75, 300.0
"""To leave requests for polls, an interval gets at most so many times as long: the first number, or the time
ahead divided by the second."""

STEPS = 6
"""Parts of the time ahead whose ends are checked: requests that leave the hour late give no room before."""

LATE_TRIAL = 60.0
"""Seconds between two reads of a list that is not proven, while all jobs take longer than nearly all do: each
is polled meanwhile."""

MOST_SETBACKS = 8
"""Reads in a row that were of no use, after which the interval grows no more."""


class Watched:
    """The waits that a list is read for. What follows from them is computed once for each set of waits."""

    def __init__(self, watches: Iterable[Watch]) -> None:
        self.watches = list(watches)

    @cached_property
    def each_second(self) -> list[tuple[float, AdaptiveSchedule]]:
        """
        The earliest submission of each second and kind of job, with its schedule: the others of it are
        planned in the same way.
        """
        found: dict[tuple[int, int], tuple[float, AdaptiveSchedule]] = {}
        for watch in self.watches:
            submitted_at, usual = watch.wait.submitted_at, watch.usual
            key = int(submitted_at), id(usual.durations)
            if key not in found or submitted_at < found[key][0]:
                found[key] = submitted_at, usual
        return list(found.values())

    @cached_property
    def schedules(self) -> list[AdaptiveSchedule]:
        """One schedule for each kind of job."""
        return list({id(usual.durations): usual for _, usual in self.each_second}.values())


class SweepPace:
    """
    When to read next. Reads are as far apart as the key requires, but never further than the polls that they
    replace, and begin when the first of the waits would poll. A read that costs more than it saves makes the
    next one wait longer.
    """

    def __init__(self, state: KeyState) -> None:
        self._state = state
        self._read_at = self._began_at = -math.inf
        self._cost = 1.0
        self._setbacks = 0

    @property
    def pays(self) -> bool:
        """Whether the last read was of use."""
        return not self._setbacks

    def on_read(self, now: float, cost: float, useful: int, watched: Watched) -> None:
        """
        Learn of a read.

        :param cost: in requests.
        :param useful: waits for which the list said something.
        """
        if now - self._read_at > LONGEST:
            self._began_at = now
        self._read_at = now
        self._cost = cost
        load = self._state.load()
        every = _polled_every(load, watched)
        # It costs fewer requests than it saves, and finds ends as soon as polls would.
        pays = useful > cost and self._interval(load, watched) <= every
        self._setbacks = 0 if pays else self._setbacks + 1

    def on_failed(self, now: float, *, setback: bool, useless: bool) -> None:
        """
        Learn of a read that failed.

        :param setback: whether it is the list's fault.
        :param useless: whether to expect the same of the next.
        """
        self._read_at = now
        if setback:
            self._setbacks = MOST_SETBACKS if useless else self._setbacks + 1

    def due(self, watched: Watched, health: HintHealth) -> float:
        """Return when to read next, epoch seconds."""
        load = self._state.load()
        interval = self._interval(load, watched)
        soonest = self._soonest(load, watched)
        if health.lost:
            interval = LONGEST
        elif not health.proven and self._all_late(load, watched):
            interval = max(interval, LATE_TRIAL)
        elif self._setbacks:
            pause = max(interval, soonest - self._read_at)
            interval = min(LONGEST, pause * 2.0 ** min(self._setbacks, MOST_SETBACKS))
        return max(soonest, self._read_at + interval)

    def _all_late(self, load: PollingLoad, watched: Watched) -> bool:
        return all(
            self._read_at - submitted_at > usual.durations.range(load.active)[1]
            for submitted_at, usual in watched.each_second
        )

    def _interval(self, load: PollingLoad, watched: Watched) -> float:
        """Return the seconds between two reads that the key affords, at most those between polls of each."""
        sustained = self._cost * load.spare_pause / load.active
        if load.left is None:
            return sustained
        polled_every = _polled_every(load, watched)
        busy = self._state.budget.busy
        if busy and (load.left <= load.active or polled_every == math.inf):
            return LONGEST  # each wait needs one of the few polls that tasks in the queue leave
        # What has gone on for some time is expected to go on for as long again.
        ahead = min(max(PLANNED_FOR, self._read_at - self._began_at), HOUR)
        affordable = max(self._affordable(load, ahead * part / STEPS) for part in range(1, STEPS + 1))
        stretched = sustained * max(STRETCHED, ahead / STRETCHED_AFTER)
        allowed = max(sustained, min(affordable, stretched))
        if busy:
            return max(allowed, polled_every)
        return min(allowed, polled_every) if self._cost <= 1.0 else allowed

    def _affordable(self, load: PollingLoad, ahead: float) -> float:
        """Return the seconds between two reads that the key affords for so many seconds."""
        needed = load.active + load.expected(ahead) * (1.0 + load.others_each)
        room = self._state.budget.room(self._state.copy.now(), ahead) - needed
        return self._cost * load.processes * ahead / max(1.0, room)

    def _soonest(self, load: PollingLoad, watched: Watched) -> float:
        """Return when the first of the waits would poll if all requests were its own, epoch seconds."""
        shared = load.shared(self._cost)
        soonest = math.inf
        for submitted_at, usual in watched.each_second:
            since = max(submitted_at, self._read_at)
            age = since - submitted_at
            pause = usual.delay_under(shared, age, 0.5)
            _, likely_end = usual.durations.range(load.active)
            if (late := age - likely_end) > 0:
                pause = min(pause, LATE_PACE * late)
            soonest = min(soonest, since + pause)
        return soonest


def _polled_every(load: PollingLoad, watched: Watched) -> float:
    """Return the most seconds between two polls of a job without the list; ``inf`` where one has to do."""
    longest = 0.0
    for usual in watched.schedules:
        low, high = usual.durations.range(load.active)
        every = load.distance(high - low)
        every = max(2.0 * usual.backoff.first, every) if every < high - low else math.inf
        longest = max(longest, every)
    return longest
