"""What arrived: the counts that let a test prove "once"."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from airflow_provider.simulator.clock import Clock
from airflow_provider.simulator.replies import Poll


@dataclass(slots=True)
class JobPolls:
    """Status questions about one job."""

    count: int = 0
    first_at: float | None = None
    last_at: float | None = None
    #: when an answer that was sent whole said that the job is over
    first_seen_terminal_at: float | None = None


@dataclass(slots=True)
class Ledger:
    """Counters of one run. The services add their jobs when the ledger is read."""

    clock: Clock
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    polls: dict[str, JobPolls] = field(default_factory=dict)
    uploads: list[dict[str, Any]] = field(default_factory=list)
    asset_retries: list[dict[str, Any]] = field(default_factory=list)
    cancels: list[dict[str, Any]] = field(default_factory=list)
    rate_limited: Counter[str] = field(default_factory=Counter)
    api_key_at_storage: int = 0

    def count(self, label: str, outcome: str) -> None:
        """One request and how it ended: a status code, or the fault that left it without one."""
        self.requests[label, outcome] += 1

    def poll(self, poll: Poll, seen: bool) -> None:
        """One status question.

        :param seen: the answer went out whole and untouched.
        """
        now = self.clock.now()
        job = self.polls.get(poll.job_id)
        if job is None:
            job = self.polls[poll.job_id] = JobPolls(first_at=now)
        job.count += 1
        job.last_at = now
        if seen and poll.terminal and job.first_seen_terminal_at is None:
            job.first_seen_terminal_at = now

    def reopen(self, job_id: str) -> None:
        """The job runs again: its end has not been seen yet."""
        if job_id in self.polls:
            self.polls[job_id].first_seen_terminal_at = None

    def summary(self, jobs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        """The ledger as JSON.

        :param jobs: what the services know: ``submissions``, ``reports``, ``cases``. A job has
            ``id``, ``status``, ``terminal``, ``finished_at``.
        """
        by_route: dict[str, dict[str, int]] = {}
        by_status: Counter[str] = Counter()
        totals: Counter[str] = Counter()
        for (label, outcome), count in sorted(self.requests.items()):
            by_route.setdefault(label, {})[outcome] = count
            by_status[outcome] += count
            totals[label] += count
        running = [job for name in ("submissions", "reports") for job in jobs[name] if not job["terminal"]]
        return {
            "requests": dict(totals),
            "requests_by_route": by_route,
            "requests_by_status": dict(by_status),
            "total_requests": sum(totals.values()),
            "uploads": self.uploads,
            "asset_retries": self.asset_retries,
            "cancels": self.cancels,
            "rate_limited": {"total": sum(self.rate_limited.values()), "by_service": dict(self.rate_limited)},
            "running": len(running),
            "running_ids": [job["id"] for job in running],
            "api_key_at_storage": self.api_key_at_storage,
            "polls": {
                job["id"]: self._polls_of(job) for name in ("submissions", "reports") for job in jobs[name]
            },
            **jobs,
        }

    def _polls_of(self, job: dict[str, Any]) -> dict[str, Any]:
        polls = self.polls.get(job["id"], JobPolls())
        return {
            "count": polls.count,
            "first_at": polls.first_at,
            "last_at": polls.last_at,
            "first_seen_terminal_at": polls.first_seen_terminal_at,
            "finished_at": job["finished_at"],
        }
