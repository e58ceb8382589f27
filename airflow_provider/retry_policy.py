"""
A ready retry policy for tasks of this provider: ``retry_policy=JobRetryPolicy()``. Needs Airflow 3.3.

Airflow itself never retries errors that no retry can help, such as a refused key; it does not ask the policy.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy

from airflow_provider.exceptions import (
    ApiError,
    JobFailedError,
    JobTimeoutError,
    LedgerError,
    RateLimitedError,
    SubmitOutcomeUnknownError,
    WaitError,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

SETTLE = timedelta(seconds=30)
"""After an unknown outcome: long enough for a request on its way to arrive, so that the look-up finds it."""

RESCHEDULED_WITHIN = timedelta(hours=2)
"""For how long refused requests use up no retry of a try; the longest window of a rate limit is an hour."""

LONGEST_ASKED = timedelta(hours=1)
"""A service that asks for a longer pause than this is asked again after it all the same."""

VENDOR_PAUSE = timedelta(seconds=60)
"""
Before a new job after a failed one, as
https://docs.silentwitness.ai/guides/polling-best-practices advises.
"""


class JobRetryPolicy(RetryPolicy):
    """
    Choose the delay before a retry by what went wrong; other errors keep the task's own ``retry_delay``.

    - An answer with ``Retry-After`` (429, 503): after that time, an hour at most. From Airflow 3.4 on a 429
      or 503 uses up no retry, for up to two hours.
    - An unknown outcome, or a record that could not be read: after 30 s; the retry searches before it pays.
    - A wait that ended, by ``timeout`` or by trouble: at once; the retry re-attaches where the job goes on.
      A report that exceeded ``timeout`` was cancelled, unless ``cancel_on_timeout=False``, and the retry pays
      for a new one.
    - A failed job: after a minute.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Return the delay for this error; see the class."""
        asked = _retry_after(exception)
        reschedule: Any = getattr(RetryDecision, "reschedule", None)  # Airflow 3.4
        if reschedule is not None and _is_refusal(exception):
            decision: RetryDecision = reschedule(
                None if asked is None else timedelta(seconds=asked),
                reschedule_timeout=RESCHEDULED_WITHIN,
                reason="the service takes no request now",
            )
            return decision
        if asked is not None:
            return RetryDecision.retry(timedelta(seconds=asked), "the service said when to come back")
        if isinstance(exception, SubmitOutcomeUnknownError | LedgerError):
            return RetryDecision.retry(SETTLE, "an outcome is unknown; the retry looks before it pays")
        if isinstance(exception, WaitError | JobTimeoutError):
            return RetryDecision.retry(timedelta(0), "the retry goes on waiting, where the job goes on")
        if isinstance(exception, JobFailedError):
            return RetryDecision.retry(VENDOR_PAUSE, "a new job, after the pause that the vendor advises")
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Return what rebuilds the policy: it has no settings."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> JobRetryPolicy:
        """Return the policy."""
        return cls()


def _is_refusal(exception: BaseException) -> bool:
    """
    Whether a request was refused for now, and nothing came of it.

    An error that a refusal has only caused, such as the end of a wait, may have cancelled the job.
    """
    return isinstance(exception, RateLimitedError) or (
        isinstance(exception, ApiError) and exception.http_status == 503
    )


def _retry_after(exception: BaseException | None) -> float | None:
    """Return the seconds an answer asked to wait, also when it is only the cause of the error."""
    for error in (exception, getattr(exception, "__cause__", None)):
        if isinstance(error, ApiError) and error.retry_after:
            return min(error.retry_after, LONGEST_ASKED.total_seconds())
    return None
