"""Answers that contradict themselves: what cannot be told is an error, and never a pass or a success."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.exceptions import MalformedResponseError, TransferError
from airflow_provider.operators.mediamagic import (
    MediaMagicComplianceGateOperator as Gate,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicGetIssuesOperator as GetIssues,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicUploadFilesOperator as UploadFiles,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessDownloadReportOperator as DownloadReport,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessUploadEvidenceOperator as UploadEvidence,
)
from airflow_provider.operators.silent_witness import documents
from airflow_provider.simulator import Simulator
from tests.airflow.jobs import ReportJob, SubmissionJob
from tests.airflow.lone import execute
from tests.simulator.talk import picture

# -- issues --------------------------------------------------------------------------------------------------


def issue(number: int, severity: str = "INFO") -> dict[str, Any]:
    named = {"id": f"iss-{number}", "referenceNumber": number, "ruleCode": "CAP_1", "summary": "."}
    return {**named, "severity": severity, "status": "OPEN"}


@pytest.fixture
def reviewed(submission: SubmissionJob) -> dict[str, Any]:
    """A submission of one asset, the review of which has ended."""
    submission.takes(0)
    submission_id = submission.order()
    submission.simulator.advance(60)
    return submission.vendor_says(submission_id)


CONTRADICTIONS: dict[str, tuple[dict[str, Any], Any, str]] = {
    "a count and no issues": ({"issueCount": 3, "issues": []}, [], "issueCount is 3"),
    "fewer than counted": ({"issueCount": 2, "issues": [issue(1)]}, [issue(1)], "issueCount is 2"),
    "fewer than there are": (
        {"issueCount": 1, "issues": [issue(1)]},
        {"issues": [issue(1)], "pagination": {"total": 3}},
        "1 of 3 issues",
    ),
    "a count in words and fewer": ({"issueCount": "2", "issues": [issue(1)]}, [issue(1)], "issueCount is 2"),
    "a page with a next one": (
        {"issueCount": 1, "issues": [issue(1)]},
        {"issues": [issue(1)], "hasMore": True},
        "1 and more issues",
    ),
    "one that is not listed": (
        {"issueCount": 1, "issues": [issue(2, "CRITICAL")]},
        [issue(1)],
        "iss-2",
    ),
    "one without an id": (
        {"issueCount": 1, "issues": [issue(1)]},
        [{name: value for name, value in issue(1).items() if name != "id"}],
        "iss-1",
    ),
    "the result of another asset": ({"assetId": "other", "issues": []}, [], "another asset .'other'"),
    "one of another severity": (
        {"issueCount": 1, "issues": [issue(1, "CRITICAL")]},
        [issue(1)],
        "CRITICAL",
    ),
}


@pytest.fixture(params=CONTRADICTIONS)
def told(request: pytest.FixtureRequest, reviewed: dict[str, Any], simulator: Simulator) -> Iterator[str]:
    """Makes the service contradict itself; yields what the error has to say."""
    asset, issues, said = CONTRADICTIONS[request.param]
    asset_id = reviewed["assets"][0]["assetId"]
    body = {"assetId": asset_id, "filename": "ad.txt", "status": "complete", **asset}
    simulator.fault("status", f"*/assets/{asset_id}", "GET", status=200, body=body)
    simulator.fault("status", f"*/assets/{asset_id}/issues", "GET", status=200, body=issues)
    yield said
    simulator.clear_faults()


def test_a_gate_does_not_pass_what_it_cannot_tell(reviewed: dict[str, Any], told: str) -> None:
    gate = Gate(task_id="job", submission_id=reviewed["submissionId"], policy={"block_at": "CRITICAL"})
    with pytest.raises(MalformedResponseError, match=told):
        execute(gate)


def test_such_issues_do_not_land(reviewed: dict[str, Any], told: str, tmp_path: Path) -> None:
    """A gate that reads the file could not tell any more."""
    target = tmp_path / "issues.jsonl"
    asset_id = reviewed["assets"][0]["assetId"]
    with pytest.raises(MalformedResponseError, match=told):
        execute(
            GetIssues(
                task_id="job",
                submission_id=reviewed["submissionId"],
                asset_id=asset_id,
                output_path=str(target),
            )
        )
    assert not target.exists()


def test_a_gate_does_not_pass_a_result_with_fewer_issues_than_it_counts() -> None:
    asset = {"assetId": "one", "filename": "a.txt", "status": "complete", "issueCount": 3, "issues": []}
    with pytest.raises(MalformedResponseError, match="issueCount is 3"):
        execute(Gate(task_id="job", issues=[asset]))


def test_a_gate_does_not_pass_fewer_issues_than_the_submission_counts(
    reviewed: dict[str, Any], simulator: Simulator
) -> None:
    assets = [{**asset, "issueCount": 99} for asset in reviewed["assets"]]
    path = f"*/submissions/{reviewed['submissionId']}"
    simulator.fault("set_field", path, "GET", field="assets", value=assets)
    gate = Gate(task_id="job", submission_id=reviewed["submissionId"], policy={"block_at": None})
    with pytest.raises(MalformedResponseError, match="issueCount is 99"):
        execute(gate)


def test_more_issues_than_counted_are_judged(reviewed: dict[str, Any], simulator: Simulator) -> None:
    asset_id = reviewed["assets"][0]["assetId"]
    simulator.fault("set_field", f"*/assets/{asset_id}", "GET", field="issueCount", value=0)
    policy: dict[str, Any] = {"block_at": None, "insist_on_statuses": []}
    verdict = execute(Gate(task_id="job", submission_id=reviewed["submissionId"], policy=policy))
    assert verdict["judged"] > 0


# -- uploads -------------------------------------------------------------------------------------------------


def test_evidence_that_the_service_calls_an_error_is_not_uploaded(report: ReportJob, tmp_path: Path) -> None:
    photo = tmp_path / "rear.jpg"
    photo.write_bytes(picture())
    report.simulator.fault(
        "set_field", "/api/files/upload", "POST", field="data.status", value="error", times=1
    )
    with pytest.raises(TransferError, match=r"rear\.jpg.*'error'"):
        execute(UploadEvidence(task_id="job", case_id=report.talk.case(), files=[str(photo)]))


def test_media_that_the_service_calls_an_error_are_not_uploaded(submission: SubmissionJob) -> None:
    submission.simulator.fault(
        "set_field", "*/uploads/direct", "POST", field="status", value="error", times=1
    )
    with pytest.raises(TransferError, match=r"claims\.txt.*'error'"):
        execute(UploadFiles(task_id="job", files=[submission.file("claims.txt")]))


ROLE = {"file_category": "vehicle_photo", "vehicle_role": "plaintiff"}


@pytest.mark.parametrize("present", [0, 1, 2])
def test_two_photos_of_one_name_and_size_both_arrive(report: ReportJob, tmp_path: Path, present: int) -> None:
    files = []
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        files.append(tmp_path / side / "front.jpg")
        files[-1].write_bytes(picture())
    assert len({path.stat().st_size for path in files}) == 1
    case_id = report.talk.case()
    for path in files[:present]:
        report.talk.upload(case_id, path.name, path.read_bytes(), **ROLE)
    before = report.requests("POST /api/files/upload")
    found = execute(UploadEvidence(task_id="job", case_id=case_id, files=[str(path) for path in files]))
    assert len({one["file_id"] for one in found}) == 2
    assert report.requests("POST /api/files/upload") - before == 2 - present


def test_both_arrive_when_an_answer_is_lost(report: ReportJob, tmp_path: Path) -> None:
    files = []
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        files.append(tmp_path / side / "front.jpg")
        files[-1].write_bytes(picture())
    report.simulator.fault("lost_answer", "/api/files/upload", "POST", skip=1, times=1)
    found = execute(
        UploadEvidence(task_id="job", case_id=report.talk.case(), files=[str(path) for path in files])
    )
    assert len({one["file_id"] for one in found}) == 2
    assert report.requests("POST /api/files/upload") == 2


# -- documents -----------------------------------------------------------------------------------------------


@pytest.fixture
def report_id(report: ReportJob) -> str:
    report.takes(0)
    return report.order()


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing sleeps between polls."""
    monkeypatch.setattr(documents, "OUTPUT_PAUSE", 0.0)


