"""Turns, against a server that counts in sliding windows."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider.core.budget.rate_budget import LONGEST_START, Grant, RateBudget
from airflow_provider.core.budget.store import restored
from airflow_provider.core.budget.turn_queue import (
    ALONE_FOR,
    ASK_AGAIN,
    FREE_RESERVE_AFTER,
    Priority,
    Ticket,
    TurnQueue,
)
from airflow_provider.core.budget.windows import Window

START = 1e9


@dataclass
class Server:
    """Takes so many requests within a window, later than they were sent."""

    limits: list[Window]
    retry_after: bool = True
    taken: list[float] = field(default_factory=list)
    refused: int = 0

    def request(self, now: float) -> float | None:
        """Return ``None`` when it takes the request, else the seconds to wait."""
        for window in self.limits:
            inside = [at for at in self.taken if at > now - window.seconds]
            if len(inside) >= window.limit:
                self.refused += 1
                return inside[-window.limit] + window.seconds - now
        self.taken.append(now)
        return None


@dataclass
class Night:
    """
    Pipelines of steps, each of some requests, that begin together; time passes as it likes.

    :param lead: seconds before its turn at which a task is resumed; it comes up to twice as long after that.
    :param slots: worker slots, which tasks hold while they wait; ``None`` where they are deferred.
    """

    server: Server
    queue: TurnQueue
    shared: bool = True
    lead: float = 0.0
    slots: int | None = None
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    finished: dict[int, float] = field(default_factory=dict)
    asked: int = 0

    def run(self, pipelines: int, steps: list[tuple[Priority, int]]) -> None:
        events: list[tuple[float, int, int, int, Ticket | None]] = []
        numbers = itertools.count()
        queued = [(0, pipeline) for pipeline in range(pipelines)]
        free = pipelines if self.slots is None else self.slots

        def fill_slots(now: float) -> None:
            nonlocal free
            while free and queued:  # as Airflow does it: upstream tasks first
                step, pipeline = heapq.heappop(queued)
                free -= 1
                began = now + (1.0 if step else self.rng.random())
                heapq.heappush(events, (began, next(numbers), pipeline, step, None))

        fill_slots(START)
        while events:
            now, _, pipeline, step, ticket = heapq.heappop(events)
            priority, requests = steps[step]
            in_place = self.slots is not None
            ticket = ticket or Ticket(f"{pipeline}-{step}", priority, now, requests, in_place=in_place)
            if self.shared:  # as between processes: through plain JSON
                state = {**self.queue.budget.state(now), "waiting": self.queue.state()}
                self.queue = restored(state, self.queue.budget.limits, now)
            turn = self.queue.ask(ticket, now, lead=self.lead)
            self.asked += 1
            if turn.at > now:
                again = now + min(max(turn.at - now, 0.05), ASK_AGAIN)
                if turn.granted:
                    again = max(again - self.lead + 2 * self.lead * self.rng.random(), now + 0.05)
                heapq.heappush(events, (again, next(numbers), pipeline, step, ticket))
                continue
            left = ticket.requests
            for _ in range(turn.granted):
                if self.queue.ask(ticket, now).at > now:
                    break  # others came late for theirs
                self.queue.budget.use(ticket.id, now)
                wait = self.server.request(now + self.rng.random() * 0.5)
                if wait is not None:
                    self.queue.budget.on_429(now, wait if self.server.retry_after else None)
                    self.queue.leave(ticket.id)
                    break
                self.queue.budget.on_success(now)
                left -= 1
            if left:
                rest = replace(ticket, requests=left)
                heapq.heappush(events, (now + 0.1, next(numbers), pipeline, step, rest))
                continue
            free += 1
            if step + 1 < len(steps):
                heapq.heappush(queued, (step + 1, pipeline))
            else:
                self.finished[pipeline] = now - START
            fill_slots(now)


REPORT = [(Priority.START, 1), (Priority.CONTINUE, 2), (Priority.CONTINUE, 1), (Priority.FINISH, 2)]


def test_a_night_on_known_limits_takes_little_longer_than_it_must_and_is_never_refused() -> None:
    limits = [Window(30, 60.0), Window(300, 3600.0)]
    night = Night(Server(limits), TurnQueue(RateBudget(limits)), shared=False)
    night.run(100, REPORT)
    assert len(night.finished) == 100
    assert night.server.refused == 0
    # 600 requests at 300 an hour: the first and the second hundred fifty go within minutes each.
    assert max(night.finished.values()) < 1.15 * 2 * 3600


def test_tasks_that_hold_their_worker_slots_use_the_whole_limit() -> None:
    limits = [Window(30, 60.0), Window(300, 3600.0)]
    night = Night(Server(limits), TurnQueue(RateBudget(limits)), slots=8)
    night.run(98, REPORT)
    assert len(night.finished) == 98
    assert night.server.refused == 0
    # 588 requests: nearly 300 of the first hour, the rest in the first minutes of the second.
    assert max(night.finished.values()) < 1.15 * (3600 + 288 / 30 * 60)


def test_what_is_kept_for_finishing_is_not_used_by_a_start_at_once() -> None:
    queue = TurnQueue(RateBudget([Window(10, 3600.0)]))
    for _ in range(9):
        queue.budget.acquire(START, poll=False)
    start = Ticket("start", Priority.START, START, 1, in_place=True)
    assert not queue.ask(start, START).granted
    assert not queue.ask(start, START + FREE_RESERVE_AFTER - 1).granted
    assert not queue.ask(replace(start, in_place=False), START + FREE_RESERVE_AFTER).granted
    assert queue.ask(start, START + FREE_RESERVE_AFTER).granted


def test_what_was_started_is_finished_before_more_is_started() -> None:
    limits = [Window(10, 60.0)]
    queue = TurnQueue(RateBudget(limits))
    for number in range(10):
        queue.budget.acquire(START + number * 0.1, poll=False)
    start = Ticket("start", Priority.START, START, 1)
    finish = Ticket("finish", Priority.FINISH, START + 1, 1)
    cancel = Ticket("cancel", Priority.CANCEL, START + 2, 1)
    assert queue.ask(start, START + 1).ahead == 0
    assert queue.ask(finish, START + 1).ahead == 0
    assert queue.ask(cancel, START + 2).ahead == 0
    assert queue.ask(finish, START + 3).ahead == 1
    assert queue.ask(start, START + 3).ahead == 2
    now = START + 62.0
    assert not queue.ask(start, now).granted
    assert queue.ask(cancel, now).granted


def test_within_one_priority_the_first_to_come_is_the_first_to_go() -> None:
    queue = TurnQueue(RateBudget([Window(2, 60.0)]))
    queue.budget.acquire(START, poll=False)
    queue.budget.acquire(START, poll=False)
    tickets = [Ticket(f"{number:02}", Priority.START, START + number, 1) for number in range(5)]
    assert [queue.ask(ticket, START + 10).ahead for ticket in tickets] == [0, 1, 2, 3, 4]
    assert [queue.ask(ticket, START + 10).at for ticket in tickets] == sorted(
        queue.ask(ticket, START + 10).at for ticket in tickets
    )


def test_a_task_that_waits_for_long_goes_before_those_of_the_next_priority() -> None:
    queue = TurnQueue(RateBudget([Window(1, 60.0)]))
    queue.budget.acquire(START + 7200, poll=False)
    old = Ticket("old", Priority.START, START, 1)
    queue.ask(old, START + 7200)
    assert queue.ask(Ticket("new", Priority.FINISH, START + 7200, 1), START + 7200).ahead == 1


def test_a_task_that_does_not_come_back_is_forgotten_and_so_is_its_grant() -> None:
    queue = TurnQueue(RateBudget([Window(1, 60.0)]))
    queue.budget.acquire(START, poll=False)
    queue.ask(Ticket("gone", Priority.FINISH, START, 1), START + 1)
    assert queue.ask(Ticket("here", Priority.START, START, 1), START + 200).granted == 1
    other = Ticket("other", Priority.START, START, 1)
    assert not queue.ask(other, START + 201).granted
    assert queue.ask(other, START + 600).granted == 1


def test_polls_leave_the_key_to_tasks_that_wait_for_their_turn() -> None:
    queue = TurnQueue(RateBudget([Window(100, 60.0)]))
    budget = queue.budget
    for _ in range(100):
        budget.acquire(START, poll=False)
    queue.ask(Ticket("waits", Priority.START, START, 1), START + 1)
    now, polls = START + 62.5, 0
    while budget.free_at(now) <= now:
        budget.acquire(now)
        polls += 1
    assert polls == 25


@pytest.mark.parametrize("retry_after", [True, False])
def test_a_limit_that_nobody_told_is_learned(retry_after: bool) -> None:
    server = Server([Window(20, 60.0)], retry_after=retry_after)
    night = Night(server, TurnQueue(RateBudget()), shared=False)
    night.run(20, [(Priority.START, 3), (Priority.START, 1), (Priority.FINISH, 3)])
    assert len(night.finished) == 20
    assert len(server.taken) == 140
    assert server.refused <= 14
    assert max(night.finished.values()) < 2 * 420


@dataclass
class Trouble(Server):
    """Refuses whatever it likes for a while, and has no limit."""

    limits: list[Window] = field(default_factory=list)
    refusals: int = 1
    wait: float = 30.0
    rng: random.Random = field(default_factory=lambda: random.Random(3))

    def request(self, now: float) -> float | None:
        if self.refused < self.refusals and self.rng.random() < 0.6:
            self.refused += 1
            return self.wait
        return super().request(now)


@pytest.mark.parametrize(
    ("refusals", "wait", "within"), [(1, 30.0, 300.0), (20, 30.0, 4000.0), (100, 1.0, 2400.0)]
)
def test_trouble_that_has_passed_is_no_limit(refusals: int, wait: float, within: float) -> None:
    night = Night(Trouble(refusals=refusals, wait=wait), TurnQueue(RateBudget()), shared=False)
    night.run(100, [(Priority.START, 1), (Priority.FINISH, 2)])
    assert len(night.finished) == 100
    assert max(night.finished.values()) < within


def test_a_limit_that_was_learned_is_seldom_exceeded() -> None:
    night = Night(Server([Window(20, 60.0)]), TurnQueue(RateBudget()), shared=False)
    night.run(200, [(Priority.START, 1), (Priority.FINISH, 2)])
    assert night.server.refused <= len(night.server.taken) / 100
    assert max(night.finished.values()) < 1.1 * 1800


@dataclass
class Bucket(Server):
    """A token bucket: takes a few requests at once, then one a second; says so in whole seconds."""

    limits: list[Window] = field(default_factory=list)
    tokens: float = 5.0
    at: float = START

    def request(self, now: float) -> float | None:
        self.tokens, self.at = min(5.0, self.tokens + max(0.0, now - self.at)), max(now, self.at)
        if self.tokens < 1.0:
            self.refused += 1
            return 1.0
        self.tokens -= 1.0
        self.taken.append(now)
        return None


@pytest.mark.parametrize("limits", [[], [Window(60, 60.0)]], ids=["unknown", "known"])
def test_a_service_that_takes_no_bursts_is_asked_evenly(limits: list[Window]) -> None:
    night = Night(Bucket(), TurnQueue(RateBudget(limits)))
    night.run(100, REPORT)
    assert len(night.finished) == 100
    assert night.server.refused <= len(night.server.taken) / 20
    assert max(night.finished.values()) < 1.5 * 600


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.sampled_from([10.0, 60.0, 3600.0])), min_size=1, max_size=2),
    st.integers(1, 12),
    st.lists(st.tuples(st.sampled_from(list(Priority)), st.integers(1, 8)), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from([0.0, 10.0, 30.0]),
)
def test_every_task_gets_its_turns_and_no_known_limit_is_ever_passed(
    limits: list[tuple[int, float]],
    pipelines: int,
    steps: list[tuple[Priority, int]],
    shared: bool,
    lead: float,
) -> None:
    windows = list({seconds: Window(count, seconds) for count, seconds in limits}.values())
    night = Night(Server(windows), TurnQueue(RateBudget(windows)), shared=shared, lead=lead)
    night.run(pipelines, steps)
    assert len(night.finished) == pipelines
    assert len(night.server.taken) == pipelines * sum(requests for _, requests in steps)
    assert night.server.refused == 0


def test_a_task_is_resumed_as_long_before_its_turn_as_tasks_take_to_start() -> None:
    budget = RateBudget([Window(10, 60.0)])
    for number in range(80):
        grant = Grant(1, START, START + 300, resumed_at=START + number)
        budget.on_start(grant, START + number + 12.0)
        budget.on_start(grant, START + number + 50.0)  # its next request
    assert budget.start_takes == pytest.approx(12.0, abs=0.1)
    for number in range(80):
        grant = Grant(1, START, START + 300, resumed_at=START)
        budget.on_start(grant, START + (8.0 if number % 2 else 16.0))
    assert budget.start_takes > 16.0, "most come in time"
    budget.on_start(Grant(1, START, START + 300, resumed_at=START), START + 3600.0)
    assert budget.start_takes <= LONGEST_START
    again = restored({**budget.state(START), "waiting": {}}, budget.limits, START).budget
    assert again.start_takes == budget.start_takes


def test_after_a_429_one_task_finds_out_whether_the_others_may_follow() -> None:
    queue = TurnQueue(RateBudget())
    queue.budget.on_429(START)
    now = queue.budget.paused_until + 1.0
    tickets = [Ticket(str(n), Priority.START, START + n) for n in range(5)]
    told = [queue.ask(ticket, now, lead=30.0) for ticket in tickets]
    assert [turn.granted for turn in told] == [1, 0, 0, 0, 0]
    assert all(turn.at > now for turn in told[1:])
    queue.budget.on_success(now + 1.0)
    assert all(queue.ask(ticket, now + 6.0).granted for ticket in tickets[1:])


def test_a_task_that_does_not_find_out_stops_the_others_for_a_minute_at_most() -> None:
    queue = TurnQueue(RateBudget())
    queue.budget.on_429(START)
    now = queue.budget.paused_until + 1.0
    gone, other = (Ticket(name, Priority.START, START) for name in ("gone", "other"))
    assert queue.ask(gone, now).granted
    assert not queue.ask(other, now + ALONE_FOR - 1.0).granted
    assert queue.ask(other, now + ALONE_FOR + 1.0).granted


def test_of_those_that_were_granted_before_a_429_one_goes_first() -> None:
    queue = TurnQueue(RateBudget())
    tickets = [Ticket(str(n), Priority.START, START + n) for n in range(4)]
    for ticket in tickets[:3]:
        assert queue.ask(ticket, START).granted
    queue.budget.on_429(START)
    now = queue.budget.paused_until + 1.0
    asked = [queue.ask(ticket, now) for ticket in reversed(tickets)]
    assert [turn.granted > 0 and turn.at <= now for turn in asked] == [False, False, False, True]
    queue.budget.on_success(now + 1.0)
    assert all(queue.ask(ticket, now + 2.0).at <= now + 2.0 for ticket in tickets)


def test_a_granted_turn_waits_for_those_that_came_late_for_theirs() -> None:
    queue = TurnQueue(RateBudget([Window(2, 60.0)]))
    first, second = (Ticket(name, Priority.FINISH, START) for name in ("first", "second"))
    for ticket in (first, second):
        assert queue.ask(ticket, START).at == START
    third = Ticket("third", Priority.FINISH, START)
    planned = queue.ask(third, START + 40.0, lead=70.0)
    assert planned.granted
    for ticket in (first, second):
        queue.budget.use(ticket.id, START + 50.0)
    late = queue.ask(third, planned.at)
    assert late.granted
    assert late.at >= START + 50.0 + 60.0


def test_the_more_are_ahead_the_later_a_turn_is() -> None:
    queue = TurnQueue(RateBudget([Window(30, 60.0)]))
    for number in range(29):
        queue.budget.acquire(START + number, poll=False)
    now = START + 30.0
    turns = [queue.ask(Ticket(f"{n:03}", Priority.CONTINUE, now, 2), now, lead=10.0) for n in range(100)]
    assert not any(turn.granted for turn in turns)
    assert [turn.at for turn in turns] == sorted(turn.at for turn in turns)
    assert turns[-1].at >= START + 200 / 29 * 60.0
