"""A Dag file is parsed every few seconds: importing this package must not load what only a transfer needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "airflow_provider" / "core" / "files"
CHEAP = {
    "airflow_provider.exceptions",
    "airflow_provider.compat",
    "airflow_provider.core.arguments",
    "airflow_provider.core.text",
    "airflow_provider.core.http.retry",
}
HEAVY_STANDARD = {"zipfile", "zlib", "ssl", "email", "xml"}


def imported_with(tree: ast.Module) -> Iterator[str]:
    """Yield every module that is imported when this one is: not in functions, not for type checkers."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting.extend(node.orelse)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            waiting.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_module_imports_the_standard_library_its_own_package_and_the_errors(path: Path) -> None:
    import sys

    foreign = [
        name
        for name in imported_with(ast.parse(path.read_text(encoding="utf-8")))
        if not name.startswith("airflow_provider.core.files.")
        and name not in CHEAP
        and (name.split(".")[0] not in sys.stdlib_module_names or name.split(".")[0] in HEAVY_STANDARD)
    ]
    assert foreign == []


def test_the_check_sees_an_import(tmp_path: Path) -> None:
    tree = ast.parse("try:\n    import requests.adapters\nfinally:\n    pass\ndef f():\n    import pyarrow\n")
    assert list(imported_with(tree)) == ["requests.adapters"]
    assert FOLDER.is_dir()
