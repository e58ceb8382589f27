"""Several files side by side through the operators: at once, recorded, and not sent a second time."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.exceptions import InvalidInputError, ServerError, TransferError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.operators.mediamagic import MediaMagicCreateSubmissionOperator as CreateSubmission
from airflow_provider.operators.mediamagic import MediaMagicUploadFilesOperator as UploadFiles
from airflow_provider.operators.silent_witness import SilentWitnessUploadEvidenceOperator as UploadEvidence
from tests.airflow.conftest import RunTask
from tests.airflow.jobs import SOON, ReportJob, SubmissionJob
from tests.airflow.lone import FakeStateStore, FakeTaskInstance, execute
from tests.simulator.talk import picture

DIRECT = "/api/integrations/uploads/direct"


def arrived(job: SubmissionJob) -> list[str]:
    """The names of the files that MediaMagic holds."""
    return sorted(one["blob_path"].rpartition("/")[2] for one in job.simulator.ledger()["uploads"])


def files(job: SubmissionJob, count: int) -> list[str]:
    return [job.file(f"{number}.txt", f"File {number}, guaranteed") for number in range(count)]


def test_files_are_uploaded_at_once_and_returned_in_their_order(
    submission: SubmissionJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, hooks = threading.Barrier(3), set()
    upload = MediaMagicHook.upload_direct

    def when_three_are_under_way(self: MediaMagicHook, *args: Any) -> Any:
        together.wait(60)
        hooks.add(self)
        return upload(self, *args)

    monkeypatch.setattr(MediaMagicHook, "upload_direct", when_three_are_under_way)
    paths = files(submission, 6)
    found = execute(UploadFiles(task_id="job", files=paths, max_parallel=3))
    assert len(hooks) == 3, "a session is not promised to be thread-safe"
    assert [one["filename"] for one in found] == [Path(path).name for path in paths]
    assert len({one["blobPath"] for one in found}) == 6
    assert submission.simulator.ledger()["api_key_at_storage"] == 0


def test_what_arrived_is_recorded_although_another_file_failed(submission: SubmissionJob) -> None:
    submission.simulator.fault("status", DIRECT, "POST", status=500, skip=2, times=1)
    store, paths = FakeStateStore(), files(submission, 5)
    with pytest.raises(ServerError):
        execute(CreateSubmission(task_id="job", files=paths, max_parallel=2), store=store)
    (record,) = store.values.values()
    blobs = record["details"]["blobs"]
    assert sorted(path.rpartition("/")[2] for path in blobs.values()) == arrived(submission)
    assert 2 <= len(blobs) <= 4
    assert submission.creations() == 0


def test_a_retry_sends_only_what_is_missing(submission: SubmissionJob) -> None:
    submission.takes(SOON)
    submission.simulator.fault("status", DIRECT, "POST", status=500, skip=2, times=1)
    store, paths = FakeStateStore(), files(submission, 5)
    arguments: dict[str, Any] = {"task_id": "job", "files": paths, "wait_for_completion": False}
    with pytest.raises(ServerError):
        execute(CreateSubmission(**arguments), store=store)
    execute(CreateSubmission(**arguments), store=store, ti=FakeTaskInstance(try_number=2))
    assert arrived(submission) == [f"{number}.txt" for number in range(5)]
    assert submission.creations() == 1


def test_files_that_were_uploaded_by_an_earlier_attempt_are_returned_too(submission: SubmissionJob) -> None:
    submission.simulator.fault("status", DIRECT, "POST", status=500, skip=1, times=1)
    store, paths = FakeStateStore(), files(submission, 3)
    with pytest.raises(ServerError):
        execute(UploadFiles(task_id="job", files=paths, max_parallel=1), store=store)
    found = execute(UploadFiles(task_id="job", files=paths), store=store)
    assert [one["filename"] for one in found] == ["0.txt", "1.txt", "2.txt"]
    assert arrived(submission) == ["0.txt", "1.txt", "2.txt"]


@pytest.mark.parametrize("change", ["another file", "a clear"])
def test_another_request_or_a_clear_uploads_anew(submission: SubmissionJob, change: str) -> None:
    store, paths = FakeStateStore(), files(submission, 2)
    execute(UploadFiles(task_id="job", files=paths), store=store)
    again = paths if change == "a clear" else [*paths, submission.file("more.txt")]
    ti = FakeTaskInstance(max_tries=1 if change == "a clear" else 0)
    execute(UploadFiles(task_id="job", files=again), store=store, ti=ti)
    assert len(arrived(submission)) == 2 + len(again)


def test_in_airflow_a_retry_of_an_upload_sends_only_what_is_missing(
    submission: SubmissionJob, task_run: RunTask
) -> None:
    submission.simulator.fault("status", DIRECT, "POST", status=500, skip=1, times=1)
    run = task_run(UploadFiles, retries=1, files=files(submission, 3), max_parallel=1).test()
    assert [one["filename"] for one in run.value] == ["0.txt", "1.txt", "2.txt"]
    assert arrived(submission) == ["0.txt", "1.txt", "2.txt"]


def test_evidence_is_uploaded_side_by_side_and_a_failure_keeps_the_rest(
    report: ReportJob, tmp_path: Path
) -> None:
    photos = []
    for number in range(5):
        photos.append(tmp_path / f"{number}.jpg")
        photos[-1].write_bytes(picture((50 * number, 110, 130)))
    case_id = report.talk.case()
    arguments: dict[str, Any] = {"task_id": "job", "case_id": case_id, "files": list(map(str, photos))}
    report.simulator.fault("status", "/api/files/upload", "POST", status=500, skip=1, times=1)
    with pytest.raises(ServerError):
        execute(UploadEvidence(**arguments))
    found = execute(UploadEvidence(**arguments))
    assert [one["file_name"] for one in found] == [photo.name for photo in photos]
    listed = report.talk.send("GET", f"/api/files?caseId={case_id}").json()["data"]
    assert sorted(one["file_name"] for one in listed) == [photo.name for photo in photos]


def test_a_kill_ends_the_uploads_and_nothing_is_submitted(
    submission: SubmissionJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = CreateSubmission(task_id="job", files=files(submission, 3), max_parallel=1)
    upload = MediaMagicHook.upload_direct

    def killed_on_the_way(self: Any, *args: Any) -> Any:
        found = upload(self, *args)
        operator.on_kill()
        return found

    monkeypatch.setattr(MediaMagicHook, "upload_direct", killed_on_the_way)
    with pytest.raises(TransferError, match="The task was killed"):
        execute(operator)
    assert submission.creations() == 0
    assert len(arrived(submission)) == 1


@pytest.mark.parametrize("operator", [CreateSubmission, UploadFiles])
def test_max_parallel_is_checked_before_anything_is_sent(submission: SubmissionJob, operator: Any) -> None:
    with pytest.raises(InvalidInputError, match="max_parallel"):
        execute(operator(task_id="job", files=files(submission, 1), max_parallel=0))
    assert arrived(submission) == []
