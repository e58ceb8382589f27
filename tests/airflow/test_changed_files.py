"""What is reviewed is what the files hold: changed bytes are sent anew, the same bytes once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.core.budget.turn_queue import Priority, Ticket
from airflow_provider.core.budget.turns import TurnAwaitedError
from airflow_provider.core.jobs import pay_once
from airflow_provider.exceptions import LedgerError, PermissionDeniedError, ProviderError
from airflow_provider.operators.mediamagic import (
    MediaMagicCreateSubmissionOperator as CreateSubmission,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicUploadFilesOperator as UploadFiles,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessUploadEvidenceOperator as UploadEvidence,
)
from airflow_provider.operators.silent_witness.case_files import CaseFiles
from airflow_provider.simulator import Simulator
from tests.airflow.interruptions import die_once
from tests.airflow.jobs import ReportJob
from tests.airflow.lone import FakeStateStore, FakeTaskInstance, TaskDeferred, execute
from tests.airflow.task_run import WorkerDied
from tests.simulator.talk import picture

SUBMISSIONS, DIRECT, EVIDENCE = (
    "/api/integrations/submissions",
    "/api/integrations/uploads/direct",
    "/api/files/upload",
)


def written(path: Path, text: str, *, age: float = 60.0) -> str:
    """A file that was last changed some time ago."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    now = path.stat().st_mtime
    os.utime(path, (now - age, now - age))
    return str(path)


@pytest.fixture
def store() -> FakeStateStore:
    """The record that the attempts of a test share."""
    return FakeStateStore()


@pytest.fixture(autouse=True)
def _refusals_are_believed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pay_once, "READ_PAUSES", (0.01,))


