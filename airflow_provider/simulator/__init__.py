"""Both vendor APIs as one real local HTTP server.

``python -m airflow_provider.simulator`` runs it; :class:`Simulator` runs it inside a test.
Written from the vendors' documentation only and importing nothing else of this package, so that
the client and the simulator cannot share a mistake.
"""

from __future__ import annotations

from airflow_provider.simulator.process import Simulator

__all__ = ["Simulator"]
