"""An Airflow of its own for one run of pytest, and Dags run in it."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG


def enter_throwaway_airflow() -> Path:
    """
    Point Airflow at a new, temporary home, removed when the process ends.

    Nothing of the user's own Airflow leaks in: every ``AIRFLOW*`` variable is taken out of the environment,
    be it a setting, a metadata database or a connection with a real key.

    :return: the home; the database is not made yet, see :func:`metadata_database`.
    :raises pytest.UsageError: Airflow is imported already, and with it other settings.
    """
    if "airflow.configuration" in sys.modules:
        raise pytest.UsageError(
            "throwaway_airflow comes too late: another pytest plugin has imported Airflow already. Run "
            "pytest with '-p no:NAME' for that plugin."
        )
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="airflow-home-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    dags = home / "dags"
    dags.mkdir()
    os.environ |= {
        **_places(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    return home


def check_still_in(home: Path) -> None:
    """
    Refuse to go on when pytest's configuration leads Airflow somewhere else after all.

    :param home: what :func:`enter_throwaway_airflow` returned.
    :raises pytest.UsageError: names the variable.
    """
    for name, value in _places(home).items():
        if os.environ.get(name) != value:
            raise pytest.UsageError(
                f"throwaway_airflow is a temporary home with SQLite, and a conftest.py or another pytest "
                f"plugin sets {name}. Take one of the two out."
            )


def _places(home: Path) -> dict[str, str]:
    """What decides where Airflow writes to."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
    }


@cache
def metadata_database() -> None:
    """Migrate Airflow's metadata database, once in a process."""
    from airflow.utils.db import initdb

    initdb()


def run_dag(dag: DAG, conf: dict[str, Any] | None = None) -> DagRun:
    """
    Run a Dag with ``dag.test()``, wherever it was defined.

    ``dag.test()`` refuses a Dag that is not in the metadata database; this one is put there first.

    :param dag: to run.
    :param conf: of the run.
    """
    metadata_database()
    try:
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag, sync_bag_to_db  # type: ignore[no-redef]

    from airflow.dag_processing.bundles.manager import DagBundlesManager

    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(os.devnull)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)
    finished: DagRun = dag.test(run_conf=conf)
    return finished
