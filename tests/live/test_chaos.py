"""Fifty jobs, and everything that can go wrong at random for some minutes: one job each, results right."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from airflow_provider.simulator import Simulator
from tests.live.conftest import BOOK
from tests.live.harness.airflow import Airflow, kill_task, lose_worker
from tests.live.harness.bench import MODES, SERVICES, Bench, Job
from tests.live.harness.patience import until

SEED = int(os.environ.get("LIVE_SEED", "20260314"))
MINUTES = float(os.environ.get("LIVE_CHAOS_MINUTES", "3"))
JOBS_EACH = (13, 13, 12, 12)
LOST = "its id was lost with an earlier attempt's answer"


class Chaos:
    """
    Does harm, in an order that the seed decides.

    :param bench: the row.
    :param rng: decides.
    :param database: whether the database may crash too.
    """

    def __init__(self, bench: Bench, rng: random.Random, *, database: bool = True) -> None:
        self.bench = bench
        self.rng = rng
        self.done: list[str] = []
        self._kinds: list[tuple[str, Callable[[], None]]] = [
            ("task killed", lambda: self._strike_a_task(kill_task)),
            ("task killed", lambda: self._strike_a_task(kill_task)),
            ("worker lost", lambda: self._strike_a_task(lose_worker)),
            ("triggerer killed", self._kill_a_triggerer),
            ("triggerer paused", self._pause_a_triggerer),
            ("scheduler killed", bench.airflow.scheduler.kill),
            ("services down", self._services_down),
            ("429", self._too_many_requests),
            ("nonsense", self._nonsense),
        ]
        if bench.airflow.workers:
            self._kinds.append(("Celery worker killed", lambda: rng.choice(bench.airflow.workers).kill()))
        if database:
            self._kinds.append(("database crashed", bench.airflow.database.restart))

    def strike(self) -> None:
        """One piece of harm; what it stopped is started again afterwards."""
        name, harm = self.rng.choice(self._kinds)
        harm()
        self.done.append(name)

    def _strike_a_task(self, how: Callable[[int], None]) -> None:
        running = self.bench.airflow.task_processes()
        if running:
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended by itself meanwhile
                how(self.rng.choice(running).pid)

    def _kill_a_triggerer(self) -> None:
        self.rng.choice(self.bench.airflow.triggerers).kill()

    def _pause_a_triggerer(self) -> None:
        triggerer = self.rng.choice(self.bench.airflow.triggerers)
        triggerer.suspend()
        time.sleep(self.rng.uniform(1, 20))  # how long harm lasts, not a wait for anything
        triggerer.resume()

    def _services_down(self) -> None:
        self.bench.simulator.fault("reset", "/api/*", times=self.rng.randint(20, 80))

    def _too_many_requests(self) -> None:
        # Few: each in a row makes all who use the key wait twice as long before the next request.
        times = self.rng.randint(3, 8)
        self.bench.simulator.fault("status", "/api/*", status=429, times=times, headers={"Retry-After": "1"})

    def _nonsense(self) -> None:
        times = self.rng.randint(10, 40)
        self.bench.simulator.fault("garbage", "/api/*", "GET", times=times)
        self.bench.simulator.fault("lost_answer", "/api/reports", "POST", times=2)


def run_chaos(bench: Bench, chaos: Chaos, jobs: list[Job], minutes: float) -> None:
    """Start the jobs, do harm until the time is over, then let everything come to its end."""
    for _ in range(sum(len(job.items) for job in jobs)):
        for service in SERVICES:
            bench.simulator.script(service, duration=chaos.rng.uniform(10, 90), times=1)
    bench.start_mapped(*jobs)
    for job in jobs:
        until(lambda job=job: bench.jobs_of(job), f"{job.run.dag_id} has begun")  # type: ignore[misc]
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end and any(job.run.state() == "running" for job in jobs):
        chaos.strike()
        bench.airflow.start()
        time.sleep(chaos.rng.uniform(0.5, 4))  # the pace of the harm, not a wait for anything
    bench.simulator.clear_faults()
    print(f"seed {SEED}: {', '.join(chaos.done)}")

    def all_ended() -> bool:
        # A scheduler may die of a crashed database some seconds later; whoever runs one has it restarted.
        bench.airflow.start()
        return all(job.run.state() in ("success", "failed") for job in jobs)

    until(all_ended, "all runs have ended", seconds=600)
    for job in jobs:
        bench.close_mapped(job, lost=LOST if job.service == "mediamagic" else "")
    until(
        lambda: bench.simulator.ledger()["running"] == 0,
        "submissions whose id was lost have ended too",
    )
    bench.count_orphans()


@pytest.fixture
def chaotic(deployment: Airflow, vendors: Simulator, tmp_path: Path) -> Iterator[Bench]:
    """A bench whose jobs end by themselves."""
    vendors.reset()
    deployment.start()
    yield Bench(deployment, vendors, BOOK, tmp_path, f"chaos, seed {SEED}", endless=False)
    vendors.clear_faults()


@pytest.mark.timeout(1800)
def test_fifty_jobs(chaotic: Bench) -> None:
    combinations = [(service, mode) for service in SERVICES for mode in MODES]
    jobs = [
        chaotic.prepare_mapped(service, mode, count)
        for (service, mode), count in zip(combinations, JOBS_EACH, strict=True)
    ]
    run_chaos(chaotic, Chaos(chaotic, random.Random(SEED)), jobs, MINUTES)
