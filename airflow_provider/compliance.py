"""The former path of :mod:`airflow_provider.mediamagic.compliance`, kept for Dags that import from it."""

from __future__ import annotations

from airflow_provider.mediamagic.compliance import CompliancePolicy

__all__ = ["CompliancePolicy"]
