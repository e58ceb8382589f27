"""Airflow provider for MediaMagic (content compliance) and Silent Witness (accident reconstruction)."""

from __future__ import annotations

__version__ = "0.1.0"

DISTRIBUTION = "airflow-provider-mediamagic-silentwitness"
"""What pip installs, and what requests name in ``User-Agent``."""