@pytest.mark.usefixtures("mediamagic_conn")
class TestMedia:
    """Files for MediaMagic."""

    @staticmethod
    def submit(
        store: FakeStateStore, files: list[str] | None, ti: FakeTaskInstance | None = None, **arguments: Any
    ) -> Any:
        task = CreateSubmission(
            task_id="job", files=files, wait_for_completion=False, deferrable=False, **arguments
        )
        return execute(task, store=store, ti=ti)

    def refused(self, simulator: Simulator, store: FakeStateStore, files: list[str], status: int) -> None:
        simulator.fault("status", SUBMISSIONS, "POST", status=status, times=1)
        with pytest.raises(ProviderError):
            self.submit(store, files)

    @staticmethod
    def blobs(simulator: Simulator) -> tuple[list[str], list[str]]:
        ledger = simulator.ledger()
        (submission,) = ledger["submissions"]
        return [one["blob_path"] for one in ledger["uploads"]], submission["blob_paths"]

    @pytest.mark.parametrize("age", [60.0, 0.0], ids=["another time", "the same time"])
    def test_a_file_replaced_by_one_of_its_size_is_submitted_as_it_is_now(
        self, simulator: Simulator, store: FakeStateStore, tmp_path: Path, age: float
    ) -> None:
        file = written(tmp_path / "a.txt", "The old words")
        self.refused(simulator, store, [file], 402)
        before = os.stat(file)
        written(tmp_path / "a.txt", "The new words", age=age)
        if not age:
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.submit(store, [file])
        uploaded, submitted = self.blobs(simulator)
        assert len(uploaded) == 2
        assert submitted == uploaded[1:]

    def test_a_file_that_was_only_touched_is_not_uploaded_again(
        self, simulator: Simulator, store: FakeStateStore, tmp_path: Path
    ) -> None:
        file = written(tmp_path / "a.txt", "The same words")
        self.refused(simulator, store, [file], 402)
        os.utime(file)
        self.submit(store, [file])
        uploaded, submitted = self.blobs(simulator)
        assert submitted == uploaded

    def test_other_bytes_than_those_of_an_unanswered_request_are_not_decided_on(
        self, simulator: Simulator, store: FakeStateStore, tmp_path: Path
    ) -> None:
        file = written(tmp_path / "a.txt", "The old words")
        self.refused(simulator, store, [file], 503)
        written(tmp_path / "a.txt", "The new words")
        with pytest.raises(LedgerError, match=r"a\.txt has changed .*submission_id='\.\.\.'"):
            self.submit(store, [file])
        assert simulator.ledger()["submissions"] == []
        self.submit(store, [file], on_lost_submission="resubmit")
        uploaded, submitted = self.blobs(simulator)
        assert submitted == uploaded[1:]

    def test_an_unanswered_request_is_settled_though_its_files_are_gone(
        self, simulator: Simulator, store: FakeStateStore, tmp_path: Path
    ) -> None:
        file = written(tmp_path / "a.txt", "The old words")
        self.refused(simulator, store, [file], 503)
        os.unlink(file)
        self.submit(store, [file])
        uploaded, submitted = self.blobs(simulator)
        assert submitted == uploaded

    def test_files_that_were_uploaded_and_replaced_are_uploaded_anew(
        self, simulator: Simulator, store: FakeStateStore, tmp_path: Path
    ) -> None:
        files = [written(tmp_path / f"{name}.txt", f"The old words of {name}") for name in "ab"]
        simulator.fault("status", DIRECT, "POST", status=500, skip=1, times=1)
        with pytest.raises(ProviderError):
            execute(UploadFiles(task_id="job", files=files, max_parallel=1), store=store)
        written(tmp_path / "a.txt", "The new words of a")
        written(tmp_path / "c.txt", "Matched by a glob later")
        done = execute(UploadFiles(task_id="job", files=files), store=store)
        uploads = [one["blob_path"] for one in simulator.ledger()["uploads"]]
        assert len(uploads) == 3
        assert uploads[0] not in [one["blobPath"] for one in done]

    def test_a_glob_that_matches_one_more_file_uploads_that_one(
        self, simulator: Simulator, store: FakeStateStore, tmp_path: Path
    ) -> None:
        for name in "ab":
            written(tmp_path / f"{name}.txt", f"The words of {name}")
        simulator.fault("status", DIRECT, "POST", status=500, skip=1, times=1)
        task = UploadFiles(task_id="job", files=[f"{tmp_path}/*.txt"], max_parallel=1)
        with pytest.raises(ProviderError):
            execute(task, store=store)
        written(tmp_path / "c.txt", "The words of c")
        assert len(execute(task, store=store)) == 3
        assert len(simulator.ledger()["uploads"]) == 3

    @pytest.mark.parametrize(("status", "times"), [(403, 2), (404, 2), (415, 1)])
    def test_a_recorded_upload_that_stays_refused_is_uploaded_anew(
        self, simulator: Simulator, store: FakeStateStore, tmp_path: Path, status: int, times: int
    ) -> None:
        file = written(tmp_path / "a.txt", "The words")
        self.refused(simulator, store, [file], 402)
        simulator.fault("status", SUBMISSIONS, "POST", status=status, times=times)
        self.submit(store, [file])
        uploaded, submitted = self.blobs(simulator)
        assert len(uploaded) == 2
        assert submitted == uploaded[1:]

    @pytest.mark.parametrize("status", [403, 404])
    @pytest.mark.parametrize("earlier", [None, 402, 503], ids=["fresh", "recorded", "without an answer"])
    def test_an_upload_that_is_not_seen_at_once_is_submitted_when_it_is(
        self, simulator: Simulator, store: FakeStateStore, tmp_path: Path, status: int, earlier: int | None
    ) -> None:
        file = written(tmp_path / "a.txt", "The words")
        if earlier:
            self.refused(simulator, store, [file], earlier)
        simulator.fault("status", SUBMISSIONS, "POST", status=status, times=1)
        self.submit(store, [file])
        uploaded, submitted = self.blobs(simulator)
        assert submitted == uploaded

    def test_a_blob_path_that_is_not_seen_at_once_is_submitted_when_it_is(
        self, simulator: Simulator, store: FakeStateStore, tmp_path: Path
    ) -> None:
        (done,) = execute(UploadFiles(task_id="job", files=[written(tmp_path / "a.txt", "The words")]))
        simulator.fault("status", SUBMISSIONS, "POST", status=404, times=1)
        self.submit(store, None, blob_paths=[done["blobPath"]])
        uploaded, submitted = self.blobs(simulator)
        assert submitted == uploaded

    def test_uploads_that_stay_refused_are_sent_once_per_attempt(
        self, simulator: Simulator, store: FakeStateStore, tmp_path: Path
    ) -> None:
        file = written(tmp_path / "a.txt", "The words")
        simulator.fault("status", SUBMISSIONS, "POST", status=403)
        for attempt in (1, 2):
            with pytest.raises(PermissionDeniedError):
                self.submit(store, [file])
            assert len(simulator.ledger()["uploads"]) == attempt
        simulator.clear_faults()
        self.submit(store, [file])
        uploaded, submitted = self.blobs(simulator)
        assert submitted == uploaded[2:]

    @pytest.mark.parametrize("how", ["clear", "resubmit"])
    def test_an_unanswered_request_whose_uploads_are_refused_is_paid_for_when_the_user_says_so(
        self, simulator: Simulator, store: FakeStateStore, tmp_path: Path, how: str
    ) -> None:
        file = written(tmp_path / "a.txt", "The words")
        self.refused(simulator, store, [file], 503)
        simulator.fault("status", SUBMISSIONS, "POST", status=403, times=4)
        with pytest.raises(LedgerError, match="clear the task"):
            self.submit(store, [file])
        if how == "clear":
            self.submit(store, [file], ti=FakeTaskInstance(try_number=2, max_tries=1))
        else:
            self.submit(store, [file], on_lost_submission="resubmit")
        uploaded, submitted = self.blobs(simulator)
        assert submitted == uploaded[1:]


