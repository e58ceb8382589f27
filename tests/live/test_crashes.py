"""The worker dies around the paid call: one job, and the retry ends with its result."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.live.harness.airflow import kill_task, lose_worker
from tests.live.harness.bench import MODES, SERVICES, Bench, Job
from tests.live.harness.gateway import Gateway
from tests.live.harness.held import AFTER_ANSWER, AFTER_RECORD, BEFORE_POST
from tests.live.harness.patience import until

DEATHS = pytest.mark.parametrize(
    "die", [pytest.param(kill_task, id="task killed"), pytest.param(lose_worker, id="worker lost")]
)


def kill_there(bench: Bench, point: str, die: Callable[[int], None]) -> list[Job]:
    """Start one job per service and mode, and kill each when it has reached the point."""
    jobs = [bench.start(service, mode, hold=point) for service in SERVICES for mode in MODES]
    for job in jobs:
        assert job.holding
        die(until(job.holding.reached, f"{job.run.dag_id} is held at {point}"))
        job.holding.release()
    return jobs


def end_well(bench: Bench, jobs: list[Job]) -> None:
    """The retries wait, the jobs end, the books close: one job each."""
    for job in jobs:
        bench.until_waiting(job, try_number=2)
    bench.finish_jobs()
    for job in jobs:
        bench.close(job, state="success")
    bench.count_orphans()


def end_with_the_honest_error(bench: Bench, job: Job) -> None:
    """MediaMagic cannot list: the retry says so, and submits nothing."""
    bench.close(job, state="failed")
    assert "its id was lost with an earlier attempt's answer" in bench.airflow.log_of(job.run.run_id)


@DEATHS
def test_before_the_post(bench: Bench, die: Callable[[int], None]) -> None:
    jobs = kill_there(bench, BEFORE_POST, die)
    assert bench.simulator.ledger()["running"] == 0, "nothing was sent yet"
    end_well(bench, jobs)


@DEATHS
def test_between_answer_and_record(bench: Bench, die: Callable[[int], None]) -> None:
    jobs = kill_there(bench, AFTER_ANSWER, die)
    assert bench.simulator.ledger()["running"] == len(jobs), "all were sent"
    for job in jobs:
        if job.service == "mediamagic":
            end_with_the_honest_error(bench, job)
    end_well(bench, [job for job in jobs if job.service != "mediamagic"])


@DEATHS
def test_after_the_record(bench: Bench, die: Callable[[int], None]) -> None:
    jobs = kill_there(bench, AFTER_RECORD, die)
    end_well(bench, jobs)


@DEATHS
def test_between_post_and_answer(bench: Bench, die: Callable[[int], None]) -> None:
    # The services do their work at once and take for ever to say so.
    for path in ("/api/reports", "/api/integrations/submissions"):
        bench.simulator.fault("slow", path, "POST", chunk=1, interval=1.0, times=len(MODES))
    jobs = [bench.start(service, mode) for service in SERVICES for mode in MODES]
    for job in jobs:
        until(lambda job=job: bench.jobs_of(job), f"{job.run.dag_id} has sent its POST")  # type: ignore[misc]
    for process in bench.airflow.task_processes():
        die(process.pid)
    for job in jobs:
        if job.service == "mediamagic":
            end_with_the_honest_error(bench, job)
    end_well(bench, [job for job in jobs if job.service != "mediamagic"])


@DEATHS
def test_while_waiting_synchronously(bench: Bench, die: Callable[[int], None]) -> None:
    jobs = [bench.start(service, "sync") for service in SERVICES]
    for job in jobs:
        bench.until_waiting(job)
    for process in bench.airflow.task_processes():
        die(process.pid)
    end_well(bench, jobs)


@pytest.mark.parametrize("mode", MODES)
def test_post_arrives_after_its_worker_is_gone(bench: Bench, mode: str) -> None:
    """The retry looks for the report before the vendor has got the request: it must not give up at once."""
    with Gateway(bench.simulator.url, "/api/reports") as gateway:
        job = bench.start("silent_witness", mode, through=gateway.url)
        until(lambda: gateway.held, "the request is on its way")
        for process in bench.airflow.task_processes():
            kill_task(process.pid)
        before = gateway.read
        until(lambda: gateway.read > before, "the retry has looked for the report, in vain")
        gateway.release()
        until(lambda: gateway.passed, "the vendor has got the request")
        bench.until_waiting(job, try_number=2)
        bench.finish_jobs()
        bench.close(job, state="success")
    bench.count_orphans()


@pytest.mark.parametrize(
    ("variant", "retry_runs"),
    [
        pytest.param("late_retries", False, id="before the retry"),
        pytest.param("retries", True, id="during it"),
    ],
)
def test_worker_cut_off_and_back(bench: Bench, variant: str, retry_runs: bool) -> None:
    """Airflow gives up an attempt that is cut off; when that comes back and is ended, its job goes on."""
    jobs = [bench.start(service, "sync", variant=variant) for service in SERVICES]
    for job in jobs:
        bench.until_waiting(job)
    attempts = bench.airflow.task_processes()
    supervisors = [attempt.parent() for attempt in attempts]
    cut_off = [process for process in (*supervisors, *attempts) if process is not None]
    assert len(cut_off) == 2 * len(jobs)
    for process in cut_off:
        process.suspend()
    for job in jobs:
        if retry_runs:
            bench.until_waiting(job, try_number=2)
        else:
            job.run.until_task("up_for_retry")
    for process in cut_off:
        process.resume()
    until(lambda: not any(one.is_running() for one in attempts), "the attempts that came back are ended")
    for job in jobs:
        if job.service == "silent_witness":
            assert "Airflow gave up this attempt" in bench.airflow.log_of(job.run.run_id)
            assert bench.accepted_cancels(job) == []
    end_well(bench, jobs)
