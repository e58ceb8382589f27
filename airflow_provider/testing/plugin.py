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


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Make the throwaway Airflow before anything can import Airflow, which then reads its settings."""
    if early_config.getini(THROWAWAY):
        from airflow_provider.testing.throwaway import enter_throwaway_airflow

        enter_throwaway_airflow()


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
) -> Iterator[SimulatedServices]:
    """
    Both services on localhost, with nothing stored, and ready connections ``mediamagic_default`` and
    ``silent_witness_default``; afterwards all is as it was.
    """
    from airflow_provider.testing.pace import quicken
    from airflow_provider.testing.services import SimulatedServices

    services = SimulatedServices(
        simulated_services_process,
        monkeypatch,
        time_scale=simulated_services_time_scale,
        may_run_dags=request.config.getini(THROWAWAY),
    )
    services.connect("mediamagic")
    services.connect("silent_witness")
    quicken(monkeypatch, simulated_services_time_scale)
    simulated_services_process.reset()
    yield services
    simulated_services_process.reset()
