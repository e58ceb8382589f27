"""``dry_run()`` says what a run would send and what is missing, and creates nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.exceptions import InvalidInputError
from airflow_provider.operators.mediamagic import (
    MediaMagicCreateSubmissionOperator as CreateSubmission,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicRetryAssetOperator as RetryAsset,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicUploadFilesOperator as UploadFiles,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateCaseOperator as CreateCase,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateReportOperator as CreateReport,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessUploadEvidenceOperator as UploadEvidence,
)
from airflow_provider.simulator import Simulator
from tests.airflow.jobs import ReportJob, SubmissionJob
from tests.airflow.lone import execute
from tests.conftest import MEDIAMAGIC_KEY, SILENT_WITNESS_KEY
from tests.simulator.talk import SilentWitnessTalk, picture

pytestmark = pytest.mark.usefixtures("mediamagic_conn", "silent_witness_conn")

PARTIES: dict[str, Any] = {
    "plaintiff_name": "Ann Smith",
    "defendant_name": "Bob Jones",
    "attorney_name": "Cleo Park",
}


@pytest.fixture
def nothing_is_sent(simulator: Simulator) -> Iterator[None]:
    """While this is in use, only GET requests may arrive."""
    yield
    sent = [route for route in simulator.ledger()["requests"] if not route.startswith("GET ")]
    assert sent == []


def _report(case_id: str, **arguments: Any) -> dict[str, Any]:
    return CreateReport(task_id="report", case_id=case_id, **arguments).dry_run()


@pytest.mark.usefixtures("nothing_is_sent")
def test_a_submission_says_its_files_requests_and_bytes(tmp_path: Path) -> None:
    small, large = tmp_path / "a.txt", tmp_path / "b.txt"
    small.write_text("An ad.")
    large.write_bytes(b"An ad. " * 1_600_000)
    task = CreateSubmission(task_id="submit", files=[str(tmp_path / "*.txt")], asset_retries=2)
    found = task.dry_run()
    assert found["paid_requests"] == {"POST /api/integrations/submissions": 1}
    assert found["other_requests"] == {
        "POST /api/integrations/uploads/direct": 1,
        "POST /api/integrations/uploads/url": 1,
        "PUT to blob storage, at least": 1,
    }
    assert [file["media_type"] for file in found["files"]] == ["text/plain", "text/plain"]
    assert found["bytes"] == 6 + 11_200_000
    assert found["missing"] == []
    assert MEDIAMAGIC_KEY not in str(found)


@pytest.mark.usefixtures("nothing_is_sent")
def test_a_submission_that_would_be_refused_is(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(range(256)))
    with pytest.raises(InvalidInputError, match="does not accept"):
        CreateSubmission(task_id="submit", files=[str(tmp_path / "a.bin")]).dry_run()


@pytest.mark.usefixtures("nothing_is_sent")
def test_a_task_without_files_would_be_skipped(tmp_path: Path) -> None:
    task = CreateSubmission(task_id="submit", files=[str(tmp_path / "*.mp4")], if_no_files="skip")
    found = task.dry_run()
    assert found["paid_requests"] == {}
    assert "would be skipped" in found["notes"][0]


@pytest.mark.usefixtures("nothing_is_sent")
def test_a_key_that_is_refused_is_missing(monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> None:
    simulator.fault("status", "/*", "GET", status=401)
    found = CreateCase(task_id="case", **PARTIES).dry_run()
    assert "refused the API key" in found["missing"][0]


def test_a_report_on_a_ready_case_misses_nothing(report: ReportJob) -> None:
    found = _report(report.case(), report_retries=2)
    assert found["paid_requests"] == {"POST /api/reports": 1}
    assert found["missing"] == []
    assert "up to 2 more reports" in str(found["notes"])
    assert report.creations() == 0


def test_a_report_on_an_empty_case_says_all_that_is_missing(report: ReportJob) -> None:
    case = execute(CreateCase(task_id="case", **PARTIES, analysis_type="accident_only"))["case"]
    found = _report(case["id"])
    assert len(found["missing"]) == 3
    for word in ("vehicle", "photo", "accident date"):
        assert word in str(found["missing"])
    assert SILENT_WITNESS_KEY not in str(found)


def test_a_report_beside_another_one_is_noted(report: ReportJob) -> None:
    case_id = report.case()
    other = report.talk.order(case_id).json()["data"]["id"]
    assert other in str(_report(case_id)["notes"])


def test_a_report_that_exists_is_taken(report: ReportJob) -> None:
    case_id = report.case()
    existing = report.order(case_id)
    found = _report(case_id, report_id=existing)
    assert found["paid_requests"] == {}
    assert f"Takes report {existing}" in found["notes"][0]


def test_a_limit_that_allows_no_paid_request_is_missing(report: ReportJob) -> None:
    assert "max_paid_requests=0" in str(_report(report.case(), max_paid_requests=0)["missing"])


def test_a_case_is_invoiced_unless_one_exists(simulator: Simulator) -> None:
    task = CreateCase(task_id="case", **PARTIES, reuse_existing=True)
    assert task.dry_run()["paid_requests"] == {"POST /api/cases": 1}
    assert simulator.ledger()["cases"] == []
    existing = execute(CreateCase(task_id="case", **PARTIES))["case"]["id"]
    found = task.dry_run()
    assert found["paid_requests"] == {}
    assert existing in str(found["notes"])


def test_an_asset_that_has_not_failed_cannot_be_retried(submission: SubmissionJob) -> None:
    submission.takes(0)
    submission_id = submission.order()
    (asset,) = submission.vendor_says(submission_id)["assets"]
    task = RetryAsset(task_id="retry", submission_id=submission_id, asset_id=asset["assetId"])
    found = task.dry_run()
    assert "has not failed" in found["missing"][0]
    assert sum(found["paid_requests"].values()) == 1
    assert submission.simulator.ledger()["asset_retries"] == []


@pytest.mark.usefixtures("nothing_is_sent")
def test_uploads_say_their_files_and_requests(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("An ad.")
    found = UploadFiles(task_id="upload", files=[str(tmp_path / "*.txt")]).dry_run()
    assert found["other_requests"] == {"POST /api/integrations/uploads/direct": 1}
    assert (found["paid_requests"], found["bytes"], found["missing"]) == ({}, 6, [])
    skipped = UploadFiles(task_id="upload", files=[], if_no_files="skip").dry_run()
    assert "would be skipped" in skipped["notes"][0]


@pytest.mark.usefixtures("nothing_is_sent")
@pytest.mark.parametrize("files", ["a.txt", ["nothing.txt"]], ids=str)
def test_uploads_that_could_not_be_sent_are_refused(files: Any) -> None:
    for task in (
        UploadFiles(task_id="upload", files=files),
        UploadEvidence(task_id="upload", case_id="case_1", files=files),
    ):
        with pytest.raises(InvalidInputError, match="files"):
            task.dry_run()


def test_evidence_says_what_the_case_has_already(simulator: Simulator, tmp_path: Path) -> None:
    talk = SilentWitnessTalk(simulator)
    talk.key = SILENT_WITNESS_KEY
    case_id = talk.case()
    for name in ("front.jpg", "rear.jpg"):
        (tmp_path / name).write_bytes(picture())
    photos = {"files": [str(tmp_path / "*.jpg")]}
    execute(UploadEvidence(task_id="upload", case_id=case_id, files=[str(tmp_path / "front.jpg")]))
    sent = len(simulator.ledger()["uploads"])
    found = UploadEvidence(task_id="upload", case_id=case_id, evidence=[photos]).dry_run()
    assert found["other_requests"] == {"POST /api/files/upload": 2}
    assert found["notes"] == [
        "The case has files of the name and size of 1: what it has is read back, and sent again only where "
        "the bytes differ."
    ]
    assert len(simulator.ledger()["uploads"]) == sent
    unknown = UploadEvidence(task_id="upload", case_id="case_unknown", evidence=[photos]).dry_run()
    assert "There is no case case_unknown" in unknown["missing"][0]
