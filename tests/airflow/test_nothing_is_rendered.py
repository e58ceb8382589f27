"""What a service answers or a file is called is text, and Airflow is never led to take it for a template."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider.task_groups.mediamagic import MediaMagicReviewTaskGroup as Review
from airflow_provider.task_groups.silent_witness import SilentWitnessReportTaskGroup as Report
from tests.airflow.conftest import Connect
from tests.airflow.jobs import SOON, ReportJob, SubmissionJob
from tests.airflow.task_run import Recorder, rendered_fields
from tests.airflow.test_example_dags import example
from tests.airflow.test_secrets import _database
from tests.airflow.test_task_groups import pulled, run_whole, states
from tests.conftest import MEDIAMAGIC_KEY
from tests.simulator.talk import picture

PASSWORD = "the-password-of-the-warehouse"
TEMPLATE = "{{ conn.warehouse.password }}"

pytestmark = pytest.mark.usefixtures("airflow_db", "simulated_pace")


class Relay:
    """
    Stands between the package and the simulator, and calls every asset what it is told to.

    :param url: of the simulator.
    :param asset_id: the id that all answers have for an asset.
    """

    def __init__(self, url: str, asset_id: str) -> None:
        self.targets: list[str] = []
        relay = self
        named = f'"assetId": {json.dumps(asset_id)}'

        class Handler(BaseHTTPRequestHandler):
            def relay(self) -> None:
                relay.targets.append(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                request = urllib.request.Request(
                    f"{url}{self.path}", data=body or None, headers=headers, method=self.command
                )
                try:
                    with urllib.request.urlopen(request, timeout=60) as reply:
                        status, content = reply.status, reply.read()
                except urllib.error.HTTPError as refused:
                    status, content = refused.code, refused.read()
                content = re.sub(rb'"assetId":\s*"[^"]*"', named.encode(), content)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = relay

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def relay(submission: SubmissionJob, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """A MediaMagic that tries what it can learn, and an Airflow that has something to learn."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "postgres", "password": PASSWORD}))
    submission.takes(SOON)
    relay = Relay(submission.simulator.url, TEMPLATE)
    connect("mediamagic", host=relay.url, password=MEDIAMAGIC_KEY, extra=json.dumps({"max_retries": 0}))
    thread = threading.Thread(target=relay.server.serve_forever, daemon=True)
    thread.start()
    yield relay
    relay.server.shutdown()
    relay.server.server_close()
    thread.join()


def test_a_service_that_answers_a_template_learns_nothing_from_a_group(
    relay: Relay, submission: SubmissionJob, recorder: Recorder
) -> None:
    with DAG("rendered_group", schedule=None) as dag:
        Review(files=[submission.file("claims.txt")], topics=True, policy={})
    run = run_whole(dag)
    assert PASSWORD not in "".join([*relay.targets, *map(str, recorder.errors), _database([dag.dag_id])])
    assert run.state == "failed"
    assert states(run)["review.submit"] == {"success"}
    assert any("asset_id must be an id" in str(error) for error in recorder.errors)


def test_a_service_that_answers_a_template_learns_nothing_from_an_example(
    relay: Relay, submission: SubmissionJob, recorder: Recorder, tmp_path: Path
) -> None:
    dag = example("mediamagic_review")
    conf = {"files": [submission.file("claims.txt")], "output_dir": str(tmp_path / "out")}
    run = run_whole(dag, conf)
    assert PASSWORD not in "".join([*relay.targets, *map(str, recorder.errors), _database([dag.dag_id])])
    assert states(run)["get_issues"] == states(run)["get_topics"] == states(run)["get_result"] == {"failed"}
    assert any("asset_id must be an id" in str(error) and TEMPLATE in str(error) for error in recorder.errors)


