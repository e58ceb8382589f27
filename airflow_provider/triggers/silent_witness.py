"""Trigger for Silent Witness reports."""

from __future__ import annotations

from typing import Any

from airflow_provider.core.jobs.trigger import JobTrigger
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.hooks.silent_witness_report import REPORT


class SilentWitnessReportTrigger(JobTrigger):
    """
    Wait for a report to be ``completed``, ``failed`` or ``cancelled``.

    While several wait with one key, a list of all cases is read in place of a poll for each.

    :param case_id: the report's case; ``None`` when it is not known yet. Stored only when it is.
    :param kwargs: as in :class:`~airflow_provider.core.jobs.trigger.JobTrigger`; ``kind`` is the case's
        analysis type, or ``demo_data``.

    See https://docs.silentwitness.ai/guides/polling-best-practices
    """

    hook_class = SilentWitnessHook
    job = REPORT

    def __init__(
        self,
        conn_id: str,
        job_id: str,
        submitted_at: float,
        deadline: float,
        *,
        case_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(conn_id, job_id, submitted_at, deadline, **kwargs)
        self.case_id = case_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        classpath, kwargs = super().serialize()
        return classpath, kwargs | ({} if self.case_id is None else {"case_id": self.case_id})

    @property
    def place(self) -> str | None:
        return self.case_id
