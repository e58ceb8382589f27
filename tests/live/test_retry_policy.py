"""``JobRetryPolicy``: the error decides when the retry comes; the Dag's own delay would be an hour."""

from __future__ import annotations

import pytest

pytest.importorskip("airflow.sdk.definitions.retry_policy", reason="Airflow 3.3 brings retry policies")

from tests.live.harness.bench import MODES, SERVICES, Bench, Job
from tests.live.harness.patience import until


def second_tries_succeed(bench: Bench, jobs: list[Job]) -> None:
    """The second try of each task waits for the task's only job, which ends."""
    for job in jobs:
        bench.until_waiting(job, try_number=2)
    bench.finish_jobs()
    for job in jobs:
        bench.close(job, state="success")
    bench.count_orphans()


@pytest.mark.parametrize("service", SERVICES)
def test_when_the_service_said(bench: Bench, service: str) -> None:
    """Down for longer than one attempt puts up with: the retry comes when the 503 said."""
    path = {"mediamagic": "/api/integrations/uploads/*", "silent_witness": "/api/reports"}[service]
    bench.simulator.fault("status", path, "POST", status=503, headers={"Retry-After": "1"})
    jobs = [bench.start(service, mode, variant="retry_policy") for mode in MODES]
    for job in jobs:
        until(
            lambda job=job: "the service said when to come back" in bench.airflow.log_of(job.run.run_id),  # type: ignore[misc]
            "the policy has decided",
        )
    bench.simulator.clear_faults()
    second_tries_succeed(bench, jobs)


def test_at_once_after_a_wait_that_ended(bench: Bench) -> None:
    """The submission goes on after the time limit, so the retry goes on waiting for it."""
    jobs = [bench.start("mediamagic", mode, variant="retry_policy", timeout=10) for mode in MODES]
    second_tries_succeed(bench, jobs)
