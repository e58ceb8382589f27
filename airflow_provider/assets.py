"""The former path of :mod:`airflow_provider.mediamagic.assets`, kept for Dags that import from it."""

from __future__ import annotations

from airflow_provider.mediamagic.assets import mediamagic_failed, mediamagic_reviewed

__all__ = ["mediamagic_failed", "mediamagic_reviewed"]
