"""Example Dags with everything they read and write on ``s3://``; sources and targets on other stores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airflow_provider.operators.mediamagic import MediaMagicCreateSubmissionOperator as CreateSubmission
from airflow_provider.operators.mediamagic import MediaMagicGetIssuesOperator as GetIssues
from airflow_provider.operators.mediamagic import MediaMagicUploadFilesOperator as UploadFiles
from airflow_provider.operators.silent_witness import SilentWitnessUploadEvidenceOperator as UploadEvidence
from airflow_provider.simulator import Simulator
from demo.inputs import Inputs
from tests.airflow.conftest import RunTask
from tests.airflow.jobs import SOON, ReportJob, SubmissionJob
from tests.airflow.test_example_dags import example, pulled
from tests.service.files.s3_server import S3Server, s3_server

RunDag = Callable[..., DagRun]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """An empty bucket, reached with the connection ``files_s3``."""
    server = s3_server()
    monkeypatch.setenv("AIRFLOW_CONN_FILES_S3", server.connection)
    server.fill()
    yield server
    server.clear()


@pytest.fixture
def run_example(
    airflow_db: None, simulated_pace: None, mediamagic_conn: str, silent_witness_conn: str
) -> RunDag:
    """Run an example Dag."""
    from tests.airflow.task_run import register

    def run(name: str, conf: dict[str, Any]) -> DagRun:
        dag = example(name)
        register(dag)
        finished: DagRun = dag.test(run_conf=conf)
        return finished

    return run


def test_the_review_from_s3_to_s3(
    simulator: Simulator, run_example: RunDag, media_files: Inputs, s3: S3Server
) -> None:
    simulator.script("mediamagic", duration=SOON)
    names = [path.name for path in media_files.media if path.suffix == ".txt"]
    for path in media_files.media:
        if path.name in names:
            s3.put(f"in/{path.name}", path.read_bytes())
    conf = {"files": ["s3://files_s3@bucket/in/*"], "output_dir": "s3://files_s3@bucket/out/review"}
    assert run_example("mediamagic_review", conf).state == "success"
    summary = json.loads(s3.read("out/review/summary.json"))
    assert sorted(asset["filename"] for asset in summary["assets"]) == sorted(names)
    assert summary["status"] == "complete"
    assert s3.uploads() == []


def test_the_report_from_s3_to_s3(
    simulator: Simulator, run_example: RunDag, media_files: Inputs, s3: S3Server
) -> None:
    simulator.script("silent_witness", duration=SOON)
    conf = {
        "photos": [s3.put(f"in/{path.name}", path.read_bytes()) for path in media_files.photos[:1]],
        "edr_reports": [s3.put(f"in/{path.name}", path.read_bytes()) for path in media_files.edr_reports],
        "output_dir": "s3://files_s3@bucket/out",
    }
    run = run_example("silent_witness_report", conf)
    assert run.state == "success"
    (manifests,) = pulled(run, "download_report")
    (report_id,) = pulled(run, "create_report", "report_id")
    written = [f"out/{report_id}.docx", f"out/{report_id}.pdf"]
    assert [key for key in s3.names() if not key.startswith("in/")] == written
    for one in manifests:
        content = s3.read(one["path"].removeprefix("s3://files_s3@bucket/"))
        assert (one["bytes"], one["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert s3.uploads() == []
    ledger = simulator.ledger()
    assert ledger["api_key_at_storage"] == 0
    assert ledger["requests"]["POST /api/files/upload"] == len(conf["photos"]) + len(conf["edr_reports"])


def test_campaigns_in_a_bucket_become_a_table_in_it(
    simulator: Simulator, run_example: RunDag, media_files: Inputs, s3: S3Server
) -> None:
    simulator.script("mediamagic", duration=SOON)
    for path in media_files.spots.rglob("*.*"):
        s3.put(f"in/{path.relative_to(media_files.spots)}", path.read_bytes())
    conf = {"spots": "s3://files_s3@bucket/in", "output_dir": "s3://files_s3@bucket/out"}
    assert run_example("mediamagic_campaigns", conf).state == "success"
    rows = [json.loads(line) for line in s3.read("out/findings.jsonl").splitlines()]
    assert {row["filename"] for row in rows} == {"radio_script.txt", "banner_act_now.jpg"}
    assert b"radio_script.txt" in s3.read("out/findings.html")


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    """The process-wide in-memory store, empty."""

    def clear() -> None:
        MemoryFileSystem.store.clear()
        MemoryFileSystem.pseudo_dirs[:] = [""]

    clear()
    yield MemoryFileSystem()
    clear()


@pytest.mark.parametrize("scheme", ["s3", "file", "memory"])
def test_evidence_comes_from_a_store(
    scheme: str,
    task_run: RunTask,
    report: ReportJob,
    media_files: Inputs,
    s3: S3Server,
    memory: MemoryFileSystem,
) -> None:
    photo = media_files.photos[0]
    memory.pipe_file(f"/in/{photo.name}", photo.read_bytes())
    url = {
        "s3": s3.put(f"in/{photo.name}", photo.read_bytes()),
        "file": f"file://{photo}",
        "memory": f"memory://in/{photo.name}",
    }[scheme]
    case_id = report.talk.case()
    assert [one["file_name"] for one in task_run(UploadEvidence, case_id=case_id, files=[url]).test().value]
    (record,) = report.talk.send("GET", f"/api/files?caseId={case_id}").json()["data"]
    assert (record["file_name"], record["file_size"]) == (photo.name, photo.stat().st_size)


def test_a_connection_of_ones_own_opens_urls_that_name_none(
    submission: SubmissionJob, task_run: RunTask, s3: S3Server
) -> None:
    submission.takes(0)
    s3.put("in/claims.txt", b"A guaranteed cure. It is the number one in the country.")
    run = task_run(CreateSubmission, files=["s3://bucket/in/*.txt"], source_conn_id="files_s3").test()
    (asset,) = run.value["assets"]
    landed = task_run(
        GetIssues,
        submission_id=run.value["submissionId"],
        asset_id=asset["assetId"],
        output_path="s3://bucket/out/issues.jsonl",
        output_conn_id="files_s3",
    ).test()
    assert landed.value["path"] == "s3://files_s3@bucket/out/issues.jsonl"
    assert len(s3.read("out/issues.jsonl").splitlines()) == landed.value["rows"] > 0


def test_a_large_file_streams_from_s3_to_the_storage(
    submission: SubmissionJob, task_run: RunTask, s3: S3Server
) -> None:
    content = b"A guaranteed cure.\n" * 600_000
    url = s3.put("in/long.txt", content)
    (uploaded,) = task_run(UploadFiles, files=[url]).test().value
    (arrived,) = submission.simulator.ledger()["uploads"]
    assert (arrived["kind"], arrived["size"]) == ("presigned", len(content))
    assert uploaded["blobPath"] == arrived["blob_path"]
