"""The example Dags, as a user runs them first: ``dag.test()``, real files in, real documents out."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import docx
import fsspec  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import pypdf
import pytest
from airflow.models.dagrun import DagRun
from airflow.sdk import DAG, ObjectStoragePath

from airflow_provider.operators.mediamagic import MediaMagicGetIssuesOperator as GetIssues
from airflow_provider.operators.mediamagic import MediaMagicGetTopicsOperator as GetTopics
from airflow_provider.operators.silent_witness import SilentWitnessDownloadReportOperator as DownloadReport
from airflow_provider.simulator import Simulator
from demo.inputs import FILED_ON, Inputs
from tests.airflow.conftest import RunTask
from tests.airflow.jobs import SOON, ReportJob, SubmissionJob
from tests.conftest import REPOSITORY

RunDag = Callable[..., DagRun]


def example(name: str) -> DAG:
    """The Dag as Airflow loads it from the Dags folder."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag  # type: ignore[no-redef]

    bag = DagBag(REPOSITORY / "dags" / f"{name}.py")
    assert bag.import_errors == {}
    found: DAG = bag.dags[name]
    return found


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


def pulled(run: DagRun, task_id: str, key: str = "return_value") -> list[Any]:
    """The XComs of all instances of a task."""
    found = [ti for ti in run.get_task_instances() if ti.task_id == task_id]
    return [ti.xcom_pull(task_ids=task_id, key=key, map_indexes=ti.map_index) for ti in found]


@pytest.mark.parametrize("name", sorted(path.stem for path in (REPOSITORY / "dags").glob("*.py")))
def test_an_example_loads_without_connections(name: str) -> None:
    assert example(name).dag_id == name


def test_the_review_summarizes_what_was_found(
    simulator: Simulator, run_example: RunDag, media_files: Inputs, tmp_path: Path
) -> None:
    simulator.script("mediamagic", duration=SOON)
    out = tmp_path / "out"
    run = run_example(
        "mediamagic_review", {"files": [str(path) for path in media_files.media], "output_dir": str(out)}
    )
    assert run.state == "success"
    summary = json.loads((out / "summary.json").read_text())
    issues = [issue for found in pulled(run, "get_issues") for issue in found]
    assert {asset["filename"] for asset in summary["assets"]} == {path.name for path in media_files.media}
    assert sum(summary["issues_by_severity"].values()) == len(issues)
    assert sum(asset["issueCount"] for asset in summary["assets"]) == len(issues)
    assert summary["topics"]
    assert summary["failed_assets"] == []
    assert len(simulator.ledger()["submissions"]) == 1


def test_the_review_goes_on_with_the_assets_that_completed(
    simulator: Simulator, run_example: RunDag, media_files: Inputs, tmp_path: Path
) -> None:
    simulator.script(
        "mediamagic", duration=SOON, asset_status="failed", match={"filename": "*.wav"}, attempts_failing=9
    )
    simulator.script("mediamagic", duration=SOON)
    files = [str(path) for path in media_files.media if path.suffix in (".wav", ".txt")]
    run = run_example("mediamagic_review", {"files": files, "output_dir": str(tmp_path)})
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert run.state == "success"
    assert [asset["filename"] for asset in summary["assets"]] == ["radio_script.txt"]
    assert len(summary["failed_assets"]) == 1


def test_the_review_writes_to_object_storage(
    simulator: Simulator, run_example: RunDag, media_files: Inputs, tmp_path: Path
) -> None:
    simulator.script("mediamagic", duration=SOON)
    target = ObjectStoragePath(f"file://{tmp_path}/review")
    files = [str(path) for path in media_files.media if path.suffix == ".txt"]
    assert run_example("mediamagic_review", {"files": files, "output_dir": str(target)}).state == "success"
    assert json.loads((target / "summary.json").read_text())["status"] == "complete"


def test_the_report_is_about_the_parties_of_the_case(
    simulator: Simulator, run_example: RunDag, media_files: Inputs, tmp_path: Path
) -> None:
    simulator.script("silent_witness", duration=SOON)
    conf = {
        "photos": [str(path) for path in media_files.photos],
        "edr_reports": [str(path) for path in media_files.edr_reports],
        "output_dir": str(tmp_path / "out"),
    }
    run = run_example("silent_witness_report", conf)
    assert run.state == "success"
    (manifests,) = pulled(run, "download_report")
    paths = {Path(one["path"]).suffix: Path(one["path"]) for one in manifests}
    pdf = "\n".join(page.extract_text() for page in pypdf.PdfReader(paths[".pdf"]).pages)
    word = docx.Document(str(paths[".docx"]))
    text = "\n".join(
        [paragraph.text for paragraph in word.paragraphs]
        + [cell.text for table in word.tables for row in table.rows for cell in row.cells]
    )
    for party in ("Ada Smith", "Ben Johnson"):
        assert party in pdf
        assert party in text