SECRET = "what-the-variable-holds"
NAME = "{{ var.value.secret }}.jpg"


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that somebody has called so on purpose."""
    monkeypatch.setenv("AIRFLOW_VAR_SECRET", SECRET)
    photo = tmp_path / NAME
    photo.write_bytes(picture())
    return photo


def rendered_files(dag_id: str, task_id: str) -> list[Any]:
    """What each instance is to send, as Airflow shows it."""
    fields = rendered_fields(dag_id, task_id)
    return [one["files"] or [file for part in one["evidence"] for file in part["files"]] for one in fields]


@pytest.mark.parametrize("there", [True, False], ids=["uploaded", "missing"])
@pytest.mark.parametrize("given", ["whole", "in part"])
def test_a_file_that_is_called_like_a_template_keeps_its_name(
    report: ReportJob, recorder: Recorder, photo: Path, tmp_path: Path, there: bool, given: str
) -> None:
    report.takes(SOON)
    if not there:
        photo.unlink()
    entry = {"files": [str(photo)], "vehicle_role": "plaintiff", "max_parallel": 2}
    with DAG(f"rendered_evidence_{given.split()[0]}_{there}", schedule=None) as dag:

        @task
        def evidence() -> Any:
            return [entry] if given == "whole" else entry

        found: Any = evidence()
        Report(
            case_id=report.case(),
            evidence=found if given == "whole" else [found],
            output_path=str(tmp_path / "out"),
        )
    run = run_whole(dag)
    assert rendered_files(dag.dag_id, "report.evidence") == [[str(photo)]]
    assert SECRET not in "".join([*map(str, recorder.errors), _database([dag.dag_id])])
    if there:
        assert run.state == "success", states(run)
        assert [[one["file_name"] for one in files] for files in pulled(run, "report.evidence")] == [[NAME]]
    else:
        assert states(run)["report.evidence"] == {"failed"}
        assert any(NAME in str(error) for error in recorder.errors)


def test_the_example_reports_on_a_file_that_is_called_like_a_template(
    report: ReportJob, recorder: Recorder, photo: Path, tmp_path: Path
) -> None:
    report.takes(SOON)
    run = run_whole(
        example("silent_witness_report"), {"photos": [str(photo)], "output_dir": str(tmp_path / "out")}
    )
    assert run.state == "success", states(run)
    assert rendered_files("silent_witness_report", "upload_evidence")[-1] == [str(photo)]
    assert not any(recorder.errors)


def test_the_example_reports_on_a_claim_that_is_written_like_a_template(
    report: ReportJob, recorder: Recorder, photo: Path, tmp_path: Path
) -> None:
    report.takes(SOON)
    claim = ("claim-{{ var.value.secret }}", "{{ var.value.secret }}", "Ben", "Eve", "Crash", "2026-03-14")
    with closing(sqlite3.connect(tmp_path / "claims.db")) as connection, connection:
        connection.execute(
            "CREATE TABLE claims (claim_id, claimant, other_party, attorney, accident, accident_date, place,"
            " maker, model, photos, filed_on)"
        )
        connection.execute(
            "INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, 'Here', 'Ford', 'T', ?, 'today')",
            [*claim, str(photo)],
        )
    conf = {"database": f"{tmp_path}/claims.db", "filed_on": "today", "output_dir": f"{tmp_path}/out"}
    run = run_whole(example("silent_witness_claims"), conf)
    assert run.state == "success", states(run)
    assert SECRET not in "".join([*map(str, recorder.errors), _database(["silent_witness_claims"])])
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {claim[0]}
    assert [case["name"] for case in report.simulator.ledger()["cases"]] == [
        f"{claim[0]}: {claim[1]} v. {claim[2]}"
    ]


def test_the_example_reviews_a_spot_that_is_called_like_a_template(
    submission: SubmissionJob, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_SECRET", SECRET)
    submission.takes(SOON)
    campaign = tmp_path / "spots" / "{{ var.value.secret }}"
    campaign.mkdir(parents=True)
    (campaign / "{{ var.value.secret }}.txt").write_text("A guaranteed cure.")
    conf = {"spots": f"{tmp_path}/spots", "output_dir": f"{tmp_path}/out"}
    run = run_whole(example("mediamagic_campaigns"), conf)
    assert run.state == "success", states(run)
    assert SECRET not in "".join([*map(str, recorder.errors), _database(["mediamagic_campaigns"])])
    for name in ("findings.jsonl", "findings.html"):
        assert "{{ var.value.secret }}.txt" in (tmp_path / "out" / name).read_text()


def test_what_the_author_of_a_dag_writes_is_still_a_template(
    report: ReportJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.takes(SOON)
    (tmp_path / "rear.jpg").write_bytes(picture())

    @task
    def more() -> dict[str, Any]:
        return {"files": [str(tmp_path / "rear.jpg")], "vehicle_role": "defendant"}

    written = {"files": [f"{tmp_path}/{{{{ params.name }}}}.jpg"], "vehicle_role": "plaintiff"}
    for number, evidence in enumerate(([written], "with a task")):
        with DAG(f"rendered_by_author_{number}", schedule=None, params={"name": "rear"}) as dag:
            Report(
                case_id=report.case(),
                evidence=evidence if evidence != "with a task" else [written, more()],
                output_path=f"{tmp_path}/{{{{ dag.dag_id }}}}",
                formats=["pdf"],
            )
        run = run_whole(dag)
        assert run.state == "success", states(run)
        assert {*rendered_files(dag.dag_id, "report.evidence")[0]} == {str(tmp_path / "rear.jpg")}
        assert len(pulled(run, "report.download")) == 1
