"""
Silent Witness reports: their endpoints, how an answer is read, what a status and a failure mean.

See https://docs.silentwitness.ai/guides/polling-best-practices
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from airflow_provider.core.arguments import as_bool, one_of
from airflow_provider.core.http.client import ServiceHook
from airflow_provider.core.http.error_bodies import Paid
from airflow_provider.core.http.responses import Body, Id, Kind, fields, plain_id
from airflow_provider.core.jobs.kind import JobKind
from airflow_provider.core.polling.schedule import Backoff
from airflow_provider.core.polling.sweep import Listing
from airflow_provider.core.polling.wait import JobState, Observation, epoch_seconds
from airflow_provider.core.text import clean, public, redact
from airflow_provider.exceptions import NotFoundError
from airflow_provider.hooks.silent_witness_answers import STATUS, TIMES, Listed, read_deleted, read_rows
from airflow_provider.hooks.silent_witness_case import REPORT_TYPES

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

_FIELDS: Final[Mapping[str, Kind]] = {
    **TIMES,
    **STATUS,
    **fields(Id, "id", "case_id"),
    "type": str,
    "progress": {**fields(str, "message", "current_step"), "steps_completed": list},
    "output": {**fields(str, "pdf_url", "docx_url"), "report": dict},
}


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


def read_new_report(case_id: str, body: Body) -> dict[str, Any]:
    """
    Read a report that was just ordered on a case.

    Without a ``status`` it is read as ``pending``, which is what the API documents: the id is paid for.
    """
    report = body.within("data").named("report").object("id", kinds=_FIELDS)
    body.check_asked("case", case_id, report.get("case_id"))
    report["status"] = report.get("status") or "pending"
    return report


def read_reports(case_id: str, body: Body) -> Listed:
    """Read summaries of a case's reports. One of another case could be taken for one that was lost."""
    reports = read_rows("reports", _FIELDS)(body)
    for report in reports:
        body.check_asked("case", case_id, report.get("case_id"))
    return reports


def read_report(report_id: str, body: Body) -> dict[str, Any]:
    """Read a report; ``"data": null`` is how the API says that it knows none."""
    envelope = body.object()
    if "data" in envelope and envelope["data"] is None:
        raise NotFoundError(
            f"{body.endpoint}: Silent Witness knows no report {report_id!r} (it answers 200 with `data` "
            "null). Check the id, and that the key belongs to the account that owns the report.",
            http_status=200,
            job_id=report_id,
            endpoint=body.endpoint,
        )
    report = body.within("data").named("report").object("id", "status", kinds=_FIELDS)
    # A case's id is taken too: https://docs.silentwitness.ai/api-reference/reports/get
    body.check_asked("report", report_id, report["id"], report.get("case_id"))
    return report


class ReportEndpoints(ServiceHook):
    """Part of :class:`~airflow_provider.hooks.silent_witness.SilentWitnessHook`."""

    def create_report(
        self, case_id: str, *, report_type: str = "technical_report", use_demo_data: bool = False
    ) -> dict[str, Any]:
        """
        Start a report on a case. Paid, and not protected against duplicates: a case can hold several reports.

        :param case_id: ``case_...``.
        :param report_type: ``technical_report``, the only one.
        :param use_demo_data: use ready-made crash values. Whether that is billed is not documented.
        :return: the report, ``status`` ``pending``.
        :raises SubmitOutcomeUnknownError: the request was sent and its answer was lost. It is not sent again.
        :raises InvalidRequestError: 422, the case lacks something: a vehicle, photos or an EDR file of the
            plaintiff's vehicle, occupants, the accident's date.

        See https://docs.silentwitness.ai/api-reference/reports/create
        """
        payload: dict[str, Any] = {
            "case_id": plain_id("case_id", case_id),
            "type": one_of("report_type", report_type, REPORT_TYPES),
        }
        if as_bool("use_demo_data", use_demo_data):
            payload["options"] = {"use_demo_data": True}
        paid = Paid("the report", f"List the reports of case {case_id} before starting another one.")
        return self.request(
            "POST", "/api/reports", json=payload, paid=paid, read=partial(read_new_report, case_id)
        )

    def get_report(self, report_id: str) -> dict[str, Any]:
        """
        Read a report. On a completed one ``output`` holds fresh links, signed and valid for 1 hour: do not
        store them.

        :param report_id: ``rpt_...``; the API also takes a case id, and which of its reports it then returns
            is not documented.
        :raises NotFoundError: unknown: the API answers 200 with ``"data": null``.

        See https://docs.silentwitness.ai/api-reference/reports/get
        """
        return self.request("GET", _report(report_id), read=partial(read_report, report_id))

    async def aget_report(self, client: aiohttp.ClientSession, report_id: str) -> dict[str, Any]:
        """Read as :meth:`get_report`, by :meth:`arequest`."""
        return await self.arequest(client, "GET", _report(report_id), read=partial(read_report, report_id))

    def list_reports(self, case_id: str) -> Listed:
        """
        Read summaries of a case's reports, newest first.

        :return: each with ``id``, ``case_id``, ``type``, ``status``, ``created_at``. ``total`` of the list is
            how many there are, 0 where the API does not say.

        See https://docs.silentwitness.ai/api-reference/reports/list
        """
        return self.request(
            "GET",
            "/api/reports",
            params={"case_id": plain_id("case_id", case_id)},
            read=partial(read_reports, case_id),
        )

    async def alist_reports(self, client: aiohttp.ClientSession, case_id: str) -> Listed:
        """Read as :meth:`list_reports`, by :meth:`arequest`."""
        params = {"case_id": plain_id("case_id", case_id)}
        return await self.arequest(
            client, "GET", "/api/reports", params=params, read=partial(read_reports, case_id)
        )

    def cancel_report(self, report_id: str) -> dict[str, Any]:
        """
        Cancel a report that is pending or processing.

        :return: ``id``, ``status`` ``cancelled``, ``message``.
        :raises InvalidRequestError: 400, already completed. What a failed or cancelled one answers is not
            documented.
        :raises NotFoundError: 404, unknown.

        See https://docs.silentwitness.ai/api-reference/reports/delete
        """
        return self.request("DELETE", _report(report_id), read=read_deleted)

    async def acancel_report(self, client: aiohttp.ClientSession, report_id: str) -> dict[str, Any]:
        """
        Cancel as :meth:`cancel_report`, by :meth:`arequest`.

        Tried up to three times and done, one way or the other, in well under 30 s: the time that Airflow
        gives a trigger that is killed.
        """
        return await self.arequest(
            client, "DELETE", _report(report_id), read=read_deleted, attempts=3, read_timeout=6.0, total=12.0
        )


def _report(report_id: str) -> str:
    return f"/api/reports/{plain_id('report_id', report_id)}"


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
