"""One real Airflow, both simulated vendors and the book of numbers, shared by all rows."""

from __future__ import annotations

import importlib.util
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider.simulator import Simulator
from tests.live.harness.airflow import Airflow
from tests.live.harness.bench import MODES, SERVICES, Bench
from tests.live.harness.judge import Book
from tests.live.harness.postgres import Postgres, running_postgres
from tests.live.harness.processes import sweep

BOOK = Book()

VARIANTS = ["retries", "late_retries", "once", "execution_timeout", "dagrun_timeout"]
if importlib.util.find_spec("airflow.sdk.definitions.retry_policy"):
    VARIANTS.append("retry_policy")
EXAMPLES = ["mediamagic_review", "mediamagic_sign_off", "silent_witness_report"]
LIVE_DAG_IDS = [
    "live_night_deferred",
    "live_night_sync",
    "live_night_submissions_deferred",
    "live_night_submissions_sync",
    "live_webhooks",
    "live_webhooks_sensor",
    "live_webhooks_many",
    "live_on_reviewed",
    "live_neighbour",
] + [
    f"live_{service}_{mode}_{variant}"
    for service in SERVICES
    for mode in MODES
    for variant in (*VARIANTS, "mapped")
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a running Airflow, and the time that takes."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("live")
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session", autouse=True)
def _swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No process outlives the run, not even one that a killed scheduler has left."""
    # As for Ctrl-C: what ends the run by force must not skip the tidying up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    BOOK.processes_left = sweep(tmp_path_factory.getbasetemp())
    assert not BOOK.processes_left


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL cluster of our own."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def vendors() -> Iterator[Simulator]:
    """Both vendors in real time; jobs end when a test says so."""
    arguments = ("--sw-rate-limit", "off", "--sw-demo-without-evidence")
    with Simulator(time_scale=1, arguments=arguments) as simulator:
        yield simulator
        assert simulator.errors() == "", "the simulator must not stumble over any request of these tests"


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Airflow]:
    """One running Airflow for all rows. Two triggerers, because most deployments that care have two."""
    airflow = Airflow(tmp_path_factory.mktemp("airflow") / "home", postgres, triggerers=2)
    with airflow.running(lambda: EXAMPLES + LIVE_DAG_IDS):
        yield airflow


@pytest.fixture
def bench(
    deployment: Airflow, vendors: Simulator, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Bench]:
    """A clean sheet: nothing at the vendors, everything of Airflow running."""
    vendors.reset()
    deployment.start()
    yield Bench(deployment, vendors, BOOK, tmp_path, _row_name(request.node.name))
    vendors.clear_faults()


def _row_name(test: str) -> str:
    return re.sub(r"[\[\]_-]+", " ", test.removeprefix("test_")).strip()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The numbers."""
    if BOOK.rows:
        terminalreporter.section("what the vendors counted")
        for line in BOOK.table():
            terminalreporter.write_line(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A violation fails the run, whatever the test around it did."""
    if any(row.violated for row in BOOK.rows):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
