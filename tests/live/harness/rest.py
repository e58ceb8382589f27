"""What a person does in Airflow's user interface, through the REST API v2."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from tests.live.harness.patience import until

PATIENCE = 120.0
"""Real seconds that one call may take."""

ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")


class Rest:
    """
    A client with an administrator's token.

    :param url: of the API server.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def healthy(self) -> bool:
        """Whether the API server answers."""
        try:
            return self._session.get(f"{self.url}/api/v2/version", timeout=5).ok
        except requests.RequestException:
            return False

    def component_is_healthy(self, name: str) -> bool:
        """Whether the API server knows a live ``scheduler``, ``triggerer`` or ``dag_processor``."""
        try:
            answer = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=10)
            return bool(answer.ok and answer.json()[name]["status"] == "healthy")
        except (requests.RequestException, ValueError, KeyError):
            return False

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send one call; the body of its answer. Reading is patient with a server that is busy or cut off."""
        if "Authorization" not in self._session.headers:
            token = self._session.get(f"{self.url}/auth/token", timeout=PATIENCE).json()["access_token"]
            self._session.headers["Authorization"] = f"Bearer {token}"

        def send() -> requests.Response:
            return self._session.request(method, f"{self.url}/api/v2{path}", timeout=PATIENCE, **kwargs)

        def read() -> list[requests.Response]:
            try:
                return [answer] if (answer := send()).status_code < 500 else []
            except requests.RequestException:
                return []

        answer = until(read, f"an answer to {method} {path}")[0] if method == "GET" else send()
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def dag_ids(self) -> set[str]:
        """The Dags that have been parsed."""
        return {dag["dag_id"] for dag in self.call("GET", "/dags", params={"limit": 100})["dags"]}

    def import_errors(self) -> list[dict[str, Any]]:
        """What could not be parsed."""
        return list(self.call("GET", "/importErrors")["import_errors"])

    def set_connection(
        self, conn_id: str, conn_type: str, host: str, password: str, port: int | None = None, **extra: Any
    ) -> None:
        """Make a connection, or change it."""
        body = {
            "connection_id": conn_id,
            "conn_type": conn_type,
            "host": host,
            "port": port,
            "password": password,
            "extra": json.dumps(extra),
        }
        known = self._session.get(f"{self.url}/api/v2/connections/{conn_id}", timeout=PATIENCE)
        if known.ok:
            self.call("PATCH", f"/connections/{conn_id}", json=body)
        else:
            self.call("POST", "/connections", json=body)

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> Run:
        """Start a Dag run."""
        run_id = f"live-{uuid.uuid4().hex[:12]}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)
        return Run(self, dag_id, run_id)


@dataclass(frozen=True, slots=True)
class Run:
    """One Dag run. Its job task is called ``job``."""

    rest: Rest
    dag_id: str
    run_id: str

    @property
    def path(self) -> str:
        """Its place in the REST API."""
        return f"/dags/{self.dag_id}/dagRuns/{self.run_id}"

    def state(self) -> str:
        """The state of the run."""
        return str(self.rest.call("GET", self.path)["state"])

    def tasks(self, task_id: str | None = "job") -> list[dict[str, Any]]:
        """The task's instances, by map index; without a task those of all."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.rest.call(
                "GET", f"{self.path}/taskInstances", params={"limit": 100, "offset": len(found)}
            )
            found += page["task_instances"]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                break
        of_task = [one for one in found if task_id is None or one["task_id"] == task_id]
        return sorted(of_task, key=lambda one: one["map_index"])

    def count(self, state: str) -> int:
        """How many task instances of the run are in this state."""
        asked = {"state": state, "limit": 1}
        return int(self.rest.call("GET", f"{self.path}/taskInstances", params=asked)["total_entries"])

    def task(self, task_id: str = "job") -> dict[str, Any]:
        """The task's only instance."""
        (one,) = self.tasks(task_id)
        return one

    def task_state(self) -> str:
        """The state of the job task; empty before there is one."""
        found = self.tasks()
        return str(found[0]["state"] or "") if found else ""

    def until_task(self, *states: str, seconds: float = 240.0, try_number: int = 0) -> None:
        """Wait until the job task has one of these states, in this try or a later one."""

        def reached() -> bool:
            found = self.tasks()
            return bool(found and found[0]["state"] in states and found[0]["try_number"] >= try_number)

        until(reached, f"{self.dag_id} {self.run_id} is {' or '.join(states)}", seconds=seconds)

    def until_ended(self, seconds: float = 300.0) -> str:
        """Wait until the run has ended; its state."""
        return until(
            lambda: state if (state := self.state()) in ("success", "failed") else "",
            f"{self.dag_id} {self.run_id} has ended",
            seconds=seconds,
        )

    def until_task_ended(self, seconds: float = 300.0) -> str:
        """Wait until the job task has ended for good; its state."""
        self.until_task(*ENDED, seconds=seconds)
        return self.task_state()

    def until_waiting_for_a_person(self, task_id: str) -> None:
        """Wait until a human-in-the-loop task has asked: ``awaiting_input``, before Airflow 3.3 deferred."""
        until(
            lambda: any(one["state"] in ("awaiting_input", "deferred") for one in self.tasks(task_id)),
            f"{self.dag_id} {self.run_id} {task_id} waits for a person",
            seconds=300,
        )

    def answer(self, task_id: str, *options: str) -> dict[str, Any]:
        """Response a human-in-the-loop task; what it has asked."""
        path = f"{self.path}/taskInstances/{task_id}/-1/hitlDetails"
        asked: dict[str, Any] = self.rest.call("GET", path)
        self.rest.call("PATCH", path, json={"chosen_options": list(options), "params_input": {}})
        return asked

    def clear(self) -> None:
        """
        Clear the job task, as a user does.

        Of an ended task only once the scheduler has ended the run too: in between, Airflow forgets the clear.
        """
        if self.task_state() in ENDED:
            self.until_ended()
        body = {
            "dry_run": False,
            "only_failed": False,
            "dag_run_id": self.run_id,
            "task_ids": ["job"],
            "reset_dag_runs": True,
        }
        self.rest.call("POST", f"/dags/{self.dag_id}/clearTaskInstances", json=body)

    def mark(self, state: str) -> None:
        """Mark the job task ``success`` or ``failed``, as a user does."""
        self.rest.call("PATCH", f"{self.path}/taskInstances/job", json={"new_state": state})

    def xcom(self, key: str = "return_value", map_index: int = -1, task_id: str = "job") -> Any:
        """An XCom of the job task; ``None`` when there is none."""
        entries = self.rest.call(
            "GET", f"{self.path}/taskInstances/{task_id}/xcomEntries", params={"map_index": map_index}
        )["xcom_entries"]
        if not any(one["key"] == key for one in entries):
            return None
        path = f"{self.path}/taskInstances/{task_id}/xcomEntries/{key}"
        value = self.rest.call("GET", path, params={"map_index": map_index})["value"]
        if isinstance(value, str):
            try:
                return json.loads(value)
            except ValueError:
                return value
        return value

    def record(self, map_index: int = -1) -> dict[str, Any] | None:
        """What the task state store holds of the job task."""
        path = f"{self.path}/taskInstances/job/state-store"
        entries = self.rest.call("GET", path, params={"map_index": map_index})
        listed: Iterable[dict[str, Any]] = entries.get("task_state_store", entries.get("entries", []))
        values = [one["value"] for one in listed if one["key"] == "airflow_provider_job"]
        return values[0] if values else None