def _no_turn(*args: Any) -> Any:
    """In place of an upload."""
    raise TurnAwaitedError(Ticket("job", Priority.FINISH, 0.0), wait=30.0, ahead=0, pause=0.0, now=1e9)


class TestEvidence:
    """Photos for a case."""

    @staticmethod
    def photo(path: Path, red: int) -> str:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture((red, 110, 130)))
        os.utime(path, (path.stat().st_mtime - 60,) * 2)
        return str(path)

    @staticmethod
    def upload(store: FakeStateStore, case_id: str, files: list[str], **arguments: Any) -> Any:
        return execute(UploadEvidence(task_id="job", case_id=case_id, files=files, **arguments), store=store)

    @staticmethod
    def uploads(simulator: Simulator) -> list[str]:
        return [one["file_id"] for one in simulator.ledger()["uploads"]]

    @staticmethod
    def lists(simulator: Simulator) -> int:
        return int(simulator.ledger()["requests"].get("GET /api/files", 0))

    @pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "not recorded"])
    def test_a_photo_replaced_by_one_of_its_size_is_uploaded(
        self, simulator: Simulator, report: ReportJob, tmp_path: Path, recorded: bool
    ) -> None:
        case_id, store = report.talk.case(), FakeStateStore()
        file = self.photo(tmp_path / "front.jpg", 90)
        self.upload(store, case_id, [file])
        size = os.path.getsize(file)
        self.photo(tmp_path / "front.jpg", 91)
        assert os.path.getsize(file) == size
        (found,) = self.upload(store if recorded else FakeStateStore(), case_id, [file])
        assert [found["file_id"]] == self.uploads(simulator)[1:]

    @pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "not recorded"])
    def test_two_photos_of_one_name_and_size_both_arrive(
        self, simulator: Simulator, report: ReportJob, tmp_path: Path, recorded: bool
    ) -> None:
        case_id, store = report.talk.case(), FakeStateStore()
        files = [
            self.photo(tmp_path / side / "front.jpg", red) for side, red in (("left", 90), ("right", 91))
        ]
        simulator.fault("status", EVIDENCE, "POST", status=500, skip=1, times=1)
        with pytest.raises(ProviderError):
            self.upload(store, case_id, files[::-1])
        found = self.upload(store if recorded else FakeStateStore(), case_id, files)
        uploads = self.uploads(simulator)
        assert [one["file_id"] for one in found] == uploads[::-1]
        assert len(uploads) == 2

    @pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "not recorded"])
    def test_each_file_arrives_once_where_the_list_is_of_the_older_form(
        self, simulator: Simulator, report: ReportJob, tmp_path: Path, recorded: bool
    ) -> None:
        simulator.settings(older_file_list=True)
        case_id, store = report.talk.case(), FakeStateStore()
        files = [self.photo(tmp_path / f"{number}.jpg", 90 + number) for number in range(3)]
        simulator.fault("lost_answer", EVIDENCE, "POST", skip=1, times=1)
        simulator.fault("status", EVIDENCE, "POST", status=500, skip=1, times=1)
        with pytest.raises(ProviderError):
            self.upload(store, case_id, files, max_parallel=1)
        found = self.upload(store if recorded else FakeStateStore(), case_id, files)
        assert [one["file_id"] for one in found] == self.uploads(simulator)
        assert len(found) == 3

    def test_an_upload_that_arrives_after_its_worker_has_died_is_not_sent_again(
        self, simulator: Simulator, report: ReportJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(UploadEvidence, "arrives_within", 0.5)
        die_once(monkeypatch, CaseFiles, "_find_lost")
        sent, send = [], CaseFiles._send

        def noted(own: CaseFiles, hook: Any, part: Any, source: Any, media_type: str) -> Any:
            sent.append(source.name)
            return send(own, hook, part, source, media_type)

        monkeypatch.setattr(CaseFiles, "_send", noted)
        simulator.fault("late", EVIDENCE, "POST", delay=0.5, times=1)
        case_id, store = report.talk.case(), FakeStateStore()
        files = [self.photo(tmp_path / f"{number}.jpg", 90 + number) for number in range(2)]
        with pytest.raises(WorkerDied):
            self.upload(store, case_id, files, max_parallel=1)
        found = self.upload(store, case_id, files)
        assert sorted(one["file_id"] for one in found) == sorted(self.uploads(simulator))
        assert sorted(sent) == ["0.jpg", "1.jpg"]

    @pytest.mark.parametrize("end", ["refused", "rate limit used up"])
    def test_after_an_orderly_end_nothing_is_waited_for(
        self,
        simulator: Simulator,
        report: ReportJob,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        end: str,
    ) -> None:
        monkeypatch.setattr(UploadEvidence, "arrives_within", 0.5)
        case_id, store = report.talk.case(), FakeStateStore()
        files = [self.photo(tmp_path / f"{number}.jpg", 90 + number) for number in range(3)]
        if end == "refused":
            simulator.fault("status", EVIDENCE, "POST", status=403, times=1)
            with pytest.raises(PermissionDeniedError):
                self.upload(store, case_id, files)
        else:
            send = CaseFiles.upload
            monkeypatch.setattr(CaseFiles, "upload", _no_turn)
            with pytest.raises(TaskDeferred):
                self.upload(store, case_id, files, deferrable=True)
            monkeypatch.setattr(CaseFiles, "upload", send)
        before = self.lists(simulator)
        self.upload(store, case_id, files)
        assert self.lists(simulator) == before + 1
        assert len(self.uploads(simulator)) == 3

    def test_the_same_photo_of_both_vehicles_arrives_twice_where_the_list_is_of_the_older_form(
        self, simulator: Simulator, report: ReportJob, tmp_path: Path
    ) -> None:
        simulator.settings(older_file_list=True)
        case_id = report.talk.case(vehicles=[{"role": "plaintiff"}, {"role": "defendant"}])
        files = [self.photo(tmp_path / "front.jpg", 90)]
        for role in ("plaintiff", "defendant") * 2:
            self.upload(FakeStateStore(), case_id, files, vehicle_role=role)
        assert len(self.uploads(simulator)) == 2

    @pytest.mark.parametrize(
        ("kind", "change"),
        [
            ("null_data", {}),
            ("drop_field", {"field": "data"}),
            ("set_field", {"field": "data", "value": {}}),
            ("set_field", {"field": "data", "value": {"files": None, "total": 0}}),
        ],
        ids=["null", "missing", "an object", "an object without a list"],
    )
    def test_an_empty_list_may_be_none(
        self, simulator: Simulator, report: ReportJob, tmp_path: Path, kind: str, change: dict[str, Any]
    ) -> None:
        simulator.fault(kind, "/api/files", "GET", **change)
        files = [self.photo(tmp_path / "front.jpg", 90)]
        found = self.upload(FakeStateStore(), report.talk.case(), files)
        assert [one["file_id"] for one in found] == self.uploads(simulator)
