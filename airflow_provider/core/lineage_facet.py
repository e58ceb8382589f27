"""The run facet about a service's job. Imports the OpenLineage client: only to be imported for an event."""

from __future__ import annotations

from attrs import define
from openlineage.client.facet_v2 import RunFacet


@define
class ServiceJobRunFacet(RunFacet):
    """
    The job that a task had a service do, or whose result it read.

    :param service: connection type of the service.
    :param kind: what the service calls it: ``submission``, ``report`` or ``case``.
    :param jobId: its id there.
    :param url: base URL of the service; without key or query. ``None`` before the connection was looked up.
    :param status: the service's status word, ``None`` when it was not seen.
    :param attempt: of the task.
    :param paidRequests: how many jobs or retries the task has asked for.
    :param statusRequests: of the last wait.
    :param waitedSeconds: since the job was submitted.
    :param detectionSeconds: from the job's end to the task seeing it.
    """

    service: str
    kind: str
    jobId: str
    url: str | None = None
    status: str | None = None
    attempt: int | None = None
    paidRequests: int | None = None
    statusRequests: int | None = None
    waitedSeconds: float | None = None
    detectionSeconds: float | None = None
