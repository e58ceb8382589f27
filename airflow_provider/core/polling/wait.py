"""
What the result of one poll means: go on, done, timed out, or an error.

The synchronous loop, the sensors and the triggers feed the same :class:`Wait`, so they cannot drift apart.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from math import isfinite
from traceback import format_exception_only
from typing import Any

from airflow_provider.core.budget.rate_budget import LONGEST_ASKED
from airflow_provider.core.polling.schedule import Backoff, Schedule
from airflow_provider.core.polling.timing import clock_time, duration
from airflow_provider.core.text import clean
from airflow_provider.errors import (
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    ServerError,
    TransportError,
)

TRANSIENT_ERRORS = (TransportError, RateLimitedError, ServerError, MalformedResponseError)
"""Errors that say nothing about the job: waiting goes on."""

TROUBLE_TOLERANCE = 900.0
"""Seconds of transient errors in a row after which waiting ends."""

SET_BACK = 1.0
"""Seconds by which a clock runs back at most without having been set."""

NEW_JOB = 60.0
"""Seconds from its submission during which a job that was never seen may be unknown to the service."""

REFUSALS_BELIEVED = 3
"""Polls in a row that deny a job that was there (400, 403, 404, ...) before the service is believed."""

LATE_READS = 3600.0
"""Seconds during which a job that has ended and cannot be read is waited for again."""

LONGEST_MESSAGE = 2000
"""Most characters of a message: it goes through a queue and a database row."""

CLOCK_TOLERANCE = 30.0
"""Seconds by which the clocks of worker, triggerer and service may differ without a notice."""

LONGEST_SPREAD = 30.0
"""Seconds over which the first polls of interrupted waits are spread at most."""


SILENCE = 300.0
"""Seconds after which a line is logged although nothing has changed."""


class JobState(StrEnum):
    """What a vendor's status word means to us."""

    ACTIVE = "active"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Observation:
    """
    The state of a job, as one poll found it.

    :param job_id: submission id or report id.
    :param raw_status: the vendor's status word.
    :param state: what the word means; a word nobody knows is ``active``.
    :param known: whether the word is in the service's status table.
    :param progress: what to show a person: ``40%`` or the vendor's progress message.
    :param fraction: progress from 0 to 1, where the vendor gives a number.
    :param message: why the job failed, in the vendor's words.
    :param finished_at: when the job ended, epoch seconds, where the vendor says so.
    """

    job_id: str
    raw_status: str
    state: JobState
    known: bool = True
    progress: str = ""
    fraction: float | None = None
    message: str = ""
    finished_at: float | None = None

    @property
    def finished(self) -> bool:
        return self.state is not JobState.ACTIVE


_DATE = re.compile(r"[0-9]{4}-?[0-9]{2}")


