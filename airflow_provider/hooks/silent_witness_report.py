"""
A Silent Witness report as data: what its status and its failure mean. Pure.

See https://docs.silentwitness.ai/guides/polling-best-practices
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from airflow_provider.core.http.responses import redact
from airflow_provider.core.polling.wait import JobState, Observation, epoch_seconds

REPORT_STATES: Final[Mapping[str, JobState]] = {
    "pending": JobState.ACTIVE,
    "processing": JobState.ACTIVE,
    "completed": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
    "cancelled": JobState.CANCELLED,
}
"""What the status words of a report mean."""

_FAILURE_CAUSES: Final = (
    # (message begins with, whether the same input fails again)
    ("delta-v calculation failed", True),
    ("biomechanics analysis failed", True),
    ("report generation timed out", False),
)


def observe_report(body: Mapping[str, Any]) -> Observation:
    """
    Tell what a report's status means.

    :param body: as returned by :meth:`SilentWitnessHook.get_report`.
    :return: a status word that nobody knows is active. There is no number for the progress, only a message;
        on a failed report the message is the reason.
    """
    raw_status = str(body["status"])
    state = REPORT_STATES.get(raw_status)
    progress = body.get("progress")
    message = progress.get("message") if isinstance(progress, dict) else None
    message = redact(message) if isinstance(message, str) else ""
    return Observation(
        job_id=str(body["id"]),
        raw_status=raw_status,
        state=state or JobState.ACTIVE,
        known=state is not None,
        progress=message,
        message=message if state in (JobState.FAILED, JobState.CANCELLED) else "",
        finished_at=None if state in (None, JobState.ACTIVE) else epoch_seconds(body.get("updated_at")),
    )


def report_failure_is_input(message: str) -> bool:
    """
    Whether a failed report would fail again on the same case: bad photos, incomplete occupants.

    The vendor documents how such messages begin and warns that wording may change, so a message nobody knows
    counts as transient.

    See https://docs.silentwitness.ai/guides/polling-best-practices
    """
    text = message.strip().lower()
    return next((is_input for begins, is_input in _FAILURE_CAUSES if text.startswith(begins)), False)
