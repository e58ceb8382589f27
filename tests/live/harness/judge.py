"""The judge: what the vendors' side has counted, set against what Airflow says."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from airflow_provider.simulator import Simulator

JOBS = {"mediamagic": "submissions", "silent_witness": "reports"}
ID = {"mediamagic": "submissionId", "silent_witness": "id"}
GOOD = ("complete", "completed")


@dataclass(slots=True)
class Tally:
    """The numbers of one row, or of the whole run."""

    row: str
    tasks: int = 0
    jobs: int = 0
    duplicates: int = 0
    orphans: int = 0
    false_successes: int = 0
    #: tasks that said that a submission's id is lost for good, which MediaMagic leaves no way round
    honest_failures: int = 0

    @property
    def violated(self) -> bool:
        """Whether anything happened that must never happen."""
        return bool(self.duplicates or self.orphans or self.false_successes)


@dataclass(slots=True)
class Book:
    """All rows of the run, for the table at its end."""

    rows: list[Tally] = field(default_factory=list)
    #: processes of the deployments that could not be ended with the run; unknown before its end
    processes_left: int | None = None

    def table(self) -> list[str]:
        """The table as lines."""
        head = (
            f"{'row':<74}{'tasks':>6}{'jobs':>6}{'duplicates':>12}{'orphans':>9}"
            f"{'false successes':>17}{'said lost':>11}"
        )
        lines = [head, "-" * len(head)]
        lines += [self._line(row) for row in self.rows]
        lines.append("-" * len(head))
        whole = Tally(
            f"{len(self.rows)} rows",
            *(
                sum(getattr(row, name) for row in self.rows)
                for name in ("tasks", "jobs", "duplicates", "orphans", "false_successes", "honest_failures")
            ),
        )
        return [*lines, self._line(whole), "", f"processes left behind: {self.processes_left}"]

    @staticmethod
    def _line(row: Tally) -> str:
        return (
            f"{row.row[:73]:<74}{row.tasks:>6}{row.jobs:>6}{row.duplicates:>12}{row.orphans:>9}"
            f"{row.false_successes:>17}{row.honest_failures:>11}"
        )


class Judge:
    """
    Reads the simulator's ledger.

    :param simulator: both vendors.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def jobs(self, service: str, keys: set[str]) -> list[dict[str, Any]]:
        """The jobs that were started with any of these keys, oldest first."""
        hashes = {hashlib.sha256(key.encode()).hexdigest()[:12] for key in keys}
        return [job for job in self.simulator.ledger()[JOBS[service]] if job["key_hash"] in hashes]

    def is_result(self, service: str, keys: set[str], value: Any) -> bool:
        """Whether what a task returned is a job of these keys that has truly succeeded."""
        if not isinstance(value, dict):
            return False
        wanted = value.get(ID[service])
        return any(
            job["id"] == wanted and job["status"] in GOOD and value.get("status") in GOOD
            for job in self.jobs(service, keys)
        )
