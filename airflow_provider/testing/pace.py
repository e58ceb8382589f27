"""Let what this package waits for on its own account pass as quickly as the simulator's time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider.core.budget import rate_budget
from airflow_provider.core.jobs import cancelling, pay_once
from airflow_provider.core.jobs.kind import JobKind


def quicken(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """
    Divide the default intervals, usual durations and time limits of all waits by ``scale``.

    What a Dag sets itself (``timeout``, ``poll_interval``, ``retry_delay``, ...) stays in real seconds, and
    so does the default ``timeout`` of a sensor, which is settled when the Dag is defined.

    :param monkeypatch: undoes it.
    :param scale: seconds of the vendors in a real one.
    """
    from airflow_provider.operators.mediamagic.asset_retry import MediaMagicRetryAssetOperator
    from airflow_provider.operators.mediamagic.submission_operator import SubmissionOperator
    from airflow_provider.operators.silent_witness import case, evidence, report
    from airflow_provider.sensors.mediamagic import MediaMagicSubmissionSensor
    from airflow_provider.sensors.silent_witness import SilentWitnessReportSensor
    from airflow_provider.triggers.mediamagic import MediaMagicSubmissionTrigger
    from airflow_provider.triggers.silent_witness import SilentWitnessReportTrigger

    for waits in (
        SubmissionOperator,
        MediaMagicSubmissionSensor,
        MediaMagicSubmissionTrigger,
        report.SilentWitnessCreateReportOperator,
        SilentWitnessReportSensor,
        SilentWitnessReportTrigger,
    ):
        monkeypatch.setattr(waits, "job", _divided(waits.job, scale))
    for paid in (
        MediaMagicRetryAssetOperator,
        evidence.SilentWitnessUploadEvidenceOperator,
        case.SilentWitnessCreateCaseOperator,
        report.SilentWitnessCreateReportOperator,
    ):
        monkeypatch.setattr(paid, "arrives_within", paid.arrives_within / scale)
    monkeypatch.setattr(SubmissionOperator, "shown_within", SubmissionOperator.shown_within / scale)
    for module, name in ((pay_once, "READ_PAUSES"), (cancelling, "CANCEL_PAUSES")):
        monkeypatch.setattr(module, name, tuple(pause / scale for pause in getattr(module, name)))
    monkeypatch.setattr(report, "RETRY_PAUSE", report.RETRY_PAUSE / scale)
    for pause in ("FIRST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(rate_budget, pause, getattr(rate_budget, pause) / scale)


def _divided(job: JobKind, scale: float) -> JobKind:
    backoff = job.backoff
    return replace(
        job,
        backoff=replace(backoff, first=backoff.first / scale, cap=backoff.cap / scale),
        typical={kind: (low / scale, high / scale) for kind, (low, high) in job.typical.items()},
        limits={kind: seconds / scale for kind, seconds in job.limits.items()},
    )
