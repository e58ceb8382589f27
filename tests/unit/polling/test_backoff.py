from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider.core.polling.schedule import Backoff

SECONDS = st.floats(0.001, 7 * 86_400)
ELAPSED = st.floats(-1e9, 1e9)


@given(SECONDS, st.floats(1.0, 1e6), SECONDS, st.floats(0, 1), ELAPSED, st.floats(0, 1))
def test_no_interval_is_zero_or_above_the_cap(
    first: float, factor: float, cap: float, jitter: float, elapsed: float, chance: float
) -> None:
    backoff = Backoff(first, factor, max(first, cap), jitter)
    interval = backoff.interval(elapsed)
    assert backoff.first <= interval <= backoff.cap
    assert interval * (1 - jitter) <= backoff.delay(elapsed, rng=lambda: chance) <= interval


@given(SECONDS, st.floats(1.0, 100.0), SECONDS, ELAPSED, ELAPSED)
def test_intervals_never_shrink_with_age(
    first: float, factor: float, cap: float, one: float, other: float
) -> None:
    backoff = Backoff(first, factor, max(first, cap))
    assert backoff.interval(min(one, other)) <= backoff.interval(max(one, other))


def test_polls_follow_the_documented_sequence() -> None:
    backoff, elapsed, seen = Backoff(3.0, 1.5, 15.0), 0.0, []
    for _ in range(7):
        seen.append(round(backoff.interval(elapsed), 6))
        elapsed += backoff.interval(elapsed)
    assert seen == [3.0, 4.5, 6.75, 10.125, 15.0, 15.0, 15.0]


def test_what_a_user_sets_is_taken_to_the_letter() -> None:
    default = Backoff(2.0, 1.5, 30.0)
    fixed = default.adjusted(poll_interval=7)
    assert [fixed.delay(age) for age in (0.0, 1e4)] == [7.0, 7.0]
    assert default.adjusted(poll_interval=7, exponential_backoff=True).interval(10) == 12.0
    assert default.adjusted(exponential_backoff=3).interval(5) == 12.0
    assert default.adjusted(poll_interval=60).interval(0) == 60.0
    assert default.adjusted(max_wait=1).interval(1e9) == 1.0


@pytest.mark.parametrize(
    "wrong",
    [{"first": 0}, {"first": -1}, {"first": math.nan}, {"first": math.inf}, {"first": 1, "factor": 0.5},
     {"first": 1, "jitter": 1.5}, {"first": 10, "cap": 5}],
)  # fmt: skip
def test_values_that_would_not_pause_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Backoff(**wrong)
