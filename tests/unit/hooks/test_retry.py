"""What may be sent again, and when."""

from __future__ import annotations

import logging

import pytest

from airflow_provider.core.http.retry import (
    Attempts,
    RetryPolicy,
    may_have_started,
    may_send_again,
    retry_after,
)
from airflow_provider.exceptions import (
    ApiError,
    AuthenticationError,
    InvalidRequestError,
    MalformedResponseError,
    RateLimitedError,
    ServerError,
    SubmitOutcomeUnknownError,
    TransportError,
)

LOST = TransportError("lost", sent=True)
UNREACHED = TransportError("refused", sent=False)
POLICY = RetryPolicy(max_retries=3, total=100.0, first=1.0, cap=30.0)


def attempts(luck: float = 1.0) -> Attempts:
    return Attempts("GET", "GET /x", POLICY, logging.getLogger(__name__), lambda: 0.0, lambda: luck, 0.0)


def server_error(status: int, retry_after: float | None = None) -> ServerError:
    error = ServerError("busy", http_status=status)
    error.retry_after = retry_after
    return error


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "error",
    [
        LOST,
        UNREACHED,
        RateLimitedError("slow"),
        *map(server_error, (408, 425, 500, 502, 503, 504, 520, 522, 524, 529)),
    ],
    ids=lambda error: f"{type(error).__name__}-{error.http_status}",
)
def test_what_changes_nothing_twice_is_sent_again(method: str, error: ApiError) -> None:
    assert may_send_again(method, error)


@pytest.mark.parametrize(
    "error",
    [LOST, *map(server_error, (408, 425, 500, 502, 503, 504, 522, 524)), MalformedResponseError("?")],
    ids=lambda error: f"{type(error).__name__}-{error.http_status}",
)
def test_a_post_that_may_have_worked_is_not(error: ApiError) -> None:
    assert not may_send_again("POST", error)


@pytest.mark.parametrize(
    "error", [UNREACHED, RateLimitedError("slow")], ids=lambda error: type(error).__name__
)
def test_a_post_that_was_not_looked_at_is(error: ApiError) -> None:
    assert may_send_again("POST", error)


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("no", http_status=401),
        InvalidRequestError("no", http_status=400),
        MalformedResponseError("?"),
        server_error(501),
        server_error(505),
    ],
    ids=lambda error: f"{type(error).__name__}-{error.http_status}",
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_would_fail_again_is_not(method: str, error: ApiError) -> None:
    assert not may_send_again(method, error)


def test_pauses_double_up_to_a_cap() -> None:
    policy = RetryPolicy(max_retries=10, total=1e9, first=1.0, cap=30.0)

    pauses = [policy.next_pause(n, rng=lambda: 1.0) for n in range(7)]

    assert pauses == [1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize("luck", [0.0, 0.5, 1.0])
def test_jitter_takes_off_up_to_half(luck: float) -> None:
    pause = POLICY.next_pause(2, rng=lambda: luck)

    assert pause == 4 * (0.5 + luck / 2)


def test_a_huge_count_does_not_overflow() -> None:
    policy = RetryPolicy(max_retries=10**6, total=1e9)

    assert policy.next_pause(10**5, rng=lambda: 1.0) == 30


@pytest.mark.parametrize("luck", [0.0, 1.0])
@pytest.mark.parametrize("error", [RateLimitedError("slow", retry_after=20), server_error(503, 20)])
def test_the_pause_is_never_shorter_than_asked(error: ApiError, luck: float) -> None:
    assert 20 <= attempts(luck).pause_after(error) <= 22


def test_an_asked_pause_beyond_the_total_time_is_not_slept_through() -> None:
    error = RateLimitedError("slow", retry_after=3600)

    with pytest.raises(RateLimitedError) as caught:
        attempts().pause_after(error)
    assert caught.value is error


def test_retries_end_with_their_number() -> None:
    assert POLICY.next_pause(2) is not None
    assert POLICY.next_pause(3) is None


def test_retries_end_with_the_time() -> None:
    assert POLICY.next_pause(0, elapsed=99.0, rng=lambda: 1.0) == 1
    assert POLICY.next_pause(0, elapsed=99.5, rng=lambda: 1.0) is None


@pytest.mark.parametrize(
    "error",
    [
        LOST,
        server_error(500),
        server_error(408),
        MalformedResponseError("?"),
        MalformedResponseError("?", http_status=201),
        SubmitOutcomeUnknownError("?"),
    ],
    ids=lambda error: f"{type(error).__name__}-{error.http_status}",
)
def test_a_paid_call_may_have_started(error: ApiError) -> None:
    assert may_have_started(error)


@pytest.mark.parametrize(
    "error",
    [
        UNREACHED,
        RateLimitedError("slow"),
        InvalidRequestError("no", http_status=422),
        MalformedResponseError("a redirect", http_status=307),
        ValueError("not of our tree"),
    ],
    ids=lambda error: f"{type(error).__name__}",
)
def test_a_paid_call_has_not_started(error: ApiError) -> None:
    assert not may_have_started(error)


def test_transfers_wait_without_chance() -> None:
    policy = RetryPolicy(max_retries=4, jitter=0.0)

    assert [policy.next_pause(n) for n in range(5)] == [1, 2, 4, 8, None]
    assert policy.next_pause(0, asked=7.0) == 7
    assert policy.next_pause(0, asked=3600.0) is None


def test_headers_are_read_in_any_case() -> None:
    from requests.structures import CaseInsensitiveDict

    assert retry_after(CaseInsensitiveDict({"Retry-After": "30"})) == 30
