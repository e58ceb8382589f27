"""What somebody has who follows the documentation's first steps: the wheel, both services, one Airflow."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from tests.live.harness.patience import until
from tests.live.harness.processes import Component, free_port
from tests.live.harness.rest import Rest


class Newcomer:
    """
    A machine with nothing but an environment that holds the wheel.

    :param python: of that environment.
    :param home: an empty folder, for everything else.
    """

    def __init__(self, python: Path, home: Path) -> None:
        self.python = python
        self.home = home
        self.dags = home / "airflow" / "dags"
        self.dags.mkdir(parents=True)
        port, services_port = free_port(), free_port()
        self.url = f"http://localhost:{port}"
        self.services_url = f"http://127.0.0.1:{services_port}"
        self._rest = Rest(self.url)
        # Ports that are surely free, no examples; all else is as Airflow comes.
        environment = self._clean_environment() | {
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        }
        services = ["-m", "airflow_provider.simulator", "--port", str(services_port), "--time-scale", "20"]
        self._services = Component(
            "services", [str(python), *services], environment=environment, log=home / "services.log"
        )
        self._airflow = Component(
            "airflow",
            [str(python.with_name("airflow")), "standalone"],
            environment=environment,
            log=home / "airflow.log",
            ready=self._healthy,
        )

    def start(self) -> None:
        """Start both services and Airflow; wait until it is ready."""
        self._services.start()
        self._airflow.start()
        until(self._airflow.ready, "Airflow is ready", seconds=180)

    def stop(self) -> None:
        """Stop what was started."""
        self._airflow.stop()
        self._services.stop()

    def password(self) -> str:
        """What Airflow has told the user ``admin``."""
        told = self.home / "airflow" / "simple_auth_manager_passwords.json.generated"
        return str(json.loads(told.read_text())["admin"])

    def has_seen_the_pause_of(self, task_id: str) -> bool:
        """
        Whether the scheduler knows that a task's process has ended, since the task waits for a person.

        An answer that comes sooner, which takes a hurried browser and a busy machine, fails the task
        (apache/airflow#72716).
        """
        told = (self.home / "airflow.log").read_text(errors="replace")
        return bool(re.search(rf"Received executor event .*task_id='{task_id}'", told))

    def pytest(self, project: Path) -> str:
        """What the tests of a project print."""
        done = subprocess.run(
            [str(self.python), "-m", "pytest", "-p", "no:cacheprovider"],
            cwd=project,
            env=self._clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    def _healthy(self) -> bool:
        components = ("scheduler", "triggerer", "dag_processor")
        return self._rest.healthy() and all(map(self._rest.component_is_healthy, components))

    def _clean_environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        inherited.pop("PYTHONPATH", None)
        return inherited | {"PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}"}
