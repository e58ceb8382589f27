"""
A Silent Witness report as data: what its status and its failure mean. Pure.

See https://docs.silentwitness.ai/guides/polling-best-practices
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from airflow_provider.core.jobs.kind import JobKind
from airflow_provider.core.polling.schedule import Backoff
from airflow_provider.core.polling.sweep import Listing
from airflow_provider.core.polling.wait import JobState, Observation, epoch_seconds
from airflow_provider.core.text import clean, public, redact

if TYPE_CHECKING:
    import aiohttp

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
    raw_status = clean(body["status"])
    state = REPORT_STATES.get(raw_status.lower())
    progress = body.get("progress")
    message = progress.get("message") if isinstance(progress, dict) else None
    message = clean(redact(message)) if isinstance(message, str) else ""
    return Observation(
        job_id=clean(body["id"]),
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


def report_summary(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report for XCom, without ``output``: its links are signed and live for one hour."""
    shown: dict[str, Any] = public({name: value for name, value in body.items() if name != "output"})
    return shown


def case_of_report(body: Mapping[str, Any]) -> str | None:
    """Return the id of a report's case, if the report tells it."""
    case_id: str | None = body.get("case_id")
    return case_id


def listed_state(case: Mapping[str, Any]) -> JobState | None:
    """
    Tell what a row of the list of cases says of the case's report; which of several is not documented.

    :param case: as returned by :meth:`SilentWitnessHook.list_cases`.
    :return: ``None`` when it says nothing: no report, or no status. The list shows ``none``, ``processing``
        and ``completed``; what it shows for a failed or cancelled report is not documented.

    See https://docs.silentwitness.ai/api-reference/cases/list
    """
    report = (case.get("analysis_status") or {}).get("technical_report") or {}
    status = (report.get("status") or "none").strip().lower()
    return None if status in ("", "none") else REPORT_STATES.get(status, JobState.ACTIVE)


async def read_listed_states(
    hook: Any, client: aiohttp.ClientSession, *, offset: int, limit: int, page: int | None
) -> dict[str, JobState | None]:
    """Read from one page of the list of active cases what it says of their reports, by case id."""
    rows = await hook.alist_cases(
        client, status="active", limit=limit, offset=offset or None, page=page, narrow=True
    )
    return {row["id"]: listed_state(row) for row in rows}


DEMO_DATA: Final = "demo_data"
"""Sort of a report made from demo data."""

REPORT: Final = JobKind(
    noun="report",
    id_key="report_id",
    get=lambda hook, report_id: hook.get_report(report_id),
    aget=lambda hook, client, report_id: hook.aget_report(client, report_id),
    observe=observe_report,
    id_of=lambda body: str(body["id"]),
    public=report_summary,
    cancel=lambda hook, report_id: hook.cancel_report(report_id),
    acancel=lambda hook, client, report_id: hook.acancel_report(client, report_id),
    listing=Listing("cases", place_of=case_of_report, read_page=read_listed_states),
    backoff=Backoff(first=3.0, factor=1.5, cap=15.0),
    typical={"": (120.0, 300.0), DEMO_DATA: (3.0, 120.0)},
    limits={"": 600.0, "accident_only": 300.0, DEMO_DATA: 120.0},
)
"""
Reports, after https://docs.silentwitness.ai/guides/polling-best-practices: 3 s, times 1.5, at most 15 s;
usually done in 2 to 5 minutes; limits by scenario. The usual duration of demo data is not documented; its
limit stands in for the longest.
"""
