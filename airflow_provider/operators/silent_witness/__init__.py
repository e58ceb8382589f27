"""Silent Witness operators: make a case, upload its evidence, have a report written, fetch it."""

from __future__ import annotations

from airflow_provider.operators.silent_witness.case import SilentWitnessCreateCaseOperator
from airflow_provider.operators.silent_witness.documents import SilentWitnessDownloadReportOperator
from airflow_provider.operators.silent_witness.evidence import SilentWitnessUploadEvidenceOperator
from airflow_provider.operators.silent_witness.report import (
    SilentWitnessCancelReportOperator,
    SilentWitnessCreateReportOperator,
)

__all__ = [
    "SilentWitnessCancelReportOperator",
    "SilentWitnessCreateCaseOperator",
    "SilentWitnessCreateReportOperator",
    "SilentWitnessDownloadReportOperator",
    "SilentWitnessUploadEvidenceOperator",
]
