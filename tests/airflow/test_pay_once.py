"""Whatever happens to a worker between two steps, a job is asked for once."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime

import pytest

from airflow_provider.core.budget import rate_budget
from airflow_provider.core.budget.turns import Turns
from airflow_provider.core.jobs.ledger import KEY
from airflow_provider.core.jobs.operator import JobOperator
from airflow_provider.core.jobs.run import JobRun
from airflow_provider.core.jobs.search import ARRIVES_WITHIN
from airflow_provider.core.polling.wait import Wait
from airflow_provider.exceptions import (
    AuthenticationError,
    LedgerError,
    SubmissionLostError,
    SubmitOutcomeUnknownError,
)
from tests.airflow.conftest import Connect
from tests.airflow.interruptions import die_once, refuse_results
from tests.airflow.jobs import ENDLESS, SOON, Job, ReportJob, SubmissionJob
from tests.airflow.task_run import TaskRun, fresh_session, has_state_store, needs_state_store


def test_a_worker_that_dies_before_the_request_leaves_it_to_the_retry(
    job: Job, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.takes(SOON)
    die_once(monkeypatch, job.operator, "submit")
    run = job.task(deferrable=deferrable, retries=1).test()
    (seen,) = job.seen()
    assert run.value == job.result_of(seen["id"])


def test_a_report_whose_worker_died_before_its_id_was_recorded_is_found(
    report: ReportJob, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.takes(SOON)
    die_once(monkeypatch, report.operator, "submit", after=True)
    run = report.task(deferrable=deferrable, retries=1).test()
    (seen,) = report.seen()
    assert run.value == report.result_of(seen["id"])


def test_a_submission_whose_worker_died_before_its_id_was_recorded_is_not_paid_for_again(
    submission: SubmissionJob, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission.takes(SOON)
    die_once(monkeypatch, submission.operator, "submit", after=True)
    run = submission.task(deferrable=deferrable, retries=5).test()
    assert type(run.error) is SubmissionLostError
    assert run.tries == 2, "what cannot be found again is not looked for again"
    assert len(submission.seen()) == 1


def test_a_lost_submission_is_paid_for_again_when_the_user_says_so(
    submission: SubmissionJob, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission.takes(SOON)
    die_once(monkeypatch, submission.operator, "submit", after=True)
    run = submission.task(deferrable=deferrable, retries=1, on_lost_submission="resubmit").test()
    lost, made = submission.seen()
    assert run.value["submissionId"] in (lost["id"], made["id"])
    assert len(submission.simulator.ledger()["uploads"]) == 2


def test_a_lost_submission_of_blob_paths_cannot_be_paid_for_again(
    submission: SubmissionJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider.operators.mediamagic import MediaMagicUploadFilesOperator as Upload

    upload = submission._task_run(Upload, files=[submission.file("a.txt")]).test()
    blobs = [upload.value[0]["blobPath"]]
    die_once(monkeypatch, submission.operator, "submit", after=True)
    run = submission.task(
        files=None, blob_paths=blobs, retries=1, on_lost_submission="resubmit", deferrable=True
    ).test()
    assert type(run.error) is SubmissionLostError
    assert len(submission.seen()) == 1


def test_a_result_that_airflow_did_not_take_is_returned_by_a_clear(
    job: Job, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.takes(SOON)
    with monkeypatch.context() as patch:
        refuse_results(patch)
        run = job.task(deferrable=deferrable).test()
    (seen,) = job.seen()
    assert type(run.error) is LedgerError
    assert seen["id"] in str(run.error)
    run.clear().attempt()
    assert run.value == job.result_of(seen["id"])
    assert len(job.seen()) == 1


def test_a_worker_that_dies_after_the_record_is_reattached(
    job: Job, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.takes(SOON)
    die_once(monkeypatch, JobOperator, "announce")
    run = job.task(deferrable=deferrable, retries=1).test()
    (seen,) = job.seen()
    assert run.value == job.result_of(seen["id"])


def test_files_uploaded_before_the_worker_died_are_not_uploaded_again(
    submission: SubmissionJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission.takes(SOON)
    die_once(monkeypatch, submission.operator, "submit")
    files = [submission.file("one.txt"), submission.file("two.txt", "Two")]
    submission.task(files=files, retries=1, deferrable=True).test()
    assert len(submission.simulator.ledger()["uploads"]) == 2


def test_a_report_whose_answer_was_lost_is_adopted_at_once(report: ReportJob, deferrable: bool) -> None:
    report.takes(SOON)
    report.simulator.fault("lost_answer", report.create_path, "POST", times=1)
    run = report.task(deferrable=deferrable).test()
    (seen,) = report.seen()
    assert run.value == report.result_of(seen["id"])
    assert report.creations() == 1


@pytest.mark.parametrize("kind", ["lost_answer", "truncate", "garbage", "html", "empty"])
def test_a_submission_whose_answer_was_lost_says_so_and_is_not_sent_again(
    submission: SubmissionJob, kind: str
) -> None:
    submission.takes(SOON)
    submission.simulator.fault(kind, submission.create_path, "POST", times=1)
    run = submission.task(deferrable=True).test()
    assert type(run.error) is SubmitOutcomeUnknownError
    assert f"POST {submission.create_path}" in str(run.error)
    assert submission.creations() == 1


def test_a_retry_after_a_lost_answer_finds_that_the_submission_landed(submission: SubmissionJob) -> None:
    submission.takes(SOON)
    submission.simulator.fault("lost_answer", submission.create_path, "POST", times=1)
    run = submission.task(retries=3, deferrable=True).test()
    assert type(run.error) is SubmissionLostError
    assert len(submission.seen()) == 1


def test_a_retry_after_a_request_that_never_arrived_submits(job: Job, deferrable: bool) -> None:
    job.takes(SOON)
    job.simulator.fault("reset", job.create_path, "POST", times=1)
    run = job.task(retries=1, deferrable=deferrable).test()
    (seen,) = job.seen()
    assert run.value == job.result_of(seen["id"])


def test_a_refused_request_leaves_nothing_to_settle(job: Job) -> None:
    job.takes(SOON)
    job.simulator.fault("status", job.create_path, "POST", status=409, times=1)
    run = job.task(retries=1, deferrable=True).test()
    (seen,) = job.seen()
    assert run.value == job.result_of(seen["id"])


@pytest.mark.parametrize("status", [400, 403])
def test_a_retry_that_may_not_look_pays_nothing(
    job: Job, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.takes(SOON)
    die_once(monkeypatch, JobRun, "proceed")
    run = job.task(retries=1, deferrable=True).attempt()
    job.simulator.fault("status", job.status_path, "GET", status=status)
    run.attempt()
    assert run.state == "failed"
    assert len(job.seen()) == 1


def test_a_job_that_a_refused_key_has_left_is_taken_by_a_clear(
    job: Job, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a wait that such a key has ended."""
    job.takes(ENDLESS)
    die_once(monkeypatch, JobRun, "proceed")
    run = job.task(retries=1, deferrable=deferrable).attempt()
    job.simulator.fault("status", job.status_path, "GET", status=401)
    run.attempt()
    assert type(run.error) is AuthenticationError
    assert "clearing the task, re-attaches to it" in str(run.error)
    job.simulator.clear_faults()
    run.clear()
    run.task.deferrable = True
    run.attempt(until_deferred=True)
    (seen,) = job.seen()
    assert run.xcoms[job.id_key] == seen["id"]
    assert job.simulator.ledger()["cancels"] == []


