"""Sensor for Silent Witness reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider.core.jobs.sensor import JobSensor
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.hooks.silent_witness_report import REPORT, case_of_report
from airflow_provider.links import SilentWitnessDashboardLink, SilentWitnessStatusLink
from airflow_provider.triggers.silent_witness import SilentWitnessReportTrigger


class SilentWitnessReportSensor(JobSensor[SilentWitnessHook]):
    """
    Wait for a report that something else started. Returns the vendor's report without its signed links.

    :param report_id: the report.
    :param silent_witness_conn_id: Silent Witness connection id, default ``silent_witness_default``.
    :param deferrable: wait in the triggerer. Default: ``[operators] default_deferrable``.
    :param poke_interval: first interval in seconds, or a timedelta; alone it is a fixed interval. Default
        3 s, growing to 15 s; deferred, the schedule that all waits on the key share.
    :param exponential_backoff: let a given ``poke_interval`` grow, by a factor of 1.5; default false.
    :param max_wait: longest interval in seconds, or a timedelta; default 15, or ``poke_interval`` where that
        is longer.
    :param timeout: seconds from the sensor's start, or a timedelta; default 600.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://docs.silentwitness.ai/guides/polling-best-practices
    """

    hook_class = SilentWitnessHook
    trigger_class = SilentWitnessReportTrigger
    job = REPORT
    template_fields: Sequence[str] = ("report_id", "silent_witness_conn_id")
    ui_color = "#cfc2f0"
    operator_extra_links = (SilentWitnessDashboardLink(), SilentWitnessStatusLink())

    def __init__(
        self,
        *,
        report_id: str,
        silent_witness_conn_id: str = SilentWitnessHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.report_id = report_id
        self.silent_witness_conn_id = silent_witness_conn_id

    def trigger_arguments(self, body: dict[str, Any] | None) -> dict[str, Any]:
        return {"case_id": case_of_report(body or {})}
