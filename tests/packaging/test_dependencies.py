"""Every package that the code imports is one that the installation asks for."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Collection, Iterable
from importlib.metadata import metadata, packages_distributions
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OWN = {"airflow_provider", "demo", "tests"}

COMES_WITH = {
    "apache-airflow-core": "apache-airflow",
    "apache-airflow-task-sdk": "apache-airflow",
    "apache-airflow-providers-standard": "apache-airflow",
    "attrs": "apache-airflow",
    "certifi": "requests",
    "cryptography": "apache-airflow",
    "fastapi": "apache-airflow",
    "fsspec": "apache-airflow",
    "idna": "requests",
    "jinja2": "apache-airflow",
    "markdown-it-py": "apache-airflow",
    "multidict": "aiohttp",
    "openlineage-python": "apache-airflow-providers-openlineage",
    "pydantic": "apache-airflow",
    "s3fs": "apache-airflow-providers-amazon",
    "sqlalchemy": "apache-airflow",
    "starlette": "apache-airflow",
    "uvicorn": "apache-airflow",
    "pyyaml": "apache-airflow",
    "urllib3": "requests",
    "yarl": "aiohttp",
}
"""Distributions that are not asked for, because one that is could not be without them."""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _asked_for(*extras: str) -> set[str]:
    requirements: list[str] = [*PROJECT["dependencies"]]
    for extra in extras:
        requirements += PROJECT["optional-dependencies"][extra]
    return {_normal(re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0]) for requirement in requirements}


def _imported(files: Iterable[Path]) -> dict[str, set[str]]:
    """Top-level modules of others, and the files that import them, inside functions as well."""
    found: dict[str, set[str]] = {}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                modules = [node.module]
            else:
                continue
            for top in {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - OWN:
                found.setdefault(top, set()).add(str(file.relative_to(REPOSITORY)))
    return found


def _files(*patterns: str, without: Collection[str] = ()) -> list[Path]:
    found = [file for pattern in patterns for file in REPOSITORY.glob(pattern)]
    return [file for file in found if not set(without) & set(file.parts)]


@pytest.mark.parametrize(
    ("files", "extras"),
    [
        (
            _files("airflow_provider/**/*.py", "dags/**/*.py", without=("simulator", "testing")),
            ["parquet", "openlineage", "redis"],
        ),
        (_files("airflow_provider/simulator/**/*.py"), ["simulator"]),
        (_files("airflow_provider/testing/**/*.py"), ["simulator", "testing"]),
        (
            _files("demo/**/*.py", "tests/**/*.py", without=["browser", "project"]),
            ["parquet", "simulator", "dev", "bench"],
        ),
    ],
    ids=["package", "simulator", "testing kit", "demo and tests"],
)
def test_every_import_is_asked_for(files: list[Path], extras: list[str]) -> None:
    assert files
    asked_for = _asked_for(*extras)
    providing = packages_distributions()
    missing = {}
    for module, importers in _imported(files).items():
        # A namespace such as `airflow` belongs to many distributions; one that is asked for is enough.
        distributions = {_normal(name) for name in providing.get(module, [module])}
        if not {COMES_WITH.get(name, name) for name in distributions} & asked_for:
            missing[module] = sorted(importers)
    assert missing == {}


def test_nothing_imports_the_simulator_but_the_testing_kit_and_nothing_imports_that() -> None:
    importers: dict[str, set[str]] = {"simulator": set(), "testing": set()}
    for file in _files("airflow_provider/**/*.py", "dags/**/*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom):
                continue
            for part, found in importers.items():
                if f"{node.module}.".startswith(f"airflow_provider.{part}."):
                    found.add(file.relative_to(REPOSITORY).parts[1])
    assert importers == {"simulator": {"simulator", "testing"}, "testing": {"testing"}}


def test_the_licence_of_every_requirement_is_listed() -> None:
    page = (REPOSITORY / "docs" / "upgrade.md").read_text(encoding="utf-8").partition("## Licences")[2]
    listed = dict(re.findall(r"^\| `([\w-]+)` \| (.*?) \|", page, re.MULTILINE))
    extras = ("simulator", "testing", "redis", "openlineage", "parquet", "messaging")
    assert listed.keys() == _asked_for(*extras) - {PROJECT["name"]}
    for name, licence in listed.items():
        # Older packages say it in words of their own.
        said: Any = metadata(name)
        assert said.get("License-Expression", licence) == licence, name
