"""
An upgrade of the package on a running Airflow: what an old version has started, this one ends.

The old version is a commit of this repository, built and installed beside the code that is tested. Airflow
and its database stay; in between everything is stopped, as in an upgrade.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_provider.simulator import Simulator
from tests.live.harness.patience import until
from tests.live.harness.processes import Component, free_port
from tests.live.harness.rest import Rest
from tests.packaging.archives import REPOSITORY, install, run
from tests.simulator.talk import MediaMagicTalk, SilentWitnessTalk

# The oldest one that runs by itself, and the last one of the first version.
COMMITS = os.environ.get("UPGRADE_FROM", "cceb2f5 03519f0").split()
ENDLESS = 1e7
DAG_ID = "over_the_upgrade"
DAG = """
from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider.operators.mediamagic import MediaMagicCreateSubmissionOperator as Submit
from airflow_provider.operators.silent_witness import SilentWitnessCreateReportOperator as Report
from airflow_provider.sensors.mediamagic import MediaMagicSubmissionSensor
from airflow_provider.sensors.silent_witness import SilentWitnessReportSensor

HOUR = {{"deferrable": True, "timeout": 3600}}
with DAG("{dag_id}", schedule=None, is_paused_upon_creation=False):
    Submit(task_id="submission", files=["{ad}"], **HOUR)
    Report(task_id="report", case_id="{case}", **HOUR)
    MediaMagicSubmissionSensor(task_id="submission_of_others", submission_id="{submission}", **HOUR)
    SilentWitnessReportSensor(task_id="report_of_others", report_id="{report}", **HOUR)
    # These give up under the old version, and their retries find the jobs under the new one.
    late = {{"timeout": 2, "retries": 1, "retry_delay": timedelta(seconds=75)}}
    Submit(task_id="late_submission", files=["{ad}"], metadata={{"late": True}}, deferrable=False, **late)
    Report(task_id="late_report", case_id="{late_case}", deferrable=False, cancel_on_timeout=False, **late)
"""
BEFORE = dict.fromkeys(("submission", "report", "submission_of_others", "report_of_others"), "deferred") | {
    "late_submission": "up_for_retry",
    "late_report": "up_for_retry",
}


class Upgraded:
    """One home of Airflow, on which one version after the other runs."""

    def __init__(self, home: Path, services: str) -> None:
        (home / "dags").mkdir(parents=True)
        self.home = home
        self.port = free_port()
        self.rest = Rest(f"http://localhost:{self.port}")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        inherited.pop("PYTHONPATH", None)
        self._environment = inherited | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API__BASE_URL": self.rest.url,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API_AUTH__JWT_SECRET": "of this test, and long enough for a signature",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.rest.url}/execution/",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        }
        for service, key in (("mediamagic", "sk_live_1"), ("silent_witness", "sk-1")):
            connection = {"conn_type": service, "host": services, "password": key}
            self._environment[f"AIRFLOW_CONN_{service.upper()}_DEFAULT"] = json.dumps(connection)

    @contextmanager
    def running(self, python: str) -> Iterator[None]:
        """Run this Airflow with what an environment holds; the API server first."""
        airflow = str(Path(python).with_name("airflow"))
        run(airflow, "db", "migrate", env=self._environment)
        components = [
            Component(name, [airflow, name], environment=self._environment, log=self.home / f"{name}.log")
            for name in ("api-server", "dag-processor", "triggerer", "scheduler")
        ]
        try:
            components[0].start()
            until(self.rest.healthy, "Airflow answers", seconds=240)
            for component in components[1:]:
                component.start()
            yield
        finally:
            for component in components:
                component.stop()

    def states(self) -> dict[str, str]:
        """Of the tasks of the only run."""
        path = f"/dags/{DAG_ID}/dagRuns/~/taskInstances"
        return {ti["task_id"]: ti["state"] for ti in self.rest.call("GET", path)["task_instances"]}

    def wait_for(self, states: dict[str, str]) -> None:
        """Wait until the tasks are in these states, and no longer than until one cannot be."""
        until(lambda: self.states() == states or "failed" in self.states().values(), f"{states}", seconds=300)
        assert self.states() == states, (self.home / "scheduler.log").read_text()[-5000:]


@pytest.fixture
def services() -> Iterator[Simulator]:
    with Simulator() as simulator:
        for service in ("mediamagic", "silent_witness"):
            simulator.script(service, duration=ENDLESS)
        yield simulator


@pytest.mark.live
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("commit", COMMITS)
def test_jobs_go_on_over_an_upgrade(services: Simulator, tmp_path: Path, commit: str) -> None:
    old = install(_wheel_of(commit, tmp_path), tmp_path)
    media, witness = MediaMagicTalk(services), SilentWitnessTalk(services)
    media.key, witness.key = "sk_live_1", "sk-1"
    ad = tmp_path / "ad.txt"
    ad.write_text("A miracle cure.")
    names = {
        "dag_id": DAG_ID,
        "ad": str(ad),
        "case": witness.ready_case(),
        "late_case": witness.ready_case(),
        "submission": media.submit(media.upload("other.txt", b"A nice drink."))["submissionId"],
        "report": witness.order(witness.ready_case()).json()["data"]["id"],
    }
    upgraded = Upgraded(tmp_path / "airflow", services.url)
    (upgraded.home / "dags" / "over.py").write_text(DAG.format(**names))

    with upgraded.running(str(old)):
        until(lambda: DAG_ID in upgraded.rest.dag_ids(), "the Dag is known", seconds=120)
        upgraded.rest.call("POST", f"/dags/{DAG_ID}/dagRuns", json={"logical_date": None})
        upgraded.wait_for(BEFORE)
    before = services.ledger()
    assert (len(before["submissions"]), len(before["reports"])) == (3, 3)

    services.advance(ENDLESS)
    with upgraded.running(sys.executable):
        upgraded.wait_for(dict.fromkeys(BEFORE, "success"))
    after = services.ledger()
    assert [one["id"] for one in after["reports"]] == [one["id"] for one in before["reports"]]
    assert len(after["submissions"]) == len(before["submissions"]), "nothing was paid for again"


def _wheel_of(commit: str, folder: Path) -> Path:
    """Build what the package was."""
    archive = subprocess.run(
        ["git", "-C", str(REPOSITORY), "archive", commit], check=False, capture_output=True
    )
    if archive.returncode:
        pytest.skip(f"this copy of the repository has no commit {commit}")
    source = folder / "source"
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(source, filter="data")
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    return wheel
