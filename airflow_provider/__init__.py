"""Airflow provider for MediaMagic (content compliance) and Silent Witness (accident reconstruction)."""

from __future__ import annotations

__version__ = "0.1.0"
