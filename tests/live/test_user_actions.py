"""A user clears or marks a task whose job runs: what can be cancelled is cancelled, once."""

from __future__ import annotations

import pytest
from airflow.triggers.base import BaseTrigger

from tests.live.harness.bench import MODES, SERVICES, Bench
from tests.live.harness.judge import ID
from tests.live.harness.patience import until

EACH_MODE = pytest.mark.parametrize("mode", MODES)
EACH_KILLED_MODE = pytest.mark.parametrize(
    "mode",
    [
        pytest.param(
            mode,
            marks=pytest.mark.skipif(
                mode == "deferred" and not hasattr(BaseTrigger, "on_kill"),
                reason="before 3.3 no trigger is told that its task was killed",
            ),
        )
        for mode in MODES
    ],
)


@EACH_KILLED_MODE
@pytest.mark.parametrize("state", ["failed", "success"])
def test_report_marked(bench: Bench, mode: str, state: str) -> None:
    job = bench.start("silent_witness", mode)
    bench.until_waiting(job)
    job.run.mark(state)
    bench.until_nothing_runs(job)
    assert len(bench.accepted_cancels(job)) == 1
    bench.close(job, state=state, marked=True)
    bench.count_orphans()


@EACH_KILLED_MODE
@pytest.mark.parametrize("state", ["failed", "success"])
def test_submission_marked(bench: Bench, mode: str, state: str) -> None:
    """MediaMagic cannot cancel: the submission goes on, and the log says so with its id."""
    job = bench.start("mediamagic", mode)
    bench.until_waiting(job)
    (submission,) = bench.jobs_of(job)
    job.run.mark(state)
    until(
        lambda: f"submission {submission['id']} goes on" in bench.airflow.log_of(job.run.run_id),
        "the log says that the submission goes on",
    )
    bench.close(job, state=state, marked=True)
    bench.count_orphans(allowed=("mediamagic",))


@EACH_MODE
def test_report_cleared(bench: Bench, mode: str) -> None:
    """The report is cancelled, the cleared task starts anew."""
    job = bench.start("silent_witness", mode)
    bench.until_waiting(job)
    (first,) = bench.jobs_of(job)
    job.run.clear()
    until(lambda: len(bench.jobs_of(job)) == 2, "the cleared task has started a report of its own")
    until(lambda: bench.accepted_cancels(job) == [first["id"]], "the first report is cancelled, once")
    bench.finish_jobs()
    bench.close(job, state="success", jobs=2)
    assert job.run.xcom()["id"] != first["id"]
    bench.count_orphans()


@EACH_MODE
def test_submission_cleared(bench: Bench, mode: str) -> None:
    """A submission cannot be cancelled: the cleared task goes on with it instead of paying again."""
    job = bench.start("mediamagic", mode)
    bench.until_waiting(job)
    job.run.clear()
    bench.until_waiting(job, try_number=2)
    bench.finish_jobs()
    bench.close(job, state="success")
    bench.count_orphans()


@EACH_MODE
def test_cleared_after_success(bench: Bench, mode: str) -> None:
    """A user who clears a task that succeeded wants it done again: that is a second job on purpose."""
    jobs = [bench.start(service, mode) for service in SERVICES]
    for job in jobs:
        bench.until_waiting(job)
    bench.finish_jobs()
    for job in jobs:
        job.run.until_task("success")
    firsts = [job.run.xcom()[ID[job.service]] for job in jobs]
    for job in jobs:
        job.run.clear()
    for job in jobs:
        until(lambda job=job: len(bench.jobs_of(job)) == 2, f"{job.run.dag_id}, cleared, has started a job")  # type: ignore[misc]
        bench.until_waiting(job, try_number=2)
    bench.finish_jobs()
    for job, first in zip(jobs, firsts, strict=True):
        bench.close(job, state="success", jobs=2)
        assert job.run.xcom()[ID[job.service]] != first
    bench.count_orphans()
