"""Keys that are revoked or rotated while a job is waited for."""

from __future__ import annotations

import pytest

from tests.live.harness.bench import MODES, SERVICES, Bench


@pytest.mark.parametrize("mode", MODES)
def test_key_revoked(bench: Bench, mode: str) -> None:
    """A clear failure; job and record stay; with the new key the task goes on with the same job."""
    jobs = [bench.start(service, mode) for service in SERVICES]
    for job in jobs:
        bench.until_waiting(job)
    for job in jobs:
        bench.revoke(job.account.key, job.account)
    for job in jobs:
        job.run.until_task("failed")
        (running,) = bench.jobs_of(job)
        assert not running["terminal"]
        assert (job.run.record() or {})["job_id"] == running["id"]
        assert "AuthenticationError" in bench.airflow.log_of(job.run.run_id)
        bench.rotate(job.account)
        job.run.clear()
    for job in jobs:
        bench.until_waiting(job, try_number=2)
    bench.finish_jobs()
    for job in jobs:
        bench.close(job, state="success")
    bench.count_orphans()


@pytest.mark.parametrize("mode", MODES)
def test_key_rotated(bench: Bench, mode: str) -> None:
    """The new key is picked up without a failure."""
    jobs = [bench.start(service, mode) for service in SERVICES]
    for job in jobs:
        bench.until_waiting(job)
    for job in jobs:
        old = job.account.key
        bench.rotate(job.account)
        bench.revoke(old, job.account)
    for job in jobs:
        bench.until_polled(job)
    bench.finish_jobs()
    for job in jobs:
        bench.close(job, state="success")
        assert job.run.task()["try_number"] == 1
    bench.count_orphans()
