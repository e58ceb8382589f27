"""How many requests one API key has left, and when the next one may go. Pure: no I/O, no sleep."""

from __future__ import annotations

import random
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import ceil, inf
from typing import Any

from airflow_provider.core.budget.windows import HOUR, LEARN_FROM, MINUTE, LearnedLimits, Window

POLL_SHARE = 0.8
"""Share of every limit that polling may use; the rest is kept for submitting and downloading."""

ANNOUNCED_SHARE = 0.95
"""Share that may be used to poll a job that is said to have ended: such a poll finishes what was paid for."""

BUSY_POLL_SHARE = 0.25
"""Share that polling may use whatever else is sent, and all that it may use while tasks wait for turns."""

FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0
LONGEST_ASKED = 3600.0
"""A service that asks for a longer pause than this is asked again after it all the same."""

SHORTEST_SPACING = 0.05
LONGEST_SPACING = 30.0
RECOVERY = 0.8
"""Each answer that is no 429 leaves so much of the distance between two requests."""

LATENCY = 2.0
"""Seconds by which the service may count a request later than it was sent."""

MOST_REMEMBERED = 2000
"""Most requests that are remembered: more than any documented limit allows within its window."""

LONGEST_START = 30.0
"""Most seconds before its turn at which a task is resumed, however long others took to start."""

START_WEIGHT = 0.125
"""Part of the latest start in what is known of how long they take; for how much that varies twice that."""

OBEYED = 3
"""Refusals in a row after which the pause that the service asks for is too short."""


@dataclass(slots=True)
class Grant:
    """
    Requests that a task may send. They count as sent until it sends them, or does not come.

    :param requests: how many are left.
    :param at: when they may go, epoch seconds.
    :param until: when the grant lapses, epoch seconds.
    :param resumed_at: when the trigger of a deferred task resumes it, epoch seconds.
    """

    requests: int
    at: float
    until: float
    resumed_at: float | None = None


