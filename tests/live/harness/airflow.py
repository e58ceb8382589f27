"""A real Airflow of separate processes: API server, scheduler, Dag processor, triggerers, Celery workers."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
from airflow import __version__

from tests.live.harness.patience import until
from tests.live.harness.postgres import Postgres
from tests.live.harness.processes import Component, free_port, kill_process
from tests.live.harness.rest import Rest

REPOSITORY = Path(__file__).resolve().parents[3]
LIVE_DAGS = Path(__file__).resolve().parents[1] / "dags"

TASK_PROCESS = re.compile(r"airflow worker -- [0-9a-f-]{36}$")
"""The title of a process that runs a task's own code; its supervisor's names the executor as well."""

QUICK_TO_NOTICE = {
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "2",
    "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "12",
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "CORE__KILLED_TASK_CLEANUP_TIME": "30",
}
"""A lost worker is noticed in seconds instead of five minutes, and yet not for a busy machine."""

DAGS_DO_NOT_CHANGE = {
    "DAG_PROCESSOR__REFRESH_INTERVAL": "600",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
    "DAG_PROCESSOR__STALE_DAG_THRESHOLD": "3600",
}


class Airflow:
    """
    One deployment in a directory of its own.

    :param home: an empty directory.
    :param database: a started PostgreSQL.
    :param triggerers: how many.
    :param broker: Redis URL; with it tasks run under the CeleryExecutor on ``workers`` workers.
    :param workers: Celery workers, each with a disk (home, temporary directory, logs) of its own.
    :param timings: settings of Airflow; without them its own, which forgive a busy machine more.
    """

    def __init__(
        self,
        home: Path,
        database: Postgres,
        *,
        triggerers: int = 1,
        broker: str = "",
        workers: int = 0,
        timings: Mapping[str, str] = QUICK_TO_NOTICE,
    ) -> None:
        self.home = home
        self.database = database
        self.port = free_port()
        self.rest = Rest(f"http://127.0.0.1:{self.port}")
        self._broker = broker
        self._timings = {**timings, **DAGS_DO_NOT_CHANGE}
        home.mkdir(parents=True)
        self.api_server = self._component("api-server", ready=self.rest.healthy)
        self.scheduler = self._component(
            "scheduler", "--skip-serve-logs", ready=lambda: self.rest.component_is_healthy("scheduler")
        )
        self.dag_processor = self._component("dag-processor")
        self.triggerers = [
            self._component("triggerer", "--skip-serve-logs", label=f"triggerer-{number}")
            for number in range(1, triggerers + 1)
        ]
        self.workers = [self._celery_worker(number) for number in range(1, workers + 1)]

    @property
    def components(self) -> list[Component]:
        """All processes, in the order in which they are started."""
        return [self.api_server, self.scheduler, self.dag_processor, *self.triggerers, *self.workers]

    @contextlib.contextmanager
    def running(self, dag_ids: Callable[[], list[str]]) -> Iterator[Airflow]:
        """
        Run everything for the length of a ``with`` block.

        :param dag_ids: what must have been parsed before the block begins.
        """
        migrate = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env=self._environment(self.home),
            capture_output=True,
            text=True,
            check=False,
        )
        assert migrate.returncode == 0, f"{migrate.stdout[-2000:]}\n{migrate.stderr[-2000:]}"
        try:
            self.start()
            wanted = set(dag_ids())
            until(lambda: wanted <= self._parsed(), f"parsed: {wanted}", seconds=300)
            for component in self.components:
                assert component.running, f"{component.name} has given up:\n{component.tail()}"
            yield self
        finally:
            for component in reversed(self.components):
                component.stop()

    def _parsed(self) -> set[str]:
        """The Dags that have been parsed; what cannot be parsed never will be."""
        assert self.rest.import_errors() == []
        return self.rest.dag_ids()

    def start(self) -> None:
        """Start what does not run, or dies of the harm done to others, until the deployment is healthy."""

        def well() -> bool:
            for component in self.components:
                if not component.running:
                    component.start()
            return self.healthy()

        until(well, "Airflow is healthy", seconds=300)

    def healthy(self) -> bool:
        """Whether API server, scheduler and at least one triggerer say that they are well."""
        return self.rest.healthy() and all(
            self.rest.component_is_healthy(name) for name in ("scheduler", "triggerer", "dag_processor")
        )

    def kill_all(self) -> None:
        """Kill -9 the whole deployment, tasks included; the database stays."""
        for component in self.components:
            component.family()
        for component in self.components:
            component.kill()

    def task_processes(self) -> list[psutil.Process]:
        """Processes that run a task's own code now."""
        found = []
        for component in (self.scheduler, *self.workers):
            for process in component.family():
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    if TASK_PROCESS.match(" ".join(process.cmdline()).strip()):
                        found.append(process)
        return found

    def log_of(self, run_id: str, map_index: int = -1, *, task_id: str = "job") -> str:
        """Everything that the tries of a task have logged, the triggerers' part included."""
        mapped = f"map_index={map_index}" if map_index >= 0 else ""
        texts = []
        for home in (self.home, *(self._worker_home(n + 1) for n in range(len(self.workers)))):
            for path in sorted(
                home.glob(f"logs/dag_id=*/run_id={run_id}/task_id={task_id}/**/attempt=*.log*")
            ):
                if not mapped or path.parent.name == mapped:
                    texts.append(path.read_text(errors="replace"))
        return "\n".join(texts)

    def _component(
        self, command: str, *arguments: str, label: str = "", ready: Callable[[], bool] = lambda: True
    ) -> Component:
        label = label or command
        return Component(
            label,
            [sys.executable, "-m", "airflow", command, *arguments],
            environment=self._environment(self.home),
            log=self.home / "components" / f"{label}.log",
            ready=ready,
        )

    def _worker_home(self, number: int) -> Path:
        return self.home.parent / f"{self.home.name}-worker-{number}"

    def _celery_worker(self, number: int) -> Component:
        home = self._worker_home(number)
        (home / "tmp").mkdir(parents=True)
        return Component(
            f"worker-{number}",
            [
                sys.executable, "-m", "airflow", "celery", "worker", "--skip-serve-logs",
                "--celery-hostname", f"worker-{number}@%h", "--concurrency", "8",
            ],
            environment=self._environment(home) | {"HOME": str(home), "TMPDIR": str(home / "tmp")},
            log=self.home / "components" / f"worker-{number}.log",
        )  # fmt: skip

    def _environment(self, home: Path) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))
        }
        bundles = [
            {
                "name": name,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(path), "refresh_interval": 600},
            }
            for name, path in (("live", LIVE_DAGS), ("examples", REPOSITORY / "dags"))
        ]
        url = self.rest.url
        settings = self._timings | {
            "CORE__EXECUTOR": "CeleryExecutor" if self._broker else "LocalExecutor",
            "CORE__PARALLELISM": "24",
            "CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "CORE__FERNET_KEY": base64.urlsafe_b64encode(b"only for tests, 32 bytes long...").decode(),
            "CORE__DEFAULT_TASK_RETRY_DELAY": "1",
            "DATABASE__SQL_ALCHEMY_CONN": self.database.url,
            "DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self.port),
            "API__BASE_URL": url,
            "API__SECRET_KEY": "not-a-secret-only-for-tests",
            "API_AUTH__JWT_SECRET": "not-a-secret-only-for-tests-0123456789abcdef0123456789abcdef",
            "LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "LOGGING__COLORED_CONSOLE_LOG": "False",
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        if self._broker:
            # Before 3.3 Airflow keeps no record of a task, and 3.4 drops it when the task is cleared.
            records = self.home / "job-records"
            records.mkdir(exist_ok=True)
            settings |= {
                "AIRFLOW_PROVIDER__JOB_RECORDS_PATH": "" if __version__.startswith("3.3.") else str(records),
                "CELERY__BROKER_URL": self._broker,
                "CELERY__RESULT_BACKEND": f"db+{self.database.url}",
                "CELERY__WORKER_CONCURRENCY": "8",
                "CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
            }
        return inherited | {
            "AIRFLOW_HOME": str(home),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONUNBUFFERED": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        }


def kill_task(pid: int) -> None:
    """Kill -9 the process that runs a task's code; its supervisor sees that and reports a failure."""
    kill_process(psutil.Process(pid))


def lose_worker(pid: int) -> None:
    """
    Kill -9 a task with its supervisor, as when the worker's machine is lost: nobody is left to report.

    :param pid: of the process that runs the task's code.
    """
    task = psutil.Process(pid)
    supervisor = task.parent()
    assert supervisor is not None
    kill_process(supervisor)
    kill_process(task)
