"""A job ends the same way whether its task waits in the triggerer or on the worker, however it got there."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.core.jobs.run import JobRun
from airflow_provider.exceptions import JobCancelledError, JobFailedError, JobInputError, ResultGoneError
from airflow_provider.simulator import Simulator
from tests.airflow.interruptions import die_once
from tests.airflow.jobs import ENDLESS, QUICK, SOON, Job, ReportJob
from tests.airflow.task_run import Recorder, register


def test_a_waited_for_job_is_returned_as_the_vendor_describes_it(job: Job, deferrable: bool) -> None:
    job.takes(SOON)
    run = job.task(deferrable=deferrable).test()
    (seen,) = job.seen()
    assert run.value == job.result_of(seen["id"])


def test_only_the_deferrable_task_defers(job: Job, deferrable: bool) -> None:
    job.takes(SOON)
    run = job.task(deferrable=deferrable).test()
    assert len(run.recorder.deferrals) == (1 if deferrable else 0)


def test_the_id_is_in_xcom_before_the_wait(job: Job) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=True).attempt(until_deferred=True)
    assert run.xcoms[job.id_key] == job.seen()[0]["id"]


def test_a_finished_job_found_again_is_returned_without_deferring(
    job: Job, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.takes(SOON)
    die_once(monkeypatch, JobRun, "proceed")
    run = job.task(deferrable=deferrable, retries=1).attempt()
    job.simulator.advance(SOON)
    run.attempt()
    (seen,) = job.seen()
    assert run.value == job.result_of(seen["id"])
    assert run.recorder.deferrals == []


def test_a_job_that_is_over_at_once_is_returned_in_the_same_shape(
    job: Job, deferrable: bool, simulator: Simulator
) -> None:
    job.takes(0)
    over = "complete" if job.service == "mediamagic" else "completed"
    field = "status" if job.service == "mediamagic" else "data.status"
    simulator.fault("set_field", job.create_path, "POST", field=field, value=over)
    run = job.task(deferrable=deferrable).test()
    assert run.value == job.result_of(job.seen()[0]["id"])


def test_a_late_event_gives_the_same_result(job: Job) -> None:
    job.takes(SOON)
    run = job.task(deferrable=True).attempt(until_deferred=True)
    (seen,) = job.seen()
    job.simulator.advance(7200)
    run.resume(_event("success", seen["id"]))
    assert run.value == job.result_of(seen["id"])


def test_an_event_that_says_timeout_is_checked_against_the_job(job: Job) -> None:
    job.takes(SOON)
    run = job.task(deferrable=True).attempt(until_deferred=True)
    (seen,) = job.seen()
    job.simulator.advance(7200)
    run.resume(_event("timeout", seen["id"]))
    assert run.value == job.result_of(seen["id"])


def test_an_event_of_a_job_that_still_runs_goes_on_waiting(job: Job) -> None:
    job.takes(3600)
    run = job.task(deferrable=True).attempt(until_deferred=True)
    (seen,) = job.seen()
    run.resume(_event("success", seen["id"]), until_deferred=True)
    assert run.state == "deferred"
    assert len(run.recorder.deferrals) == 2
    job.simulator.advance(3600)
    run.resume(_event("success", seen["id"]))
    assert run.value == job.result_of(seen["id"])


def test_the_same_event_twice_gives_the_result_twice(job: Job) -> None:
    job.takes(SOON)
    run = job.task(deferrable=True).attempt(until_deferred=True)
    (seen,) = job.seen()
    job.simulator.advance(60)
    for _ in range(2):
        run.resume(_event("success", seen["id"]))
        assert run.value == job.result_of(seen["id"])


def test_a_reattached_wait_gives_the_same_result(
    job: Job, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.takes(SOON)
    die_once(monkeypatch, JobRun, "proceed")
    run = job.task(deferrable=deferrable, retries=1).test()
    (seen,) = job.seen()
    assert run.tries == 2
    assert run.value == job.result_of(seen["id"])


def test_without_waiting_the_answer_to_the_creation_is_returned(job: Job, deferrable: bool) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=deferrable, wait_for_completion=False).test()
    assert run.value["status"] in ("submitted", "pending")
    assert run.xcoms[job.id_key] == job.seen()[0]["id"]
    assert job.simulator.ledger()["polls"][job.seen()[0]["id"]]["count"] == 0


def test_a_status_nobody_knows_is_active(job: Job, deferrable: bool, simulator: Simulator) -> None:
    job.takes(SOON)
    field = "status" if job.service == "mediamagic" else "data.status"
    simulator.fault("set_field", job.status_path, "GET", field=field, value="simmering", times=2)
    run = job.task(deferrable=deferrable).test()
    assert run.value == job.result_of(job.seen()[0]["id"])


def test_an_unknown_status_is_named_in_the_log(
    job: Job, deferrable: bool, simulator: Simulator, capfd: pytest.CaptureFixture[str]
) -> None:
    job.takes(SOON)
    field = "status" if job.service == "mediamagic" else "data.status"
    simulator.fault("set_field", job.status_path, "GET", field=field, value="simmering", times=2)
    job.task(deferrable=deferrable).test()
    assert "simmering (a status this version does not know" in capfd.readouterr().out


def test_a_failed_job_is_an_error_that_a_retry_may_help(job: Job, deferrable: bool) -> None:
    job.fails()
    run = job.task(deferrable=deferrable).test()
    assert type(run.error) is JobFailedError
    assert run.error.job_id == job.seen()[0]["id"]


def test_a_retry_after_a_failed_job_asks_for_a_new_one(job: Job, deferrable: bool) -> None:
    job.simulator.script(job.service, duration=SOON, times=1, **_failure(job))
    job.takes(SOON)
    run = job.task(deferrable=deferrable, retries=1).test()
    assert run.value["status"] in ("complete", "completed")
    assert len(job.seen()) == 2


def test_a_job_that_vanished_before_its_end_is_not_found(
    job: Job, deferrable: bool, simulator: Simulator
) -> None:
    job.takes(ENDLESS)
    _vanishes(job, simulator, skip=1)
    run = job.task(deferrable=deferrable, retries=1).test()
    assert type(run.error).__name__ == "NotFoundError"
    assert job.seen()[0]["id"] in str(run.error)
    assert job.creations() == 1


def test_a_job_that_vanished_after_its_end_is_gone(job: Job, simulator: Simulator) -> None:
    job.takes(SOON)
    run = job.task(deferrable=True, retries=1).attempt(until_deferred=True)
    (seen,) = job.seen()
    _vanishes(job, simulator)
    run.resume(_event("success", seen["id"]))
    assert type(run.error) is ResultGoneError
    assert "Nothing was submitted again" in str(run.error)
    assert job.creations() == 1


def test_a_report_cancelled_by_somebody_else_is_an_error(report: ReportJob, deferrable: bool) -> None:
    report.takes(SOON)
    report.simulator.fault("set_field", report.status_path, "GET", field="data.status", value="cancelled")
    run = report.task(deferrable=deferrable).test()
    assert type(run.error) is JobCancelledError
    assert "A retry submits a new one" in str(run.error)


def test_a_retry_after_a_cancelled_report_makes_a_new_one(report: ReportJob) -> None:
    report.takes(ENDLESS)
    run = report.task(deferrable=True, retries=1).attempt(until_deferred=True)
    (first,) = report.seen()
    report.talk.send("DELETE", f"/api/reports/{first['id']}")
    report.simulator.clear_scripts()
    report.takes(SOON)
    run.resume(_event("cancelled", first["id"]))
    assert run.state == "up_for_retry"
    run.attempt()
    assert run.value["id"] != first["id"]


def test_a_report_that_failed_for_its_photos_stops_the_retries(report: ReportJob, deferrable: bool) -> None:
    report.fails(message="Delta-v calculation failed: image quality insufficient")
    run = report.task(deferrable=deferrable, retries=3).test()
    assert run.tries == 1
    assert type(run.error) is JobInputError
    assert "image quality insufficient" in str(run.error)
    assert "upload better photos" in str(run.error)


@pytest.mark.parametrize("reason", ["Report generation timed out", "Internal error"])
def test_a_report_that_failed_for_a_passing_reason_is_retried(report: ReportJob, reason: str) -> None:
    report.fails(message=reason)
    run = report.task(deferrable=True, retries=1).test()
    assert run.tries == 2
    assert [type(error) for error in run.errors] == [JobFailedError, JobFailedError]


def _event(status: str, job_id: str) -> dict[str, Any]:
    return {"status": status, "job_id": job_id, "raw_status": "", "message": "It ended.", "polls": 3}


def _failure(job: Job) -> dict[str, Any]:
    if job.service == "mediamagic":
        return {"asset_status": "failed", "error_message": "Transcoding stopped", "attempts_failing": 99}
    return {"status": "failed", "message": "Internal error"}


def _vanishes(job: Job, simulator: Simulator, **when: Any) -> None:
    if job.service == "mediamagic":
        simulator.fault("status", job.status_path, "GET", status=404, **when)
    else:
        simulator.fault("null_data", job.status_path, "GET", **when)


def test_an_operator_inside_another_task_waits_on_the_worker(job: Job, recorder: Recorder) -> None:
    from airflow.sdk import DAG, task

    job.takes(SOON)
    arguments = {**job.arguments(), **QUICK}

    @task
    def order(**context: Any) -> Any:
        return job.operator(task_id="inner", deferrable=True, **arguments).execute(context)["status"]

    with DAG(f"inside_{type(job).__name__}", schedule=None) as dag:
        order()
    register(dag)
    recorder.dag_ids.append(dag.dag_id)

    assert dag.test().state == "success", recorder.errors
    assert not recorder.deferrals
    assert job.creations() == 1
