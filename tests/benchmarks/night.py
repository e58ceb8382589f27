"""
Whole pipelines on one key under a real Airflow: what is done, lost and refused, and how long it takes.

Each contender has a key, a simulator and worker slots of its own. Ours without a limit comes first: it shows
what the work itself takes. Then come ours in both modes, one after the other, so that the key and not the
machine is what they wait for; then the others.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider.simulator import Simulator
from tests.benchmarks.processes import table
from tests.live.harness.airflow import Airflow
from tests.live.harness.bench import take_photos
from tests.live.harness.night import PIPELINES, SLOTS
from tests.live.harness.postgres import running_postgres
from tests.live.harness.rest import Run

A_MINUTE = int(os.environ.get("NIGHT_REQUESTS_PER_MINUTE", "20"))
AN_HOUR = 10 * A_MINUTE
"""The documented proportion: 100 a minute and 1,000 an hour."""

NEEDED = 6
"""Requests that a report of two photos needs: case, photos, report, its status, its links."""

REPORT_TAKES = 20.0
ONLY = os.environ.get("NIGHT_ONLY", "")
"""Part of the names of the contenders to run; empty for all."""

LONGEST = 60.0 * float(os.environ.get("NIGHT_MINUTES", "10"))
"""Seconds after which contenders that have not ended are left."""
FAILED = ("failed", "upstream_failed")


def least_seconds() -> float:
    """Return how long the requests of all pipelines take at the least, hour after hour at full speed."""
    full_hours, rest = divmod(PIPELINES * NEEDED - 1, AN_HOUR)
    return full_hours * 3600 + (rest + 1) / A_MINUTE * 60


@dataclass(slots=True)
class Contender:
    """
    One way to run the pipelines.

    :param name: in the table.
    :param dag_id: of its Dag.
    :param limited: whether its key has a limit.
    """

    name: str
    dag_id: str
    limited: bool = True
    run: Run = field(init=False)
    simulator: Simulator = field(init=False)
    folder: Path = field(init=False)
    slot_seconds: float = 0.0
    ended_after: float | None = None

    def start(self, airflow: Airflow, simulator: Simulator, folder: Path) -> None:
        """Make its key and its connection, and trigger its Dag run."""
        self.simulator, self.folder = simulator, folder
        folder.mkdir()
        take_photos(folder)
        simulator.script("silent_witness", duration=REPORT_TAKES)
        key = f"sk-{secrets.token_hex(32)[:61]}"
        limits = [f"{A_MINUTE}/60", f"{AN_HOUR}/3600"] if self.limited else None
        simulator.keys({"key": key, "rate_limit": limits})
        conn_id = f"night_{self.dag_id}_{secrets.token_hex(4)}"
        known = {"requests_per_minute": A_MINUTE, "requests_per_hour": AN_HOUR}
        if not self.limited:
            known = {"requests_per_minute": 100_000, "requests_per_hour": 1_000_000}
        peer = self.dag_id in ("live_night_samples", "live_night_http")
        airflow.rest.set_connection(
            conn_id,
            "http" if peer else "silent_witness",
            simulator.url,
            "" if peer else key,
            **({"X-API-Key": key} if peer else known),
        )
        self.run = airflow.rest.trigger(self.dag_id, {"conn_id": conn_id, "folder": str(folder)})

    def row(self) -> list[str]:
        """Its line of the table."""
        ledger = self.simulator.ledger()
        documents = list((self.folder / self.run.run_id).glob("*"))
        done = len(documents) // 2
        states = [task["state"] for task in self.run.tasks(None)]
        paid = len(ledger["reports"])
        requests = sum(count for route, count in ledger["requests"].items() if " /api/" in route)
        refused = ledger["rate_limited"]["total"]
        made = self.ended_after
        return [
            self.name,
            f"{done} of {PIPELINES}",
            str(sum(state in FAILED for state in states)),
            str(paid - done),
            f"{refused} of {requests}",
            f"{requests / done:.1f}" if done else "",
            f"{made / least_seconds():.2f}" if made and done == PIPELINES and self.limited else "",
            f"{self.slot_seconds / done:.1f} s" if done else "",
        ]

    def lost(self, airflow: Airflow) -> list[str]:
        """The ends of the logs of its lost tasks."""
        names = [task["task_id"] for task in self.run.tasks(None) if task["state"] == "failed"]
        return [
            f"{self.name}: {name}\n{airflow.log_of(self.run.run_id, task_id=name)[-4000:]}" for name in names
        ]


def watch(airflow: Airflow, contenders: list[Contender]) -> None:
    """Wait until the runs have ended, and add up how long their tasks hold worker slots."""
    began = at = time.monotonic()
    left = {contender.run.run_id: contender for contender in contenders}
    while left and at - began < LONGEST:
        time.sleep(1.0)
        running = airflow.rest.call(
            "GET", "/dags/~/dagRuns/~/taskInstances", params={"state": "running", "limit": 100}
        )["task_instances"]
        before, at = at, time.monotonic()
        for task in running:
            if task["dag_run_id"] in left:
                left[task["dag_run_id"]].slot_seconds += at - before
        for contender in list(left.values()):
            if contender.run.state() in ("success", "failed"):
                contender.ended_after = at - began
                del left[contender.run.run_id]


def main() -> None:
    # As for Ctrl-C: what ends the run by force must not leave an Airflow behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ours = [
        Contender("this provider, deferred", "live_night_deferred"),
        Contender("this provider, synchronous", "live_night_sync"),
    ]
    peers = [
        Contender("vendor's samples in `@task`s", "live_night_samples"),
        Contender("HTTP provider", "live_night_http"),
    ]
    unlimited = Contender("this provider, deferred, no limit", "live_night_deferred", limited=False)
    rows: list[list[str]] = []
    waves = [[unlimited], *([one] for one in ours), peers]
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-night-")))
        airflow = Airflow(base / "home", stack.enter_context(running_postgres(base)), timings={})
        stack.enter_context(airflow.running(lambda: [one.dag_id for one in ours + peers]))
        for wave in ([one for one in wave if ONLY in one.name] for wave in waves):
            for contender in wave:
                simulator = stack.enter_context(Simulator(time_scale=1))
                contender.start(airflow, simulator, base / secrets.token_hex(4))
            watch(airflow, wave)
            for contender in wave:
                rows.append(contender.row())
                print(*rows[-1], *contender.lost(airflow), sep="\n", file=sys.stderr, flush=True)
        head = ["pipelines at once", "done", "tasks lost", "paid for, not delivered", "refused requests",
                "requests per report", "time over the least possible", "worker slot per report"]  # fmt: skip
        table(
            f"{PIPELINES} pipelines on one key of {A_MINUTE} requests a minute and {AN_HOUR} an hour, "
            f"{SLOTS} slots",
            head,
            rows,
        )


if __name__ == "__main__":
    main()