def epoch_seconds(timestamp: Any) -> float | None:
    """
    Return a vendor's timestamp as epoch seconds.

    :return: ``None`` for what is none: other words that the parser knows, such as ``now``, a time of day, and
        what is in no year from 1 to 9999 in UTC.
    """
    import pendulum

    try:
        dated = isinstance(timestamp, str) and _DATE.match(timestamp)
        moment: object = pendulum.parse(timestamp.upper()) if dated else None
        return moment.astimezone(UTC).timestamp() if isinstance(moment, datetime) else None
    except (ValueError, TypeError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class PollOutcome:
    """
    How a wait ended; the payload of the trigger's event, with clean, bounded text.

    :param status: ``success``, ``failed``, ``cancelled``, ``timeout`` or ``error``.
    :param raw_status: the last status word seen, empty when none was.
    :param message: for a person; no secret, no signed link.
    :param polls: status requests made by this wait.
    """

    status: str
    job_id: str
    raw_status: str
    message: str
    polls: int

    @property
    def finished(self) -> bool:
        """Whether the last poll found that the job had ended."""
        return self.status in _STATUS_OF_STATE.values()

    def as_event(self) -> dict[str, Any]:
        return asdict(self)


_STATUS_OF_STATE = {
    JobState.SUCCEEDED: "success",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}


class Wait:
    """
    One wait for one job. Feed it the result of each poll: :meth:`on_state` or :meth:`on_error`.

    :param noun: what to call the job in messages: ``submission`` or ``report``.
    :param submitted_at: when the job was submitted, epoch seconds.
    :param begun_at: when this wait began, epoch seconds: later than ``submitted_at`` after a restart.
    :param deadline: when waiting ends, epoch seconds. One poll is still made at or after it.
    :param schedule: chooses the pauses between polls.
    :param submission_known: False when ``submitted_at`` is only when somebody began to wait, which says
        nothing about how long such jobs take.
    :param known_to_exist: False when nobody has seen the job yet, so that the id may be wrong.
    :param tolerance: seconds of transient errors in a row after which waiting ends.
    :param rng: source of jitter, 0 to 1.
    """

    def __init__(
        self,
        job_id: str,
        *,
        noun: str,
        submitted_at: float,
        begun_at: float,
        deadline: float,
        schedule: Schedule,
        submission_known: bool = True,
        known_to_exist: bool = True,
        tolerance: float = TROUBLE_TOLERANCE,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.job_id = job_id
        self.noun = noun
        self.submitted_at = submitted_at
        self.begun_at = begun_at
        self.deadline = deadline
        self.schedule = schedule
        self.submission_known = submission_known
        self.known_to_exist = known_to_exist
        self.tolerance = tolerance
        self.rng = rng
        self.polls = 0
        self.last: Observation | None = None
        self.trouble_since: float | None = None
        self.polled_at: float | None = None
        self.seen_at = submitted_at
        self.listed_at = submitted_at
        self._trouble: ProviderError | None = None
        self._refusals = 0
        self._reported: tuple[str, str] | None = None
        self._reported_at = begun_at
        self._jitter = rng()
        self._before = submitted_at
        self._ended_at: float | None = None

    def shift(self, seconds: float) -> None:
        """Take submission and deadline for this much later: they came from a clock that is behind."""
        self.submitted_at += seconds
        self.deadline += seconds
        self.seen_at = max(self.seen_at, self.submitted_at) if self.last else self.submitted_at
        self.listed_at = max(self.listed_at, self.submitted_at)

    def on_state(self, observation: Observation, now: float) -> PollOutcome | None:
        """Learn the state that a poll found; return the outcome when the wait is over."""
        self._polled(now)
        self._before, self.seen_at = self.seen_at, now
        self.last = observation
        self.trouble_since = None
        self._trouble = None
        self._refusals = 0
        if observation.finished:
            self._ended_at = observation.finished_at
            return self._outcome(
                _STATUS_OF_STATE[observation.state],
                observation.message
                or f"{self.noun.capitalize()} {self.job_id} reached status {observation.raw_status!r}.",
            )
        return self.on_deadline() if now >= self.deadline else None

    def on_listed(self, at: float) -> None:
        """Learn that a list showed the job as running, which is only a hint: no poll found it."""
        self.listed_at = max(self.listed_at, at)

    def on_error(self, error: ProviderError, now: float) -> PollOutcome | None:
        """Learn of a failed poll; return the outcome when waiting on is useless."""
        self._polled(now)
        too_new = self.submission_known and self.last is None and now - self.submitted_at < NEW_JOB
        if isinstance(error, TRANSIENT_ERRORS) or (too_new and error.not_found):
            self._refusals = 0
        else:
            self._refusals += 1
            was_there = self.known_to_exist or self.last is not None
            if not was_there or self._refusals >= REFUSALS_BELIEVED:
                return self._outcome("error", f"Cannot follow {self.noun} {self.job_id}: {error}")
        # Its frames would keep the answer in memory, for each of thousands of waits.
        self._trouble = error.with_traceback(None)
        if isinstance(error, RateLimitedError):
            self.trouble_since = None  # a refusal is a wait: it ends with the deadline, not before
        elif self.trouble_since is None:
            self.trouble_since = now
        if now >= self.deadline:
            return self.on_deadline()
        if self.trouble_since is not None and now - self.trouble_since >= self.tolerance:
            return self._outcome(
                "error",
                f"Gave up waiting for {self.noun} {self.job_id}: no usable answer for "
                f"{now - self.trouble_since:.0f} s (last: {error}). The {self.noun} was left as it is.",
            )
        return None

    def on_deadline(self) -> PollOutcome:
        """Return the outcome of a wait whose deadline has passed."""
        limit = self.deadline - self.submitted_at
        when = datetime.fromtimestamp(self.deadline, tz=UTC).isoformat(timespec="seconds")
        status = f"last status {self.last.raw_status!r}" if self.last else "its status was never seen"
        trouble = f"; the last status request failed: {self._trouble}" if self._trouble else ""
        return self._outcome(
            "timeout",
            f"{self.noun.capitalize()} {self.job_id} did not finish within {limit:.0f} s of its submission "
            f"(deadline {when}; {status}{trouble}).",
        )

    def next_poll(self) -> float:
        """
        Return when to poll next, epoch seconds, at most the deadline.

        Asked again before that time it answers by what is known by then; the jitter stays the same between
        two polls. Waits taken over after their first poll was due, as by a restarted triggerer, spread their
        first polls at random, so that thousands do not poll at once.
        """
        since = self.submitted_at if self.polled_at is None else self.polled_at
        due = since + self._pause(since)
        if self.polled_at is None and due < self.begun_at:
            due = self.begun_at + min(self._pause(self.begun_at), LONGEST_SPREAD) * self._jitter
        if isinstance(self._trouble, RateLimitedError) and self._trouble.retry_after:
            due = max(due, since + min(self._trouble.retry_after, LONGEST_ASKED))
        return min(due, self.deadline)

    def pause(self, now: float) -> float:
        """
        Return the seconds until the next poll: none where the clock was set back since the last one.

        :param now: epoch seconds.
        """
        set_back = self.polled_at is not None and now < self.polled_at - SET_BACK
        return 0.0 if set_back else self.next_poll() - now

    def on_crash(self, error: Exception) -> PollOutcome:
        """Return the outcome of a wait in which something was raised that nobody expected."""
        what = "".join(format_exception_only(error))
        return self._outcome(
            "error",
            f"Waiting for {self.noun} {self.job_id} broke off unexpectedly: {what} "
            f"The {self.noun} was left as it is.",
        )

    @property
    def learns(self) -> bool:
        """Whether what others have learnt meanwhile changes when to poll next."""
        return not isinstance(self.schedule, Backoff)

    @property
    def ended_at(self) -> float:
        """
        When the job ended, epoch seconds: as the vendor says if that lies between the last two polls,
        by whole seconds and a clock that may differ; else the middle between them.
        """
        after, by = self.ended_between
        return (after + by) / 2

    @property
    def ended_between(self) -> tuple[float, float]:
        """The earliest and the latest that the job can have ended, epoch seconds; the same when known."""
        if self._ended_at is not None and self._before - 1.0 <= self._ended_at <= self.seen_at:
            return self._ended_at, self._ended_at
        return min(max(self._before, self.listed_at), self.seen_at), self.seen_at

    @property
    def duration(self) -> float:
        """Seconds from submission to the job's end."""
        return max(0.0, self.ended_at - self.submitted_at)

    @property
    def detection_delay(self) -> float:
        """Seconds from the job's end to the poll that found it."""
        return self.seen_at - self.ended_at

    @property
    def standing(self) -> tuple[str, str, float | None] | None:
        """Status, progress and its fraction as last seen."""
        return (self.last.raw_status, self.last.progress, self.last.fraction) if self.last else None

    def status_line(self) -> str | None:
        """
        Return a line for the task log: when status or progress changed since the last line, and after
        :data:`SILENCE`.
        """
        if self.last is None:
            return None
        current = (self.last.raw_status, self.last.progress)
        if current == self._reported and self.seen_at - self._reported_at < SILENCE:
            return None
        self._reported, self._reported_at = current, self.seen_at
        unknown = "" if self.last.known else " (a status this version does not know; treated as active)"
        progress = f", {self.last.progress}" if self.last.progress else ""
        line = f"{self.noun.capitalize()} {self.job_id}: {self.last.raw_status}{unknown}{progress}"
        return clean(line if self.last.finished else f"{line}; {self._outlook()}")

    def _outlook(self) -> str:
        waited = f"{duration(self.seen_at - self.submitted_at)} since submission, " * self.submission_known
        ends = f"; gives up at {clock_time(self.deadline)}" if isfinite(self.deadline) else ""
        sooner = ", sooner when its end is announced" * self.schedule.announced
        return f"{waited}next poll about {clock_time(self.next_poll())}{sooner}{ends}"

    def _pause(self, since: float) -> float:
        fraction = self.last.fraction if self.last is not None and since == self.seen_at else None
        return self.schedule.delay(since - self.submitted_at, rng=lambda: self._jitter, fraction=fraction)

    def _polled(self, now: float) -> None:
        self.polls += 1
        self.polled_at = now
        self._jitter = self.rng()

    def _outcome(self, status: str, message: str) -> PollOutcome:
        raw_status = clean(self.last.raw_status) if self.last else ""
        return PollOutcome(
            status, clean(self.job_id), raw_status, clean(message, LONGEST_MESSAGE), self.polls
        )
