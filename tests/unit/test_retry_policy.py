"""The retry policy: how long to wait before the next attempt, by what went wrong."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.exceptions import (
    JobFailedError,
    JobTimeoutError,
    LedgerError,
    ProviderError,
    RateLimitedError,
    ServerError,
    SubmitOutcomeUnknownError,
    TransferError,
    WaitError,
)

policies = pytest.importorskip(
    "airflow.sdk.definitions.retry_policy", reason="Airflow 3.3 brings retry policies"
)


def _caused_by(error: ProviderError, cause: Exception) -> ProviderError:
    error.__cause__ = cause
    return error


RESCHEDULES = hasattr(policies.RetryDecision, "reschedule")
"""Airflow 3.4 can run a task again without using up a retry."""


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (_caused_by(WaitError("gave up"), RateLimitedError("slow down", retry_after=45.0)), 45.0),
        (_caused_by(WaitError("gave up"), RateLimitedError("for ever", retry_after=9e8)), 3600.0),
        (SubmitOutcomeUnknownError("lost"), 30.0),
        (LedgerError("unreadable"), 30.0),
        (WaitError("gave up"), 0.0),
        (JobTimeoutError("too long"), 0.0),
        (JobFailedError("internal error"), 60.0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_the_delay_follows_from_the_error(error: Exception, seconds: float) -> None:
    from airflow.sdk.definitions.retry_policy import RetryAction

    from airflow_provider.retry_policy import JobRetryPolicy

    decision = JobRetryPolicy().evaluate(error, 1, 3)
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay is not None
    assert decision.retry_delay.total_seconds() == seconds


def _asking(error: ServerError, seconds: float) -> ServerError:
    error.retry_after = seconds
    return error


@pytest.mark.parametrize(
    "error",
    [RateLimitedError("slow down", retry_after=90.0), _asking(ServerError("busy", http_status=503), 90.0)],
    ids=["429", "503"],
)
def test_a_refusal_uses_up_no_retry_where_airflow_can_do_that(error: Exception) -> None:
    from airflow_provider.retry_policy import RESCHEDULED_WITHIN, JobRetryPolicy

    decision: Any = JobRetryPolicy().evaluate(error, 1, 3)
    assert decision.retry_delay.total_seconds() == 90.0
    if RESCHEDULES:
        assert decision.action is policies.RetryAction.RESCHEDULE
        assert decision.reschedule_timeout == RESCHEDULED_WITHIN
    else:
        assert decision.action is policies.RetryAction.RETRY


@pytest.mark.skipif(not RESCHEDULES, reason="Airflow 3.4 brings rescheduling")
def test_a_refusal_without_a_time_is_rescheduled_by_the_tasks_own_delay() -> None:
    from airflow_provider.retry_policy import JobRetryPolicy

    decision = JobRetryPolicy().evaluate(RateLimitedError("slow down"), 1, 3)
    assert decision.action is policies.RetryAction.RESCHEDULE
    assert decision.retry_delay is None


@pytest.mark.parametrize(
    "error", [ServerError("broken", http_status=500), TransferError("cut"), ValueError("else")]
)
def test_other_errors_keep_the_tasks_own_delay(error: Exception) -> None:
    from airflow.sdk.definitions.retry_policy import RetryAction

    from airflow_provider.retry_policy import JobRetryPolicy

    assert JobRetryPolicy().evaluate(error, 1, 3).action is RetryAction.DEFAULT


def test_a_dag_with_the_policy_can_be_stored() -> None:
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    from airflow_provider.operators.silent_witness import SilentWitnessCreateReportOperator
    from airflow_provider.retry_policy import JobRetryPolicy

    with DAG("with_policy", schedule=None) as dag:
        SilentWitnessCreateReportOperator(task_id="report", case_id="c", retry_policy=JobRetryPolicy())
    assert DagSerialization.to_dict(dag)["dag"]["tasks"]
