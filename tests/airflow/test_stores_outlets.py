"""A file that was written is an asset event that carries its manifest, and other Dags can wait for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from airflow.sdk import DAG, Asset, AssetAlias

from airflow_provider.core.outlets import asset_uri
from airflow_provider.operators.mediamagic import MediaMagicGetIssuesOperator as GetIssues
from airflow_provider.operators.silent_witness import SilentWitnessDownloadReportOperator as DownloadReport
from tests.airflow.conftest import RunTask
from tests.airflow.jobs import ReportJob, SubmissionJob
from tests.airflow.task_run import fresh_session, register


def events(run_id: str) -> dict[str, dict[str, Any]]:
    """The extra of every asset event of a run, by the asset's name."""
    from airflow.models.asset import AssetEvent
    from sqlalchemy import select

    found = fresh_session().scalars(select(AssetEvent).where(AssetEvent.source_run_id == run_id))
    return {event.asset.name: event.extra for event in found}


def waiting_for(asset: Asset) -> set[str]:
    """The Dags that an event of the asset has made ready to run."""
    from airflow.models.asset import AssetDagRunQueue, AssetModel
    from sqlalchemy import select

    query = select(AssetDagRunQueue.target_dag_id).join(
        AssetModel, AssetModel.id == AssetDagRunQueue.asset_id
    )
    return set(fresh_session().scalars(query.where(AssetModel.name == asset.name)))


@pytest.fixture
def finished_report(report: ReportJob) -> str:
    report.takes(0)
    return report.order()


def test_a_report_is_an_event_with_its_manifests(
    task_run: RunTask, finished_report: str, tmp_path: Path
) -> None:
    reports = Asset("crash_reports", uri="x-reports://crash")
    run = task_run(
        DownloadReport, report_id=finished_report, output_path=str(tmp_path), outlets=[reports]
    ).test()
    extra = events(run.run_id)["crash_reports"]
    assert extra["manifests"] == run.value
    assert [Path(one["path"]).suffix for one in extra["manifests"]] == [".pdf", ".docx"]


@pytest.mark.parametrize("by", ["name", "uri"])
def test_an_outlet_that_only_refers_to_its_asset_is_an_event_too(
    task_run: RunTask, finished_report: str, tmp_path: Path, by: str
) -> None:
    reports = Asset(f"reports_by_{by}", uri=f"x-reports://by-{by}")
    with DAG(f"reads_reports_by_{by}", schedule=[reports]) as consumer:
        pass
    register(consumer)
    reference = Asset.ref(name=reports.name) if by == "name" else Asset.ref(uri=reports.uri)
    run = task_run(
        DownloadReport, report_id=finished_report, output_path=str(tmp_path), outlets=[reference]
    ).test()
    assert events(run.run_id)[reports.name]["manifests"] == run.value


def test_another_dag_is_scheduled_on_a_new_report(
    task_run: RunTask, finished_report: str, tmp_path: Path, airflow_db: None
) -> None:
    reports = Asset("reports_for_others", uri="x-reports://for-others")
    with DAG("reads_reports", schedule=[reports]) as consumer:
        pass
    run = task_run(DownloadReport, report_id=finished_report, output_path=str(tmp_path), outlets=[reports])
    register(consumer)
    _unpause(consumer.dag_id)
    run.test()
    assert waiting_for(reports) == {"reads_reports"}


def test_an_alias_gets_an_event_for_every_file(
    task_run: RunTask, finished_report: str, tmp_path: Path
) -> None:
    run = task_run(
        DownloadReport,
        report_id=finished_report,
        output_path=str(tmp_path),
        outlets=[AssetAlias("all_reports")],
    ).test()
    by_file = {asset_uri(one["path"]): {"manifests": [one]} for one in run.value}
    assert events(run.run_id) == by_file
    assert len(by_file) == 2


def test_landed_issues_are_an_event(submission: SubmissionJob, task_run: RunTask, tmp_path: Path) -> None:
    submission.takes(0)
    job_id = submission.order_of("A guaranteed cure. It is the number one in the country.")
    (asset,) = submission.vendor_says(job_id)["assets"]
    target = tmp_path / "issues.jsonl"
    run = task_run(
        GetIssues,
        submission_id=job_id,
        asset_id=asset["assetId"],
        output_path=str(target),
        outlets=[Asset("issues")],
    ).test()
    (manifest,) = events(run.run_id)["issues"]["manifests"]
    assert manifest == run.value
    assert manifest["rows"] == len([json.loads(line) for line in target.read_text().splitlines()])


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/data/a b.pdf", "file:///data/a%20b.pdf"),
        ("s3://conn@bucket/out/a.pdf", "s3://bucket/out/a.pdf"),
        ("gs://bucket/a.pdf", "gs://bucket/a.pdf"),
        ("/data/50% ü.pdf", "file:///data/50%25%20%C3%BC.pdf"),
        ("s3://conn@bucket/Straße/case #1?.csv", "s3://bucket/Stra%C3%9Fe/case%20%231%3F.csv"),
        ("s3://bucket/day=1/a@b+c,d.csv", "s3://bucket/day=1/a@b+c,d.csv"),
    ],
)
def test_the_asset_of_a_file_names_no_connection(path: str, uri: str) -> None:
    assert asset_uri(path) == uri


def test_every_file_has_an_asset_of_its_own_that_airflow_takes() -> None:
    names = ["case #1.csv", "case #2.csv", "case%20%231.csv", "a?b.csv", "a?c.csv", "Fall ü.csv"]
    uris = {Asset(asset_uri(f"s3://conn@bucket/{name}")).uri for name in names}
    assert len(uris) == len(names)
    assert all(uri.isascii() for uri in uris)


def _unpause(dag_id: str) -> None:
    from airflow.models.dag import DagModel

    session = fresh_session()
    model = session.get(DagModel, dag_id)
    assert model is not None
    model.is_paused = False
    session.commit()


@pytest.mark.parametrize("place", ["/data/", "s3://conn@bücket/", "memory://in/"])
@pytest.mark.parametrize("key", ["k", "文", "é", " %"])
@pytest.mark.parametrize("length", [200, 333, 334, 1500, 3000])
def test_a_path_of_any_length_has_a_uri_of_its_own_that_airflow_takes(
    place: str, key: str, length: int
) -> None:
    paths = [f"{place}{key * (length // len(key))}{end}" for end in ("", "/a.jsonl", "/b.jsonl")]

    uris = {Asset(asset_uri(path)).uri for path in paths}

    assert len(uris) == 3
    assert all(uri.isascii() and unquote(uri).isprintable() for uri in uris)
