"""Triggerers die and come back: one job each, no failed attempt, the same deadline."""

from __future__ import annotations

from tests.live.harness.bench import SERVICES, Bench, Job
from tests.live.harness.patience import until


def deferred_jobs(bench: Bench) -> list[Job]:
    """One deferred job per service, waited for by some triggerer."""
    jobs = [bench.start(service, "deferred") for service in SERVICES]
    for job in jobs:
        bench.until_waiting(job)
    return jobs


def deadlines(jobs: list[Job]) -> list[float]:
    """When each wait ends."""
    return [(job.run.record() or {})["deadline"] for job in jobs]


def end_in_the_first_attempt(bench: Bench, jobs: list[Job], deadlines_before: list[float]) -> None:
    """The jobs end, and so do their tasks, which never failed."""
    assert deadlines(jobs) == deadlines_before
    bench.finish_jobs()
    for job in jobs:
        bench.close(job, state="success")
        assert job.run.task()["try_number"] == 1
    bench.count_orphans()


def test_both_triggerers_killed_and_one_started_again(bench: Bench) -> None:
    jobs = deferred_jobs(bench)
    before = deadlines(jobs)
    for triggerer in bench.airflow.triggerers:
        triggerer.kill()
    bench.airflow.triggerers[0].start()
    for job in jobs:
        bench.until_polled(job)
    end_in_the_first_attempt(bench, jobs, before)


def test_one_of_two_triggerers_killed(bench: Bench) -> None:
    jobs = deferred_jobs(bench)
    before = deadlines(jobs)
    # Whichever of the two waits for a job, it is killed once.
    for triggerer in bench.airflow.triggerers:
        triggerer.kill()
        for job in jobs:
            bench.until_polled(job, what="the job, by the other triggerer,")
        bench.airflow.start()
    end_in_the_first_attempt(bench, jobs, before)


def test_everything_killed_while_the_job_ends(bench: Bench) -> None:
    jobs = deferred_jobs(bench)
    before = deadlines(jobs)
    bench.airflow.kill_all()
    bench.finish_jobs()
    bench.airflow.start()
    end_in_the_first_attempt(bench, jobs, before)


def test_a_triggerer_is_cut_off_and_comes_back(bench: Bench) -> None:
    """Its waits are taken over meanwhile; told to drop them, it must not take that for a user's kill."""
    jobs = deferred_jobs(bench)
    before = deadlines(jobs)
    # Whichever of the two waits for a job, it is cut off once.
    for triggerer in bench.airflow.triggerers:
        triggerer.suspend()
        for job in jobs:
            bench.until_polled(job, what="the job, by the other triggerer,")
        triggerer.resume()
        until(bench.airflow.healthy, "Airflow is healthy")
    taken_over = [job for job in jobs if job.service == "silent_witness"]
    for job in taken_over:
        until(
            lambda job=job: "Another triggerer has taken over" in bench.airflow.log_of(job.run.run_id),  # type: ignore[misc]
            "the triggerer that came back has seen that its wait was taken over",
        )
    end_in_the_first_attempt(bench, jobs, before)
