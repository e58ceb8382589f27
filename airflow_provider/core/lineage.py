"""OpenLineage: what a task reads and writes and which job it had done, for Airflow's OpenLineage provider."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider.core.operator import ServiceOperator

log = logging.getLogger(__name__)

_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss"}
"""Schemes that OpenLineage spells in another way."""

_MAGIC = frozenset("*?[")

_WEB = ("http://", "https://")
"""No operator takes them, and they may be signed."""


def dataset_name(path: str) -> tuple[str, str]:
    """
    Return namespace and name of a file, after OpenLineage's naming of datasets.

    The namespace of an Azure container lacks the storage account, which only the connection knows.

    :param path: local path, or URL with or without ``conn_id@``, which is no part of the dataset.
    """
    scheme, separator, rest = path.partition("://")
    if not separator or scheme in ("file", "local"):
        local = "/" + rest.partition("/")[2] if separator else os.path.abspath(os.path.expanduser(path))
        return "file", local
    authority, _, name = rest.partition("/")
    return f"{_SCHEMES.get(scheme, scheme)}://{authority.rpartition('@')[2]}", name or "/"


def literal_paths(files: Any) -> list[str]:
    """
    Return the files that an operator's ``files`` names one by one; what globs match is known later.

    :param files: as operators take them: paths, URLs, manifests with ``path``; anything else names none, and
        neither does what a mapped task returned: to iterate over that is to ask Airflow for each item.
    """
    if not isinstance(files, list | tuple | set | frozenset):
        return []
    paths = [str(item.get("path", "")) if isinstance(item, Mapping) else str(item) for item in files]
    return [path for path in paths if path and _MAGIC.isdisjoint(path) and not path.startswith(_WEB)]


def operator_lineage(operator: ServiceOperator[Any], task_instance: Any) -> OperatorLineage | None:
    """
    Describe a task. Makes no request, looks up no connection and never raises.

    :param operator: the task.
    :param task_instance: the running one; ``None`` at the task's start.
    :return: ``None`` when it cannot be described.
    """
    try:
        from airflow.providers.openlineage.extractors import OperatorLineage
        from openlineage.client.event_v2 import Dataset

        from airflow_provider.core.lineage_facet import ServiceJobRunFacet

        service = operator.hook_class.conn_type
        job = operator.lineage_job(task_instance)
        url = operator.settings.base_url if operator.settings else None
        return OperatorLineage(
            inputs=[Dataset(*dataset_name(path)) for path in operator.lineage_inputs()],
            outputs=[Dataset(*dataset_name(path)) for path in operator.files_written],
            run_facets={f"{service}_job": ServiceJobRunFacet(**{"service": service, "url": url, **job})}
            if job.get("jobId")
            else {},
        )
    except Exception as error:
        log.warning("No lineage for this task: %s: %s", type(error).__name__, error)
        return None
