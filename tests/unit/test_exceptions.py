"""One tree of errors: what is caught together, what stops Airflow's retries, what each error carries."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from airflow_provider import exceptions
from airflow_provider.compat import AirflowFailException
from airflow_provider.exceptions import ProviderError, RateLimitedError, TransportError

EVERY: list[type[ProviderError]] = [getattr(exceptions, name) for name in exceptions.__all__]
STOP = {
    "AuthenticationError",
    "ComplianceError",
    "ConfigurationError",
    "InvalidInputError",
    "InvalidRequestError",
    "JobInputError",
    "NotFoundError",
    "PaidRequestsLimitError",
    "PermissionDeniedError",
    "PlanError",
    "ResultGoneError",
    "SubmissionLostError",
}
by_name = pytest.mark.parametrize("error", EVERY, ids=lambda error: error.__name__)


@by_name
def test_all_are_caught_as_provider_errors(error: type[Exception]) -> None:
    assert issubclass(error, ProviderError)


@by_name
def test_those_that_no_retry_can_help_stop_airflows_retries_and_only_they(error: type[Exception]) -> None:
    assert issubclass(error, AirflowFailException) is (error.__name__ in STOP)


@by_name
def test_each_has_a_docstring_of_its_own(error: type[Exception]) -> None:
    assert error.__doc__
    assert all(error.__doc__ != base.__doc__ for base in error.__mro__[1:])


@by_name
def test_each_is_in_the_tree_of_the_modules_docstring(error: type[Exception]) -> None:
    assert error.__name__ in (exceptions.__doc__ or "")


@by_name
def test_each_keeps_what_is_known_about_it(error: type[Any]) -> None:
    known = {"request_id": "req_1", "job_id": "job", "endpoint": "GET /api/x"}
    raised = error("What happened.", **known)
    assert str(raised) == "What happened."
    assert {name: getattr(raised, name) for name in known} == known


@by_name
def test_each_survives_the_way_between_processes(error: type[Any]) -> None:
    raised = error("What happened.", job_id="job")
    restored = pickle.loads(pickle.dumps(raised))
    assert (type(restored), str(restored), restored.job_id) == (error, "What happened.", "job")


def test_those_with_a_builtin_meaning_are_of_the_builtin_kind() -> None:
    assert issubclass(exceptions.JobTimeoutError, TimeoutError)
    assert issubclass(exceptions.TransportError, ConnectionError)
    assert issubclass(exceptions.InvalidInputError, ValueError)


def test_a_rate_limit_carries_how_long_to_wait() -> None:
    assert RateLimitedError("Slow down.", retry_after=7.5).retry_after == 7.5


def test_a_transport_error_carries_whether_the_request_may_have_arrived() -> None:
    assert (TransportError("x").sent, TransportError("x", sent=False).sent) == (True, False)
