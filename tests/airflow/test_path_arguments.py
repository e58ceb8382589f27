"""Every argument that names a file to write takes every form of a path; the rest is refused at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.sdk import DAG, ObjectStoragePath, task

from airflow_provider.exceptions import InvalidInputError
from airflow_provider.operators.mediamagic import (
    MediaMagicComplianceGateOperator as Gate,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicCreateSubmissionOperator as CreateSubmission,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicGetAssetResultOperator as GetResult,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicGetIssuesOperator as GetIssues,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicGetTopicsOperator as GetTopics,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicReviewDocumentOperator as Document,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateReportOperator as CreateReport,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessDownloadReportOperator as Download,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessUploadEvidenceOperator as UploadEvidence,
)
from airflow_provider.simulator import Simulator
from airflow_provider.task_groups.mediamagic import MediaMagicReviewTaskGroup
from airflow_provider.task_groups.silent_witness import SilentWitnessReportTaskGroup
from tests.airflow.jobs import ReportJob, SubmissionJob
from tests.airflow.lone import execute

ISSUE = {"id": "i1", "severity": "INFO", "status": "OPEN", "summary": "s", "ruleCode": "R"}

FORMS: dict[str, Callable[[Path], Any]] = {
    "text": str,
    "Path": lambda path: path,
    "ObjectStoragePath": lambda path: ObjectStoragePath(f"file://{path}"),
    "file-url": lambda path: path.as_uri(),
    "file-url-of-rfc-8089": lambda path: path.as_uri().replace("///", "/"),
}
REFUSED: dict[str, Callable[[Path], Any]] = {
    "nothing": lambda path: "",
    "none-of-a-template": lambda path: "None",
    "number": lambda path: 7,
    "bytes": os.fsencode,
    "nul": lambda path: f"{path}\0",
    "not-utf-8": lambda path: f"{path.parent}/\udcff.jsonl",
    "web": lambda path: "https://example.com/i.jsonl?sig=TOPSECRET",
    "no-such-scheme": lambda path: f"nope://me:TOPSECRET@{path}",
    "archive": lambda path: f"zip://{path}",
    "path-of-a-url": lambda path: Path(f"s3://bucket{path}"),
}

MAKE: dict[str, tuple[str, str, Callable[[Any, Any], Any]]] = {
    "issues": ("output_path", "i.jsonl", lambda path, ids: GetIssues(task_id="t", output_path=path, **ids)),
    "result": ("output_path", "i.json", lambda path, ids: GetResult(task_id="t", output_path=path, **ids)),
    "topics": ("output_path", "i.json", lambda path, ids: GetTopics(task_id="t", output_path=path, **ids)),
    "gate": (
        "document_path",
        "i.html",
        lambda path, ids: Gate(task_id="t", policy={"block_at": None}, document_path=path, **ids),
    ),
    "document": (
        "output_path",
        "i.html",
        lambda path, ids: Document(task_id="t", issues=[ISSUE], output_path=path),
    ),
    "download": (
        "output_path",
        "folder",
        lambda path, ids: Download(task_id="t", report_id="rpt_1", output_path=path),
    ),
    "report": (
        "output_path",
        "folder",
        lambda path, ids: CreateReport(task_id="t", case_id="case_1", output_path=path),
    ),
}
WRITES = pytest.mark.parametrize(("argument", "name", "make"), MAKE.values(), ids=MAKE)


@pytest.fixture
def reviewed(submission: SubmissionJob) -> dict[str, str]:
    """A submission that was reviewed."""
    submission.takes(0.0)
    return {"submission_id": submission.order()}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("kind", ["issues", "result", "topics", "gate", "document"])
def test_a_path_is_taken_in_every_form(
    reviewed: dict[str, str], tmp_path: Path, kind: str, form: Callable[[Path], Any]
) -> None:
    _, name, make = MAKE[kind]
    path = tmp_path / f"a b%20{name}"

    execute(make(form(path), reviewed))

    assert path.is_file()
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_folder_for_documents_is_taken_in_every_form(
    report: ReportJob, tmp_path: Path, form: Callable[[Path], Any]
) -> None:
    report.takes(0.0)
    folder, number = tmp_path / "a b%20c", cast("Any", 7)  # of a template that is rendered as a native object

    execute(Download(task_id="t", report_id=report.order(), output_path=form(folder), filename=number))

    assert sorted(os.listdir(folder)) == ["7.docx", "7.pdf"]


@pytest.mark.parametrize("form", REFUSED.values(), ids=REFUSED)
@WRITES
@pytest.mark.usefixtures("mediamagic_conn", "silent_witness_conn")
def test_what_is_no_path_is_refused_before_anything_is_sent(
    simulator: Simulator, tmp_path: Path, argument: str, name: str, make: Any, form: Callable[[Path], Any]
) -> None:
    with pytest.raises(InvalidInputError, match=argument) as caught:
        execute(make(form(tmp_path / name), {"submission_id": "s1"}))
    assert "TOPSECRET" not in str(caught.value)
    assert simulator.ledger()["requests"] == {}


@pytest.mark.parametrize("what", ["folder", "pipe"])
@pytest.mark.parametrize("kind", ["issues", "result", "topics", "gate"])
@pytest.mark.usefixtures("mediamagic_conn")
def test_a_target_that_is_no_file_is_refused_before_anything_is_sent(
    simulator: Simulator, tmp_path: Path, kind: str, what: str
) -> None:
    argument, name, make = MAKE[kind]
    path = tmp_path / name
    path.mkdir() if what == "folder" else os.mkfifo(path)
    with pytest.raises(InvalidInputError, match=f"{argument}: .*{name}") as caught:
        execute(make(str(path), {"submission_id": "s1"}))
    assert caught.value.parameter == argument
    assert simulator.ledger()["requests"] == {}


@pytest.mark.parametrize("filename", ["", " ", "None", True, 1.5, ["x"], b"x", "..", "a\0b"])
@pytest.mark.parametrize("kind", ["download", "report"])
@pytest.mark.usefixtures("silent_witness_conn")
def test_a_file_name_that_is_none_is_refused_before_anything_is_sent(
    simulator: Simulator, tmp_path: Path, kind: str, filename: Any
) -> None:
    operator = MAKE[kind][2](str(tmp_path), {})
    operator.filename = filename
    with pytest.raises(InvalidInputError, match="filename"):
        execute(operator)
    assert simulator.ledger()["requests"] == {}


def test_type_hints_take_what_the_arguments_take() -> None:
    """Checked by mypy: paths of each kind, and what a ``@task`` returns."""

    @task
    def spots() -> list[str]:
        return ["/media/a.mp4"]

    kinds: list[str | Path | ObjectStoragePath] = ["/x", Path("/x"), ObjectStoragePath("file:///x")]
    with DAG("typed", schedule=None) as dag:
        files = spots()
        CreateSubmission(task_id="submit", files=files)
        UploadEvidence(task_id="photos", case_id="c", files=files, vehicle_role="plaintiff")
        for number, path in enumerate(kinds):
            GetIssues(task_id=f"issues_{number}", submission_id="s", output_path=path)
            Download(task_id=f"pdf_{number}", report_id="r", output_path=path)
            MediaMagicReviewTaskGroup(
                f"review_{number}", files=files, output_path=path, document_path=path, policy={}
            )
            SilentWitnessReportTaskGroup(f"report_{number}", case_id="c", output_path=path)
    assert "review_2.gate" in dag.task_dict
