"""
What operators and sensors tell Airflow's OpenLineage provider when it asks.

It asks in a process of its own around the task. Nothing here makes a request, looks up a connection or
raises, and without that provider nothing here is called.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider.core.lineage.datasets import dataset_name, literal_paths

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

log = logging.getLogger(__name__)


class TracksLineage:
    """For operators and sensors: the three methods that the OpenLineage provider looks for."""

    def lineage_inputs(self) -> Sequence[str]:
        """Return the files that were read; before they are, those that ``files`` names one by one."""
        return getattr(self, "_read", ()) or literal_paths(getattr(self, "files", None))

    def lineage_outputs(self) -> Sequence[str]:
        """Return the files that were written."""
        return getattr(self, "_written", ())

    def lineage_job(self, task_instance: Any) -> dict[str, Any]:
        """
        Return ``kind``, ``jobId`` and what else is known of the service's job; empty when there is none.

        :param task_instance: the running one; ``None`` at the task's start.
        """
        return {}

    def get_openlineage_facets_on_start(self) -> OperatorLineage | None:
        """Describe what will be read."""
        return self._lineage(None)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage | None:
        """Describe what was read, written and paid for."""
        return self._lineage(task_instance)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage | None:
        """Describe how far it came."""
        return self._lineage(task_instance)

    def _lineage(self, task_instance: Any) -> OperatorLineage | None:
        try:
            from airflow.providers.openlineage.extractors import OperatorLineage
            from openlineage.client.event_v2 import Dataset

            from airflow_provider.core.lineage.facets import ServiceJobRunFacet

            service = self.hook_class.conn_type  # type: ignore[attr-defined]
            job = self.lineage_job(task_instance)
            settings = getattr(self, "_settings", None)
            facet = {"service": service, "url": settings.base_url if settings else None, **job}
            return OperatorLineage(
                inputs=[Dataset(*dataset_name(path)) for path in self.lineage_inputs()],
                outputs=[Dataset(*dataset_name(path)) for path in self.lineage_outputs()],
                run_facets={f"{service}_job": ServiceJobRunFacet(**facet)} if job.get("jobId") else {},
            )
        except Exception as error:
            log.warning("No lineage for this task: %s: %s", type(error).__name__, error)
            return None
