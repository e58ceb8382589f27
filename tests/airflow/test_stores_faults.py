"""What goes wrong at the storage host ends with the whole file or an error that names report and target."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdf
import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider.exceptions import InvalidInputError, ProviderError, TransferError
from airflow_provider.operators.mediamagic import MediaMagicUploadFilesOperator as UploadFiles
from airflow_provider.operators.silent_witness import SilentWitnessDownloadReportOperator as DownloadReport
from airflow_provider.operators.silent_witness import SilentWitnessUploadEvidenceOperator as UploadEvidence
from airflow_provider.simulator import Simulator
from tests.airflow.conftest import Connect
from tests.airflow.jobs import ReportJob, SubmissionJob
from tests.airflow.lone import execute
from tests.conftest import MEDIAMAGIC_KEY, SILENT_WITNESS_KEY
from tests.simulator.talk import picture

PDF = "/reports/*"
LARGE = b"A guaranteed cure.\n" * 600_000

# kind, parameters, whether the whole file comes all the same
PASSING: dict[str, tuple[str, dict[str, Any]]] = {
    "refused once": ("status", {"status": 403, "times": 1}),
    "gone once": ("status", {"status": 410, "times": 1}),
    "not there once": ("status", {"status": 404, "times": 1}),
    "busy twice": ("status", {"status": 503, "times": 2}),
    "error once": ("status", {"status": 500, "times": 1}),
    "too many requests": ("status", {"status": 429, "times": 1, "headers": {"Retry-After": "1"}}),
    "reset once": ("reset", {"times": 1}),
    "cut short once": ("truncate", {"times": 1}),
    "longer announced than sent": ("wrong_length", {"offset": 10, "times": 1}),
    "late": ("delay", {"delay": 0.2}),
    "slow": ("slow", {"chunk": 400, "interval": 0.001}),
}
LASTING: dict[str, tuple[str, dict[str, Any]]] = {
    "refused": ("status", {"status": 403}),
    "error": ("status", {"status": 500}),
    "reset": ("reset", {}),
    "shorter announced than it is": ("wrong_length", {"offset": -100}),
    "longer announced than it is": ("wrong_length", {"offset": 100}),
    "a page": ("html", {"status": 200}),
    "nothing": ("empty", {}),
    "redirect to nowhere": ("redirect", {"status": 302, "location": "http://127.0.0.1:9/x?sig=SECRET"}),
    "redirect to a file": ("redirect", {"status": 302, "location": "file:///etc/passwd"}),
}


@pytest.fixture
def mediamagic_conn(simulator: Simulator, connect: Connect) -> str:
    """A connection as people make it: transfers are tried again as often as it says."""
    return connect("mediamagic", host=simulator.url, password=MEDIAMAGIC_KEY)


@pytest.fixture
def silent_witness_conn(simulator: Simulator, connect: Connect) -> str:
    """As ``mediamagic_conn``."""
    return connect("silent_witness", host=simulator.url, password=SILENT_WITNESS_KEY)


@pytest.fixture
def report_id(report: ReportJob) -> str:
    report.takes(0)
    return report.order()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once."""
    from airflow_provider.core.files.storage_http import Transfer

    monkeypatch.setattr(Transfer, "wait", lambda *args: None)


@pytest.fixture
def fetch(report_id: str, tmp_path: Path) -> Callable[..., Any]:
    def run(**arguments: Any) -> Any:
        settings = {"output_path": str(tmp_path / "out"), "formats": ["pdf"], **arguments}
        return execute(DownloadReport(task_id="job", report_id=report_id, **settings))

    return run


@pytest.mark.parametrize("name", PASSING)
def test_trouble_that_passes_ends_with_the_whole_file(
    name: str, report: ReportJob, fetch: Callable[..., Any]
) -> None:
    kind, parameters = PASSING[name]
    report.simulator.fault(kind, PDF, "GET", **parameters)
    (manifest,) = fetch()
    path = Path(manifest["path"])
    assert len(pypdf.PdfReader(path).pages) > 0
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    ledger = report.simulator.ledger()
    assert ledger["api_key_at_storage"] == 0
    (fault,) = report.simulator.faults()
    assert fault["hits"] > 0


@pytest.mark.parametrize("name", LASTING)
def test_trouble_that_lasts_is_an_error_that_names_report_and_target(
    name: str, report: ReportJob, report_id: str, fetch: Callable[..., Any], tmp_path: Path
) -> None:
    kind, parameters = LASTING[name]
    report.simulator.fault(kind, PDF, "GET", **parameters)
    with pytest.raises(TransferError) as caught:
        fetch()
    target = tmp_path / "out" / f"{report_id}.pdf"
    message = str(caught.value)
    assert message.startswith(f"Report {report_id}: ")
    assert str(target) in message
    assert caught.value.job_id == report_id
    for secret in ("Signature", "SECRET", report.key):
        assert secret not in message
    assert not target.exists()
    assert report.simulator.ledger()["api_key_at_storage"] == 0


def test_a_link_that_was_refused_is_asked_for_again(report: ReportJob, fetch: Callable[..., Any]) -> None:
    before = report.simulator.ledger()["total_requests"]
    fetch()
    plain = report.simulator.ledger()["total_requests"] - before
    report.simulator.fault("status", PDF, "GET", status=403, times=1)
    before = report.simulator.ledger()["total_requests"]
    fetch(filename="again")
    # One more look at the report for the link, one more look at the link.
    assert report.simulator.ledger()["total_requests"] - before == plain + 2


