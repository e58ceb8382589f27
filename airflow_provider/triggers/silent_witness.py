"""Trigger for Silent Witness reports."""

from __future__ import annotations

from airflow_provider.core.jobs.trigger import JobTrigger
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.hooks.silent_witness_report import REPORT


class SilentWitnessReportTrigger(JobTrigger):
    """
    Wait for a report to be ``completed``, ``failed`` or ``cancelled``.

    Parameters as in :class:`~airflow_provider.core.jobs.trigger.JobTrigger`; ``kind`` is the case's analysis
    type, or ``demo_data``.

    See https://docs.silentwitness.ai/guides/polling-best-practices
    """

    hook_class = SilentWitnessHook
    job = REPORT
