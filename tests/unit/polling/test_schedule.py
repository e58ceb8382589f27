from __future__ import annotations

import heapq
import itertools
import random
import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider.core.budget.rate_budget import RateBudget
from airflow_provider.core.budget.windows import windows
from airflow_provider.core.polling.schedule import AdaptiveSchedule, Backoff, DurationStats, PollingLoad

VENDOR = Backoff(3.0, 1.5, 15.0)
REPORT = (120.0, 300.0)


@dataclass
class Simulated:
    """What became of reports on one key, and what that took; a discrete-event run without a real second."""

    polls: float
    delays: list[float] = field(default_factory=list)
    refused: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.delays)

    @property
    def p95(self) -> float:
        return sorted(self.delays)[int(0.95 * len(self.delays))]


def simulate(
    reports: int, duration: Callable[[random.Random], float], *, processes: int = 1, per_hour: int = 1000
) -> Simulated:
    jitter = random.Random(7)
    server: deque[float] = deque()
    budgets = [RateBudget(windows(per_hour=per_hour), rng=jitter.random) for _ in range(processes)]
    known = [DurationStats(REPORT) for _ in range(processes)]
    running = [len(range(number, reports, processes)) for number in range(processes)]
    joined = list(running)
    ends = [duration(jitter) for _ in range(reports)]
    polled, chance = [0.0] * reports, [jitter.random() for _ in range(reports)]
    polls, delays, refused, order = 0, [], 0, itertools.count()

    def due(report: int, now: float) -> float:
        mine = report % processes
        load = PollingLoad(active=running[mine], recent=joined[mine]).within(budgets[mine], now)
        schedule = AdaptiveSchedule(known[mine], lambda: load, VENDOR)
        return polled[report] + schedule.delay(polled[report], rng=lambda: chance[report])

    events = [(jitter.uniform(0, 3), next(order), report) for report in range(reports)]
    heapq.heapify(events)
    while events:
        now, _, report = heapq.heappop(events)
        mine = report % processes
        at = max(due(report, now), budgets[mine].free_at(now))
        if at > now + 1e-9:
            heapq.heappush(events, (min(at, now + 15.0), next(order), report))
            continue
        while server and server[0] <= now - 3600:
            server.popleft()
        budgets[mine].acquire(now)
        polls += 1
        if len(server) >= per_hour:
            refused += 1
            budgets[mine].on_429(now)
            heapq.heappush(events, (now + 5.0, next(order), report))
            continue
        server.append(now)
        budgets[mine].on_success()
        if now >= ends[report]:
            known[mine].add(polled[report], now)
            running[mine] -= 1
            delays.append(now - ends[report])
            continue
        polled[report], chance[report] = now, jitter.random()
        heapq.heappush(events, (now + 1.0, next(order), report))
    return Simulated(polls / reports, delays, refused)


def usual(jitter: random.Random) -> float:
    return jitter.uniform(*REPORT)


def test_a_hundred_reports_share_the_hour_well() -> None:
    run = simulate(100, usual)
    assert run.refused == 0
    assert run.polls <= 7
    assert run.median <= 8.5
    assert run.p95 <= 17


def test_a_lone_report_is_seen_done_within_seconds() -> None:
    assert simulate(1, lambda jitter: 214.0).median <= 3


def test_three_hundred_reports_are_late_and_lose_nothing() -> None:
    run = simulate(300, usual)
    assert run.refused == 0
    assert max(run.delays) <= 180


@pytest.mark.parametrize("reports", [100, 300])
def test_two_processes_that_do_not_know_of_each_other_fit_one_limit(reports: int) -> None:
    run = simulate(reports, usual, processes=2)
    assert run.refused == 0
    assert max(run.delays) <= 60


def test_jobs_much_shorter_than_documented_are_noticed() -> None:
    run = simulate(100, lambda jitter: jitter.uniform(10, 11))
    assert run.median <= 45
    assert run.polls <= 2


def test_jobs_much_longer_than_documented_leave_requests_for_their_end() -> None:
    run = simulate(100, lambda jitter: jitter.uniform(1200, 1210))
    assert max(run.delays) <= 450
    assert run.polls <= 8


def test_the_second_hundred_profits_from_what_the_first_has_shown() -> None:
    known = DurationStats(REPORT)
    for _ in range(100):
        known.add(40.0)
    assert known.range(running=0) == pytest.approx((40.0, 120.0), abs=5)
    for _ in range(100):
        known.add(50.0)
    assert known.range(running=0) == pytest.approx((40.0, 50.0), abs=2)


def test_jobs_still_running_keep_the_first_ends_from_narrowing_the_range() -> None:
    known = DurationStats(REPORT)
    for number in range(20):
        known.add(121.0 + number)
    low, high = known.range(running=80)
    assert low == pytest.approx(121.0, abs=2)
    assert high > 290


def test_one_early_end_may_be_an_exception_and_two_are_believed() -> None:
    known = DurationStats(REPORT)
    known.add(10.0)
    assert known.range(running=100)[0] > 100
    known.add(11.0)
    assert known.range(running=100)[0] == pytest.approx(11.0, abs=5)


def test_an_end_in_a_long_gap_is_not_taken_for_an_early_one() -> None:
    known = DurationStats(REPORT)
    for _ in range(5):
        known.add(12.0, 130.0)
    assert known.range(running=5)[0] >= 120


@given(
    st.lists(st.floats(0, 1e6), max_size=300),
    st.integers(0, 10_000),
    st.floats(0, 1e9),
    st.floats(0, 1),
    st.integers(1, 100_000),
    st.floats(0, 1e5),
    st.one_of(st.none(), st.floats(0, 1)),
)
def test_no_pause_is_shorter_than_the_shortest_interval(
    seen: list[float],
    active: int,
    age: float,
    jitter: float,
    capacity: int,
    left: float,
    fraction: float | None,
) -> None:
    known = DurationStats(REPORT)
    for seconds in seen:
        known.add(seconds)
    low, high = known.range(active)
    assert low < high
    load = PollingLoad(capacity, capacity / 3600, max(1, active), max(1, active), min(left, capacity))
    pause = AdaptiveSchedule(known, lambda: load, VENDOR).delay(age, rng=lambda: jitter, fraction=fraction)
    assert VENDOR.first * (1 - VENDOR.jitter) <= pause < 1e12


def test_an_unlimited_key_uses_the_documented_intervals() -> None:
    schedule = AdaptiveSchedule(DurationStats(REPORT), PollingLoad, VENDOR)
    assert schedule.delay(4.0, rng=lambda: 0.0) == 5.0


def test_progress_brings_the_next_look_forward_to_the_likely_end() -> None:
    schedule = AdaptiveSchedule(DurationStats(REPORT), PollingLoad, Backoff(2.0, 1.5, 30.0))
    assert schedule.delay(90.0, rng=lambda: 0.0, fraction=0.9) == pytest.approx(10.0)
    assert schedule.delay(90.0, rng=lambda: 0.0, fraction=0.1) == 30.0
    assert schedule.delay(90.0, rng=lambda: 0.0, fraction=1.0) == pytest.approx(4.5)
