"""Whole runs, swept: no key and no signature in what anybody but the vendor gets to see."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.core.http import responses
from airflow_provider.operators.silent_witness import SilentWitnessDownloadReportOperator as DownloadReport
from tests.airflow.conftest import Connect
from tests.airflow.jobs import ENDLESS, SOON, Job, ReportJob, SubmissionJob
from tests.airflow.task_run import Recorder
from tests.conftest import AIRFLOW_HOME, MEDIAMAGIC_KEY, SILENT_WITNESS_KEY

SIGNATURE = re.compile(r"[?&](sig|signature|X-Amz-Signature)=(?!\*\*\*)[^&\s\"']+", re.IGNORECASE)

Sweep = Callable[[], None]


@pytest.fixture
def sweep(recorder: Recorder, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Sweep:
    """Look at all traces of a run: errors, the whole metadata database, triggers, events, output, logs."""

    def check() -> None:
        output = capfd.readouterr()
        traces = {
            "errors": "\n".join(
                line
                for error in recorder.errors
                if error is not None
                for line in [*traceback.format_exception(error), repr(error), str(vars(error))]
            ),
            "triggers": str(recorder.triggers),
            "deferrals": str(recorder.deferrals),
            "events": str(recorder.events),
            "database": _database(recorder.dag_ids),
            "output": output.out + output.err,
            "log records": caplog.text,
            "log files": "\n".join(
                path.read_text()
                for dag_id in recorder.dag_ids
                for path in Path(AIRFLOW_HOME, "logs").glob(f"*{dag_id}/**/*.log")
            ),
        }
        for where, text in traces.items():
            for key in (MEDIAMAGIC_KEY, SILENT_WITNESS_KEY):
                assert key not in text, f"a key is in the {where}"
            found = SIGNATURE.search(text)
            assert found is None, (
                f"a signature is in the {where}: ...{text[found.start() - 200 : found.end()]}"
            )

    return check


def _database(dag_ids: list[str]) -> str:
    """Everything that Airflow keeps of these Dags: XComs, rendered fields, task state, triggers, the Dags."""
    rows: list[Any] = []
    with sqlite3.connect(Path(AIRFLOW_HOME, "airflow.db")) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        for table in tables:
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info('{table}')")}
            if "dag_id" in columns:
                marks = ", ".join("?" * len(dag_ids))
                query = f"SELECT * FROM '{table}' WHERE dag_id IN ({marks})"
                rows += connection.execute(query, dag_ids).fetchall()
        rows += connection.execute("SELECT * FROM trigger").fetchall()
    assert rows or not dag_ids
    return "\n".join(map(str, rows))


def test_the_sweep_sees_what_it_looks_for(sweep: Sweep, recorder: Recorder, airflow_db: None) -> None:
    recorder.errors.append(ValueError(f"GET https://storage.example/x?sig={'0' * 8}"))
    with pytest.raises(AssertionError, match="a signature is in the errors"):
        sweep()
    recorder.errors[:] = [ValueError(MEDIAMAGIC_KEY)]
    with pytest.raises(AssertionError, match="a key is in the errors"):
        sweep()


def test_a_run_that_succeeds(job: Job, deferrable: bool, sweep: Sweep) -> None:
    job.takes(SOON)
    run = job.task(deferrable=deferrable).test()
    assert run.state == "success"
    sweep()


@pytest.mark.parametrize("fault", ["reset", "garbage", "html"])
def test_a_run_with_trouble_on_the_line(job: Job, deferrable: bool, fault: str, sweep: Sweep) -> None:
    job.takes(SOON)
    job.simulator.fault(fault, job.status_path, "GET", times=2)
    assert job.task(deferrable=deferrable).test().state == "success"
    sweep()


def test_an_answer_that_echoes_the_key(job: Job, deferrable: bool, sweep: Sweep) -> None:
    job.takes(ENDLESS)
    body = {"detail": f"Key {job.key} is unknown", "error": f"Key {job.key} is unknown"}
    job.simulator.fault("status", job.status_path, "GET", status=401, body=body)
    assert job.task(deferrable=deferrable).test().state == "failed"
    sweep()


def test_a_page_that_echoes_the_key(job: Job, sweep: Sweep) -> None:
    page = f"<html>X-API-Key: {job.key}</html>"
    job.simulator.fault("status", job.create_path, "POST", status=200, body=page)
    assert job.task(deferrable=True).test().state == "failed"
    sweep()


def test_fields_that_nobody_knows(job: Job, sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    def hostile(body: Any) -> Any:
        link = "https://storage.example/a?sig=0123456789"
        if isinstance(body, dict):
            more = {"clientSecret": link, "preview_urls": [link], "note": f"see {link}"}
            return {**{name: hostile(value) for name, value in body.items()}, **more}
        return [hostile(item) for item in body] if isinstance(body, list) else body

    real = responses.load_json
    monkeypatch.setattr(responses, "load_json", lambda content: hostile(real(content)))
    job.takes(SOON)
    assert job.task(deferrable=False).test().state == "success"
    sweep()


def test_a_failure_whose_reason_holds_a_signed_link(job: Job, deferrable: bool, sweep: Sweep) -> None:
    link = "https://storage.example/blob?sv=1&sig=abcdef0123456789"
    if isinstance(job, SubmissionJob):
        job.fails(error_message=f"Cannot read {link}")
    else:
        job.fails(message=f"Cannot read {link}")  # type: ignore[call-arg]
    assert job.task(deferrable=deferrable).test().state == "failed"
    sweep()


def test_a_server_that_is_not_there(job: Job, connect: Any, sweep: Sweep) -> None:
    connect(job.service, host="127.0.0.1:9", password=job.key, extra='{"max_retries": 0}')
    assert job.task(deferrable=True).test().state == "failed"
    sweep()


@pytest.fixture
def report_id(report: ReportJob) -> str:
    report.takes(0)
    return report.order()


def test_a_download(report: ReportJob, report_id: str, tmp_path: Path, sweep: Sweep) -> None:
    run = report._task_run(DownloadReport, report_id=report_id, output_path=str(tmp_path / "out")).test()
    assert run.state == "success"
    sweep()


@pytest.mark.parametrize("status", [403, 404])
def test_a_download_that_the_storage_refuses(
    report: ReportJob, report_id: str, tmp_path: Path, status: int, sweep: Sweep
) -> None:
    report.simulator.fault("status", "*.pdf", "GET", status=status, body="denied")
    run = report._task_run(DownloadReport, report_id=report_id, output_path=str(tmp_path / "out")).test()
    assert run.state == "failed"
    sweep()


def test_a_download_that_breaks_off(report: ReportJob, report_id: str, tmp_path: Path, sweep: Sweep) -> None:
    report.simulator.fault("truncate", "*.pdf", "GET", times=1)
    run = report._task_run(DownloadReport, report_id=report_id, output_path=str(tmp_path / "out")).test()
    assert run.state in ("success", "failed")
    sweep()


def test_an_upload_that_the_storage_refuses(submission: SubmissionJob, tmp_path: Path, sweep: Sweep) -> None:
    big = tmp_path / "big.txt"
    big.write_text("Guaranteed. " * 900_000)
    assert os.path.getsize(big) > 10_000_000
    submission.simulator.fault("status", "*", "PUT", status=403)
    assert submission.task(files=[str(big)]).test().state == "failed"
    sweep()


@pytest.fixture
def debug(caplog: pytest.LogCaptureFixture) -> None:
    """What ``logging_level = DEBUG`` does."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "urllib3")