class RateBudget:
    """
    The requests that may be sent with one API key.

    Sliding windows bound what is sent. A 429 pauses every wait on the key, longer with each in a row, and the
    first of them doubles the least distance between two polls, which shrinks again with every other answer.
    Processes that share no store so settle on a common rate, whatever the limit is that they share. Where the
    service says how long to wait, or accepts again after a while, the limit itself is learned. Where it
    refuses bursts, far below all limits, requests are spaced evenly for a while.

    :param limits: sliding windows of the key; none means unlimited until a 429 says otherwise.
    :param share: part of each limit that polling may use.
    :param rng: 0 to 1; keeps processes that got a 429 together from coming back together.

    ``spacing`` is the least distance between two polls in seconds, 0 when all is well. ``busy`` is whether
    tasks wait for their turns. ``grants`` are what some of them have got, by ticket. ``waits`` are how many
    waits each process has now, how many it had within the hour, and when it said so.
    """

    def __init__(
        self,
        limits: Sequence[Window] = (),
        *,
        share: float = POLL_SHARE,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.share = share
        self.paused_until = 0.0
        self.spacing = 0.0
        self.busy = False
        self.grants: dict[str, Grant] = {}
        self.waits: dict[str, tuple[int, int, float]] = {}
        self._start = (0.0, 0.0)
        self._learned = LearnedLimits()
        self._rng = rng
        self._asked_until = 0.0
        self._limited_at = -LONGEST_ASKED
        self._streak = 0
        self._streak_since = 0.0
        self._sent: list[float] = []
        self._polled: list[float] = []
        self._refused: list[float] = []
        self._latest: deque[float] = deque(maxlen=32)
        self._reported: tuple[int, int, float] | None = None
        self.limit_to(limits)

    def limit_to(self, limits: Sequence[Window]) -> None:
        """
        Keep to these limits from now on; what was sent counts in them as far as it is remembered.

        :param limits: sliding windows of the key; none means unlimited until a 429 says otherwise.
        """
        self.limits = tuple(limits)

    @property
    def refusing(self) -> bool:
        """Whether the last answer was a 429."""
        return self._streak > 0

    def windows(self, now: float) -> Sequence[Window]:
        """Return the limits that are known and those that were learned; of one length the lower."""
        learned = self._learned
        return learned.windows(now, self.limits) if learned.windows_of else self.limits

    # -- when ------------------------------------------------------------------------------------------------

    def free_at(self, now: float, *, reserve: bool = False, announced: bool = False) -> float:
        """
        Return the earliest time, epoch seconds, at which one more poll may be sent.

        :param reserve: also use what is kept for submitting and downloading, and do not sit out a pause that
            the service has not asked for; for the last poll of a wait.
        :param announced: use nearly the whole limit; for a job that is said to have ended.
        """
        if reserve:
            at = max(now, self._asked_until, self._limited_at + FIRST_PAUSE)
        else:
            at = max(now, self.paused_until)
            if self.spacing and self._latest:
                at = max(at, self._latest[-1] + self.spacing)
            share = ANNOUNCED_SHARE if announced else self.share
            if distance := self._distance(now):
                part = BUSY_POLL_SHARE if self.busy else share
                last_poll = self._latest[-1] if self._latest else -inf
                at = max(at, self._sent[-1] + distance, last_poll + distance / part)
            if self._reported and self._left_as_reported(share) < 1:
                at = max(at, self._reported[2])
        held = self._held(now)
        for window in self.windows(now):
            latency = 0.0 if reserve else LATENCY
            allowed = (
                window.limit if reserve else self._turns_part(window, ANNOUNCED_SHARE if announced else 1.0)
            )
            whole = _free(self._sent, window, allowed - held, now, latency=latency)
            if not (reserve or announced):
                part = _free(self._polled, window, _part(window, min(self.share, BUSY_POLL_SHARE)), now)
                if not self.busy:
                    part = min(part, _free(self._sent, window, _part(window, self.share) - held, now))
                whole = max(whole, part)
            at = max(at, whole)
        return at

    def turn_at(self, now: float, requests: int, *, share: float, ahead: int = 0) -> float:
        """
        Return when a task may send some requests, epoch seconds; an estimate while others are ahead of it.

        :param requests: of the task's next step, at most :meth:`most_at_once`.
        :param share: part of each limit longer than a minute that such a step may use.
        :param ahead: requests of those whose turn comes first.
        """
        at = max(now, self.paused_until)
        if self._reported and self._reported[0] < 1:
            at = max(at, self._reported[2])
        held = sorted(max(now, grant.at) for grant in self._live(now) for _ in range(grant.requests))
        for window in self.windows(now):
            counted = self._sent[bisect_right(self._sent, now - window.seconds - LATENCY) :]
            at = max(at, _turn(counted + held, window, self._turns_part(window, share), requests, ahead, now))
        return max(at, self._spaced(now, len(held) + ahead))

    def room_at(self, now: float) -> float:
        """Return when one request more fits beside those that were sent, whatever was granted."""
        free = (_free(self._sent, one, one.limit, now, latency=LATENCY) for one in self.windows(now))
        return max((self._spaced(now), *free))

    def most_at_once(self, now: float, share: float) -> int:
        """Return how many requests one turn can be for: what is more goes in several."""
        parts = (max(1, self._turns_part(window, share) // 2) for window in self.windows(now))
        return min(parts, default=MOST_REMEMBERED)

    # -- what happened ---------------------------------------------------------------------------------------

    def acquire(self, now: float, *, poll: bool = True) -> None:
        """
        Count a request sent now.

        :param poll: whether it is a status request.
        """
        insort(self._sent, now)
        if poll:
            insort(self._polled, now)
            self._latest.append(now)
        if len(self._sent) > MOST_REMEMBERED + 500:
            self._forget(now)

    def use(self, ticket: str, now: float) -> bool:
        """Count a request of a grant as sent now; return whether there was one."""
        grant = self.grants.get(ticket)
        if grant is None:
            return False
        grant.requests -= 1
        if not grant.requests:
            del self.grants[ticket]
        self.acquire(now, poll=False)
        return True

    def on_start(self, grant: Grant, now: float) -> None:
        """Learn how long a task took to start that now comes for its grant."""
        if grant.resumed_at is not None:
            took, (usual, varies) = min(max(0.0, now - grant.resumed_at), LONGEST_START), self._start
            varies += 2 * START_WEIGHT * (abs(took - usual) - varies)
            self._start = usual + START_WEIGHT * (took - usual), varies
            grant.resumed_at = None

    @property
    def start_takes(self) -> float:
        """Seconds within which nearly all tasks lately came from a trigger's event to their first request."""
        usual, varies = self._start
        return min(usual + 2 * varies, LONGEST_START)

    def on_429(self, now: float, retry_after: float | None = None) -> None:
        """
        Pause after a 429, and go slower from now on.

        :param retry_after: seconds the service asked to wait; without it, and where it refuses again after
            that, the pause doubles with each 429 in a row, from 5 s to 5 min.
        """
        insort(self._refused, now)
        if retry_after is not None:
            self._asked_until = max(self._asked_until, now + min(retry_after, LONGEST_ASKED))
        asked, accepted = retry_after or 0.0, partial(self._accepted, now)
        burst = 0.0 < asked < LEARN_FROM and not self._learned.nearly_used_up(accepted, self.limits)
        if not burst and (self._learned.windows_of or asked >= LEARN_FROM):
            seconds = HOUR if asked > 2 * MINUTE else MINUTE
            self._learned.learn(now, seconds, accepted, self.limits, asked=asked or HOUR)
        if now < self.paused_until:
            # Sent before the pause began: one burst of answers counts once.
            self.paused_until = max(self.paused_until, self._asked_until)
            return
        if not self._streak:
            self.spacing = min(LONGEST_SPACING, 2 * max(self.spacing, self._usual_distance(now)))
            self._streak_since = now
            if burst and now < self._limited_at + MINUTE:
                self._learned.slow_down(now, MINUTE / asked)
        self._limited_at = now
        waited = self._streak - (OBEYED if retry_after is not None else 0)
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(waited, 16)) * (1 + 0.25 * self._rng())
        self._streak += 1
        self.paused_until = max(self._asked_until, now + (pause if waited >= 0 else 0.0))

    def on_success(self, now: float | None = None) -> None:
        """
        Go faster again after an answer that was not a 429.

        :param now: of the answer; a run of refusals that it ends tells how long the service's window is.
        """
        run = 0.0 if now is None or self._distance(now) else now - self._streak_since
        if now is not None and self._streak > 1 and run > LEARN_FROM:
            since = self._streak_since
            self._learned.learn(since, min(MINUTE, run), partial(self._accepted, since), self.limits)
        self._streak = 0
        if self.spacing:
            self.spacing = self.spacing * RECOVERY if self.spacing > SHORTEST_SPACING else 0.0

    def update_from_headers(
        self, now: float, *, limit: int | None = None, remaining: int, reset_at: float | None = None
    ) -> None:
        """
        Use what the service says is left, which counts what others have used as well.

        :param limit: ``X-RateLimit-Limit``; by default the smallest limit known.
        :param remaining: ``X-RateLimit-Remaining``.
        :param reset_at: ``X-RateLimit-Reset``, epoch seconds. What was said is believed for a minute at most:
            the service's clock may be another, a sliding window has room before it is reset, and without a
            further answer nothing more would be learned.
        """
        if limit is None:
            limit = min((window.limit for window in self.limits), default=0)
        until = now + MINUTE if reset_at is None else min(max(reset_at, now), now + MINUTE)
        self._reported = (remaining, limit, until)

    def on_headers(self, now: float, headers: Mapping[str, str]) -> None:
        """
        Take the ``X-RateLimit-*`` headers of an answer, where it has them and no ``Retry-After``.

        :param headers: with lower-case names, or of a mapping that takes names in any case.
        """
        remaining = _number(headers.get("x-ratelimit-remaining"))
        if remaining is not None and headers.get("retry-after") is None:
            limit = _number(headers.get("x-ratelimit-limit"))
            reset_at = _number(headers.get("x-ratelimit-reset"))
            self.update_from_headers(now, limit=limit, remaining=remaining, reset_at=reset_at)

    # -- planning --------------------------------------------------------------------------------------------

    def polls_of(self, window: Window) -> int:
        """Return how many requests of a limit may be polls now."""
        return _part(window, min(self.share, BUSY_POLL_SHARE) if self.busy else self.share)

    def left(self, now: float) -> float | None:
        """Return how many polls are left of the longest window now; ``None`` when unlimited."""
        if not self.limits:
            return None
        left = self.room(now, 0.0)
        if self._reported and now < self._reported[2]:
            left = min(left, self._left_as_reported(self.share))
        return max(0.0, left)

    def others(self, now: float) -> int:
        """Return how many requests of the last hour were no polls."""
        sent, polled = (len(times) - bisect_right(times, now - HOUR) for times in (self._sent, self._polled))
        return sent - polled

    def room(self, now: float, ahead: float) -> float:
        """
        Return how many polls fit into the time ahead, as far as the longest window allows.

        :param ahead: seconds; what was sent leaves the window meanwhile.
        """
        if not self.limits:
            return inf
        longest = max(self.limits, key=lambda window: window.seconds)
        since = now - longest.seconds + ahead
        sent, polled = (len(times) - bisect_right(times, since) for times in (self._sent, self._polled))
        room = min(_part(longest, min(self.share, BUSY_POLL_SHARE)) - polled, longest.limit - sent)
        return float(room if self.busy else max(room, _part(longest, self.share) - sent))

    # -- as plain JSON, for the store ------------------------------------------------------------------------

    def state(self, now: float) -> dict[str, Any]:
        """Return all that is remembered, but not the limits, which are the connection's."""
        self._forget(now)
        return {
            "sent": _short(self._sent),
            "polled": _short(self._polled),
            "refused": _short(self._refused),
            "latest": _short(self._latest),
            "reported": self._reported,
            "paused": [self.paused_until, self._asked_until, self._limited_at],
            "streak": [self._streak, self._streak_since],
            "spacing": self.spacing,
            "start": self._start,
            "waits": self.waits,
            "grants": {ticket: asdict(grant) for ticket, grant in self.grants.items()},
            **self._learned.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """
        Go on with what :meth:`state` has returned, in this process or another.

        :raises KeyError, TypeError, ValueError: it is something else.
        """
        self._sent, self._polled, self._refused = (
            [float(at) for at in state[name]] for name in ("sent", "polled", "refused")
        )
        self._latest = deque(state["latest"], maxlen=self._latest.maxlen)
        reported = state["reported"]
        self._reported = None if reported is None else (reported[0], reported[1], reported[2])
        self.paused_until, self._asked_until, self._limited_at = state["paused"]
        self._streak, self._streak_since = state["streak"]
        self.spacing = state["spacing"]
        self.waits = {name: (now, hour, at) for name, (now, hour, at) in state.get("waits", {}).items()}
        usual, varies = state.get("start", (0.0, 0.0))
        self._start = float(usual), float(varies)
        self.grants = {ticket: Grant(**grant) for ticket, grant in state["grants"].items()}
        self._learned = LearnedLimits.restored(state)

    # -- inside ----------------------------------------------------------------------------------------------

    def _left_as_reported(self, share: float) -> float:
        if self._reported is None:
            return inf
        remaining, limit, _ = self._reported
        return remaining - limit * (1 - share)

    def _accepted(self, now: float, seconds: float) -> int:
        """Return how many requests were taken within the latest seconds, at least 1."""
        sent, refused = (
            len(times) - bisect_right(times, now - seconds) for times in (self._sent, self._refused)
        )
        return max(1, sent - refused)

    def _distance(self, now: float) -> float:
        return self._learned.distance(now) if self._learned.pace and self._sent else 0.0

    def _spaced(self, now: float, ahead: int = 0) -> float:
        """Return when one request more goes, behind those that were sent and so many others."""
        distance = self._distance(now)
        return max(now, self._sent[-1] + distance * (1 + ahead)) if distance else now

    def _turns_part(self, window: Window, share: float) -> int:
        # Of a known minute all: what finishes a job goes first, and room for it is never far.
        known = window.seconds <= MINUTE and window in self.limits
        return window.limit if known else _part(window, share)

    def _live(self, now: float) -> Collection[Grant]:
        if any(grant.until <= now for grant in self.grants.values()):
            self.grants = {ticket: grant for ticket, grant in self.grants.items() if grant.until > now}
        return self.grants.values()

    def _held(self, now: float) -> int:
        return sum(grant.requests for grant in self._live(now))

    def _usual_distance(self, now: float) -> float:
        # At least over some seconds: a burst says nothing about the rate that was too much.
        return max(FIRST_PAUSE, now - self._latest[0]) / len(self._latest) if self._latest else 1.0

    def _forget(self, now: float) -> None:
        for entries in (self._sent, self._polled, self._refused):
            del entries[: max(bisect_right(entries, now - HOUR - LATENCY), len(entries) - MOST_REMEMBERED)]
        self.waits = {name: counts for name, counts in self.waits.items() if counts[2] > now - MINUTE}


def _part(window: Window, share: float) -> int:
    return max(1, int(window.limit * share))


def _turn(
    times: Sequence[float], window: Window, allowed: int, requests: int, ahead: int, now: float
) -> float:
    """Return when some requests fit at once into the window, behind ``times`` and those of others ahead."""
    length = window.seconds + LATENCY
    place = len(times) + ahead - max(1, allowed - requests + 1)
    if place < 0:
        return now
    # Each of those ahead goes as soon as the one so many before it has left the window.
    windows_on = max(0, (place - len(times)) // allowed + 1)
    place -= windows_on * allowed
    return (times[place] + length if place >= 0 else now) + windows_on * length


def _free(
    entries: Sequence[float], window: Window, allowed: int, now: float, *, latency: float = 0.0
) -> float:
    """Return when fewer than ``allowed`` of what was sent lie within the window."""
    if allowed < 1:
        return now + LATENCY
    return entries[-allowed] + window.seconds + latency if len(entries) >= allowed else now


def _short(times: Iterable[float]) -> list[float]:
    # Never earlier than it was: a window must not seem to have room too soon.
    return [ceil(at * 100) / 100 for at in times]


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 12 else None
