"""
The documentation shows code that runs, as plain Markdown; its commands exist, and it covers what is public.

``make docs`` builds it with every warning an error; what is here needs no Sphinx.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import shlex
import textwrap
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator

from airflow_provider.core.files.media_types import canonical_type
from airflow_provider.core.files.tables import ColumnType
from airflow_provider.core.jobs.summary import JobSummary
from airflow_provider.get_provider_info import get_provider_info
from airflow_provider.hooks.mediamagic_extras import MediaMagicExtras
from airflow_provider.operators.mediamagic.rows import COLUMNS
from airflow_provider.operators.mediamagic.upload import upload_limits
from airflow_provider.operators.silent_witness.evidence import ACCEPTED, MAX_FILE_BYTES
from demo.picture import picture

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = {
    path.relative_to(REPOSITORY).as_posix(): path.read_text(encoding="utf-8")
    for path in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")))
}
RETRY_POLICIES = find_spec("airflow.sdk.definitions.retry_policy") is not None
"""Airflow 3.3 brings them."""
SITE_ONLY = {"docs/index.md", "docs/reference.md", "docs/changelog.md", "docs/contributing.md"}
ALL = "\n".join(PAGES.values())
BLOCK = re.compile(r"^(?:<!-- (.*?) -->\n)?(`{3,})(\S+).*?\n(.*?)^\2$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    (name, source, language, body)
    for name, page in PAGES.items()
    for source, _, language, body in BLOCK.findall(page)
]
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
COMMANDS = sorted(
    {
        line.removeprefix("$ ")
        for _, _, language, body in BLOCKS
        if language == "console"
        for line in body.splitlines()
    }
)


def test_pages_can_be_read_without_the_site() -> None:
    assert {name for name, _, language, _ in BLOCKS if language.startswith("{")} == SITE_ONLY


@pytest.mark.parametrize(
    ("name", "source", "body"),
    [
        (name, source, body)
        for name, source, language, body in BLOCKS
        if language != "console" and not language.startswith("{")
    ],
)
def test_code_is_that_of_a_file_that_runs(name: str, source: str, body: str) -> None:
    assert source, f"{name}: say above the block which file it is: <!-- path --> or <!-- part of path -->"
    text = (REPOSITORY / source.removeprefix("part of ")).read_text(encoding="utf-8")
    if source.startswith("part of "):
        lines, length = text.splitlines(keepends=True), len(body.splitlines())
        parts = [textwrap.dedent("".join(lines[at : at + length])) for at in range(len(lines))]
        assert body in parts
    else:
        assert body == text.partition("import annotations\n")[2].lstrip("\n") or body == text


def test_the_picture_of_the_demo_shows_what_it_prints() -> None:
    """``tests/packaging/test_demo.py`` compares the same text with the demo's output."""
    printed = (REPOSITORY / "tests" / "packaging" / "demo_review.txt").read_text(encoding="utf-8")
    drawn = (REPOSITORY / "docs" / "images" / "demo.svg").read_text(encoding="utf-8")
    assert drawn == picture(printed)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    for page, heading in LINK.findall(BLOCK.sub("", PAGES[name])):
        target = (REPOSITORY / name).parent / page if page else REPOSITORY / name
        assert target.exists(), page
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert heading in slugs, f"{page}#{heading}"


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
        if arguments[:2] == ["-m", "pydoc"]:
            module, _, name = arguments[2].rpartition(".")
            assert getattr(importlib.import_module(module), name).__doc__
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


def public_classes(kind: str) -> set[str]:
    """Operators or sensors, by the module that users import them from."""
    return {
        f"{name}.{class_name}"
        for entry in get_provider_info()[kind]
        for name in entry["python-modules"]
        for class_name in dir(importlib.import_module(name))
        if class_name.startswith(("MediaMagic", "SilentWitness"))
        and class_name.endswith(("Operator", "Sensor"))
    }


@pytest.mark.parametrize("kind", ["operators", "sensors"])
def test_every_class_is_described(kind: str) -> None:
    public = public_classes(kind)
    assert public
    assert public - set(re.findall(r"^\.\. autoclass:: (\S+)$", ALL, re.MULTILINE)) == set()


def test_arguments_in_sentences_exist() -> None:
    documented = re.findall(r"^\.\. auto(?:class|function):: (\S+)$", ALL, re.MULTILINE)
    things: list[Any] = [BaseOperator, BaseSensorOperator, DAG]
    for path in documented:
        module, _, name = path.rpartition(".")
        if module != "airflow_provider.retry_policy" or RETRY_POLICIES:
            things.append(getattr(importlib.import_module(module), name))
    classes = {base for thing in things for base in getattr(thing, "__mro__", ()) if base is not object}
    functions = [one for cls in classes for _, one in inspect.getmembers(cls, inspect.isfunction)]
    known = {name for thing in (*things, *functions) for name in inspect.signature(thing).parameters}
    known |= set(MediaMagicExtras.described())
    used = {
        (page, argument)
        for page, text in PAGES.items()
        for argument in re.findall(r"(?<!`)`(?:\w+\()?(\w+)=", BLOCK.sub("", text))
    }
    assert len(used) > 50
    assert {(page, argument) for page, argument in used if argument not in known} == set()


