"""
The documentation holds no code of its own, its commands exist, and it covers what is public.

``make docs`` builds it with every warning an error; what is here needs no Sphinx.
"""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from airflow_provider.get_provider_info import get_provider_info
from airflow_provider.hooks.mediamagic_extras import MediaMagicExtras

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (REPOSITORY / "docs").glob("*.md")}
ALL = "\n".join(PAGES.values())
BLOCK = re.compile(r"^(`{3,})(\S+)[ ]?(.*?)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    (name, language, argument, body)
    for name, page in PAGES.items()
    for _, language, argument, body in BLOCK.findall(page)
]
COMMANDS = sorted(
    {
        line.removeprefix("$ ")
        for _, language, _, body in BLOCKS
        if language == "console"
        for line in body.splitlines()
    }
)


def test_code_comes_from_files() -> None:
    languages = {language for _, language, _, _ in BLOCKS if not language.startswith("{")}
    assert languages == {"console"}


@pytest.mark.parametrize(
    ("argument", "body"),
    [(argument, body) for _, language, argument, body in BLOCKS if language == "{literalinclude}"],
)
def test_what_is_included_is_there(argument: str, body: str) -> None:
    text = (REPOSITORY / "docs" / argument).read_text(encoding="utf-8")
    for option, value in re.findall(r"^:([\w-]+): *(.*)$", body, re.MULTILINE):
        if option in ("start-at", "start-after", "end-before", "end-at"):
            assert value.strip("'\"") in text
        elif option == "pyobject":
            assert re.search(rf"^ *(def|class) {value}\b", text, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_exist(command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "make":
        targets = re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
        assert [word for word in arguments if "=" not in word and word not in targets] == []
    elif program == "airflow":
        from airflow.cli.cli_parser import get_parser

        get_parser().parse_args(arguments)
    elif program == "python":
        if arguments == ["-m", "pytest"]:
            return
        from airflow_provider.simulator.__main__ import _parser

        assert arguments[:2] == ["-m", "airflow_provider.simulator"]
        _parser().parse_args(arguments[2:])
    else:
        extras = re.findall(r"^([a-z-]+) = \[", (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
        assert (program, arguments[0]) == ("pip", "install")
        (name, asked) = re.fullmatch(r"([a-z-]+)(?:\[([a-z,]+)\])?", arguments[1]).groups()  # type: ignore[union-attr]
        assert name == get_provider_info()["package-name"]
        assert {*(asked or "").split(",")} - {"", *extras} == set()


@pytest.mark.parametrize("kind", ["operators", "sensors"])
def test_every_class_is_described(kind: str) -> None:
    public = {
        f"{name}.{class_name}"
        for entry in get_provider_info()[kind]
        for name in entry["python-modules"]
        for class_name in dir(importlib.import_module(name))
        if class_name.startswith(("MediaMagic", "SilentWitness"))
        and class_name.endswith(("Operator", "Sensor"))
    }
    assert public
    assert public - set(re.findall(r"^\.\. autoclass:: (\S+)$", ALL, re.MULTILINE)) == set()


def test_every_extra_is_described() -> None:
    assert [key for key in MediaMagicExtras.described() if f"`{key}`" not in PAGES["connections.md"]] == []


def test_the_code_of_the_readme_is_tested() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    dag, test = (_bare(shown) for shown in re.findall(r"^```python\n(.*?)^```$", readme, re.DOTALL | re.M))
    assert dag == _bare(_source("docs/dags/nightly.py").partition("import annotations\n")[2])
    assert test in _bare(_source("airflow/test_users_own_dag.py"))


def _source(path: str) -> str:
    return (REPOSITORY / "tests" / path).read_text(encoding="utf-8")


def _bare(code: str) -> str:
    """Code without its type hints and line breaks."""
    return re.sub(r"\s+", "", re.sub(r"(?<=\w): (SimulatedServices|dict\[str, str\])| -> None", "", code))
