"""The wheel and the sdist contain what they should, and the wheel works where it is installed alone."""

from __future__ import annotations

import json
import os
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from email import message_from_string
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from airflow_provider import __version__
from airflow_provider.get_provider_info import get_provider_info
from tests.packaging.archives import REPOSITORY, build, install, run

NAME = "airflow-provider-mediamagic-silentwitness"
STEM = f"{NAME.replace('-', '_')}-{__version__}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist, and the wheel built from that sdist."""
    return build(tmp_path_factory.mktemp("dist")).parent


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(built / f"{STEM}-py3-none-any.whl")


@pytest.fixture(scope="module")
def sdist(built: Path) -> set[str]:
    with tarfile.open(built / f"{STEM}.tar.gz") as archive:
        return {name.removeprefix(f"{STEM}/") for name in archive.getnames()}


def test_wheel_contains_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    package = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "airflow_provider").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    in_wheel = {name for name in wheel.namelist() if not name.startswith(f"{STEM}.dist-info/")}
    assert "airflow_provider/py.typed" in in_wheel
    assert in_wheel == package


def test_wheel_has_the_example_dags(wheel: zipfile.ZipFile) -> None:
    folder = "airflow_provider/example_dags/"
    shipped = {
        name.removeprefix(folder): wheel.read(name) for name in wheel.namelist() if name.startswith(folder)
    }
    del shipped["__init__.py"]
    assert shipped == {path.name: path.read_bytes() for path in (REPOSITORY / "dags").glob("*.py")}


def test_wheel_metadata(wheel: zipfile.ZipFile) -> None:
    described = message_from_string(wheel.read(f"{STEM}.dist-info/METADATA").decode())
    assert described["Name"] == NAME
    assert described["Version"] == __version__
    assert described["License-Expression"] == "Apache-2.0"
    assert described["Requires-Python"] == ">=3.11"
    assert described["Description-Content-Type"] == "text/markdown"
    classifiers = described.get_all("Classifier", [])
    assert "Framework :: Apache Airflow" in classifiers
    assert "Framework :: Apache Airflow :: Provider" in classifiers
    assert f"{STEM}.dist-info/licenses/LICENSE" in wheel.namelist()


def test_wheel_caps_no_dependency(wheel: zipfile.ZipFile) -> None:
    described = message_from_string(wheel.read(f"{STEM}.dist-info/METADATA").decode())
    requirements = described.get_all("Requires-Dist", [])
    assert any(requirement.startswith("apache-airflow>=3.1") for requirement in requirements)
    assert [
        requirement for requirement in requirements if "<" in requirement or "==" in requirement.split(";")[0]
    ] == []


def test_sdist_can_be_worked_with(sdist: set[str]) -> None:
    assert {"LICENSE", "README.md", "CHANGELOG.md", "Makefile", "pyproject.toml", "scripts/install"} <= sdist
    assert {"SECURITY.md", "CONTRIBUTING.md", "docs/conf.py", "docs/index.md"} <= sdist
    assert {"airflow_provider/py.typed", "tests/conftest.py", "demo/__main__.py"} <= sdist
    assert "constraints/airflow-3.3.txt" in sdist
    assert [
        name for name in sdist if "__pycache__" in name or name.startswith((".venv", "demo-output"))
    ] == []


def test_the_same_source_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    def archives(name: str, *, touched: int, mode: int) -> dict[str, str]:
        """Digests of both archives, built in another place, from files of another time and mode."""
        place = tmp_path / name
        with tarfile.open(built / f"{STEM}.tar.gz") as archive:
            archive.extractall(place, filter="data")
        for path in (place / STEM).rglob("*"):
            if path.is_file():
                path.chmod(mode)
                os.utime(path, (touched, touched))
        build = "from flit_core import buildapi as b; b.build_wheel('dist'); b.build_sdist('dist')"
        (place / STEM / "dist").mkdir()
        run(
            sys.executable,
            "-c",
            build,
            cwd=place / STEM,
            env={**os.environ, "SOURCE_DATE_EPOCH": "1780000000"},
        )
        return {
            path.name: sha256(path.read_bytes()).hexdigest() for path in (place / STEM / "dist").iterdir()
        }

    here = archives("here", touched=1_700_000_000, mode=0o644)
    assert len(here) == 2
    assert archives("there", touched=1_750_000_000, mode=0o600) == here


@pytest.fixture(scope="module")
def elsewhere(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment that holds the wheel, without extras, and what it needs."""
    (wheel,) = built.glob("*.whl")
    return install(wheel, tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="module")
def said(elsewhere: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The answers of the ``airflow providers`` commands there, by command."""
    home = tmp_path_factory.mktemp("airflow-elsewhere")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    commands = {"list": ["list"], "get": ["get", NAME, "--full"], "hooks": ["hooks"]}

    def ask(arguments: list[str]) -> Any:
        answer = run(
            str(elsewhere),
            "-m",
            "airflow",
            "providers",
            *arguments,
            "--output",
            "json",
            env=environment,
            cwd=home,
        )
        # Airflow logs to stdout too; the answer is its last line.
        return json.loads(answer.splitlines()[-1])

    # The first command writes a configuration file that the others read.
    first = {"list": ask(commands.pop("list"))}
    with ThreadPoolExecutor() as pool:
        return first | dict(zip(commands, pool.map(ask, commands.values()), strict=True))


@pytest.mark.slow
def test_installed_wheel_is_listed(said: dict[str, Any]) -> None:
    (listed,) = (provider for provider in said["list"] if provider["package_name"] == NAME)
    assert listed["version"] == __version__


@pytest.mark.slow
def test_installed_wheel_describes_itself(said: dict[str, Any]) -> None:
    (provider,) = said["get"]
    assert provider["versions"][0] == __version__
    assert provider["operators"] == get_provider_info()["operators"]


@pytest.mark.slow
def test_installed_wheel_brings_its_connection_types(said: dict[str, Any]) -> None:
    hooks = {hook["connection_type"]: hook for hook in said["hooks"] if hook["package_name"] == NAME}
    assert hooks.keys() == {"mediamagic", "silent_witness"}
    assert hooks["mediamagic"]["hook_name"] == "MediaMagic"
    assert hooks["silent_witness"]["hook_name"] == "Silent Witness"


@pytest.mark.slow
def test_installed_wheel_can_be_imported_without_extras(elsewhere: Path, tmp_path: Path) -> None:
    program = """
import importlib, json, pkgutil, airflow_provider
failed = {}
modules = [module.name for module in pkgutil.walk_packages(airflow_provider.__path__, "airflow_provider.")]
for module in modules:
    try:
        importlib.import_module(module)
    except ImportError as error:
        failed[module] = str(error)
print(json.dumps([modules, failed]))
"""
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    answer = run(str(elsewhere), "-c", program, cwd=tmp_path, env=environment)
    modules, failed = json.loads(answer.splitlines()[-1])
    assert "airflow_provider.operators.mediamagic" in modules
    parts_with_an_extra = ("airflow_provider.simulator.", "airflow_provider.testing.")
    single = {
        "airflow_provider.core.budget.redis_store",  # Redis
        "airflow_provider.core.lineage_facet",  # OpenLineage
        "airflow_provider.retry_policy",  # Airflow 3.3
    }
    assert [
        (module, error)
        for module, error in failed.items()
        if module not in single and not module.startswith(parts_with_an_extra)
    ] == []
