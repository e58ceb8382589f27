"""What a task makes of its turn."""

from __future__ import annotations

import heapq
import logging
import re
import time
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider.core.budget.store import MemoryStore, SharedBudget
from airflow_provider.core.budget.turn_queue import Priority, Ticket, TurnQueue
from airflow_provider.core.budget.turns import GRANTED_WAIT, TurnAwaitedError, Turns
from airflow_provider.core.budget.windows import Window
from airflow_provider.exceptions import RateLimitedError


def test_a_turn_that_was_granted_before_a_429_waits_for_its_end() -> None:
    budget = SharedBudget(MemoryStore(time.time), "key", ())
    ticket = Ticket("mine", Priority.START, time.time())
    assert budget.update(lambda queue, now: queue.ask(ticket, now)).granted
    budget.update(lambda queue, now: queue.budget.on_429(now, 600.0))
    hook: Any = SimpleNamespace(conn_id="toy", shared_budget=lambda bucket: budget)
    with pytest.raises(TurnAwaitedError) as awaited:
        Turns(patience=3600.0, defers=True, ticket=ticket).take(hook, "")
    assert awaited.value.ticket == ticket


@settings(max_examples=100)
@given(st.integers(1, 40), st.integers(1, 30), st.booleans())
def test_a_step_that_begins_anew_after_each_deferral_comes_to_its_end(
    requests: int, limit: int, expected: bool
) -> None:
    now, sent, held = 1e9, 0, 0.0

    def clock() -> float:
        return now

    def sleep(seconds: float) -> None:
        nonlocal now, held
        now, held = now + seconds, held + seconds

    budget = SharedBudget(MemoryStore(clock), "key", (Window(limit, 60.0),))
    hook: Any = SimpleNamespace(conn_id="toy", shared_budget=lambda bucket: budget)
    ticket = None
    while True:
        mine = Turns(patience=3600.0, defers=True, ticket=ticket)
        mine._sleep = sleep
        if expected:
            mine.expect(requests)
        try:
            for _ in range(requests):
                mine.take(hook, "")
                sent += 1
            break
        except TurnAwaitedError as awaited:
            ticket, now = awaited.ticket, now + awaited.wait
            assert sent < 200, "it sends the same again and again"
    assert sent <= 3 * requests
    if requests <= limit // 2:
        assert held == 0.0, "its worker is free while it waits"


@pytest.mark.parametrize("grows", [False, True], ids=["at once", "after a short wait"])
def test_a_task_that_waits_on_its_worker_says_so_once(grows: bool, caplog: pytest.LogCaptureFixture) -> None:
    now = 1e9
    budget = SharedBudget(MemoryStore(lambda: now), "key", (Window(1, 0.5 if grows else 60.0),))
    hook: Any = SimpleNamespace(conn_id="toy", shared_budget=lambda bucket: budget)
    mine = Turns(patience=36_000.0, log=logging.getLogger("task"))

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        if grows and now < 1e9 + 2.0:
            budget.update(lambda queue, now: queue.budget.on_429(now, 600.0))

    mine._sleep = sleep
    with caplog.at_level(logging.INFO):
        mine.take(hook, "")
        assert not caplog.records
        mine.take(hook, "")
    (record,) = caplog.records
    assert "The rate limit of connection toy is used up. Waiting for a turn" in record.message
    assert re.search(r"expected about \d\d:\d\d:\d\d UTC", record.message), "a worker may be in any zone"


@settings(max_examples=200)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), st.integers(0, 7))
def test_a_step_whose_requests_count_against_several_limits_waits_for_none_of_its_own_turns(
    buckets: list[str], refused: int
) -> None:
    now, slept = 1e9, 0.0

    def sleep(seconds: float) -> None:
        nonlocal now, slept
        now, slept = now + seconds, slept + seconds

    store = MemoryStore(lambda: now)
    hook: Any = SimpleNamespace(
        conn_id="toy", shared_budget=lambda bucket: SharedBudget(store, bucket, (Window(1000, 60.0),))
    )
    ticket, sent = None, 0
    while True:
        mine = Turns(patience=3600.0, defers=True, ticket=ticket)
        mine._sleep = sleep
        try:
            for bucket in buckets:
                while True:
                    mine.take(hook, bucket)
                    sent += 1
                    if sent - 1 != refused:
                        break
                    mine.refused(
                        hook, bucket, RateLimitedError("slow down", http_status=429, retry_after=4.0)
                    )
                mine.answered(hook, bucket, 200, {})
            break
        except TurnAwaitedError as awaited:
            ticket, now = awaited.ticket, now + awaited.wait
        finally:
            mine.close()
    assert slept <= GRANTED_WAIT
    for bucket in "abc":
        assert hook.shared_budget(bucket).update(lambda queue, now: list(queue.budget.grants)) == []


@pytest.mark.parametrize(("priority", "held_back"), [(Priority.START, 300.0), (Priority.FINISH, 0.0)])
def test_a_task_that_waits_on_its_worker_gets_the_whole_hour(priority: Priority, held_back: float) -> None:
    now, slept = 1e9, 0.0

    def sleep(seconds: float) -> None:
        nonlocal now, slept
        now, slept = now + seconds, slept + seconds

    budget = SharedBudget(MemoryStore(lambda: now), "key", (Window(10, 3600.0),))
    hook: Any = SimpleNamespace(conn_id="toy", shared_budget=lambda bucket: budget)
    mine = Turns(patience=36_000.0, priority=priority)
    mine._sleep = sleep
    for _ in range(10):
        mine.take(hook, "")
    assert held_back <= slept <= held_back + 60.0


