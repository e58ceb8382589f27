"""How a wait that an event is to end looks for itself."""

from __future__ import annotations

import pytest

from airflow_provider.waiting.backoff import Backoff
from airflow_provider.waiting.profile import SUBMISSION
from airflow_provider.waiting.rarely import LONGEST, Afresh, Rarely, Trust

BACKOFF = SUBMISSION.backoff


def no_luck() -> float:
    """Nothing is shortened."""
    return 0.0


def rarely(limit: float = 600.0, trust: Trust | None = None) -> Rarely:
    return Rarely(limit, BACKOFF, trust or Trust(), BACKOFF)


def looks(pace: Rarely | Afresh | Backoff, until: float) -> list[float]:
    """The ages at which a job that runs so long is looked at."""
    ages, age = [], 0.0
    while (age := age + pace.delay(age, rng=no_luck)) < until:
        ages.append(age)
    return ages


def test_a_job_of_five_minutes_is_looked_at_at_most_twice() -> None:
    assert len(looks(rarely(), 300)) <= 2
    assert len(looks(BACKOFF, 300)) > 10


def test_looks_come_closer_as_the_deadline_nears() -> None:
    ages = looks(rarely(), 600)
    pauses = [later - earlier for earlier, later in zip([0.0, *ages], ages, strict=False)]
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[-1] == BACKOFF.cap


@pytest.mark.parametrize("limit", [20.0, 600.0, 86_400.0])
@pytest.mark.parametrize("luck", [0.0, 0.5, 1.0])
def test_no_pause_is_shorter_than_usual_or_longer_than_five_minutes(limit: float, luck: float) -> None:
    for age in (0.0, 1.0, limit / 2, limit, 2 * limit):
        pause = rarely(limit).delay(age, rng=lambda: luck)
        assert BACKOFF.cap * (1 - BACKOFF.jitter) <= pause <= LONGEST


def test_lost_trust_brings_the_usual_pace_and_an_event_restores_it() -> None:
    trust = Trust(patience=2)
    pace = rarely(trust=trust)
    assert [trust.missing(), trust.lost, trust.missing(), trust.lost] == [False, False, True, True]
    assert pace.delay(0.0, rng=no_luck) == BACKOFF.delay(0.0, rng=no_luck)
    assert trust.missing() is False, "it is reported once"

    trust.came()

    assert pace.delay(0.0, rng=no_luck) > BACKOFF.cap


def test_events_in_between_keep_the_trust() -> None:
    trust = Trust(patience=2)
    for _ in range(10):
        trust.missing()
        trust.came()
    assert not trust.lost


def test_a_job_that_is_about_to_end_is_looked_at_soon_again() -> None:
    pace = Afresh(200.0, BACKOFF)
    assert pace.delay(200.0, rng=no_luck) == BACKOFF.first
    assert pace.delay(210.0, rng=no_luck) == BACKOFF.interval(10.0)
    assert pace.delay(0.0, rng=no_luck) == BACKOFF.first
