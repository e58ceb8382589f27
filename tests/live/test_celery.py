"""
CeleryExecutor with Redis, two workers with a disk each, two triggerers.

Nothing may rely on one worker's memory or disk: a job that one worker has submitted is found by the other.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider.simulator import Simulator
from tests.live.conftest import BOOK, LIVE_DAG_IDS
from tests.live.harness.airflow import Airflow
from tests.live.harness.bench import MODES, SERVICES, Bench
from tests.live.harness.held import AFTER_RECORD
from tests.live.harness.patience import until
from tests.live.harness.postgres import running_postgres
from tests.live.harness.redis import Redis
from tests.live.test_chaos import SEED, Chaos, run_chaos

MINUTES = 2.0
JOBS_EACH = 5


@pytest.fixture(scope="module")
def celery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """A deployment of its own, with a database of its own."""
    base = tmp_path_factory.mktemp("celery")
    redis = Redis(base / "redis")
    try:
        redis.start()
        with running_postgres(base) as database:
            airflow = Airflow(base / "home", database, triggerers=2, broker=redis.url, workers=2)
            with airflow.running(lambda: LIVE_DAG_IDS):
                yield airflow
    finally:
        redis.server.stop()


def test_celery_worker_lost_after_the_record(celery: Airflow, vendors: Simulator, tmp_path: Path) -> None:
    """Both workers go with all that ran on them; whichever takes the retry finds the job."""
    vendors.reset()
    bench = Bench(celery, vendors, BOOK, tmp_path, "celery: worker lost after the record")
    jobs = [bench.start(service, mode, hold=AFTER_RECORD) for service in SERVICES for mode in MODES]
    for job in jobs:
        assert job.holding
        until(job.holding.reached, f"{job.run.dag_id} is held")
    for worker in celery.workers:
        worker.kill()
    for job in jobs:
        assert job.holding
        job.holding.release()
    celery.start()
    for job in jobs:
        bench.until_waiting(job, try_number=2)
    bench.finish_jobs()
    for job in jobs:
        bench.close(job, state="success")
    bench.count_orphans()


@pytest.mark.timeout(1800)
def test_celery_chaos(celery: Airflow, vendors: Simulator, tmp_path: Path) -> None:
    vendors.reset()
    celery.start()
    bench = Bench(celery, vendors, BOOK, tmp_path, f"celery: chaos, seed {SEED}", endless=False)
    jobs = [bench.prepare_mapped(service, mode, JOBS_EACH) for service in SERVICES for mode in MODES]
    run_chaos(bench, Chaos(bench, random.Random(SEED)), jobs, MINUTES)
    vendors.clear_faults()
