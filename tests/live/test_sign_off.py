"""The sign-off Dag under a real scheduler: it waits for a person, whom the REST API stands for."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from airflow_provider.simulator import Simulator
from tests.conftest import MEDIAMAGIC_KEY
from tests.live.conftest import BOOK
from tests.live.harness.airflow import Airflow
from tests.live.harness.bench import Bench
from tests.live.harness.patience import until
from tests.live.harness.rest import Run


@pytest.fixture
def sign_off(deployment: Airflow, vendors: Simulator, tmp_path: Path) -> Bench:
    """A bench whose reviews end by themselves, and the default connection."""
    vendors.reset()
    deployment.start()
    vendors.script("mediamagic", duration=4.0)
    deployment.rest.set_connection("mediamagic_default", "mediamagic", vendors.url, MEDIAMAGIC_KEY)
    return Bench(deployment, vendors, BOOK, tmp_path, "sign-off", endless=False)


def _scheduler_has_seen_the_worker_leave(airflow: Airflow, run: Run) -> bool:
    """
    Whether the task may be answered: no person is quicker, a test is.

    Airflow 3.3.2 fails a task that is queued again before the executor's report of the worker that parked it.
    """
    log = (airflow.home / "components" / "scheduler.log").read_text(errors="replace")
    return any(
        "Received executor event with state success" in line
        and "task_id='sign_off'" in line
        and run.run_id in line
        for line in log.splitlines()
    )


def test_a_person_releases_and_another_withdraws(sign_off: Bench, tmp_path: Path) -> None:
    rest = sign_off.airflow.rest
    spot = tmp_path / "spot.txt"
    spot.write_text("A miracle cure, guaranteed.")
    answers = {"Release": "released.json", "Withdraw": "withdrawn.json"}
    runs = {
        choice: rest.trigger(
            "mediamagic_sign_off", {"files": [str(spot)], "output_dir": str(tmp_path / choice)}
        )
        for choice in answers
    }
    for choice, run in runs.items():
        run.until_waiting_for_a_person("sign_off")
        until(
            partial(_scheduler_has_seen_the_worker_leave, sign_off.airflow, run),
            f"the worker that has asked for {run.run_id} is done with",
        )
        asked = run.answer("sign_off", choice)
        assert "CRITICAL CAP\\_12.1 (spot.txt, no. " in asked["body"]
        assert run.until_ended() == "success"
        (decision,) = (tmp_path / choice).glob("*.json")
        assert decision.name == answers[choice]
        assert json.loads(decision.read_text())["blockingCount"] == 2
    sign_off.tally.tasks = sign_off.tally.jobs = len(runs)
    assert len(sign_off.simulator.ledger()["submissions"]) == len(runs)