def test_a_request_that_goes_out_late_is_intended_anew(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later attempt looks for half a minute after the intent: the intent must not age while 429s pass."""
    report.takes(ENDLESS)
    report.simulator.fault("status", report.create_path, "POST", status=429, times=1)
    run = report.task(deferrable=True)
    intents: list[float] = []

    pause = Turns._pause

    def during_the_pause(turns: Turns, seconds: float) -> None:
        intents.append((run.record or {})["intent_at"])
        pause(turns, seconds)

    monkeypatch.setattr(rate_budget, "FIRST_PAUSE", 0.3)
    monkeypatch.setattr(Turns, "_pause", during_the_pause)
    run.attempt(until_deferred=True)
    assert (run.record or {})["intent_at"] > intents[0]


@needs_state_store
def test_an_attempt_that_was_replaced_meanwhile_sends_nothing_more(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow gave it up while it paused for a 429; the next attempt has looked, in vain, and submits."""
    report.takes(ENDLESS)
    report.simulator.fault("status", report.create_path, "POST", status=429, times=1)
    run = report.task(retries=1)

    pause = Turns._pause

    def replaced(turns: Turns, seconds: float) -> None:
        run.replace()
        pause(turns, seconds)

    monkeypatch.setattr(rate_budget, "FIRST_PAUSE", 0.3)
    monkeypatch.setattr(Turns, "_pause", replaced)
    run.attempt()
    assert report.seen() == []


def test_a_changed_request_does_not_inherit_the_job(job: Job) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=True).attempt(until_deferred=True)
    (first,) = job.seen()
    run.clear()
    _change(job, run)
    run.attempt(until_deferred=True)
    assert len(job.seen()) == 2
    assert run.xcoms[job.id_key] != first["id"]