def test_a_download_at_debug_level(
    report: ReportJob,
    report_id: str,
    tmp_path: Path,
    debug: None,
    caplog: pytest.LogCaptureFixture,
    sweep: Sweep,
    connect: Connect,
) -> None:
    connect("silent_witness", host=report.simulator.url, password=SILENT_WITNESS_KEY)
    report.simulator.fault("reset", "*.pdf", "GET", times=1)
    run = report._task_run(DownloadReport, report_id=report_id, output_path=str(tmp_path / "out")).test()
    assert run.state == "success"
    assert re.search(r"GET \S+\.pdf\?\*\*\* ", caplog.text)
    sweep()


def test_an_upload_at_debug_level(
    submission: SubmissionJob,
    tmp_path: Path,
    debug: None,
    caplog: pytest.LogCaptureFixture,
    sweep: Sweep,
) -> None:
    submission.takes(SOON)
    big = tmp_path / "big.txt"
    big.write_text("Guaranteed. " * 900_000)
    assert submission.task(files=[str(big)], deferrable=False).test().state == "success"
    assert re.search(r"PUT \S+\?\*\*\* ", caplog.text)
    sweep()


def test_the_rendered_fields_show_no_more_than_was_given(submission: SubmissionJob, sweep: Sweep) -> None:
    submission.takes(SOON)
    run = submission.task(metadata={"run": "{{ run_id }}"}, deferrable=True).test()
    assert run.run_id in str(run.rendered["metadata"])
    sweep()
