"""Arguments from templates and from upstream tasks, for every operator and sensor, in real runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.sdk import DAG, ObjectStoragePath, task

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
    MediaMagicUploadFilesOperator as UploadFiles,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCancelReportOperator as CancelReport,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateCaseOperator as CreateCase,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateReportOperator as CreateReport,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessDownloadReportOperator as DownloadReport,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessUploadEvidenceOperator as UploadEvidence,
)
from airflow_provider.sensors.mediamagic import MediaMagicSubmissionSensor
from airflow_provider.sensors.silent_witness import SilentWitnessReportSensor
from airflow_provider.task_groups.mediamagic import MediaMagicReviewTaskGroup
from tests.airflow.jobs import SOON, ReportJob, SubmissionJob
from tests.airflow.task_run import register
from tests.simulator.talk import picture
from tests.unit.operators.every_class import EVERY

RunWhole = Callable[..., DagRun]


@pytest.fixture
def run_whole(airflow_db: None) -> RunWhole:
    """Run a whole Dag with ``dag.test()``."""

    def run(dag: DAG, conf: dict[str, Any] | None = None) -> DagRun:
        register(dag)
        finished: DagRun = dag.test(run_conf=conf)
        return finished

    return run


def _states(run: DagRun) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for ti in run.get_task_instances():
        found.setdefault(ti.task_id, []).append(str(ti.state))
    return found


def test_everything_of_mediamagic_mapped(
    submission: SubmissionJob, run_whole: RunWhole, tmp_path: Path
) -> None:
    submission.takes(SOON)
    texts = [submission.file(f"{number}.txt", f"A guaranteed cure, number {number}") for number in range(2)]
    with DAG("mapped_mediamagic", schedule=None) as dag:
        uploaded = UploadFiles.partial(task_id="upload").expand(files=[[path] for path in texts])

        @task
        def submissions(uploads: Any) -> list[dict[str, Any]]:
            return [{"blob_paths": [one["blobPath"] for one in upload]} for upload in uploads]

        created = CreateSubmission.partial(
            task_id="submit", deferrable=True, poll_interval=0.05
        ).expand_kwargs(submissions(uploaded.output))

        @task
        def assets(results: Any) -> list[dict[str, str]]:
            return [
                {"submission_id": result["submissionId"], "asset_id": asset_id}
                for result in results
                for asset_id in result["completedAssetIds"]
            ]

        @task
        def ids(results: Any) -> list[str]:
            return [result["submissionId"] for result in results]

        found = assets(created.output)
        GetResult.partial(task_id="results").expand_kwargs(found)
        GetIssues.partial(task_id="issues").expand_kwargs(found)
        GetTopics.partial(task_id="topics").expand_kwargs(found)
        MediaMagicSubmissionSensor.partial(task_id="wait", deferrable=True).expand(
            submission_id=ids(created.output)
        )
    states = _states(run_whole(dag))
    for name in ("upload", "submit", "results", "issues", "topics", "wait"):
        assert states[name] == ["success", "success"]
    assert len(submission.seen()) == 2


def test_everything_of_silent_witness_mapped(report: ReportJob, run_whole: RunWhole, tmp_path: Path) -> None:
    report.takes(SOON)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(picture())
    with DAG("mapped_silent_witness", schedule=None) as dag:
        cases = CreateCase.partial(
            task_id="case",
            defendant_name="Bob Jones",
            attorney_name="Cleo Park",
            accident={"date": "2026-01-31"},
            vehicles=[{"role": "plaintiff"}],
        ).expand(plaintiff_name=["Ann Smith", "Dan Brown"])
        case_ids = cases.output.map(lambda made: made["case"]["id"])
        evidence = UploadEvidence.partial(task_id="evidence", files=[str(photo)]).expand(case_id=case_ids)
        reports = CreateReport.partial(task_id="report", deferrable=True, poll_interval=0.05).expand(
            case_id=case_ids
        )
        evidence >> reports
        report_ids = reports.output.map(lambda made: made["id"])
        SilentWitnessReportSensor.partial(task_id="wait", deferrable=True).expand(report_id=report_ids)
        DownloadReport.partial(task_id="download", output_path=str(tmp_path / "out")).expand(
            report_id=report_ids
        )
        CancelReport.partial(task_id="cancel").expand(report_id=report_ids)
    states = _states(run_whole(dag))
    for name in ("case", "evidence", "report", "wait", "download", "cancel"):
        assert states[name] == ["success", "success"]
    assert len(report.seen()) == 2
    assert len(list((tmp_path / "out").iterdir())) == 4


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
def test_every_template_field_is_rendered(cls: type[Any]) -> None:
    """Nested ones too, with ids from XCom in lists and dictionaries."""
    from tests.unit.operators.test_construction import _NUMBERS, _required

    fields = [field for field in cls.template_fields if field not in _NUMBERS]
    given = {field: {"a": ["{{ x }}"]} if index % 2 else "{{ x }}" for index, field in enumerate(fields)}
    operator = cls(task_id="job", **{**_required(cls), **given})
    operator.render_template_fields({"x": "rendered"})
    assert {field: getattr(operator, field) for field in fields} == {
        field: json.loads(json.dumps(value).replace("{{ x }}", "rendered")) for field, value in given.items()
    }


@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
@pytest.mark.parametrize("form", [Path, ObjectStoragePath])
def test_a_template_in_a_path_object_is_rendered(
    submission: SubmissionJob, run_whole: RunWhole, tmp_path: Path, form: Any, native: bool
) -> None:
    """Airflow itself leaves a ``Path`` as it is: a folder with the name ``{{ ds }}`` would be written to."""
    submission.takes(0.0)
    submission.file("one.txt")
    ids = {"submission_id": submission.order()}
    of_params: dict[str, Any] = {"params": {"name": "one"}, "render_template_as_native_obj": native}
    with DAG(f"templated_{form.__name__}_{native}", schedule=None, **of_params) as dag:
        UploadFiles(task_id="plain", files=[form(f"{tmp_path}/{{{{ params.name }}}}.txt")])
        paths = form(f"{tmp_path}/{{{{ params.name }}}}/i.jsonl")
        GetIssues.partial(task_id="mapped", output_path=paths).expand_kwargs([ids])
    assert _states(run_whole(dag)) == {"plain": ["success"], "mapped": ["success"]}
    assert (tmp_path / "one" / "i.jsonl").is_file()


def test_a_template_in_a_path_object_reaches_the_task_of_a_group_as_text() -> None:
    with DAG("templated_group", schedule=None) as dag:
        MediaMagicReviewTaskGroup(files=["a.txt"], output_path=Path("/data/{{ ds }}"))
    task_of_airflow: Any = dag.get_task("review.assets")
    assert task_of_airflow.op_kwargs["output_path"] == "/data/{{ ds }}"


def test_native_rendering_passes_lists_and_objects_on(submission: SubmissionJob, run_whole: RunWhole) -> None:
    submission.takes(SOON)
    path = submission.file("claims.txt")
    with DAG("native", schedule=None, render_template_as_native_obj=True) as dag:
        CreateSubmission(
            task_id="submit",
            files="{{ dag_run.conf['files'] }}",
            metadata="{{ dag_run.conf['metadata'] }}",  # type: ignore[arg-type]
            timeout="{{ 60 * 5 }}",
            deferrable=True,
            poll_interval=0.05,
        )
    run = run_whole(dag, {"files": [path], "metadata": {"campaign": "spring"}})
    assert run.state == "success"
    assert submission.seen()[0]["metadata"] == {"campaign": "spring"}


def test_a_number_that_native_rendering_made_of_an_id_is_still_an_id(
    report: ReportJob, run_whole: RunWhole
) -> None:
    """The id is unknown to the vendor, which shows that it was sent."""
    with DAG("native_id", schedule=None, render_template_as_native_obj=True) as dag:
        CancelReport(task_id="cancel", report_id="{{ 12345 }}")
    assert run_whole(dag).state == "failed"
    assert report.requests("GET /api/reports/{id}") > 0


@pytest.mark.parametrize(
    ("operator", "arguments", "route"),
    [
        (GetResult, {"submission_id": 1, "asset_id": 2}, "GET /api/integrations/submissions"),
        (CreateReport, {"case_id": 3}, "POST /api/reports"),
        (UploadEvidence, {"case_id": 4, "files": ["PHOTO"]}, "GET /api/files"),
        (DownloadReport, {"report_id": 5, "output_path": "OUT"}, "GET /api/reports"),
        (SilentWitnessReportSensor, {"report_id": 6}, "GET /api/reports"),
        (MediaMagicSubmissionSensor, {"submission_id": 7}, "GET /api/integrations/submissions"),
    ],
)
def test_ids_that_are_numbers_are_sent_as_text(
    report: ReportJob,
    mediamagic_conn: str,
    tmp_path: Path,
    operator: type[Any],
    arguments: dict[str, Any],
    route: str,
) -> None:
    from airflow_provider.exceptions import ApiError
    from tests.airflow.lone import execute

    photo = tmp_path / "photo.jpg"
    photo.write_bytes(picture())
    real = {"files": [str(photo)], "output_path": str(tmp_path)}
    arguments = {name: real.get(name, value) for name, value in arguments.items()}
    with pytest.raises(ApiError):
        execute(operator(task_id="job", **arguments))
    assert any(name.startswith(route) for name in report.simulator.ledger()["requests"])


@pytest.mark.parametrize("padded", [" {id} ", "{id}\n"])
def test_blanks_around_an_id_do_not_reach_the_vendor(report: ReportJob, padded: str) -> None:
    from tests.airflow.lone import execute

    report.takes(0)
    report_id = report.order()
    found = execute(CancelReport(task_id="job", report_id=padded.format(id=report_id)))
    assert found["id"] == report_id
