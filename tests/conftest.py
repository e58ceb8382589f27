"""One throwaway Airflow for the whole run, and the simulator that stands for both vendors.

Airflow reads its settings when it is first imported, so they are made here, before any test module is, and
nothing here imports Airflow.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG

    from airflow_provider.simulator import Simulator
    from demo.inputs import Inputs

REPOSITORY = Path(__file__).resolve().parent.parent

# Nothing of the user's own Airflow may leak in: neither a setting nor a real connection with a real key.
for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "AIRFLOW__"))]:
    del os.environ[name]

AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))
atexit.register(shutil.rmtree, AIRFLOW_HOME, ignore_errors=True)

os.environ |= {
    "AIRFLOW_HOME": str(AIRFLOW_HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__FERNET_KEY": "",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{AIRFLOW_HOME / 'airflow.db'}",
    "AIRFLOW__API_AUTH__JWT_SECRET": "not-a-secret-only-for-tests-0123456789abcdef0123456789abcdef",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(AIRFLOW_HOME / "logs"),
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    # A deadlock shows as a traceback instead of a hang of the whole run.
    "PYTHONFAULTHANDLER": "1",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
}

TIME_SCALE = 60.0
"""How many simulated seconds pass in a real one, where a test has no wish of its own."""

MEDIAMAGIC_KEY = "sk_live_" + "0123456789abcdef" * 4
SILENT_WITNESS_KEY = "sk-" + "a1b2c3d4e5" * 6 + "f"


@pytest.fixture(scope="session")
def simulator_process() -> Iterator[Simulator]:
    """The one simulator of the session; tests ask for ``simulator``, which is clean every time."""
    from airflow_provider.simulator import Simulator

    with Simulator(time_scale=TIME_SCALE) as running:
        yield running


@pytest.fixture
def simulator(simulator_process: Simulator) -> Iterator[Simulator]:
    """Both vendors on localhost, with nothing stored, no fault switched on and an empty ledger."""
    simulator_process.reset()
    yield simulator_process
    simulator_process.reset()


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


@pytest.fixture(scope="session")
def media_files(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Real input files for both services, the same as the demo's. To be read, not changed."""
    from demo.inputs import make_inputs

    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """A migrated SQLite metadata database, for tests that run a Dag. Made on first use, once."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def run_dag(airflow_db: None) -> Callable[..., DagRun]:
    """Run a Dag that a test has defined: ``run = run_dag(dag, {"files": [...]})``, then ask ``run.state``.

    ``dag.test()`` refuses a Dag that is not in the metadata database, and looks only into the Dags folder.
    """
    try:
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag, sync_bag_to_db  # type: ignore[no-redef]

    from airflow.dag_processing.bundles.manager import DagBundlesManager

    def run(dag: DAG, conf: dict[str, Any] | None = None) -> DagRun:
        DagBundlesManager().sync_bundles_to_db()
        bag = DagBag(os.devnull)
        dag.fileloc = str(REPOSITORY / "dags" / f"{dag.dag_id}.py")
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)
        finished: DagRun = dag.test(run_conf=conf)
        return finished

    return run
