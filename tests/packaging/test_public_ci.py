"""The public CI runs what people run here, on everything that is supported, and may do nothing else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

REPOSITORY = Path(__file__).resolve().parents[2]
FILE = REPOSITORY / ".github" / "workflows" / "ci.yml"

if not FILE.exists():
    pytest.skip("not a checkout", allow_module_level=True)

CI: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
STEPS = [step for job in CI["jobs"].values() for step in job["steps"]]


def test_it_may_read_and_nothing_else() -> None:
    assert CI["permissions"] == {"contents": "read"}
    assert [name for name, job in CI["jobs"].items() if "permissions" in job] == []
    assert "secrets." not in FILE.read_text(encoding="utf-8")


def test_actions_are_pinned_to_a_commit() -> None:
    uses = [step["uses"] for step in STEPS if "uses" in step]
    assert uses
    assert [action for action in uses if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action)] == []


def test_it_runs_what_people_run() -> None:
    targets = {
        line.split(":")[0] for line in (REPOSITORY / "Makefile").read_text().splitlines() if "##" in line
    }
    commands = [step["run"].split() for step in STEPS if "run" in step]
    assert {("make", "test"), ("make", "demo"), ("make", "lint"), ("make", "types"), ("make", "docs")} == {
        tuple(command) for command in commands
    }
    assert {command[1] for command in commands} <= targets


def test_it_covers_every_airflow_and_python_that_is_supported() -> None:
    matrix = CI["jobs"]["test"]["strategy"]["matrix"]
    constraints = {path.stem.removeprefix("airflow-") for path in REPOSITORY.glob("constraints/*.txt")}
    assert set(matrix["airflow"]) == constraints
    classifiers = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["classifiers"]
    supported = {name.rpartition(" ")[2] for name in classifiers if " :: Python :: 3." in name}
    assert set(matrix["python"]) == supported
