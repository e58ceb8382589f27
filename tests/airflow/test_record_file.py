"""With a record file, a retry or a clear finds the paid job where Airflow has discarded its own record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider.core.jobs.run import JobRun
from airflow_provider.exceptions import LedgerError
from tests.airflow.interruptions import die_once
from tests.airflow.jobs import SOON, Job
from tests.service.files.s3_server import BUCKET, CONN_ID, S3Server, s3_server


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for records, switched on."""
    folder = tmp_path / "records"
    folder.mkdir()
    monkeypatch.setenv("AIRFLOW__AIRFLOW_PROVIDER__JOB_RECORDS_PATH", str(folder))
    return folder


def _is_found_by_a_retry(job: Job, monkeypatch: pytest.MonkeyPatch, *, deferrable: bool) -> None:
    job.takes(SOON)
    die_once(monkeypatch, JobRun, "proceed")
    run = job.task(deferrable=deferrable, retries=1).attempt()
    run.discard_task_state()
    run.attempt()
    (seen,) = job.seen()
    assert run.value == job.result_of(seen["id"])


def test_a_retry_finds_the_job_whose_worker_died(
    job: Job, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _is_found_by_a_retry(job, monkeypatch, deferrable=deferrable)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """An S3 bucket for records."""
    server = s3_server()
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", server.connection)
    monkeypatch.setenv("AIRFLOW__AIRFLOW_PROVIDER__JOB_RECORDS_PATH", f"s3://{CONN_ID}@{BUCKET}/records")
    server.fill()
    yield server
    server.clear()


def test_records_in_a_store_are_found_as_well(
    job: Job, bucket: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _is_found_by_a_retry(job, monkeypatch, deferrable=False)
    (name,) = (name for name in bucket.names() if name.startswith("records/"))
    assert name.endswith(".json")


def test_a_cleared_success_is_reused_when_the_user_says_so(job: Job, deferrable: bool) -> None:
    job.takes(SOON)
    run = job.task(deferrable=deferrable, reuse_completed=True).test()
    first = run.value
    run.clear().discard_task_state()
    run.attempt()
    assert run.value == first
    assert len(job.seen()) == 1


def test_nothing_is_sent_when_the_file_is_broken(job: Job, folder: Path) -> None:
    job.takes(SOON)
    run = job.task(deferrable=False).test()
    (file,) = (path for path in folder.rglob("*") if path.is_file())
    file.write_text("{")
    before = job.simulator.ledger()["total_requests"]
    run.clear().discard_task_state()
    run.attempt()
    assert type(run.error) is LedgerError
    assert str(file) in str(run.error)
    assert job.simulator.ledger()["total_requests"] == before


def test_nothing_is_sent_when_the_folder_is_away(job: Job, folder: Path) -> None:
    folder.rmdir()
    run = job.task(deferrable=False)
    before = job.simulator.ledger()["total_requests"]
    run.test()
    assert type(run.error) is LedgerError
    assert job.simulator.ledger()["total_requests"] == before


def test_no_key_is_in_a_file(job: Job, folder: Path) -> None:
    job.takes(SOON)
    job.task(deferrable=False).test()
    (file,) = (path for path in folder.rglob("*") if path.is_file())
    assert job.key not in file.read_text()
