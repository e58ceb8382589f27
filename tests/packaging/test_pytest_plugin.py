"""The testing kit as pytest loads it for users: from its entry point, in a project of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider import DISTRIBUTION
from airflow_provider.core.budget.store import FILE_NAME
from tests.user_project import Project

pytestmark = pytest.mark.slow

Outcomes = Callable[[str], list[str]]


def empty(folder: Path) -> Project:
    project = Project(folder)
    project.write("pytest.ini", "[pytest]\n")
    return project


def outcomes(said: str) -> Outcomes:
    """How the tests of each file of a run ended: a run takes seconds, so several tests share one."""

    def of(file: str) -> list[str]:
        found = re.findall(r"^(PASSED|FAILED|ERROR) (\w+\.py)::", said, re.MULTILINE)
        assert found, said
        return sorted(outcome for outcome, name in found if name == file)

    return of


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return empty(tmp_path)


def test_a_run_that_uses_no_fixture_imports_next_to_nothing(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import sys

        def test_it():
            assert "airflow_provider.testing.plugin" in sys.modules
            ours = {name for name in sys.modules if name.partition(".")[0] in ("airflow", "airflow_provider")}
            assert ours == {"airflow_provider", "airflow_provider.testing", "airflow_provider.testing.plugin"}
        """,
    )
    assert "1 passed" in project.pytest()


