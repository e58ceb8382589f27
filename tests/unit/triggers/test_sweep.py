"""One read of a list in place of many polls, and what happens when the list is of no use."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider.core.budget.rate_budget import RateBudget
from airflow_provider.core.polling.hints import LATE, LONGEST
from airflow_provider.core.polling.wait import JobState
from airflow_provider.exceptions import (
    AuthenticationError,
    MalformedResponseError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
)
from tests.unit.triggers.listed import Row, Service, follow, spread
from tests.unit.triggers.virtual import START, Hook, Trigger

RUNNING, DONE = JobState.ACTIVE, JobState.SUCCEEDED


@pytest.fixture(autouse=True)
def same_jitter() -> None:
    random.seed(18)
    Hook.limits = {"requests_per_hour": 1000}


def followed(service: Service, **options: Any) -> Service:
    """Wait for all jobs of a service and see that each wait succeeds."""
    events = follow(service, **options)
    assert [one["message"] for one in events if one["status"] != "success"] == []
    return service


def quantile(values: list[float], part: float) -> float:
    return values[round(part * (len(values) - 1))]


def polls_of(job_id: str) -> list[float]:
    return [at for at, polled in Trigger.polls if polled == job_id]


# -- what it is for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [0, 5000])
@pytest.mark.parametrize("count", [100, 300])
def test_ends_are_found_at_once_with_hardly_more_than_one_poll_each(count: int, old: int) -> None:
    service = followed(Service(spread(count), old=old))
    assert statistics.median(service.delays) <= 3.0
    assert quantile(service.delays, 0.95) <= 6.0
    assert len(Trigger.polls) <= 1.5 * count
    assert len(service.reads) <= 60


def test_jobs_that_all_take_far_longer_than_usual_do_not_spend_the_hour_on_a_list_without_proof() -> None:
    service = followed(Service(spread(100, 1200.0, 1210.0)), limit=2400.0)
    assert statistics.median(service.delays) <= 60.0


def test_of_more_jobs_than_the_hour_has_requests_none_is_lost() -> None:
    service = followed(Service(spread(1000)), limit=7200.0)
    assert statistics.median(service.delays) <= 6.0
    assert len(Trigger.polls) + len(service.reads) <= 1.2 * 1000


def test_an_hour_of_reports_leaves_requests_for_those_that_come_last() -> None:
    submitted = {f"job{number}": 18.0 * number for number in range(200)}
    service = followed(Service(spread(200), submitted=submitted))
    assert statistics.median(service.delays) <= 6.0
    assert service.delays[-1] <= 60.0
    sent = sorted([at for at, _ in Trigger.polls] + [at for at, _ in service.reads])
    assert len([at for at in sent if at < sent[0] + 3600]) <= 800


@pytest.mark.parametrize("place", [lambda job_id: f"case-{job_id}", lambda job_id: "one for all"])
def test_an_hour_is_not_spent_on_the_first_of_many_reports(place: Callable[[str], str]) -> None:
    """With the list, and without: those that share a row are polled."""
    Hook.limits = {"requests_per_hour": 220, "requests_per_minute": 22}
    submitted = {f"job{number}": 60.0 * number for number in range(60)}
    service = followed(Service(spread(60), submitted=submitted, place=place), limit=7200.0)
    assert statistics.median(service.delays) <= 60.0
    assert quantile(service.delays, 0.95) <= 180.0


def test_ends_that_the_list_has_announced_go_before_what_else_may_use_the_minute() -> None:
    Hook.limits = {"requests_per_hour": 1000, "requests_per_minute": 100}
    service = followed(Service(spread(300)))
    assert statistics.median(service.delays) <= 15.0


def test_while_tasks_wait_for_turns_a_list_costs_little_more_than_the_polls_it_replaces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        RateBudget, "busy", property(lambda self: True, lambda self, value: None), raising=False
    )
    Hook.limits = {"requests_per_hour": 300, "requests_per_minute": 30}
    submitted = {f"job{number}": 86.0 * number for number in range(84)}
    service = followed(Service(spread(84), submitted=submitted))
    sent, delays = len(Trigger.polls) + len(service.reads), service.delays
    Trigger.polls.clear()
    plain = followed(Service(service.ends, submitted=submitted, place=lambda job_id: "one for all"))
    assert sent <= 1.3 * len(Trigger.polls)
    assert statistics.median(delays) <= 0.8 * statistics.median(plain.delays)


def test_a_job_alone_is_polled_and_the_list_not_read() -> None:
    service = followed(Service(spread(1)))
    assert service.reads == []
    assert service.delays[-1] <= 4.0


def test_a_dag_s_own_interval_is_kept_and_the_list_not_read() -> None:
    service = followed(Service(spread(10)), poll_interval=30.0)
    assert service.reads == []


def test_what_the_list_says_is_no_result() -> None:
    """It says of a job that runs that it has ended: the wait polls, and goes on."""
    told_at = START + 200.0

    def shown(job_id: str, state: JobState | None, now: float) -> JobState | None:
        return DONE if job_id == "job0" and now > told_at else state

    service = followed(Service({**spread(40), "job0": 290.0}, shown=shown))
    assert any(0 <= at - told_at <= 6 for at in polls_of("job0")), "it was told of"
    assert service.found["job0"] >= service.ends_at("job0")


def test_a_key_without_limits_is_read_no_faster_than_one_job_is_polled() -> None:
    Hook.limits = {}
    service = followed(Service(spread(50)))
    proven = START + 130.0
    assert len([at for at, _ in Trigger.polls if at > proven]) <= 1.5 * 50
    assert all(later - earlier >= 2.4 for (earlier, _), (later, _) in pairwise(service.reads))


def test_a_wait_that_was_told_and_cannot_poll_tries_again_at_growing_distances() -> None:
    down = START + 150.0

    def status_error(now: float) -> Exception | None:
        return ServerError("503", http_status=503) if down < now < down + 120 else None

    service = followed(Service(spread(20), status_error=status_error))
    assert len(Trigger.polls) <= 8 * 20
    assert service.delays[-1] <= 200.0


# -- lists of other shapes -----------------------------------------------------------------------------------


def oldest_first(rows: list[Row]) -> list[Row]:
    return rows[::-1]


def by_name(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: sum(map(ord, row[0])) % 97)


def shuffled(rows: list[Row]) -> list[Row]:
    return random.sample(rows, len(rows))


def test_jobs_at_the_end_of_a_long_list_are_found_there() -> None:
    service = followed(Service(spread(300), old=5000, order=oldest_first))
    assert statistics.median(service.delays) <= 3.0
    assert len(Trigger.polls) <= 1.5 * 300
    assert sum(rows for _, rows in service.reads[-10:]) <= 10 * 600, "the old ones are not read again"


@pytest.mark.parametrize(
    "shape",
    [{"cap": 100}, {"cap": 100, "counts_in": "page"}, {"most": 100}, {"most": 100, "counts_in": "page"}],
)
@pytest.mark.parametrize("old", [0, 5000])
def test_small_pages_are_read_one_after_the_other(shape: dict[str, Any], old: int) -> None:
    service = followed(Service(spread(300), old=old, **shape))
    assert len(Trigger.polls) <= 1.5 * 300
    assert statistics.median(service.delays) <= 12.0


@pytest.mark.parametrize("order", [by_name, shuffled])
def test_jobs_scattered_over_a_long_list_are_polled_as_without_it(
    order: Callable[[list[Row]], list[Row]],
) -> None:
    service = followed(Service(spread(100), old=5000, order=order))
    as_without_it(service, reads=60)


def test_jobs_that_share_a_row_are_polled_and_told_of_all_the_same() -> None:
    """Which of several reports on one case the list means is not documented."""
    shared = followed(Service(spread(100), place=lambda job_id: f"case-{int(job_id[3:]) % 50}"))
    as_without_it(shared, reads=70)


def test_a_job_whose_row_showed_an_earlier_one_is_not_told_of_too_soon() -> None:
    def shown(job_id: str, state: JobState | None, now: float) -> JobState | None:
        return DONE if now < START + 30 else state

    service = followed(Service(spread(40), shown=shown))
    assert not [at for at, _ in Trigger.polls if at < START + 100 and len(polls_of("job0")) > 3]
    assert len(Trigger.polls) <= 1.5 * 40
    assert statistics.median(service.delays) <= 4.0


def test_a_failure_that_the_list_goes_on_showing_as_running_is_found_by_a_poll() -> None:
    def shown(job_id: str, state: JobState | None, now: float) -> JobState | None:
        return RUNNING if job_id == "job7" else state

    submitted = {f"job{number}": 10.0 * number for number in range(60)}
    service = followed(Service({**spread(60), "job7": 150.0}, submitted=submitted, shown=shown))
    assert service.found["job7"] - service.ends_at("job7") <= LONGEST
    assert len(Trigger.polls) <= 1.5 * 60, "the others rely on the list"


# -- lists of no use -----------------------------------------------------------------------------------------


def as_without_it(service: Service, *, reads: int) -> None:
    """See that a list of no use was read seldom, and that jobs were found as without it."""
    made, delays = len(Trigger.polls), service.delays
    Trigger.polls.clear()
    plain = followed(Service(service.ends, place=lambda job_id: "one for all"))
    assert plain.reads == []
    assert len(service.reads) <= reads
    assert made <= 1.2 * len(Trigger.polls) + 10
    assert statistics.median(delays) <= 1.5 * statistics.median(plain.delays) + 1.0
    assert quantile(delays, 0.95) <= 2.5 * quantile(plain.delays, 0.95)


LIES: dict[str, Callable[[str, JobState | None, float], JobState | None]] = {
    "never running": lambda job_id, state, now: None,
    "always running": lambda job_id, state, now: RUNNING,
    "always done": lambda job_id, state, now: DONE,
    "to and fro": lambda job_id, state, now: RUNNING if int(now / 10) % 2 else None,
    "stale": lambda job_id, state, now: RUNNING if now < START + 500 else state,
}


@pytest.mark.parametrize("count", [5, 100])
@pytest.mark.parametrize("lie", LIES)
def test_a_list_that_lies_is_found_out(lie: str, count: int) -> None:
    as_without_it(followed(Service(spread(count), shown=LIES[lie])), reads=40)


@pytest.mark.parametrize(
    "error",
    [
        ServerError("500", http_status=500),
        PermissionDeniedError("403", http_status=403),
        AuthenticationError("401"),
        MalformedResponseError("an HTML page"),
        RuntimeError("nobody thought of this"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_list_that_cannot_be_read_is_left_alone(error: Exception) -> None:
    as_without_it(followed(Service(spread(100), error=lambda now: error)), reads=6)


def test_an_empty_list_is_left_alone() -> None:
    as_without_it(followed(Service(spread(100), order=lambda rows: [])), reads=10)


def test_a_list_that_is_late_is_given_up() -> None:
    as_without_it(followed(Service(spread(100), lag=4 * LATE)), reads=40)


def test_an_outage_of_the_list_costs_no_more_than_usual_polls() -> None:
    def broken(now: float) -> Exception | None:
        return ServerError("503", http_status=503) if START + 150 < now < START + 240 else None

    service = followed(Service(spread(100), error=broken))
    assert service.delays[-1] <= 90.0
    assert len(Trigger.polls) <= 4 * 100


def test_trust_is_earned_again_after_it_was_lost() -> None:
    honest = START + 1500.0

    def shown(job_id: str, state: JobState | None, now: float) -> JobState | None:
        return state if now > honest else RUNNING

    submitted = {f"job{number}": 80.0 * number for number in range(45)}
    service = followed(Service(spread(45), submitted=submitted, shown=shown))
    last = [job_id for job_id in service.ends if service.submitted[job_id] > 2600.0]
    assert sum(len(polls_of(job_id)) for job_id in last) <= 10 * len(last)
    assert len([at for at, _ in service.reads if START + 1000 < at < START + 1500]) <= 10
    assert len([at for at, _ in service.reads if at > START + 2600]) > 30


def test_a_refusal_pauses_the_list_too() -> None:
    refused = START + 150.0

    def error(now: float) -> Exception | None:
        return RateLimitedError("429", retry_after=60.0) if refused < now < refused + 6 else None

    service = followed(Service(spread(100), error=error))
    (first, *_) = [at for at, _ in service.reads if at > refused]
    assert not [at for at, _ in service.reads if first < at < first + 60]
    assert not [at for at, _ in Trigger.polls if first + 1 < at < first + 60]


def test_waits_that_move_to_another_key_take_the_sweep_along() -> None:
    service = followed(Service(spread(50), key=lambda now: "k1" if now < START + 160 else "k2"))
    assert {key for at, key in service.keys if at > START + 230} == {"k2"}
    assert len([at for at, _ in service.reads if at > START + 230]) > 10
    assert len(Trigger.polls) <= 4 * 50
