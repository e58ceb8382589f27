"""Imports run one way: whoever carries the package on finds below a module all that it stands on."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = "airflow_provider"
FILES = {
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (REPOSITORY / PACKAGE).rglob("*.py")
}

BASE = {"errors", "exceptions", "compat"}
ENGINE = {*BASE, "core"}
VENDORS = {*ENGINE, "hooks", "mediamagic"}
MAY_IMPORT = {
    "compat": set(),
    "errors": set(),
    "exceptions": {"compat", "errors"},
    "retry_policy": BASE,
    "get_provider_info": set(),
    "core": BASE,
    "links": ENGINE,
    "hooks": {*ENGINE, "get_provider_info"},
    "mediamagic": {*ENGINE, "hooks"},
    "triggers": VENDORS,
    "operators": {*VENDORS, "triggers", "links"},
    "sensors": {*VENDORS, "triggers", "links"},
    "task_groups": {*VENDORS, "operators", "sensors"},
    "example_dags": {*VENDORS, "operators", "sensors", "task_groups"},
    "plugins": {*BASE, "mediamagic"},
    "assets": {"mediamagic"},
    "compliance": {"mediamagic"},
    "simulator": set(),
    "testing": {*VENDORS, "operators", "sensors", "triggers", "simulator"},
}
"""What each part of the package may import of the others. All may ask for the version, but the simulator."""


def part_of(module: str) -> str:
    """The first name below the package; the package itself holds the version and has none."""
    return module.partition(".")[2].partition(".")[0]


def imports_of(module: str, *, deferred: bool) -> Iterator[str]:
    """
    Yield the modules of this package that one imports.

    :param deferred: also those inside functions and for type checkers, not only what importing it loads.
    """
    waiting: list[ast.AST] = [ast.parse(FILES[module].read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: absolute imports only"
            yield from (_module(f"{node.module}.{alias.name}") for alias in node.names if _ours(node.module))
        elif isinstance(node, ast.Import):
            yield from (_module(alias.name) for alias in node.names if _ours(alias.name))
        elif not deferred and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting.extend(node.orelse)
        elif deferred or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            waiting.extend(ast.iter_child_nodes(node))


def _ours(name: str | None) -> bool:
    return f"{name}.".startswith(f"{PACKAGE}.")


def _module(name: str) -> str:
    """The module that holds a name, or that it is."""
    while name not in FILES:
        name = name.rpartition(".")[0]
    return name


def test_every_part_has_its_place() -> None:
    assert {part_of(module) for module in FILES} - {""} == MAY_IMPORT.keys()


def upward(part: str) -> list[str]:
    """What a part imports of those that stand above it."""
    allowed = {*MAY_IMPORT[part], part} | ({""} if part != "simulator" else set())
    return sorted(
        f"{module} imports {imported}"
        for module in FILES
        if part_of(module) == part
        for imported in imports_of(module, deferred=True)
        if part_of(imported) not in allowed
    )


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_what_is_below_it(part: str) -> None:
    assert upward(part) == []


def test_the_order_has_no_circle() -> None:
    settled: set[str] = set()
    while ready := {part for part, below in MAY_IMPORT.items() if below <= settled} - settled:
        settled |= ready
    assert settled == MAY_IMPORT.keys()


def test_no_modules_import_each_other() -> None:
    edges = {module: set(imports_of(module, deferred=False)) - {module} for module in FILES}
    while free := [module for module, imported in edges.items() if not imported & edges.keys()]:
        for module in free:
            del edges[module]
    assert edges == {}


def test_the_check_sees_imports_in_functions_and_for_type_checkers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "some.py"
    source.write_text(
        "from airflow_provider import links\n"
        "if TYPE_CHECKING:\n    from airflow_provider.hooks.mediamagic import MediaMagicHook\n"
        "else:\n    import airflow_provider.compat\n"
        "def f():\n    from airflow_provider.exceptions import ProviderError\n"
        "import airflow.sdk\n"
    )
    monkeypatch.setitem(FILES, "airflow_provider.core.some", source)
    at_once = {"airflow_provider.links", "airflow_provider.compat"}
    assert set(imports_of("airflow_provider.core.some", deferred=False)) == at_once
    assert set(imports_of("airflow_provider.core.some", deferred=True)) == at_once | {
        "airflow_provider.hooks.mediamagic",
        "airflow_provider.exceptions",
    }
    assert "airflow_provider.core.some imports airflow_provider.links" in upward("core")


@pytest.mark.parametrize("module", [module for module in FILES if part_of(module) == "core"])
def test_the_engine_names_no_vendor(module: str) -> None:
    lines = FILES[module].read_text(encoding="utf-8").splitlines()
    named = re.compile("media.?magic|silent.?witness", re.IGNORECASE)
    assert [f"{number}: {line.strip()}" for number, line in enumerate(lines, 1) if named.search(line)] == []