@pytest.fixture(scope="module")
def at_another_pace(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """A project whose time passes thousands of times as fast, and that has a connection of its own."""
    project = empty(tmp_path_factory.mktemp("pace"))
    project.environment["AIRFLOW_CONN_MEDIAMAGIC_DEFAULT"] = "the user's own"
    project.write(f"home of the user/{FILE_NAME}", "the budgets of the user's own")
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def simulated_services_time_scale():
            return 5000.0
        """,
    )
    project.write(
        "test_connections.py",
        """
        import os
        import pytest
        from airflow_provider.core.budget.store import FILE_NAME, in_airflow_home
        from airflow_provider.hooks.mediamagic import MediaMagicHook
        from airflow_provider.hooks.silent_witness import SilentWitnessHook

        def test_connections(simulated_services):
            for hook in MediaMagicHook("mediamagic_default"), SilentWitnessHook("silent_witness_default"):
                with hook:
                    assert hook.test_connection()[0]
            with MediaMagicHook(simulated_services.connect("mediamagic", "another")) as hook:
                assert hook.test_connection()[0]
            assert simulated_services.ready_case() == simulated_services.cases[0]["id"]

        def test_another_test_begins_anew(simulated_services):
            assert simulated_services.cases == []
            assert simulated_services.requests("POST /api/cases") == 0
            assert simulated_services.simulator.control("GET", "health")["time_scale"] == 5000.0
            assert simulated_services.time_scale == 5000.0

        def test_afterwards():
            names = {name for name in os.environ if name.startswith("AIRFLOW_CONN_")}
            assert names == {"AIRFLOW_CONN_MEDIAMAGIC_DEFAULT"}
            assert os.environ["AIRFLOW_CONN_MEDIAMAGIC_DEFAULT"] == "the user's own"
            with open(in_airflow_home(FILE_NAME)) as file:
                assert file.read() == "the budgets of the user's own"

        def test_no_dag_is_written_to_a_database_of_the_users(simulated_services):
            with pytest.raises(pytest.fail.Exception, match="throwaway_airflow = true"):
                simulated_services.run(None)
        """,
    )
    project.write(
        "test_pace.py",
        """
        from airflow_provider.hooks.silent_witness import SilentWitnessHook

        def test_it(simulated_services):
            assert simulated_services.ready_case()
            with SilentWitnessHook("silent_witness_default") as hook:
                assert hook.test_connection()[0]
        """,
    )
    return outcomes(project.pytest("-rA"))


def test_both_connections_lead_to_the_simulator_and_are_taken_back(at_another_pace: Outcomes) -> None:
    assert at_another_pace("test_connections.py") == ["PASSED"] * 4


def test_time_may_pass_thousands_of_times_as_fast(at_another_pace: Outcomes) -> None:
    assert at_another_pace("test_pace.py") == ["PASSED"]


BACKEND = """
    import os
    from airflow.sdk import Connection
    from airflow.secrets import BaseSecretsBackend

    class Backend(BaseSecretsBackend):
        def get_connection(self, conn_id, **kwargs):
            if conn_id == os.environ.get("KEPT_IN_THE_BACKEND"):
                return Connection(conn_id=conn_id, conn_type="silent_witness", host="http://127.0.0.1:9")
    """


@pytest.fixture(scope="module")
def with_a_backend(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run under an Airflow with a secrets backend of its own, which is asked before the environment."""
    project = empty(tmp_path_factory.mktemp("backend"))
    project.environment["AIRFLOW__SECRETS__BACKEND"] = "the_backend.Backend"
    project.write("the_backend.py", BACKEND)
    for kept in ("silent_witness_default", "another", "nothing"):
        project.write(
            f"test_{kept}.py",
            f"""
            import pytest

            @pytest.fixture(autouse=True)
            def _kept(monkeypatch):
                monkeypatch.setenv("KEPT_IN_THE_BACKEND", "{kept}")

            def test_a_case(simulated_services):
                simulated_services.ready_case()

            def test_another(simulated_services):
                simulated_services.connect("silent_witness", "another")
            """,
        )
    return project.pytest("-rA")


@pytest.mark.parametrize(
    ("kept", "ended"),
    [("silent_witness_default", ["ERROR", "ERROR"]), ("another", ["FAILED", "PASSED"])],
)
def test_a_connection_that_a_secrets_backend_overrides_is_refused(
    with_a_backend: str, kept: str, ended: list[str]
) -> None:
    assert outcomes(with_a_backend)(f"test_{kept}.py") == ended
    assert f"Connection {kept!r} does not lead to the simulator" in with_a_backend
    assert "throwaway_airflow = true" in with_a_backend


def test_a_secrets_backend_without_such_connections_is_no_trouble(with_a_backend: str) -> None:
    assert outcomes(with_a_backend)("test_nothing.py") == ["PASSED", "PASSED"]


@pytest.fixture(scope="module")
def with_a_connection(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """A project that has a connection of its own, and tests that change it."""
    project = empty(tmp_path_factory.mktemp("connection"))
    project.environment["AIRFLOW_CONN_MEDIAMAGIC_DEFAULT"] = "the user's own"
    project.write(
        "test_patches.py",
        """
        import os
        import pytest

        NAME = "AIRFLOW_CONN_MEDIAMAGIC_DEFAULT"

        def test_undo(simulated_services, monkeypatch):
            monkeypatch.undo()
            assert simulated_services.simulator.url in os.environ[NAME]

        def test_overridden(monkeypatch, simulated_services):
            monkeypatch.setenv(NAME, "{}")

        def test_afterwards():
            assert os.environ[NAME] == "the user's own"
        """,
    )
    project.write(
        "test_case.py",
        """
        from airflow_provider.hooks.silent_witness import SilentWitnessHook

        def test_it(simulated_services):
            conn_id = simulated_services.connect("silent_witness", max_retries=0)
            simulated_services.ready_case()
            assert SilentWitnessHook(conn_id).settings.max_retries == 0
        """,
    )
    return outcomes(project.pytest("-rA"))


def test_a_test_that_undoes_its_own_patches_keeps_the_simulator(with_a_connection: Outcomes) -> None:
    assert with_a_connection("test_patches.py") == ["PASSED"] * 3


def test_a_ready_case_leaves_the_connections_as_the_test_made_them(with_a_connection: Outcomes) -> None:
    assert with_a_connection("test_case.py") == ["PASSED"]


def test_a_throwaway_airflow_takes_nothing_from_the_users_own_and_leaves_nothing(project: Project) -> None:
    project.environment["AIRFLOW_CONN_MEDIAMAGIC_DEFAULT"] = "a real key"
    project.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = "postgresql://production"
    project.write("pytest.ini", "[pytest]\nthrowaway_airflow = true\n")
    project.write(
        "test_it.py",
        """
        import os
        from pathlib import Path
        from airflow.configuration import conf

        def test_it():
            home = Path(os.environ["AIRFLOW_HOME"])
            Path("home.txt").write_text(str(home))
            assert conf.get("database", "sql_alchemy_conn") == f"sqlite:///{home}/airflow.db"
            assert "AIRFLOW_CONN_MEDIAMAGIC_DEFAULT" not in os.environ
        """,
    )
    assert "1 passed" in project.pytest()
    home = Path((project.folder / "home.txt").read_text())
    assert home.is_absolute()
    assert not home.exists()
    assert not Path(project.environment["AIRFLOW_HOME"]).exists()


ENV_PLUGIN = """
    import os
    import pytest

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests():
        os.environ["AIRFLOW_VAR_BUCKET"] = "s3://tests"
        os.environ.update({name: "elsewhere" for name in os.environ.get("MOVED", "").split()})
    """


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_what_pytests_own_configuration_sets_is_kept(project: Project, arguments: tuple[str, ...]) -> None:
    project.environment["AIRFLOW_VAR_BUCKET"] = "s3://production"
    project.environment["AIRFLOW_VAR_OTHER"] = "the user's own"
    project.write("pytest.ini", "[pytest]\nthrowaway_airflow = true\n")
    project.write("like_pytest_env.py", ENV_PLUGIN)
    project.write(
        "test_it.py",
        """
        import os

        def test_it():
            names = {name for name in os.environ if name.startswith("AIRFLOW_VAR_")}
            assert names == {"AIRFLOW_VAR_BUCKET"}
            assert os.environ["AIRFLOW_VAR_BUCKET"] == "s3://tests"
            assert "airflow-home-" in os.environ["AIRFLOW_HOME"]
        """,
    )
    assert "1 passed" in project.pytest("-p", "like_pytest_env", *arguments)


@pytest.mark.parametrize("name", ["AIRFLOW_HOME", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
def test_a_throwaway_airflow_is_not_moved_elsewhere(project: Project, name: str) -> None:
    project.environment["MOVED"] = name
    project.write("pytest.ini", "[pytest]\nthrowaway_airflow = true\n")
    project.write("like_pytest_env.py", ENV_PLUGIN)
    project.write("test_it.py", "def test_it(): ...")
    said = project.pytest("-p", "like_pytest_env")
    assert f"sets {name}" in said
    assert "passed" not in said


def test_a_throwaway_airflow_that_comes_too_late_says_so(project: Project) -> None:
    project.write("pytest.ini", "[pytest]\nthrowaway_airflow = true\n")
    project.write("airflow/configuration.py", "")  # a quick stand-in: its name is all that matters
    project.write("early.py", "import airflow.configuration")
    said = project.pytest("-p", "early")
    assert "another pytest plugin has imported Airflow already" in said


def test_a_missing_extra_is_named_with_the_way_to_install_it(project: Project) -> None:
    # What the kit asks is the installed package's own description of itself; this one comes first.
    project.write(
        f"{DISTRIBUTION.replace('-', '_')}-0.dist-info/METADATA",
        f"""\
        Metadata-Version: 2.1
        Name: {DISTRIBUTION}
        Version: 0
        Provides-Extra: simulator
        Requires-Dist: pytest; extra == 'simulator'
        Requires-Dist: cannot-be-had>=3; extra == 'simulator'
        Requires-Dist: not-needed-here; extra == 'bench'
        """,
    )
    project.write("test_it.py", "def test_it(simulated_services): ...")
    said = project.pytest()
    assert f"simulated_services needs cannot-be-had: pip install '{DISTRIBUTION}[testing]'" in said
    assert "1 error" in said