def test_what_is_on_record_is_not_counted_among_what_is_sent_again() -> None:
    now = 1e9
    budget = SharedBudget(MemoryStore(lambda: now), "key", (Window(4, 60.0),))
    hook: Any = SimpleNamespace(conn_id="toy", shared_budget=lambda bucket: budget)
    mine = Turns(patience=3600.0, defers=True)
    for _ in range(4):
        mine.take(hook, "")
        mine.recorded()
    with pytest.raises(TurnAwaitedError) as awaited:
        mine.take(hook, "")
    assert awaited.value.ticket.requests == 1


@pytest.mark.parametrize("jump", [-3600.0, 3600.0, 86400.0])
def test_a_clock_that_is_set_while_a_task_waits_holds_it_no_longer(jump: float) -> None:
    now, slept = 1e9, 0.0

    def sleep(seconds: float) -> None:
        nonlocal now, slept
        slept += seconds
        now += seconds + (jump if slept - seconds < 5.0 <= slept else 0.0)

    budget = SharedBudget(MemoryStore(lambda: now), "key", ())
    budget.update(lambda queue, at: queue.budget.on_429(at, 30.0))
    hook: Any = SimpleNamespace(conn_id="toy", shared_budget=lambda bucket: budget)
    mine = Turns(patience=600.0)
    mine._sleep = sleep
    mine.take(hook, "")
    assert slept <= 60.0


@pytest.mark.parametrize("limit", [10, 15])
def test_steps_larger_than_a_limit_that_nobody_told_are_not_begun_again_and_again(limit: int) -> None:
    now, sent = 1e9, 0
    taken = [now - 100.0 + number for number in range(min(limit, 13))]  # by others

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    def request(mine: Turns) -> None:
        nonlocal sent
        while True:
            mine.take(hook, "")
            sent += 1
            inside = [at for at in taken if at > now - 3600.0]
            if len(inside) < limit:
                taken.append(now)
                return
            wait = inside[-limit] + 3600.0 - now
            mine.refused(hook, "", RateLimitedError("", http_status=429, retry_after=wait))

    budget = SharedBudget(MemoryStore(lambda: now), "key", (Window(400, 3600.0),))
    hook: Any = SimpleNamespace(conn_id="toy", shared_budget=lambda bucket: budget)
    resumed: list[tuple[float, int, Ticket | None]] = [(now, task, None) for task in range(2)]
    while resumed:
        at, task, ticket = heapq.heappop(resumed)
        now = max(now, at)
        mine = Turns(patience=12 * 3600.0, defers=True, ticket=ticket)
        mine._sleep = sleep
        try:
            for _ in range(12):
                request(mine)
                sleep(0.3)
        except TurnAwaitedError as awaited:
            heapq.heappush(resumed, (now + awaited.wait, task, awaited.ticket))
        mine.close()
    assert sent <= 1.5 * 2 * 12


@pytest.mark.parametrize("resumed", [False, True])
def test_a_request_that_was_refused_is_no_reason_to_stay(resumed: bool) -> None:
    now = 1e9
    budget = SharedBudget(MemoryStore(lambda: now), "key", ())
    hook: Any = SimpleNamespace(conn_id="toy", shared_budget=lambda bucket: budget)
    ticket = Ticket("mine", Priority.START, now) if resumed else None
    mine = Turns(patience=3600.0, defers=True, ticket=ticket)
    mine.take(hook, "")
    mine.refused(hook, "", RateLimitedError("", http_status=429, retry_after=30.0))
    assert budget.update(lambda queue, now: queue.budget.most_at_once(now, 1.0)) == 1
    with pytest.raises(TurnAwaitedError) as awaited:
        mine.take(hook, "")
    assert awaited.value.ticket.requests == 1


@pytest.mark.parametrize("retry_after", [None, 1.0, 60.0])
def test_a_request_that_is_refused_for_ever_is_given_up(retry_after: float | None) -> None:
    now, patience, waited = 1e9, 3600.0, 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    budget = SharedBudget(MemoryStore(lambda: now), "key", ())
    hook: Any = SimpleNamespace(conn_id="toy", shared_budget=lambda bucket: budget)
    mine = Turns(patience=patience)
    mine._sleep = sleep

    def request() -> None:
        nonlocal waited
        while now < 1e9 + 2 * patience:
            waited = mine.take(hook, "", waited)
            mine.refused(hook, "", RateLimitedError("", http_status=429, retry_after=retry_after))

    with pytest.raises(RateLimitedError, match="max_turn_wait"):
        request()
    assert now >= 1e9 + patience / 2


@pytest.mark.parametrize("defers", [True, False])
def test_no_task_fails_for_what_is_only_an_estimate(defers: bool) -> None:
    now = 1e9

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    def all_but_used_up_by_others(queue: TurnQueue, at: float) -> None:
        queue.budget.acquire(at, poll=False)
        queue.budget.on_429(at, 3000.0)
        for number in range(30):
            queue.ask(Ticket(str(number), Priority.START, at - 1.0), at)

    budget = SharedBudget(MemoryStore(lambda: now), "key", (Window(400, 3600.0),))
    hook: Any = SimpleNamespace(conn_id="toy", shared_budget=lambda bucket: budget)
    budget.update(all_but_used_up_by_others)
    mine = Turns(patience=12 * 3600.0, defers=defers, priority=Priority.START)
    mine._sleep = sleep
    with pytest.raises(TurnAwaitedError) if defers else nullcontext():
        mine.take(hook, "")