@pytest.mark.parametrize("conf", [{}, {"photos": [], "edr_reports": []}], ids=["none", "empty"])
def test_a_report_without_evidence_fails_before_anything_is_paid_for(
    simulator: Simulator, run_example: RunDag, conf: dict[str, Any]
) -> None:
    assert run_example("silent_witness_report", conf).state == "failed"
    assert simulator.ledger()["total_requests"] == 0


def test_the_manifests_of_the_download_are_true(
    simulator: Simulator, run_example: RunDag, media_files: Inputs, tmp_path: Path
) -> None:
    simulator.script("silent_witness", duration=SOON)
    conf = {"photos": [str(path) for path in media_files.photos], "output_dir": str(tmp_path / "out")}
    run = run_example("silent_witness_report", conf)
    (manifests,) = pulled(run, "download_report")
    (report_id,) = pulled(run, "create_report", "report_id")
    for one in manifests:
        content = Path(one["path"]).read_bytes()
        assert (one["bytes"], one["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert one["report_id"] == report_id
    ledger = simulator.ledger()
    assert len(ledger["reports"]) == len(ledger["cases"]) == 1
    assert ledger["requests"]["POST /api/files/upload"] == len(media_files.photos)


def test_a_report_for_every_claim_of_the_day(
    simulator: Simulator, run_example: RunDag, media_files: Inputs, tmp_path: Path
) -> None:
    simulator.script("silent_witness", duration=SOON)
    out = tmp_path / "out"
    conf = {"database": str(media_files.claims), "filed_on": FILED_ON, "output_dir": str(out)}
    run = run_example("silent_witness_claims", conf)
    assert run.state == "success"
    assert {path.name for path in out.iterdir()} == {
        f"{claim}.{suffix}" for claim in ("claim-7", "claim-8") for suffix in ("pdf", "docx")
    }
    for claim, claimant in (("claim-7", "Ada Smith"), ("claim-8", "Dora Evans")):
        assert claimant in pypdf.PdfReader(out / f"{claim}.pdf").pages[0].extract_text()
    ledger = simulator.ledger()
    assert len(ledger["reports"]) == len(ledger["cases"]) == 2
    assert ledger["requests"]["POST /api/files/upload"] == 3


def test_a_day_without_claims_costs_nothing(
    simulator: Simulator, run_example: RunDag, media_files: Inputs, tmp_path: Path
) -> None:
    conf = {"database": str(media_files.claims), "filed_on": "2026-03-17", "output_dir": str(tmp_path)}
    assert run_example("silent_witness_claims", conf).state == "success"
    assert simulator.ledger()["total_requests"] == 0


def test_a_claim_without_photos_does_not_stop_the_others(
    simulator: Simulator, run_example: RunDag, media_files: Inputs, tmp_path: Path
) -> None:
    simulator.script("silent_witness", duration=SOON)
    claims = tmp_path / "claims.db"
    claims.write_bytes(media_files.claims.read_bytes())
    with closing(sqlite3.connect(claims)) as connection, connection:
        connection.execute("UPDATE claims SET photos = '/nothing/*.jpg' WHERE claim_id = 'claim-7'")
    out = tmp_path / "out"
    conf = {"database": str(claims), "filed_on": FILED_ON, "output_dir": str(out)}
    assert run_example("silent_witness_claims", conf).state == "failed"
    assert {path.name for path in out.iterdir()} == {"claim-8.pdf", "claim-8.docx"}
    assert len(simulator.ledger()["reports"]) == 1


def test_campaigns_become_one_table_of_findings(
    simulator: Simulator, run_example: RunDag, media_files: Inputs, tmp_path: Path
) -> None:
    simulator.script("mediamagic", duration=SOON)
    out, spots = tmp_path / "out", tmp_path / "50% off [new]"
    shutil.copytree(media_files.spots, spots)
    (spots / "empty").mkdir()
    (spots / "beside.txt").write_text("A guaranteed cure.")
    run = run_example("mediamagic_campaigns", {"spots": str(spots), "output_dir": str(out)})
    assert run.state == "success"
    rows = [json.loads(line) for line in (out / "findings.jsonl").read_text().splitlines()]
    assert {row["filename"] for row in rows} == {"radio_script.txt", "banner_act_now.jpg", "beside.txt"}
    assert len({row["submission_id"] for row in rows}) == len(simulator.ledger()["submissions"]) == 3
    document = (out / "findings.html").read_text()
    assert all(row["rule_code"] in document for row in rows)


# -- landing results ----


@pytest.fixture
def asset(submission: SubmissionJob) -> dict[str, str]:
    """An asset with issues."""
    submission.takes(0)
    job_id = submission.order_of("Guaranteed! The number one in the country. Price: $19.99 for your kids.")
    return {
        "submission_id": job_id,
        "asset_id": submission.vendor_says(job_id)["assets"][0]["assetId"],
    }


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_issues_land_as_one_row_each(
    task_run: RunTask, asset: dict[str, str], tmp_path: Path, suffix: str
) -> None:
    target = tmp_path / f"issues.{suffix}"
    found = task_run(GetIssues, **asset).test().value
    manifest = task_run(GetIssues, output_path=str(target), **asset).test().value
    rows = _rows(target)
    assert len(rows) == manifest["rows"] == len(found) > 1
    assert [row["issue_id"] for row in rows] == [issue["id"] for issue in found]
    assert {row["submission_id"] for row in rows} == {asset["submission_id"]}
    assert manifest["path"] == str(target)


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_issues_land_in_object_storage(
    task_run: RunTask, asset: dict[str, str], tmp_path: Path, scheme: str
) -> None:
    url = f"file://{tmp_path}/issues.jsonl" if scheme == "file" else "memory://bucket/issues.jsonl"
    manifest = task_run(GetIssues, output_path=url, **asset).test().value
    with fsspec.open(url, "rt") as landed:
        assert len(landed.readlines()) == manifest["rows"]


def test_topics_land_as_json(task_run: RunTask, asset: dict[str, str], tmp_path: Path) -> None:
    target = tmp_path / "topics.json"
    expected = task_run(GetTopics, **asset).test().value
    manifest = task_run(GetTopics, output_path=str(target), **asset).test().value
    assert json.loads(target.read_text()) == expected
    assert manifest["asset_id"] == asset["asset_id"]


def test_a_result_too_large_for_xcom_asks_for_a_file(submission: SubmissionJob, task_run: RunTask) -> None:
    submission.takes(0)
    text = " ".join(f"Price: ${number}.99 guaranteed." for number in range(400))
    job_id = submission.order_of(text)
    asset_id = submission.vendor_says(job_id)["assets"][0]["assetId"]
    run = task_run(GetIssues, submission_id=job_id, asset_id=asset_id).test()
    assert getattr(run.error, "parameter", None) == "output_path"


@pytest.mark.parametrize("scheme", ["local", "file", "memory"])
def test_a_report_is_downloaded_to(report: ReportJob, task_run: RunTask, tmp_path: Path, scheme: str) -> None:
    report.takes(0)
    folder = {"local": str(tmp_path), "file": f"file://{tmp_path}", "memory": "memory://bucket/reports"}[
        scheme
    ]
    manifests = task_run(DownloadReport, report_id=report.order(), output_path=folder).test().value
    for one in manifests:
        with fsspec.open(one["path"], "rb") as downloaded:
            assert downloaded.read(2) in (b"%P", b"PK")


def test_one_format_and_a_name_of_ones_own(report: ReportJob, task_run: RunTask, tmp_path: Path) -> None:
    report.takes(0)
    run = task_run(
        DownloadReport,
        report_id=report.order(),
        output_path=str(tmp_path),
        formats=["pdf"],
        filename="{{ dag.dag_id }}",
    ).test()
    assert [path.name for path in tmp_path.iterdir()] == [f"{run.dag.dag_id}.pdf"]


def test_a_report_that_is_not_finished_is_not_downloaded(
    report: ReportJob, task_run: RunTask, tmp_path: Path
) -> None:
    report.takes(10_000)
    run = task_run(DownloadReport, report_id=report.order(), output_path=str(tmp_path / "out")).test()
    assert "nothing to download" in str(run.error)
    assert list((tmp_path / "out").iterdir()) == []


def _rows(target: Path) -> list[dict[str, Any]]:
    if target.suffix == ".jsonl":
        return [json.loads(line) for line in target.read_text().splitlines()]
    if target.suffix == ".csv":
        with target.open(newline="") as stream:
            return [dict(row) for row in csv.DictReader(stream)]
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(target).to_pylist()
    return rows
