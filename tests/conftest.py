"""The throwaway Airflow, its metadata database, and the simulator that stands for both vendors.

Our own pytest plugin has made that Airflow before this file is loaded (``throwaway_airflow`` in
pyproject.toml). Airflow reads its settings when it is first imported, so nothing here imports it.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from airflow_provider.testing.services import KEYS

if TYPE_CHECKING:
    from airflow_provider.simulator import Simulator
    from demo.inputs import Inputs

REPOSITORY = Path(__file__).resolve().parent.parent
AIRFLOW_HOME = Path(os.environ["AIRFLOW_HOME"])

os.environ |= {
    # A deadlock shows as a traceback instead of a hang of the whole run.
    "PYTHONFAULTHANDLER": "1",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
}

# Container images set this; every Python that a test starts would compile Airflow anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A loaded machine is no counterexample.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

MEDIAMAGIC_KEY = KEYS["mediamagic"]
SILENT_WITNESS_KEY = KEYS["silent_witness"]


@pytest.fixture(autouse=True)
def _no_job_records_of_earlier_tests() -> None:
    """Airflow 3.1, 3.2 and 3.4 need a folder for them, and ids of tasks are the same in many tests."""
    shutil.rmtree(AIRFLOW_HOME / "airflow_provider_job_records", ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Spread the files of each folder over the run, the slow ones over its first half.

    Those of one folder are alike: processes that all compute share the cores, processes that all wait leave
    them idle. A slow file at the end would keep a single core busy.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    groups: dict[Path | None, list[Path]] = {}
    for path in dict.fromkeys(item.path for item in items):
        groups.setdefault(None if path in slow else path.parent, []).append(path)
    due = {
        path: (number + 0.5) / len(paths) * (1 if group else 0.5)
        for group, paths in groups.items()
        for number, path in enumerate(paths)
    }
    items.sort(key=lambda item: due[item.path])


@pytest.fixture(autouse=True)
def fresh_budgets() -> Iterator[None]:
    """No test waits for what another has sent with the same key."""
    from airflow_provider.core.budget.store import embedded_store, memory_store

    yield
    for store in (embedded_store(), memory_store()):
        store.clear()


@pytest.fixture
def simulator(simulated_services_process: Simulator) -> Iterator[Simulator]:
    """Both vendors on localhost, with nothing stored, no fault switched on and an empty ledger."""
    simulated_services_process.reset()
    yield simulated_services_process
    simulated_services_process.reset()


@pytest.fixture
def mediamagic_conn(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a connection to the simulated MediaMagic."""
    return _connection(monkeypatch, "mediamagic", simulator.url, MEDIAMAGIC_KEY)


@pytest.fixture
def silent_witness_conn(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a connection to the simulated Silent Witness."""
    return _connection(monkeypatch, "silent_witness", simulator.url, SILENT_WITNESS_KEY)


def _connection(monkeypatch: pytest.MonkeyPatch, conn_type: str, url: str, key: str) -> str:
    conn_id = f"{conn_type}_default"
    monkeypatch.setenv(
        f"AIRFLOW_CONN_{conn_id.upper()}",
        json.dumps({"conn_type": conn_type, "host": url, "password": key}),
    )
    return conn_id


@pytest.fixture
def simulated_pace(monkeypatch: pytest.MonkeyPatch, simulated_services_time_scale: float) -> None:
    """Waits in the simulator's time, for Dags as users write them, without an interval for tests."""
    from airflow_provider.testing.pace import quicken

    quicken(monkeypatch, simulated_services_time_scale)


@pytest.fixture(scope="session")
def media_files(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Real input files for both services, the same as the demo's. To be read, not changed."""
    from demo.inputs import make_inputs

    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """A migrated SQLite metadata database, for tests that run a Dag. Made on first use, once."""
    from airflow_provider.testing.throwaway import metadata_database

    metadata_database()
    _keep_the_execution_api()
    _keep_the_signatures_of_its_functions()
    gc.freeze()  # what Airflow has loaded stays, and need not be searched for garbage again and again


def _keep_the_execution_api() -> None:
    """
    Let ``dag.test()`` build its in-process API server once, as Airflow 3.3 does.

    Airflow 3.1 and 3.2 build one for every task, which takes seconds and leaves a thread behind.
    """
    from airflow.sdk.execution_time import supervisor

    supervisor.in_process_api_server = cache(supervisor.in_process_api_server)


def _keep_the_signatures_of_its_functions() -> None:
    """
    Let FastAPI read the signatures of an application's functions once.

    Where dependencies are overridden, as in Airflow's in-process API server, it reads all of them anew for
    every request, which was a third of the time of a ``dag.test()``.
    """
    from fastapi.dependencies import utils

    read: Callable[..., Any] = utils.get_dependant
    known: dict[object, Any] = {}

    def get_dependant(**arguments: Any) -> Any:
        key = tuple(
            (name, tuple(value) if isinstance(value, list) else value)
            for name, value in sorted(arguments.items())
        )
        if key not in known:
            known[key] = read(**arguments)
        return known[key]

    utils.get_dependant = get_dependant
