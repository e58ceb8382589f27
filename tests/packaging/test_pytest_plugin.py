"""The testing kit as pytest loads it for users: from its entry point, in a project of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider.testing.requirements import DISTRIBUTION
from tests.user_project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write("pytest.ini", "[pytest]\n")
    return project


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


def test_both_connections_lead_to_the_simulator_and_are_taken_back(project: Project) -> None:
    project.environment["AIRFLOW_CONN_MEDIAMAGIC_DEFAULT"] = "the user's own"
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def simulated_services_time_scale():
            return 500.0
        """,
    )
    project.write(
        "test_it.py",
        """
        import os
        import pytest
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
            assert simulated_services.simulator.control("GET", "health")["time_scale"] == 500.0
            assert simulated_services.time_scale == 500.0

        def test_afterwards():
            names = {name for name in os.environ if name.startswith("AIRFLOW_CONN_")}
            assert names == {"AIRFLOW_CONN_MEDIAMAGIC_DEFAULT"}
            assert os.environ["AIRFLOW_CONN_MEDIAMAGIC_DEFAULT"] == "the user's own"

        def test_no_dag_is_written_to_a_database_of_the_users(simulated_services):
            with pytest.raises(pytest.fail.Exception, match="throwaway_airflow = true"):
                simulated_services.run(None)
        """,
    )
    assert "4 passed" in project.pytest()


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