@needs_state_store
def test_a_lost_answer_of_a_changed_request_is_told(
    job: Job, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job.takes(SOON)
    die_once(monkeypatch, job.operator, "submit", after=True)
    run = job.task(retries=1, deferrable=True).attempt()
    _change(job, run)
    run.attempt()
    assert f"sent another request for a {job.listed[:-1]} and recorded no answer" in capfd.readouterr().out


def test_the_report_of_a_changed_request_is_cancelled(report: ReportJob) -> None:
    report.takes(ENDLESS)
    run = report.task(deferrable=True).attempt(until_deferred=True)
    (first,) = report.seen()
    run.clear()
    _change(report, run)
    run.attempt(until_deferred=True)
    assert report.cancels() == [first["id"]]


def test_a_rotated_key_finds_the_same_job(
    job: Job, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.takes(SOON)
    new_key = job.key[:-4] + "beef"
    job.simulator.keys(
        {"key": job.key, "workspace": "ours"}, {"key": new_key, "workspace": "ours"}, restrict=[job.service]
    )
    die_once(monkeypatch, JobOperator, "announce")
    run = job.task(retries=1, deferrable=True).attempt()
    job.simulator.keys({"key": job.key, "state": "revoked", "workspace": "ours"})
    connect(job.service, host=job.simulator.url, password=new_key)
    run.attempt()
    assert run.state == "success"
    assert job.creations() == 1


@needs_state_store
def test_a_key_of_another_account_rules_nothing_out(
    report: ReportJob, connect: Connect, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.takes(SOON)
    die_once(monkeypatch, report.operator, "submit", after=True)
    run = report.task(retries=2, deferrable=deferrable).attempt()
    for key in ("sk-other", report.key):
        connect(report.service, host=report.simulator.url, password=key)
        run.attempt()
    (seen,) = report.seen()
    assert run.value == report.result_of(seen["id"])


@needs_state_store
def test_whose_case_it_is_is_asked_once_in_a_search(
    report: ReportJob, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.takes(SOON)
    monkeypatch.setattr(report.operator, "arrives_within", ARRIVES_WITHIN / 20)
    report.simulator.fault("late", "/api/reports", "POST", delay=50.0 / 20, times=1)
    report.task(deferrable=deferrable, retries=1).test()
    assert len(report.seen()) == 1
    assert report.requests("GET /api/cases/{id}") == 1


def test_a_report_of_another_server_is_not_cancelled_by_its_id(report: ReportJob, connect: Connect) -> None:
    report.takes(ENDLESS)
    run = report.task(deferrable=True).attempt(until_deferred=True).clear()
    other = report.simulator.url.replace("127.0.0.1", "localhost")  # where the id is somebody else's
    connect(report.service, host=other, password=report.key)
    run.attempt(until_deferred=True)
    assert (len(report.seen()), report.cancels()) == (2, [])


@pytest.mark.skipif(has_state_store(), reason="Airflow 3.3 keeps task state")
def test_without_a_state_store_the_log_says_what_is_missing(
    job: Job, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "airflow.executors.local_executor")
    job.takes(SOON)
    job.task(deferrable=True).test()
    assert "a retry finds the" in capfd.readouterr().out


@pytest.mark.skipif(has_state_store(), reason="Airflow 3.3 keeps task state")
def test_without_a_state_store_a_retry_on_the_same_machine_finds_the_job(
    job: Job, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever executor runs the task."""
    monkeypatch.delitem(sys.modules, "airflow.executors.local_executor")
    job.takes(SOON)
    die_once(monkeypatch, JobRun, "proceed")
    run = job.task(retries=1, deferrable=deferrable).attempt()
    run.attempt()
    (seen,) = job.seen()
    assert run.value == job.result_of(seen["id"])


@pytest.mark.skipif(has_state_store(), reason="Airflow 3.3 keeps task state")
def test_a_report_is_cancelled_where_a_retry_may_not_find_it(
    report: ReportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "airflow.executors.local_executor")
    report.takes(ENDLESS)
    monkeypatch.setitem(Wait.__init__.__kwdefaults__, "tolerance", 0.1)  # type: ignore[arg-type]
    report.simulator.fault("status", report.status_path, "GET", status=503)
    report.task(retries=1, deferrable=False).attempt()
    assert report.cancels() == [report.seen()[0]["id"]]


def test_a_report_of_another_dag_on_the_same_case_is_not_taken_for_a_lost_one(
    report: ReportJob, deferrable: bool
) -> None:
    report.takes(SOON)
    case = report.arguments()
    run = report.task(deferrable=deferrable, **case)
    report.simulator.fault("status", "/api/reports", "POST", status=500, times=1)
    run.attempt()
    other = report.task(deferrable=deferrable, **case).test()
    run.attempt()
    ids = [seen["id"] for seen in report.seen()]
    assert [other.value["id"], run.value["id"]] == ids


def test_a_list_that_says_that_there_are_more_reports_rules_nothing_out(
    report: ReportJob, deferrable: bool
) -> None:
    case = report.arguments()
    report.simulator.settings(clock_skew=-7200.0)
    earlier = report.order(case["case_id"])
    report.simulator.settings(clock_skew=0.0)
    report.simulator.fault("reset", report.create_path, "POST", times=1)
    report.simulator.fault("set_field", "/api/reports", "GET", field="data.total", value=2)
    run = report.task(deferrable=deferrable, retries=1, **case).test()
    assert type(run.error) is LedgerError
    assert re.search("Of 2 reports .* 1 are listed.* may be billed.* report_id='...'", str(run.error))
    assert [seen["id"] for seen in report.seen()] == [earlier]


def test_a_report_that_is_carried_out_long_after_its_answer_was_lost_is_found(
    report: ReportJob, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the read timeout of 60 s and half a minute."""
    report.takes(SOON)
    monkeypatch.setattr(report.operator, "arrives_within", ARRIVES_WITHIN / 60)
    report.simulator.fault("late", "/api/reports", "POST", delay=80.0 / 60, times=1)
    run = report.task(deferrable=deferrable, retries=1).test()
    (seen,) = report.seen()
    assert run.value == report.result_of(seen["id"])


def _change(job: Job, run: TaskRun) -> None:
    if job.service == "mediamagic":
        run.task.metadata = {"campaign": "another"}
    else:
        run.task.use_demo_data = True


def test_the_record_holds_no_secret(job: Job) -> None:
    job.takes(SOON)
    run = job.task(deferrable=True).test()
    assert job.key not in json.dumps(run.record)


@needs_state_store
def test_a_record_that_is_owed_outlives_what_airflow_is_told_to_keep(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry or a clear may come later than a record is kept, and would pay again."""
    from airflow.models.task_state_store import TaskStateStoreModel

    def days_left(run: TaskRun) -> int:
        row = fresh_session().query(TaskStateStoreModel).filter_by(dag_id=run.dag.dag_id, key=KEY).one()
        left: float = (row.expires_at - datetime.now(UTC)).total_seconds() / 86400
        return round(left)

    monkeypatch.setenv("AIRFLOW__STATE_STORE__DEFAULT_RETENTION_DAYS", "1")
    job.takes(SOON)
    assert days_left(job.task(deferrable=True).attempt(until_deferred=True)) == 365
    assert days_left(job.task(deferrable=True).test()) == 1
