"""
The fixtures. pytest loads this module in every run of an environment that this package is installed in, so it
imports neither Airflow nor the simulator until a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_provider.simulator import Simulator
    from airflow_provider.testing.services import SimulatedServices

THROWAWAY = "throwaway_airflow"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the setting ``throwaway_airflow``."""
    parser.addini(
        THROWAWAY,
        "Run the tests in an Airflow of their own: a temporary AIRFLOW_HOME with SQLite, and no AIRFLOW* "
        "variable of the environment.",
        type="bool",
        default=False,
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """
    Make the throwaway Airflow before anything can import Airflow, which then reads its settings, and before
    other plugins (such as pytest-env) put what pytest's configuration says into the environment.
    """
    if not early_config.getini(THROWAWAY):
        return (yield)
    from airflow_provider.testing.throwaway import check_still_in, enter_throwaway_airflow

    home = enter_throwaway_airflow()
    loaded = yield
    check_still_in(home)
    return loaded


@pytest.fixture(scope="session")
def simulated_services_time_scale() -> float:
    """How many seconds of the vendors pass in a real one: 60. Override it in a ``conftest.py``."""
    return 60.0


@pytest.fixture(scope="session")
def simulated_services_process(simulated_services_time_scale: float) -> Iterator[Simulator]:
    """The one simulator of the session, on free ports; tests ask for ``simulated_services``."""
    from airflow_provider.testing.requirements import missing_requirements

    if missing := missing_requirements("simulator"):
        pytest.fail(
            f"simulated_services needs {', '.join(missing)}: "
            "pip install 'airflow-provider-mediamagic-silentwitness[testing]'",
            pytrace=False,
        )
    from airflow_provider.simulator import Simulator

    with Simulator(time_scale=simulated_services_time_scale) as running:
        yield running


@pytest.fixture
def simulated_services(
    simulated_services_process: Simulator,
    simulated_services_time_scale: float,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SimulatedServices]:
    """
    Both services on localhost, with nothing stored, and ready connections ``mediamagic_default`` and
    ``silent_witness_default``; afterwards all is as it was.
    """
    from airflow_provider.core.budget import store
    from airflow_provider.testing.pace import quicken
    from airflow_provider.testing.services import SimulatedServices

    with pytest.MonkeyPatch.context() as patch:  # not the test's own, which it may undo half-way
        services = SimulatedServices(
            simulated_services_process,
            patch,
            time_scale=simulated_services_time_scale,
            may_run_dags=request.config.getini(THROWAWAY),
        )
        services.connect("mediamagic")
        services.connect("silent_witness")
        quicken(patch, simulated_services_time_scale)
        simulated_services_process.reset()
        shared = tmp_path_factory.mktemp("shared")  # and not the file of an Airflow of the user's
        patch.setattr(store, "in_airflow_home", lambda name: str(shared / name))
        store.memory_store().clear()
        yield services
        simulated_services_process.reset()
        monkeypatch.undo()  # what the test has put over ours goes first
