"""The Dags and connections that the documentation shows do what it says of them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
from airflow.models.dagrun import DagRun
from airflow.sdk import DAG, Connection

from airflow_provider.core.http.connection import ConnectionSettings
from airflow_provider.hooks.mediamagic_connection import MEDIAMAGIC
from airflow_provider.hooks.silent_witness import SILENT_WITNESS
from airflow_provider.simulator import Simulator
from demo.inputs import Inputs
from tests.airflow.task_run import register
from tests.simulator.talk import MediaMagicTalk, SilentWitnessTalk

HERE = Path(__file__).parent
DAGS = sorted(path.stem for path in (HERE / "dags").glob("*.py"))
SOON = 20.0

Run = Callable[..., DagRun]


def dags(name: str, folder: Path = HERE / "dags") -> dict[str, DAG]:
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag  # type: ignore[no-redef]

    if name == "report_with_retries":
        pytest.importorskip(
            "airflow.sdk.definitions.retry_policy", reason="Airflow 3.3 brings retry policies"
        )
    bag = DagBag(folder / f"{name}.py")
    assert bag.import_errors == {}
    found: dict[str, DAG] = bag.dags
    return found


@pytest.fixture
def run(
    airflow_db: None,
    simulated_pace: None,
    mediamagic_conn: str,
    silent_witness_conn: str,
    simulator: Simulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """Run an example, with other paths or arguments for some tasks; all jobs take a third of a second."""
    for service in ("mediamagic", "silent_witness"):
        simulator.script(service, duration=SOON)

    def run(
        name: str,
        conf: dict[str, Any] | None = None,
        paths: dict[str, str] | None = None,
        dag_id: str | None = None,
        **tasks: dict[str, Any],
    ) -> DagRun:
        code = (HERE / "dags" / f"{name}.py").read_text()
        for shown, real in (paths or {}).items():
            assert shown in code
            code = code.replace(shown, real)
        folder = tmp_path_factory.mktemp("dags")
        (folder / f"{name}.py").write_text(code)
        dag = dags(name, folder)[dag_id or name]
        for task_id, arguments in tasks.items():
            for argument, value in arguments.items():
                setattr(dag.get_task(task_id), argument, value)
        register(dag)
        finished: DagRun = dag.test(run_conf=conf or {})
        return finished

    return run


@pytest.fixture
def case_id(simulator: Simulator, silent_witness_conn: str) -> str:
    """A case with a photo."""
    return _witness(simulator).ready_case()


def _witness(simulator: Simulator) -> SilentWitnessTalk:
    from tests.conftest import SILENT_WITNESS_KEY

    talk = SilentWitnessTalk(simulator)
    talk.key = SILENT_WITNESS_KEY
    return talk


def states(run: DagRun) -> dict[str, str]:
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


def returned(run: DagRun, task_id: str) -> Any:
    (found,) = (ti for ti in run.get_task_instances() if ti.task_id == task_id)
    return found.xcom_pull(task_ids=task_id)


@pytest.mark.parametrize("name", DAGS)
def test_an_example_loads_without_connections(name: str) -> None:
    assert name in dags(name)


def test_the_first_review(run: Run, media_files: Inputs) -> None:
    assert run("review_spots", paths={"/data/spots/*.mp4": str(media_files.media[0])}).state == "success"


def test_the_first_report(run: Run, case_id: str, media_files: Inputs, tmp_path: Path) -> None:
    paths = {
        "case_1": case_id,
        "/data/photos/*.jpg": str(media_files.photos[0]),
        "/data/reports": str(tmp_path),
    }
    assert run("report_on_photos", paths=paths).state == "success"
    assert {path.suffix for path in tmp_path.iterdir()} == {".pdf", ".docx"}


def test_issues_land_as_parquet(run: Run, tmp_path: Path) -> None:
    ad = tmp_path / "ad.txt"
    ad.write_text("A guaranteed cure. It is the number one in the country.")
    assert run("issues_to_parquet", {"files": [str(ad)], "output_dir": str(tmp_path)}).state == "success"
    (landed,) = tmp_path.glob("*.parquet")
    assert pyarrow.parquet.read_table(landed).num_rows > 0


def test_jobs_of_others_are_waited_for(run: Run, simulator: Simulator, case_id: str) -> None:
    from tests.conftest import MEDIAMAGIC_KEY

    talk = MediaMagicTalk(simulator)
    talk.key = MEDIAMAGIC_KEY
    submission_id = talk.submit(talk.upload("ad.txt", b"A guaranteed cure."))["submissionId"]
    report_id = _witness(simulator).order(case_id).json()["data"]["id"]
    simulator.advance(60)
    finished = run("jobs_of_others", {"submission_id": submission_id, "case_id": case_id})
    assert finished.state == "success"
    assert returned(finished, "report")["id"] == report_id


def test_a_transient_failure_gets_a_new_report(run: Run, simulator: Simulator, case_id: str) -> None:
    simulator.clear_scripts()
    simulator.script(
        "silent_witness", duration=SOON, status="failed", message="Report generation timed out", times=1
    )
    simulator.script("silent_witness", duration=SOON)
    finished = run("report_with_retries", {"case_id": case_id}, report={"pool": "default_pool"})
    assert finished.state == "success"
    assert len(simulator.ledger()["reports"]) == 2


def test_the_teardown_cancels_the_report(run: Run, simulator: Simulator, case_id: str) -> None:
    simulator.clear_scripts()
    simulator.script("silent_witness", duration=1e7)
    finished = run("report_with_teardown", {"case_id": case_id}, report={"timeout": 1})
    assert states(finished) == {"report": "failed", "cancel": "success"}
    assert returned(finished, "cancel")["status"] == "cancelled"


def test_a_hook_asks_what_no_operator_does(run: Run, simulator: Simulator, case_id: str) -> None:
    report_id = _witness(simulator).order(case_id).json()["data"]["id"]
    assert returned(run("with_a_hook", {"case_id": case_id}), "reports_of").keys() == {report_id}
    assert returned(run("with_a_hook", {"case_id": "case_nobody_knows"}), "reports_of") == {}


def test_a_gate_branches(run: Run, simulator: Simulator) -> None:
    from tests.conftest import MEDIAMAGIC_KEY

    talk = MediaMagicTalk(simulator)
    talk.key = MEDIAMAGIC_KEY
    submission_id = talk.submit(talk.upload("ad.txt", b"A miracle cure."))["submissionId"]
    simulator.advance(60)
    finished = states(run("gate_by_id", {"submission_id": submission_id}))
    assert (finished["withdraw"], finished["publish"]) == ("success", "skipped")


def test_a_report_in_one_call(run: Run, case_id: str, media_files: Inputs, tmp_path: Path) -> None:
    conf = {"case_id": case_id, "photos": str(media_files.photos[0]), "output_dir": str(tmp_path)}
    finished = run("report_in_one_call", conf)
    assert finished.state == "success"
    assert sorted(returned(finished, "paths")) == sorted(str(path) for path in tmp_path.iterdir())


def test_every_operator_for_media(run: Run, tmp_path: Path) -> None:
    spots = tmp_path / "spots"
    spots.mkdir()
    (spots / "ad.txt").write_text("Limited time only.")
    finished = run(
        "mediamagic_operators", paths={"/data/spots": str(spots), "/data/out": str(tmp_path / "out")}
    )
    assert finished.state == "success"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"issues.csv", "review.html"}


def test_a_failed_asset_is_retried(run: Run, simulator: Simulator) -> None:
    from tests.conftest import MEDIAMAGIC_KEY

    talk = MediaMagicTalk(simulator)
    talk.key = MEDIAMAGIC_KEY
    simulator.clear_scripts()
    simulator.script(
        "mediamagic", duration=0, asset_status="failed", error_type="processing_error", attempts_failing=1
    )
    submission = talk.submit(talk.upload("ad.txt", b"A guaranteed cure."))
    ids = {"submission_id": submission["submissionId"], "asset_id": submission["assets"][0]["assetId"]}
    finished = run("mediamagic_operators", ids, dag_id="retry_one_asset")
    assert finished.state == "success"
    assert returned(finished, "retry")["completedAssetIds"] == [ids["asset_id"]]


def test_every_operator_for_subscriptions(
    run: Run, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.conftest import MEDIAMAGIC_KEY

    connection = {
        "conn_type": "mediamagic",
        "host": simulator.url,
        "password": MEDIAMAGIC_KEY,
        "extra": {"webhook_secret_variable": "mediamagic_webhook_secret"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_MEDIAMAGIC_DEFAULT", json.dumps(connection))
    finished = run("mediamagic_subscriptions")
    assert finished.state == "success"
    assert [one["enabled"] for one in returned(finished, "list")] == [True]
    assert returned(finished, "switch_off")["enabled"] is False


def test_every_operator_for_reports(run: Run, media_files: Inputs, tmp_path: Path) -> None:
    paths = {"/data/photos/*.jpg": str(media_files.photos[0]), "/data/reports": str(tmp_path)}
    assert run("silent_witness_operators", paths=paths).state == "success"
    assert {path.suffix for path in tmp_path.iterdir()} == {".pdf", ".docx"}


def _connections() -> dict[str, Connection]:
    found = {
        f"{name} (json)": Connection.from_json(json.dumps(fields), conn_id=name)
        for name, fields in json.loads((HERE / "connections.json").read_text()).items()
    }
    for line in (HERE / "connections.env").read_text().splitlines():
        (setting,) = shlex.split(line)
        name, _, value = setting.partition("=")
        conn_id = re.fullmatch(r"AIRFLOW_CONN_(\w+)", name)[1].lower()  # type: ignore[index]
        if value.startswith("{"):
            found[f"{conn_id} (env)"] = Connection.from_json(value, conn_id=conn_id)
        else:
            found[f"{conn_id} (env)"] = Connection.from_uri(value, conn_id=conn_id)
    return found


@pytest.mark.parametrize("name", ["connections.json", "connections.env"])
def test_connections_are_usable(name: str) -> None:
    kind = "json" if name.endswith("json") else "env"
    found = {
        label: ConnectionSettings.from_connection(
            connection, MEDIAMAGIC if label.startswith("mediamagic") else SILENT_WITNESS
        )
        for label, connection in _connections().items()
        if label.endswith(f"({kind})")
    }
    assert len(found) == 3
    limited = found[f"silent_witness_default ({kind})"]
    assert limited.requests_per_hour == 500
    assert limited.requests_per_minute == 100