def said() -> Iterator[str]:
    """Every text in the code of the package, with a blank for what is filled in."""
    for path in (REPOSITORY / "airflow_provider").rglob("*.py"):
        if "simulator" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ""
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            yield text.replace("`", "")


def test_messages_and_log_lines_are_those_of_the_code() -> None:
    quoted = [
        re.sub(r"^\w+Error: ", "", phrase)
        for row in re.findall(r"^\| (`.*?) \|", PAGES["docs/troubleshooting.md"], re.MULTILINE)
        for phrase in re.findall(r"`([^`]*)`", row)
    ]
    texts = list(said())
    assert len(quoted) > 50
    unknown = [
        phrase
        for phrase in quoted
        if not any(all(piece in text for piece in map(str.strip, phrase.split("..."))) for text in texts)
    ]
    assert unknown == []


def test_accepted_files_are_those_of_the_code() -> None:
    accepted = PAGES["docs/files.md"].partition("### Accepted files")[2]
    rows = {
        (names, int(number) * {"GB": 1000, "MB": 1}[unit] * 1_000_000)
        for names, number, unit in re.findall(r"\| (?:\w+: )?([^|:]*) \| (\d+) (GB|MB) \|", accepted)
    }
    shown = Counter({limit: 0 for _, limit in rows})
    for names, limit in rows:
        shown[limit] += len(names.split(", "))
    limits = upload_limits().max_bytes
    code = Counter(limits[kind] for kind in limits if canonical_type(kind) == kind)
    for kinds in {ACCEPTED["vehicle_photo"], ACCEPTED["edr_document"], ACCEPTED["tcr_document"]}:
        code[MAX_FILE_BYTES] += len(kinds)
    assert shown == code


def test_every_key_of_the_summary_is_described() -> None:
    keys = JobSummary("report").as_json(SimpleNamespace(try_number=1)).keys()
    table = PAGES["docs/on_call.md"].partition("| key | what |")[2].partition("\n\n")[0]
    described = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert keys == {key for row in described for key in re.findall(r"`(\w+)`", row)}


def test_every_metric_is_described() -> None:
    code = "".join(path.read_text() for path in (REPOSITORY / "airflow_provider" / "core").rglob("*.py"))
    calls = re.findall(r"metrics\.(?:counts\[[^\]]+|gauge\(\"\w+|timing\(\"\w+)", code)
    reported = {name for call in calls for name in re.findall(r"\"(\w+)", call)}
    metrics = PAGES["docs/scaling.md"].partition("## Metrics")[2]
    assert reported == set(re.findall(r"^\| `(\w+)` \|", metrics, re.MULTILINE))


def test_every_xcom_key_is_described() -> None:
    golden = json.loads((REPOSITORY / "tests" / "airflow" / "golden" / "xcoms.json").read_text())
    keys = {key for shape in golden.values() for key in shape["other_keys"] if not key.startswith("_")}
    code = "".join(path.read_text() for path in (REPOSITORY / "airflow_provider").rglob("*.py"))
    keys |= set(re.findall(r"xcom_push\(key=\"(\w+)\"", code))
    xcoms = PAGES["docs/reference.md"].partition("## XCom")[2].partition("\n## ")[0]
    assert keys - set(re.findall(r"`(\w+)`", xcoms)) == set()


@pytest.mark.parametrize("kind", ["operators", "sensors"])
def test_every_class_has_a_snippet_and_says_what_comes_back_and_can_go_wrong(kind: str) -> None:
    sections = [part for page in PAGES.values() for part in re.split(r"^#+ ", page, flags=re.MULTILINE)]
    for name in public_classes(kind):
        word = name.rpartition(".")[2]
        assert any(
            re.search(rf"```python\n(?:(?!```).)*\b{word}\(", part, re.DOTALL)
            and "| comes back |" in part
            and "| can go wrong |" in part
            for part in sections
        ), word


def test_every_extra_is_described() -> None:
    assert [
        key for key in MediaMagicExtras.described() if f"`{key}`" not in PAGES["docs/connections.md"]
    ] == []


def test_every_column_of_a_table_of_issues_is_described() -> None:
    shown = re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGES["docs/reference.md"], re.MULTILINE)
    assert [row for row in shown if row[1] in get_args(ColumnType)] == list(COLUMNS)
