"""The services are down, over-asked or talk nonsense: every task succeeds, with one job each."""

from __future__ import annotations

from tests.live.harness.bench import MODES, SERVICES, Bench, Job
from tests.live.harness.patience import until

EVERYTHING = "/api/*"
COUNT = 3
"""Jobs of each mapped task; there is one for each service and mode."""


def all_jobs(bench: Bench) -> list[Job]:
    """A mapped task for each service and mode, its inputs made before anything goes wrong."""
    return [bench.prepare_mapped(service, mode, COUNT) for service in SERVICES for mode in MODES]


def hits(bench: Bench) -> list[int]:
    """How often each fault has struck."""
    return [fault["hits"] for fault in bench.simulator.faults()]


def end_well(bench: Bench, jobs: list[Job], *, within: float = 240.0) -> None:
    """All jobs have been submitted within some seconds; they end, and so do the tasks."""
    for job in jobs:
        until(
            lambda job=job: len(bench.jobs_of(job)) >= COUNT,  # type: ignore[misc]
            f"{job.run.dag_id} has submitted all its jobs",
            seconds=within,
        )
    bench.finish_jobs()
    for job in jobs:
        bench.close_mapped(job)
    bench.count_orphans()


def test_services_down_while_waiting(bench: Bench) -> None:
    """Five minutes of a vendor's outage are here as many refused status requests as they would hold."""
    jobs = all_jobs(bench)
    bench.start_mapped(*jobs)
    for job in jobs:
        until(lambda job=job: len(bench.jobs_of(job)) == COUNT, f"{job.run.dag_id} has submitted")  # type: ignore[misc]
        bench.until_polled(job)
    bench.simulator.fault("reset", EVERYTHING, times=60)
    bench.simulator.fault("status", EVERYTHING, status=503, times=60)
    until(lambda: hits(bench) == [60, 60], "every wait has met the outage many times", seconds=240)
    end_well(bench, jobs)


def test_429_storm(bench: Bench) -> None:
    """Each process goes slower with every refusal, so that the storm lasts minutes."""
    jobs = all_jobs(bench)
    bench.simulator.fault(
        "status",
        EVERYTHING,
        status=429,
        probability=0.6,
        seed=1,
        times=40,
        headers={"Retry-After": "1"},
    )
    bench.start_mapped(*jobs)
    end_well(bench, jobs, within=600.0)


def test_a_tenth_of_all_answers_spoilt(bench: Bench) -> None:
    jobs = all_jobs(bench)
    # A submission whose answer is spoilt is lost for good, which has a row of its own: not that here.
    for path, method in ((EVERYTHING, "GET"), ("/api/reports", "POST"), (EVERYTHING, "PUT")):
        bench.simulator.fault("garbage", path, method, probability=0.03, seed=2)
        bench.simulator.fault("lost_answer", path, method, probability=0.03, seed=3)
    bench.simulator.fault("status", EVERYTHING, status=500, probability=0.05, seed=4)
    bench.simulator.fault("reset", EVERYTHING, probability=0.05, seed=5)
    bench.start_mapped(*jobs)
    end_well(bench, jobs)
