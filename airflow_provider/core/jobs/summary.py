"""The summary of a job for people on call: one log line and one XCom when its task has ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from airflow_provider.compat import AirflowFailException
from airflow_provider.core.jobs.ledger import Entry, paid_requests
from airflow_provider.core.polling.wait import Observation

SUMMARY_KEY = "job_summary"
"""XCom key of the summary."""


@dataclass(slots=True)
class JobSummary:
    """
    What one attempt knows about its job.

    :param noun: what the service calls the job.
    :param name: what a person calls what the job is about, such as a file's name; empty when unknown.
    :param entry: the record of the job; ``None`` before there is one.
    :param polls: status requests of the waits of this attempt.
    :param last: the last state that was read.
    :param seen_at: when that was, epoch seconds.
    """

    noun: str
    name: str = ""
    entry: Entry | None = None
    polls: int = 0
    last: Observation | None = None
    seen_at: float = 0.0

    def observe(self, observation: Observation) -> Observation:
        """Remember the latest state of the job."""
        last = self.last
        if last is None or not last.finished or last.finished_at != observation.finished_at:
            self.seen_at = time.time()
        self.last = observation
        return observation

    def as_json(self, task_instance: Any) -> dict[str, Any]:
        """
        Return what is known as plain JSON.

        :param task_instance: the running one.
        :return: ``job_id``; ``name`` of what the job is about; ``status``, the service's word, ``None`` when
            it was never seen; ``attempt`` and ``attempts`` of the task; ``paid_requests``, how many jobs or
            retries the task has asked for; ``status_requests`` of the last wait; ``waited_seconds`` since the
            submission; ``detection_seconds`` from the job's end to this task seeing it, ``None`` where the
            service does not say when that was.
        """
        entry, last = self.entry, self.last
        ended = last.finished_at if last is not None and last.finished else None
        return {
            "job_id": entry.job_id if entry else None,
            "name": self.name or None,
            "status": last.raw_status if last else None,
            "attempt": int(task_instance.try_number or 1),
            "attempts": int(getattr(task_instance, "max_tries", 0) or 0) + 1,
            "paid_requests": paid_requests(entry) if entry else 0,
            "status_requests": self.polls,
            "waited_seconds": round(time.time() - entry.submitted_at, 1) if entry else None,
            "detection_seconds": None if ended is None else round(max(0.0, self.seen_at - ended), 1),
        }

    def as_lineage(self, task_instance: Any) -> dict[str, Any]:
        """Return the fields of the OpenLineage facet."""
        summary = self.as_json(task_instance)
        return {
            "kind": self.noun,
            "jobId": summary["job_id"],
            "status": summary["status"],
            "attempt": summary["attempt"],
            "paidRequests": summary["paid_requests"],
            "statusRequests": summary["status_requests"],
            "waitedSeconds": summary["waited_seconds"],
            "detectionSeconds": summary["detection_seconds"],
        }

    def line(self, summary: dict[str, Any], error: BaseException | None) -> str:
        """Return the summary as one line, with what happens next."""
        detection = summary["detection_seconds"]
        about = f" ({self.name})" if self.name else ""
        seen = "" if detection is None else f", seen {detection:.0f} s after its end"
        return (
            f"{self.noun.capitalize()} {summary['job_id']}{about}: "
            f"{summary['status'] or 'status never seen'}; "
            f"attempt {summary['attempt']} of {summary['attempts']}, "
            f"{summary['paid_requests']} paid request(s), {summary['status_requests']} status request(s), "
            f"{summary['waited_seconds']:.0f} s since submission{seen}. Next: {_next(summary, error)}."
        )


def _next(summary: dict[str, Any], error: BaseException | None) -> str:
    if error is None:
        return "nothing, the result is in XCom"
    if isinstance(error, AirflowFailException):
        return "no retry, because it could not help; the error says what would"
    if summary["attempt"] >= summary["attempts"]:
        return "no retry, this was the last attempt; the error says what to do"
    return f"attempt {summary['attempt'] + 1}"
