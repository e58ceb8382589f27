"""A toy service with a list of its jobs, in virtual time: what the list may do wrong can be switched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

from airflow_provider.core.polling.pages import Page
from airflow_provider.core.polling.shared_clients import SharedClients
from airflow_provider.core.polling.sweep import Listing
from airflow_provider.core.polling.wait import JobState, Observation
from airflow_provider.exceptions import AuthenticationError, InvalidRequestError
from tests.unit.triggers.virtual import START, Hook, Trigger, event, run, seen

Row = tuple[str, JobState | None]


@dataclass
class Service:
    """
    Jobs with the ages at which they end, and the list that shows them.

    :param ends: seconds from submission to the end, by job id.
    :param submitted: seconds from the start of the test, by job id; default 0.
    :param place: under which id the list shows a job.
    :param old: rows of jobs that have long ended.
    :param order: sorts the rows; default newest first.
    :param cap: most rows of a page.
    :param lag: seconds that the list is behind.
    :param shown: changes what the list says of a job: takes its id, its state and the time.
    :param counts_in: ``offset`` or ``page``.
    :param most: rows; to ask for more is a 400.
    :param error: raised for a read of the list, if it returns one; takes the time.
    :param status_error: the same for a status request.
    :param key: that is accepted, by the time.
    """

    ends: dict[str, float]
    submitted: dict[str, float] = field(default_factory=dict)
    place: Callable[[str], str] = lambda job_id: f"case-{job_id}"
    old: int = 0
    order: Callable[[list[Row]], list[Row]] = lambda rows: rows
    cap: int = 0
    most: int = 0
    lag: float = 0.0
    shown: Callable[[str, JobState | None, float], JobState | None] = lambda job_id, state, now: state
    counts_in: str = "offset"
    error: Callable[[float], Exception | None] = lambda now: None
    status_error: Callable[[float], Exception | None] = lambda now: None
    key: Callable[[float], str] = lambda now: "k1"
    keys: list[tuple[float, str]] = field(default_factory=list)
    reads: list[tuple[float, int]] = field(default_factory=list)
    found: dict[str, float] = field(default_factory=dict)

    def ends_at(self, job_id: str) -> float:
        return START + self.submitted.get(job_id, 0.0) + self.ends[job_id]

    def state(self, job_id: str, now: float) -> JobState | None:
        if now < START + self.submitted.get(job_id, 0.0):
            return None
        return JobState.SUCCEEDED if now >= self.ends_at(job_id) else JobState.ACTIVE

    def rows(self, now: float) -> list[Row]:
        at = now - self.lag
        known: dict[str, JobState | None] = {}
        for job_id in reversed(self.ends):
            if at >= START + self.submitted.get(job_id, 0.0):
                known.setdefault(self.place(job_id), self.shown(job_id, self.state(job_id, at), now))
        return self.order([*known.items(), *self.old_rows])

    @cached_property
    def old_rows(self) -> list[Row]:
        return [(f"old{number}", JobState.SUCCEEDED) for number in range(self.old)]

    async def read(self, hook: Any, client: Any, *, offset: int, limit: int, page: int | None) -> Page:
        assert not client.closed
        now = SharedClients.current().clock()
        await asyncio.sleep(0.1)
        self._check_key(now, hook)
        if self.most and limit > self.most:
            raise InvalidRequestError("limit", http_status=400)
        if (error := self.error(now)) is not None:
            self.reads.append((now, 0))
            raise error
        size = min(limit, self.cap or limit)
        if self.counts_in == "page":
            offset = ((page or 1) - 1) * size
        rows = dict(self.rows(now)[offset : offset + size])
        self.reads.append((now, len(rows)))
        return rows

    async def answer(self, job_id: str, now: float, hook: Hook) -> Observation:
        self._check_key(now, hook)
        if (error := self.status_error(now)) is not None:
            raise error
        state = self.state(job_id, now)
        assert state is not None
        if state is not JobState.ACTIVE:
            self.found.setdefault(job_id, now)
        return seen(job_id, state)

    def _check_key(self, now: float, hook: Any) -> None:
        Hook.key = self.key(now)
        self.keys.append((now, hook.settings.api_key))
        if hook.settings.api_key != Hook.key:
            raise AuthenticationError("401")

    @property
    def delays(self) -> list[float]:
        """Seconds from each job's end to the poll that found it, sorted."""
        return sorted(at - self.ends_at(job_id) for job_id, at in self.found.items())


class Listed(Trigger):
    """Follows a toy job that a list shows."""

    service: ClassVar[Service]

    @property
    def place(self) -> str | None:
        return self.service.place(self.job_id)


def follow(service: Service, *, limit: float = 600.0, **options: Any) -> list[dict[str, Any]]:
    """Wait for all jobs of the service; each wait begins when its job is submitted."""

    class Waiting(Listed):
        pass

    Waiting.service = service
    Waiting.job = replace(Trigger.job, listing=Listing("toys", lambda body: None, service.read))
    Trigger.answer = staticmethod(service.answer)

    async def one(job_id: str) -> dict[str, Any]:
        submitted = service.submitted.get(job_id, 0.0)
        await asyncio.sleep(submitted)
        begun = {"submitted_at": START + submitted, "deadline": START + submitted + limit}
        return await event(Waiting("toy", job_id, **{**begun, **options}))

    async def main(clients: SharedClients) -> list[dict[str, Any]]:
        return list(await asyncio.gather(*map(one, service.ends)))

    found: list[dict[str, Any]] = run(main)
    return found


def spread(count: int, low: float = 120.0, high: float = 300.0) -> dict[str, float]:
    """Return ages at which so many jobs end, spread evenly."""
    return {f"job{number}": low + (high - low) * ((number * 0.618034) % 1) for number in range(count)}
