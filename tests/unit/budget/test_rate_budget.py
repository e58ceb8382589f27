from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider.core.budget.rate_budget import RateBudget
from airflow_provider.core.budget.windows import Window, windows
from airflow_provider.core.polling.schedule import PollingLoad

HOUR = Window(1000, 3600.0)


def budget(*limits: Window, share: float = 0.8) -> RateBudget:
    return RateBudget(limits, share=share, rng=lambda: 0.0)


@given(
    st.lists(st.tuples(st.integers(1, 12), st.floats(0.5, 50)), min_size=1, max_size=3),
    st.floats(0.05, 1.0),
    st.lists(
        st.tuples(st.floats(0, 20), st.booleans(), st.sampled_from(["", "", "", "429", "asked"])),
        max_size=150,
    ),
)
def test_no_window_ever_holds_more_than_its_limit(
    limits: list[tuple[int, float]], share: float, steps: list[tuple[float, bool, str]]
) -> None:
    tested = budget(*(Window(count, seconds) for count, seconds in limits), share=share)
    now, sent = 1e9, []
    for pause, reserve, trouble in steps:
        now += pause
        now = max(now, tested.free_at(now, reserve=reserve))
        tested.acquire(now)
        sent.append(now)
        if trouble:
            tested.on_429(now, 3.0 if trouble == "asked" else None)
    for count, seconds in limits:
        for at in sent:
            # Times near 1e9 are exact to about a microsecond.
            assert sum(at <= other < at + seconds - 1e-6 for other in sent) <= count


def test_polling_leaves_its_part_to_submitting_and_a_last_poll_may_use_it() -> None:
    tested = budget(Window(10, 60.0))
    for _ in range(8):
        assert tested.free_at(100.0) == 100.0
        tested.acquire(100.0)
    assert tested.free_at(101.0) == 160.0
    assert tested.free_at(101.0, reserve=True) == 101.0


def test_a_429_pauses_longer_each_time_and_an_answer_ends_that() -> None:
    tested = budget()
    now, pauses = 1000.0, []
    for _ in range(9):
        tested.on_429(now)
        pauses.append(tested.paused_until - now)
        now = tested.paused_until
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    tested.on_success()
    tested.on_429(now)
    assert tested.paused_until == now + 5


def test_retry_after_is_obeyed_by_last_polls_as_well() -> None:
    tested = budget()
    tested.on_429(1000.0, 90.0)
    assert tested.free_at(1001.0) == 1090.0
    assert tested.free_at(1001.0, reserve=True) == 1090.0
    tested.on_429(1002.0, 1e12)
    assert tested.free_at(1003.0) <= 1002.0 + 3600.0


def test_an_hour_that_others_have_used_is_whole_again_when_the_pause_is_over() -> None:
    tested = budget(HOUR)
    for at in range(5):
        tested.acquire(1000.0 + at, poll=False)
    tested.on_429(1005.0, 3000.0)
    assert tested.most_at_once(1005.0, 1.0) <= 2
    assert tested.most_at_once(1005.0 + 3010.0, 1.0) == 500


@pytest.mark.parametrize("asked", [130.0, 600.0, 1800.0])
def test_a_pause_too_short_for_an_hour_s_limit_is_waited_for_and_no_hour(asked: float) -> None:
    tested = budget()
    for at in range(4):
        tested.acquire(9400.0 + at)
    tested.acquire(10_000.0)
    tested.on_429(10_000.0, asked)
    now = 10_000.0
    while (due := tested.turn_at(now, 1, share=1.0)) > now:
        now = min(due, now + 60.0)
    assert asked <= now - 10_000.0 <= asked + 120.0


def test_a_pause_that_nobody_asked_for_does_not_cost_a_last_poll() -> None:
    tested = budget()
    for at in (1000.0, 1005.0, 1015.0, 1035.0):
        tested.on_429(at)
    assert tested.free_at(1036.0) == 1075.0
    assert tested.free_at(1036.0, reserve=True) == 1040.0


def test_a_burst_of_refusals_is_one() -> None:
    tested = budget()
    for _ in range(50):
        tested.on_429(1000.0)
    assert tested.paused_until == 1005.0


def test_after_a_429_requests_keep_a_distance_that_shrinks_again() -> None:
    tested = budget()
    for at in range(10):
        tested.acquire(1000.0 + at)
    tested.on_429(1010.0)
    assert tested.spacing == pytest.approx(2.0)
    tested.acquire(1020.0)
    assert tested.free_at(1020.0) == pytest.approx(1022.0)
    for _ in range(3):
        tested.on_success()
    assert tested.spacing == pytest.approx(1.0, abs=0.05)
    for _ in range(20):
        tested.on_success()
    assert tested.free_at(1020.0) == 1020.0


def test_refusals_in_a_row_are_one_sign_of_going_too_fast() -> None:
    tested = budget()
    tested.acquire(1000.0)
    for at in range(1000, 1030, 3):
        tested.on_429(float(at), retry_after=1.0)
    assert tested.spacing == pytest.approx(10.0)
    tested.on_success()
    later = max(1030.0, tested.paused_until)
    tested.acquire(later)
    tested.on_429(later)
    assert tested.spacing > 15.0


@pytest.mark.parametrize("asked", [0.0, 1.0, 30.0])
def test_who_refuses_again_after_the_pause_that_it_asked_for_is_asked_ever_less(asked: float) -> None:
    tested = budget()
    now, refusals = 1000.0, 0
    while now < 1000.0 + 3600.0:
        tested.on_429(now, asked)
        refusals += 1
        assert refusals < 30
        assert tested.paused_until >= now + asked
        now = tested.paused_until
    assert tested.paused_until - now <= 300.0


def test_a_minute_that_is_full_does_not_stop_the_hour() -> None:
    tested = budget(HOUR)
    for at in range(300):
        tested.acquire(1000.0 + at * 0.2)
    tested.on_429(1060.0)
    assert tested.free_at(1066.0) < 1070.0


def test_what_the_service_says_is_left_counts_what_others_use() -> None:
    tested = budget(HOUR)
    tested.update_from_headers(1000.0, limit=1000, remaining=900, reset_at=2000.0)
    assert tested.left(1000.0) == pytest.approx(700.0)
    assert tested.free_at(1000.0) == 1000.0
    tested.update_from_headers(1001.0, limit=1000, remaining=150, reset_at=2000.0)
    assert tested.left(1001.0) == 0.0
    assert tested.free_at(1001.0) == 1061.0, "after a minute the service is asked again"
    assert tested.free_at(1001.0, reserve=True) == 1001.0
    assert tested.left(1061.0) == 800.0


@pytest.mark.parametrize("ahead", [-7200.0, -30.0, 0.0, 30.0, 7200.0])
def test_a_wrong_clock_of_the_service_stops_nobody_for_long(ahead: float) -> None:
    tested = budget(HOUR)
    tested.update_from_headers(1000.0, limit=1000, remaining=0, reset_at=1030.0 + ahead)
    assert tested.free_at(1000.0) <= 1060.0
    assert tested.turn_at(1000.0, 1, share=1.0) <= 1060.0


def test_no_limit_is_no_window() -> None:
    assert windows(per_minute=None, per_hour=0) == ()
    unlimited = budget()
    load = PollingLoad().within(unlimited, 0.0)
    assert (load.capacity, load.left, load.sustained_rate) == (None, None, None)


def test_a_minute_s_limit_counts_for_the_time_that_is_planned() -> None:
    both = budget(*windows(per_minute=100, per_hour=1000))
    assert PollingLoad().within(both, 0.0).capacity == 400