def test_a_link_that_expires_on_the_way_is_replaced(
    report: ReportJob, report_id: str, fetch: Callable[..., Any]
) -> None:
    from airflow_provider.hooks.silent_witness import SilentWitnessHook

    found = SilentWitnessHook.get_report
    ages: list[bool] = []

    def get_report(self: SilentWitnessHook, job_id: str) -> dict[str, Any]:
        body = found(self, job_id)
        if not ages:  # the answer that brings the first link
            report.simulator.advance(2 * 3600.0)
        ages.append(True)
        return body

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SilentWitnessHook, "get_report", get_report)
        (manifest,) = fetch()
    assert len(ages) == 2
    assert pypdf.PdfReader(manifest["path"]).pages


def test_a_redirect_is_followed_without_the_key(report: ReportJob, fetch: Callable[..., Any]) -> None:
    def signed() -> str:
        return str(report.vendor_says(report.seen()[0]["id"])["data"]["output"]["pdf_url"])

    report.simulator.fault("redirect", PDF, "GET", status=307, location=signed(), times=1)
    (manifest,) = fetch()
    assert pypdf.PdfReader(manifest["path"]).pages
    assert report.simulator.ledger()["api_key_at_storage"] == 0


@pytest.mark.parametrize(
    "filename", ["../escape", "/etc/escape", "a/../../escape", "C:\\escape", "x\0y", "  ", " . "]
)
def test_a_file_name_that_leaves_the_folder_is_refused(
    filename: str, report: ReportJob, fetch: Callable[..., Any], tmp_path: Path
) -> None:
    before = report.simulator.ledger()["total_requests"]
    with pytest.raises(InvalidInputError) as caught:
        fetch(filename=filename)
    assert caught.value.parameter == "filename"
    assert report.simulator.ledger()["total_requests"] == before, "nothing was asked for"
    assert list(tmp_path.rglob("*escape*")) == []


@pytest.mark.parametrize("kind", [Path, lambda path: ObjectStoragePath(f"file://{path}")])
def test_a_folder_may_be_given_as_any_kind_of_path(
    kind: Callable[[str], Any], fetch: Callable[..., Any], tmp_path: Path
) -> None:
    (manifest,) = fetch(output_path=kind(str(tmp_path / "a b")))
    assert Path(manifest["path"]).parent == tmp_path / "a b"


@pytest.mark.parametrize("kind", [str, Path, lambda path: ObjectStoragePath(f"file://{path}")])
def test_a_task_group_takes_any_kind_of_path(kind: Callable[[str], Any]) -> None:
    from airflow_provider.task_groups.mediamagic import assets

    submission = {"submissionId": "s1", "completedAssetIds": ["a:1"]}
    (target,) = assets.function(submission, kind("/data/out"))
    assert target["output_path"] == "/data/out/a%3A1.issues.jsonl"


def test_a_link_out_of_the_folder_is_not_followed(fetch: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.pdf").symlink_to(tmp_path / "elsewhere.pdf")
    with pytest.raises(InvalidInputError, match="symbolic link"):
        fetch(filename="report")
    assert not (tmp_path / "elsewhere.pdf").exists()


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("status", {"status": 403, "times": 1}),
        ("status", {"status": 503, "times": 2}),
        ("reset", {"times": 1}),
        ("lost_answer", {"times": 1}),
    ],
)
def test_an_upload_gets_there_all_the_same(
    submission: SubmissionJob, kind: str, parameters: dict[str, Any]
) -> None:
    submission.simulator.fault(kind, "/assets/*", "PUT", **parameters)
    path = submission.file("long.txt", LARGE.decode())
    (uploaded,) = execute(UploadFiles(task_id="job", files=[path]))
    ledger = submission.simulator.ledger()
    assert ledger["uploads"][-1]["blob_path"] == uploaded["blobPath"]
    assert ledger["uploads"][-1]["size"] == len(LARGE)
    assert ledger["api_key_at_storage"] == 0


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("status", {"status": 403}),
        ("status", {"status": 500}),
        ("reset", {}),
        ("redirect", {"status": 307, "location": "http://127.0.0.1:9/x?sig=SECRET"}),
    ],
)
def test_an_upload_that_does_not_get_there_names_the_file(
    submission: SubmissionJob, kind: str, parameters: dict[str, Any]
) -> None:
    submission.simulator.fault(kind, "/assets/*", "PUT", **parameters)
    path = submission.file("long.txt", LARGE.decode())
    with pytest.raises(ProviderError) as caught:
        execute(UploadFiles(task_id="job", files=[path]))
    assert path in str(caught.value)
    assert "sig=" not in str(caught.value)
    assert submission.simulator.ledger()["uploads"] == []
    assert submission.simulator.ledger()["api_key_at_storage"] == 0


@pytest.mark.parametrize("status", [403, 415])
@pytest.mark.parametrize(("route", "size"), [("direct", 20), ("url", len(LARGE))])
def test_a_file_that_the_service_refuses_is_named(
    submission: SubmissionJob, status: int, route: str, size: int
) -> None:
    files = [submission.file(f"{number}.txt", LARGE[:size].decode()) for number in range(2)]
    endpoint = f"/api/integrations/uploads/{route}"
    submission.simulator.fault("status", endpoint, "POST", status=status, skip=1)
    with pytest.raises(ProviderError, match=f"^{re.escape(files[1])}: POST {endpoint} answered {status}"):
        execute(UploadFiles(task_id="job", files=files, max_parallel=1))


@pytest.mark.parametrize("status", [400, 422])
def test_evidence_that_the_service_refuses_is_named(report: ReportJob, tmp_path: Path, status: int) -> None:
    photo, case_id = tmp_path / "photo.jpg", report.case()
    photo.write_bytes(picture())
    report.simulator.fault("status", "/api/files/upload", "POST", status=status)
    with pytest.raises(ProviderError, match=f"^{re.escape(str(photo))}: POST /api/files/upload answered"):
        execute(UploadEvidence(task_id="job", case_id=case_id, files=[str(photo)]))
