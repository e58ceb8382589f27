"""A case is invoiced once and its evidence uploaded once, whatever happens to the answers."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider.core.jobs import pay_once as paid
from airflow_provider.exceptions import LedgerError, SubmitOutcomeUnknownError, TransportError
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateCaseOperator as CreateCase,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessUploadEvidenceOperator as UploadEvidence,
)
from airflow_provider.simulator import Simulator
from tests.airflow.conftest import Connect, RunTask
from tests.airflow.interruptions import die_once, refuse_results
from tests.airflow.jobs import ReportJob
from tests.airflow.lone import FakeStateStore, FakeTaskInstance, execute
from tests.airflow.task_run import needs_state_store
from tests.conftest import SILENT_WITNESS_KEY
from tests.simulator.talk import picture

PARTIES: dict[str, Any] = {
    "plaintiff_name": "Ann Smith",
    "defendant_name": "Bob Jones",
    "attorney_name": "Cleo Park",
}

pytestmark = pytest.mark.usefixtures("silent_witness_conn")


def _cases(simulator: Simulator) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = simulator.ledger()["cases"]
    return found


def test_a_case_returns_the_vendors_answer_and_its_id(simulator: Simulator, task_run: RunTask) -> None:
    run = task_run(CreateCase, **PARTIES).test()
    (case,) = _cases(simulator)
    assert run.value["case"]["id"] == case["id"]
    assert "invoice" in run.value
    assert run.xcoms["case_id"] == case["id"]


def test_a_case_whose_answer_was_lost_is_adopted_at_once(simulator: Simulator, task_run: RunTask) -> None:
    simulator.fault("lost_answer", "/api/cases", "POST", times=1)
    run = task_run(CreateCase, **PARTIES).test()
    (case,) = _cases(simulator)
    assert run.value["case"]["id"] == case["id"]


def test_a_case_whose_worker_died_is_adopted_by_the_retry(
    simulator: Simulator, task_run: RunTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_once(monkeypatch, CreateCase, "submit", after=True)
    run = task_run(CreateCase, retries=1, **PARTIES).test()
    (case,) = _cases(simulator)
    assert run.value["case"]["id"] == case["id"]


@needs_state_store
def test_a_key_of_another_account_rules_no_case_out(
    simulator: Simulator, task_run: RunTask, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_once(monkeypatch, CreateCase, "submit", after=True)
    run = task_run(CreateCase, retries=3, **PARTIES).attempt()
    connect("silent_witness", host=simulator.url, password="sk-other")
    run.attempt()
    assert type(run.error) is LedgerError
    assert re.search("another API key .* may be billed.* case_id='...'", str(run.error))
    connect("silent_witness", host=simulator.url, password=SILENT_WITNESS_KEY)
    run.attempt()
    (case,) = _cases(simulator)
    assert run.value["case"]["id"] == case["id"]


def test_a_retry_after_the_record_returns_the_same_case(
    simulator: Simulator, task_run: RunTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_once(monkeypatch, CreateCase, "announce")
    run = task_run(CreateCase, retries=1, **PARTIES).test()
    (case,) = _cases(simulator)
    assert run.value["case"]["id"] == case["id"]


def test_a_cleared_case_is_made_anew_unless_the_user_says_otherwise(
    simulator: Simulator, task_run: RunTask
) -> None:
    kept = task_run(CreateCase, reuse_completed=True, **PARTIES).test().clear().attempt()
    assert kept.state == "success"
    assert len(_cases(simulator)) == 1
    task_run(CreateCase, **PARTIES).test().clear().attempt()
    assert len(_cases(simulator)) == 3


def test_a_case_whose_task_died_before_returning_it_is_not_invoiced_again(
    simulator: Simulator, task_run: RunTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_once(monkeypatch, CreateCase, "announce")
    run = task_run(CreateCase, **PARTIES).attempt().clear().attempt()
    assert run.state == "success"
    assert len(_cases(simulator)) == 1


def test_a_case_that_airflow_did_not_take_is_returned_by_a_clear(
    simulator: Simulator, task_run: RunTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        refuse_results(patch)
        run = task_run(CreateCase, **PARTIES).test()
    assert type(run.error) is LedgerError
    assert run.clear().attempt().state == "success"
    assert len(_cases(simulator)) == 1


def test_a_case_that_is_found_again_holds_no_signed_link(report: ReportJob) -> None:
    report.takes(0)
    made = report.task(deferrable=False).test()
    operator = CreateCase(task_id="job", **PARTIES)
    with operator.hook() as hook:
        told, found = hook.get_case(made.value["case_id"]), operator.fetch(hook, made.value["case_id"])
    assert "http" in json.dumps(told)
    assert "http" not in json.dumps(found)
    assert found["case"]["report"]["id"] == made.value["id"]


def test_the_case_of_other_parties_is_not_adopted(simulator: Simulator, report: ReportJob) -> None:
    report.talk.case(plaintiff_name="Somebody Else")
    simulator.fault("reset", "/api/cases", "POST", times=1)
    with pytest.raises(SubmitOutcomeUnknownError):
        execute(CreateCase(task_id="job", **PARTIES))


def test_an_older_case_of_the_same_parties_is_not_adopted(
    simulator: Simulator, report: ReportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.talk.case(**PARTIES)
    an_hour_later = time.time() + 3600
    monkeypatch.setattr(paid, "time", SimpleNamespace(time=lambda: an_hour_later))
    simulator.fault("reset", "/api/cases", "POST", times=1)
    with pytest.raises(SubmitOutcomeUnknownError):
        execute(CreateCase(task_id="job", **PARTIES))


def test_several_cases_that_it_could_be_are_named(simulator: Simulator, report: ReportJob) -> None:
    store = FakeStateStore()
    simulator.fault("reset", "/api/cases", "POST", times=1)
    with pytest.raises(SubmitOutcomeUnknownError):
        execute(CreateCase(task_id="job", **PARTIES), store=store)
    first, second = report.talk.case(**PARTIES), report.talk.case(**PARTIES)
    with pytest.raises(LedgerError) as caught:
        execute(CreateCase(task_id="job", **PARTIES), store=store, ti=FakeTaskInstance(try_number=2))
    assert first in str(caught.value)
    assert second in str(caught.value)
    assert len(_cases(simulator)) == 2


# -- evidence ----


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    found = []
    for number in range(2):
        path = tmp_path / f"photo_{number}.jpg"
        path.write_bytes(picture((90 + number, 110, 130)))
        found.append(str(path))
    return found


def _uploads(simulator: Simulator) -> int:
    return int(simulator.ledger()["requests"].get("POST /api/files/upload", 0))


def test_evidence_is_returned_in_the_order_of_the_files(
    task_run: RunTask, report: ReportJob, photos: list[str]
) -> None:
    run = task_run(UploadEvidence, case_id=report.talk.case(), files=list(reversed(photos))).test()
    assert [one["file_name"] for one in run.value] == ["photo_1.jpg", "photo_0.jpg"]
    assert all(set(one) == {"file_id", "file_name", "status"} for one in run.value)


def test_evidence_that_is_there_is_not_uploaded_again(
    simulator: Simulator, report: ReportJob, photos: list[str]
) -> None:
    case_id = report.talk.case()
    first = execute(UploadEvidence(task_id="job", case_id=case_id, files=photos))
    second = execute(UploadEvidence(task_id="job", case_id=case_id, files=photos))
    assert [one["file_id"] for one in first] == [one["file_id"] for one in second]
    assert _uploads(simulator) == 2


@pytest.mark.parametrize(
    "name",
    [
        *("Cafe\u0301.jpg", "turned\u202egpj.jpg", "two  blanks.jpg", "tab\t.jpg"),
        *('12" dent.jpg', "two\nlines.jpg", "carriage\rreturn.jpg", "100%22.jpg"),
    ],
)
def test_evidence_is_known_by_its_name_whatever_is_in_it(
    report: ReportJob, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(picture())
    arguments: dict[str, Any] = {"case_id": report.talk.case(), "files": [str(tmp_path / name)]}
    (first,) = execute(UploadEvidence(task_id="job", **arguments))
    (again,) = execute(UploadEvidence(task_id="job", **arguments))

    assert again["file_id"] == first["file_id"]
    assert _uploads(report.simulator) == 1


def test_an_interrupted_upload_goes_on_where_it_stopped(
    simulator: Simulator, task_run: RunTask, report: ReportJob, photos: list[str]
) -> None:
    simulator.fault("status", "/api/files/upload", "POST", status=500, skip=1, times=1)
    run = task_run(UploadEvidence, retries=1, case_id=report.talk.case(), files=photos).test()
    assert run.state == "success"
    assert _uploads(simulator) == 3


@pytest.mark.parametrize(
    "fault", [{"kind": "lost_answer"}, {"kind": "status", "status": 409, "after": True}], ids=["lost", "409"]
)
def test_an_upload_whose_answer_does_not_say_that_it_arrived_is_adopted(
    simulator: Simulator, report: ReportJob, photos: list[str], fault: dict[str, Any]
) -> None:
    simulator.fault(path="/api/files/upload", method="POST", times=1, **fault)
    found = execute(UploadEvidence(task_id="job", case_id=report.talk.case(), files=photos[:1]))
    assert [one["file_name"] for one in found] == ["photo_0.jpg"]
    assert _uploads(simulator) == 1


def test_an_upload_whose_answer_was_lost_is_known_by_its_bytes_whatever_the_service_calls_it(
    simulator: Simulator, report: ReportJob, photos: list[str]
) -> None:
    simulator.fault("lost_answer", "/api/files/upload", "POST", times=1)
    simulator.fault("set_field", "/api/files", "GET", field="data.0.file_name", value="3f_photo.jpg")
    execute(UploadEvidence(task_id="job", case_id=report.talk.case(), files=photos[:1]))
    assert _uploads(simulator) == 1


def test_an_upload_that_did_not_arrive_is_an_error(
    simulator: Simulator, report: ReportJob, photos: list[str]
) -> None:
    simulator.fault("reset", "/api/files/upload", "POST")
    with pytest.raises(TransportError, match="POST /api/files/upload"):
        execute(UploadEvidence(task_id="job", case_id=report.talk.case(), files=photos[:1]))


def test_another_file_of_the_same_name_is_uploaded(
    simulator: Simulator, report: ReportJob, photos: list[str]
) -> None:
    case_id = report.talk.case()
    execute(UploadEvidence(task_id="job", case_id=case_id, files=photos[:1]))
    Path(photos[0]).write_bytes(picture(size=(800, 600)))
    execute(UploadEvidence(task_id="job", case_id=case_id, files=photos[:1]))
    assert _uploads(simulator) == 2


def test_the_same_photo_of_the_other_vehicle_is_uploaded(
    simulator: Simulator, report: ReportJob, photos: list[str]
) -> None:
    case_id = report.talk.case(vehicles=[{"role": "plaintiff"}, {"role": "defendant"}])
    for role in ("plaintiff", "defendant"):
        execute(UploadEvidence(task_id="job", case_id=case_id, files=photos[:1], vehicle_role=role))
    assert _uploads(simulator) == 2
