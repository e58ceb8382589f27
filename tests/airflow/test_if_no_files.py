"""``if_no_files``: a task without files fails or is skipped, before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider.compat import AirflowSkipException
from airflow_provider.exceptions import InvalidInputError
from airflow_provider.operators.mediamagic import (
    MediaMagicCreateSubmissionOperator as CreateSubmission,
)
from airflow_provider.operators.mediamagic import (
    MediaMagicUploadFilesOperator as UploadFiles,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessUploadEvidenceOperator as UploadEvidence,
)
from airflow_provider.simulator import Simulator
from tests.airflow.jobs import SOON, SubmissionJob
from tests.airflow.lone import FakeStateStore, execute

pytestmark = pytest.mark.usefixtures("mediamagic_conn", "silent_witness_conn")

TAKERS = [CreateSubmission, UploadFiles, UploadEvidence]


def _task(operator: Any, files: list[str], **arguments: Any) -> Any:
    case = {"case_id": "case_1"} if operator is UploadEvidence else {}
    return operator(task_id="job", files=files, **case, **arguments)


@pytest.mark.parametrize("operator", TAKERS)
@pytest.mark.parametrize("globs", [[], ["*.mp4"], ["*.mp4", "*.jpg"]], ids=["none", "glob", "globs"])
def test_no_file(simulator: Simulator, tmp_path: Path, operator: Any, globs: list[str]) -> None:
    files = [str(tmp_path / glob) for glob in globs]
    with pytest.raises(AirflowSkipException):
        execute(_task(operator, files, if_no_files="skip"))
    with pytest.raises(InvalidInputError):
        execute(_task(operator, files))
    assert simulator.ledger()["total_requests"] == 0


@pytest.mark.parametrize("operator", TAKERS)
@pytest.mark.parametrize("missing", ["gone.txt", "*.mp4"])
def test_a_file_that_is_missing_is_never_skipped(
    simulator: Simulator, tmp_path: Path, operator: Any, missing: str
) -> None:
    (tmp_path / "there.txt").write_text("An ad.")
    files = [str(tmp_path / missing), str(tmp_path / "there.txt")]
    with pytest.raises(InvalidInputError, match=r"gone\.txt|mp4"):
        execute(_task(operator, files, if_no_files="skip"))
    assert simulator.ledger()["total_requests"] == 0


@pytest.mark.parametrize("operator", TAKERS)
def test_what_it_cannot_be(tmp_path: Path, operator: Any) -> None:
    with pytest.raises(InvalidInputError) as error:
        execute(_task(operator, [], if_no_files="ignore"))
    assert error.value.parameter == "if_no_files"


def test_a_submission_that_was_paid_for_is_taken_though_its_folder_is_empty(
    submission: SubmissionJob, tmp_path: Path
) -> None:
    submission.takes(SOON)
    file = tmp_path / "ad.txt"
    file.write_text("An ad.")
    store = FakeStateStore()
    arguments: dict[str, Any] = {"deferrable": False, "poll_interval": 0.05, "if_no_files": "skip"}
    first = execute(_task(CreateSubmission, [str(tmp_path / "*.txt")], **arguments), store=store)
    file.unlink()
    again = execute(_task(CreateSubmission, [str(tmp_path / "*.txt")], **arguments), store=store)
    assert again["submissionId"] == first["submissionId"]
