"""The sign-off Dag, answered through Airflow's REST API as the web interface does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.utils.state import TaskInstanceState
from fastapi.testclient import TestClient

from airflow_provider.core.text import markdown
from airflow_provider.simulator import Simulator
from tests.airflow.task_run import register
from tests.airflow.test_example_dags import example

waits_without_a_trigger = pytest.mark.skipif(
    not hasattr(TaskInstanceState, "AWAITING_INPUT"),
    reason="before Airflow 3.3 dag.test() cannot run the trigger of a human-in-the-loop operator",
)


class Person(threading.Thread):
    """
    Somebody who answers what a Dag asks, as soon as it does.

    :param api: of the API server.
    :param choice: the option to take.
    """

    def __init__(self, api: TestClient, choice: str) -> None:
        super().__init__(daemon=True)
        self.asked: list[dict[str, Any]] = []
        self.states: list[str] = []
        self.gone_home = threading.Event()
        self._api = api
        self._choice = choice

    def run(self) -> None:
        path = "/api/v2/dags/mediamagic_sign_off/dagRuns"
        while not self.gone_home.wait(0.1):
            open_ones = self._api.get(f"{path}/~/hitlDetails", params={"response_received": False})
            for detail in open_ones.json()["hitl_details"]:
                ti = detail["task_instance"]
                if ti["state"] not in ("awaiting_input", "deferred"):
                    continue  # it has asked and still runs
                self.asked.append(detail)
                self.states.append(ti["state"])
                answer = self._api.patch(
                    f"{path}/{ti['dag_run_id']}/taskInstances/{ti['task_id']}/-1/hitlDetails",
                    json={"chosen_options": [self._choice], "params_input": {}},
                )
                assert answer.status_code == 200, answer.text


@pytest.fixture
def api(airflow_db: None, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """The API server, with an administrator's token."""
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    from airflow.api_fastapi.app import create_app

    client = TestClient(create_app(apps="core"))
    token = client.get("/auth/token").json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    return client


@pytest.fixture
def sign_off(api: TestClient, mediamagic_conn: str, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Run the Dag on one file, with a person at hand who would choose so."""
    people = []

    def run(content: str, *, choice: str, name: str = "spot.txt") -> tuple[dict[str, str], Person]:
        (tmp_path / name).write_text(content)
        dag = example("mediamagic_sign_off")
        register(dag)
        person = Person(api, choice)
        people.append(person)
        person.start()
        finished = dag.test(run_conf={"files": [str(tmp_path / name)], "output_dir": str(tmp_path / "out")})
        return {ti.task_id: str(ti.state) for ti in finished.get_task_instances()}, person

    yield run
    for person in people:
        person.gone_home.set()
        person.join()


@waits_without_a_trigger
@pytest.mark.parametrize(
    ("choice", "done", "left"), [("Release", "release", "withdraw"), ("Withdraw", "withdraw", "release")]
)
def test_critical_issues_go_to_a_person_whose_answer_decides(
    simulator: Simulator, sign_off: Any, tmp_path: Path, choice: str, done: str, left: str
) -> None:
    simulator.script("mediamagic", duration=0)
    states, person = sign_off("A miracle cure, guaranteed.", choice=choice)
    assert (states["sign_off"], states[done], states[left]) == ("success", "success", "skipped")
    (asked,) = person.asked
    assert "CRITICAL CAP\\_12.1 (spot.txt, no. " in asked["body"]
    assert "MAJOR CAP" not in asked["body"]
    assert person.states == ["awaiting_input"]
    assert markdown(f"The whole review: {tmp_path}/out/review.html") in asked["body"]
    assert "[Open the review](" in asked["body"]
    assert "/paid-jobs/review.html?dag_id=mediamagic_sign_off&run_id=" in asked["body"]
    assert "[Open the document](" not in asked["body"]
    (decision,) = (tmp_path / "out").glob("*.json")
    assert decision.name == {"Release": "released.json", "Withdraw": "withdrawn.json"}[choice]
    assert json.loads(decision.read_text())["blockingCount"] == 2


@waits_without_a_trigger
def test_what_the_review_itself_wants_a_person_for_goes_to_one(
    simulator: Simulator, sign_off: Any, tmp_path: Path
) -> None:
    """A document without readable text: only INFO, and AWAITING_HUMAN_INPUT."""
    simulator.script("mediamagic", duration=0)
    states, person = sign_off("%PDF-1.7 torn", choice="Withdraw", name="terms.pdf")
    (asked,) = person.asked
    assert "INFO DOC\\_0.1 (terms.pdf, no. 1)" in asked["body"]
    assert "AWAITING\\_HUMAN\\_INPUT" in asked["body"]
    assert (states["release"], states["withdraw"]) == ("skipped", "success")


def test_without_critical_issues_nobody_is_asked(simulator: Simulator, sign_off: Any, tmp_path: Path) -> None:
    simulator.script("mediamagic", duration=0)
    states, person = sign_off("Guaranteed.", choice="Withdraw")
    assert (states["release"], states["sign_off"], states["withdraw"]) == ("success", "skipped", "skipped")
    assert person.asked == []


def test_the_question_links_to_a_document_that_a_browser_can_open() -> None:
    console = "https://s3.console.aws.amazon.com/s3/object/legal?prefix=review.html"
    verdict = {
        "message": "Blocked: [a](https://b)",
        "document": {"path": "s3://legal/r.html", "link": console},
    }
    dag = example("mediamagic_sign_off")

    class Instance:
        def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
            assert task_ids == "review.gate"
            return {"return_value": verdict}.get(key)

    sign_off: Any = dag.get_task("sign_off")
    question = dag.get_template_env().from_string(sign_off.body).render(ti=Instance())
    assert "Blocked: \\[a\\](https:\u200b" in question
    assert f"[Open the document]({console})" in question
    assert "None" not in question
