"""Time-outs: the job is cancelled where the API can, and the error names job and limit."""

from __future__ import annotations

import pytest

from tests.live.harness.bench import MODES, SERVICES, Bench, Job
from tests.live.harness.patience import until

EACH_MODE = pytest.mark.parametrize("mode", MODES)


def ends_cancelled(bench: Bench, job: Job, *, limit: str) -> None:
    """The task failed with an error that names job and limit, the report is cancelled."""
    bench.close(job, state="failed")
    (report,) = bench.jobs_of(job)
    assert report["status"] == "cancelled"
    assert len(bench.accepted_cancels(job)) == 1
    log = bench.airflow.log_of(job.run.run_id)
    assert "JobTimeoutError" in log
    assert report["id"] in log
    assert limit in log


@EACH_MODE
def test_our_timeout(bench: Bench, mode: str) -> None:
    job = bench.start("silent_witness", mode, variant="once", timeout=6)
    ends_cancelled(bench, job, limit="within 6 s")
    bench.count_orphans()


def test_execution_timeout(bench: Bench) -> None:
    """Our deadline ends the task a little before Airflow would: reports are cancelled, submissions go on."""
    jobs = [bench.start(service, mode, variant="execution_timeout") for service in SERVICES for mode in MODES]
    for job in jobs:
        job.run.until_task("failed")
        record = job.run.record() or {}
        limit = f"within {record['deadline'] - record['submitted_at']:.0f} s"
        if job.service == "silent_witness":
            ends_cancelled(bench, job, limit=limit)
            continue
        log = bench.airflow.log_of(job.run.run_id)
        assert f"Submission {record['job_id']} did not finish {limit}" in log
        assert "The submission goes on" in log
        bench.close(job, state="failed")
    bench.count_orphans(allowed=("mediamagic",))


def test_dag_run_timeout(bench: Bench) -> None:
    """The scheduler gives the whole run up: the tasks are killed, and the reports with them."""
    jobs = [bench.start(service, mode, variant="dagrun_timeout") for service in SERVICES for mode in MODES]
    for job in jobs:
        bench.until_waiting(job)
    for job in jobs:
        (started,) = bench.jobs_of(job)
        if job.service == "silent_witness":
            bench.until_nothing_runs(job)
            assert bench.jobs_of(job)[0]["status"] == "cancelled"
        else:
            until(
                lambda job=job, started=started: (  # type: ignore[misc]
                    f"submission {started['id']} goes on" in bench.airflow.log_of(job.run.run_id)
                ),
                "the log says that the submission goes on",
            )
        bench.close(job, state="skipped")
        assert job.run.until_ended() == "failed"
    bench.count_orphans(allowed=("mediamagic",))


@EACH_MODE
def test_submission_times_out(bench: Bench, mode: str) -> None:
    """MediaMagic cannot cancel: it goes on and the error says so; clearing the task finds it again."""
    job = bench.start("mediamagic", mode, variant="once", timeout=6)
    job.run.until_task("failed")
    (submission,) = bench.jobs_of(job)
    log = bench.airflow.log_of(job.run.run_id)
    assert "The submission goes on" in log
    assert submission["id"] in log
    job.run.clear()
    bench.until_waiting(job, try_number=2)
    bench.finish_jobs()
    bench.close(job, state="success")
    bench.count_orphans()


def test_deferral_timeout_of_airflow(bench: Bench) -> None:
    """No triggerer for longer than the deferral may take: the report is found in the record and cancelled."""
    job = bench.start("silent_witness", "deferred", variant="once", timeout=45, defer_margin=1)
    bench.until_waiting(job)
    for triggerer in bench.airflow.triggerers:
        triggerer.kill()
    job.run.until_task("failed")
    (report,) = bench.jobs_of(job)
    assert report["status"] == "cancelled"
    assert "is a triggerer running?" in bench.airflow.log_of(job.run.run_id)
    bench.close(job, state="failed")
    bench.count_orphans()


@EACH_MODE
def test_deadline_holds_over_retries(bench: Bench, mode: str) -> None:
    """A retry after a crash gets what is left of the time, not all of it again."""
    from tests.live.harness.airflow import lose_worker
    from tests.live.harness.held import AFTER_RECORD

    job = bench.start("silent_witness", mode, hold=AFTER_RECORD)
    assert job.holding
    pid = until(job.holding.reached, "the job is recorded")
    before = job.run.record()
    lose_worker(pid)
    job.holding.release()
    bench.until_waiting(job, try_number=2)
    assert before
    assert (job.run.record() or {})["deadline"] == before["deadline"]
    bench.finish_jobs()
    bench.close(job, state="success")
    bench.count_orphans()