def download(report_id: str, folder: Path, **arguments: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = execute(
        DownloadReport(task_id="job", report_id=report_id, output_path=str(folder), **arguments)
    )
    return found


def test_one_answer_serves_both_documents(report: ReportJob, report_id: str, tmp_path: Path) -> None:
    before = report.requests("GET /api/reports/{id}")
    assert len(download(report_id, tmp_path)) == 2
    assert report.requests("GET /api/reports/{id}") - before == 1


def test_a_completed_report_without_output_is_asked_for_again(
    report: ReportJob, report_id: str, tmp_path: Path, no_pause: None
) -> None:
    report.simulator.fault("set_field", report.status_path, "GET", field="data.output", value=None, times=2)
    assert len(download(report_id, tmp_path)) == 2
    assert report.requests("GET /api/reports/{id}") == 3


def test_a_completed_report_that_stays_without_output_is_an_error(
    report: ReportJob, report_id: str, tmp_path: Path, no_pause: None
) -> None:
    report.simulator.fault("set_field", report.status_path, "GET", field="data.output", value=None)
    with pytest.raises(MalformedResponseError, match=r"no output\.pdf_url"):
        download(report_id, tmp_path)
    assert report.requests("GET /api/reports/{id}") == documents.OUTPUT_POLLS + 1


def test_an_absent_format_is_named_beside_the_one_there_is(
    report: ReportJob, report_id: str, tmp_path: Path, no_pause: None
) -> None:
    report.simulator.fault("set_field", report.status_path, "GET", field="data.output.docx_url", value=None)
    with pytest.raises(MalformedResponseError, match=r"no output\.docx_url; it has pdf"):
        download(report_id, tmp_path)
    assert report.requests("GET /api/reports/{id}") == 1
    assert list(tmp_path.iterdir()) == []
    assert len(download(report_id, tmp_path, formats=["pdf"])) == 1
