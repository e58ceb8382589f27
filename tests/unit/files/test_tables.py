from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.core.files.tables import ROWS_PER_GROUP, ColumnType, read_rows, write_json, write_rows
from airflow_provider.exceptions import ConfigurationError, InvalidInputError, TransferError

COLUMNS: list[tuple[str, ColumnType]] = [
    ("asset_id", "string"),
    ("seen", "timestamp"),
    ("count", "integer"),
    ("score", "number"),
    ("open", "boolean"),
    ("topics", "json"),
]
ROW: dict[str, Any] = {
    "topics": [{"name": "Ünï"}],
    "asset_id": 'a,"1"\nnext',
    "seen": "2026-06-03T13:00:00+02:00",
    "count": "7",
    "score": 1,
    "open": True,
    "unknown": "new field of the vendor",
}


def test_json_lines(tmp_path: Path) -> None:
    manifest = write_rows([ROW, {}], tmp_path / "i.jsonl", columns=COLUMNS, submission_id="s1")
    lines = [json.loads(line) for line in (tmp_path / "i.jsonl").read_text().splitlines()]
    assert [list(line) for line in lines] == [[name for name, _ in COLUMNS]] * 2
    assert lines[0] == {
        "asset_id": 'a,"1"\nnext',
        "seen": "2026-06-03T11:00:00.000000+00:00",
        "count": 7,
        "score": 1.0,
        "open": True,
        "topics": [{"name": "Ünï"}],
    }
    assert set(lines[1].values()) == {None}
    assert (manifest["rows"], manifest["format"], manifest["submission_id"]) == (2, "jsonl", "s1")
    assert manifest["bytes"] == (tmp_path / "i.jsonl").stat().st_size


def test_csv(tmp_path: Path) -> None:
    write_rows([ROW, {}], tmp_path / "i.csv", columns=COLUMNS)
    with (tmp_path / "i.csv").open(newline="", encoding="utf-8") as stream:
        header, first, second = csv.reader(stream)
    assert header == [name for name, _ in COLUMNS]
    assert first == [
        'a,"1"\nnext',
        "2026-06-03T11:00:00.000000+00:00",
        "7",
        "1.0",
        "true",
        '[{"name": "Ünï"}]',
    ]
    assert second == [""] * 6


def test_parquet(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    write_rows([ROW, {}], tmp_path / "i.parquet", columns=COLUMNS)
    table = pq.read_table(tmp_path / "i.parquet")
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("asset_id", "string"),
        ("seen", "timestamp[us, tz=UTC]"),
        ("count", "int64"),
        ("score", "double"),
        ("open", "bool"),
        ("topics", "string"),
    ]
    first, second = table.to_pylist()
    assert first["seen"] == datetime(2026, 6, 3, 11, tzinfo=UTC)
    assert json.loads(first["topics"]) == ROW["topics"]
    assert set(second.values()) == {None}


def test_csv_has_the_same_bytes_on_every_python(tmp_path: Path) -> None:
    columns: list[tuple[str, ColumnType]] = [("a", "string"), ("b", "string")]
    rows = [{"a": "x\ry", "b": "x\r\n"}, {"a": "x\ny", "b": 'x"y'}, {"a": "x,y", "b": "x y"}, {}]
    write_rows(rows, tmp_path / "i.csv", columns=columns)
    expected = b'a,b\n"x\ry","x\r\n"\n"x\ny","x""y"\n"x,y",x y\n,\n'
    assert (tmp_path / "i.csv").read_bytes() == expected


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_no_rows_make_a_file_with_the_same_columns(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"i.{suffix}"
    assert write_rows([], target, columns=COLUMNS)["rows"] == 0
    if suffix == "csv":
        assert target.read_text() == "asset_id,seen,count,score,open,topics\n"
    elif suffix == "parquet":
        pq = pytest.importorskip("pyarrow.parquet")
        assert pq.read_schema(target).names == [name for name, _ in COLUMNS]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_more_rows_than_one_group_all_arrive_in_order(tmp_path: Path, suffix: str) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        for number in range(ROWS_PER_GROUP + 3):
            yield {"count": number}

    target = tmp_path / f"i.{suffix}"
    assert write_rows(rows(), target, columns=[("count", "integer")])["rows"] == ROWS_PER_GROUP + 3
    if suffix == "parquet":
        numbers = pytest.importorskip("pyarrow.parquet").read_table(target)["count"].to_pylist()
    elif suffix == "csv":
        numbers = [int(line) for line in target.read_text().splitlines()[1:]]
    else:
        numbers = [json.loads(line)["count"] for line in target.read_text().splitlines()]
    assert numbers == list(range(ROWS_PER_GROUP + 3))


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("target", ["{folder}/i.{suffix}", "memory://landing/i.{suffix}"])
def test_an_error_on_the_way_leaves_what_was_there(tmp_path: Path, target: str, suffix: str) -> None:
    from airflow_provider.core.files.locations import locate

    where = target.format(folder=tmp_path, suffix=suffix)
    write_rows([{"count": 1}], where, columns=[("count", "integer")])
    before = locate(where).sha256()

    def rows() -> Iterator[dict[str, Any]]:
        yield from ({"count": number} for number in range(ROWS_PER_GROUP))
        raise RuntimeError("page 3 could not be fetched")

    with pytest.raises(RuntimeError, match="page 3"):
        write_rows(rows(), where, columns=[("count", "integer")])
    assert locate(where).sha256() == before
    if where.startswith("/"):
        assert os.listdir(tmp_path) == [f"i.{suffix}"]


@pytest.mark.parametrize(
    ("column_type", "value"),
    [
        ("integer", "x"),
        ("integer", 1.5),
        ("integer", True),
        ("integer", 2**63),
        ("number", "x"),
        ("boolean", "maybe"),
        ("timestamp", "yesterday"),
        ("timestamp", 1_750_000_000),
        ("string", {"a": 1}),
        ("json", {1, 2}),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_row_and_column(
    tmp_path: Path, column_type: ColumnType, value: Any
) -> None:
    with pytest.raises(TransferError, match=r"row 2, column 'v'"):
        write_rows([{}, {"v": value}], tmp_path / "i.jsonl", columns=[("v", column_type)])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_half_a_surrogate_pair_does_not_stop_the_load(tmp_path: Path, suffix: str) -> None:
    rows = [{"s": "x\ud83d", "j": {"y": "\ud83d"}}]
    target = tmp_path / f"i.{suffix}"
    assert write_rows(rows, target, columns=[("s", "string"), ("j", "json")])["rows"] == 1


@pytest.mark.parametrize(
    ("target", "columns", "problem"),
    [
        ("i.txt", COLUMNS, "no format"),
        ("noname", COLUMNS, "no format"),
        ("i.csv", [], "at least one"),
        ("i.csv", [("a", "string"), ("a", "string")], "twice"),
        ("i.csv", [("a", "decimal")], "unknown type 'decimal'"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, target: str, columns: Any, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        write_rows([], tmp_path / target, columns=columns)
    assert os.listdir(tmp_path) == []


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match="extra 'parquet'"):
        write_rows([ROW], tmp_path / "i.parquet", columns=COLUMNS)
    assert os.listdir(tmp_path) == []


def test_a_large_value_goes_to_a_json_file(tmp_path: Path) -> None:
    value = {"sections": [{"markdown": "Ünï " * 10} for _ in range(5000)]}
    manifest = write_json(value, tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8")) == value
    assert manifest["bytes"] == (tmp_path / "r.json").stat().st_size


def test_what_is_not_json_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="not JSON"):
        write_json({"a": object()}, tmp_path / "r.json")
    assert os.listdir(tmp_path) == []


NAN, INFINITE = float("nan"), float("-inf")


def test_numbers_that_json_does_not_know_are_missing_in_a_json_file(tmp_path: Path) -> None:
    write_json({"a": [1.5, NAN, INFINITE]}, tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text()) == {"a": [1.5, None, None]}


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_numbers_that_are_not_finite_are_missing_ones(tmp_path: Path, suffix: str) -> None:
    columns: list[tuple[str, ColumnType]] = [
        ("s", "string"), ("n", "number"), ("t", "number"), ("i", "integer"), ("j", "json"), ("k", "json")
    ]  # fmt: skip
    row = {"s": NAN, "n": NAN, "t": "Infinity", "i": INFINITE, "j": NAN, "k": {"a": [1.5, NAN, INFINITE]}}
    manifest = write_rows([row], tmp_path / f"i.{suffix}", columns=columns)
    (found,) = read_rows(manifest)
    missing = "" if suffix == "csv" else None
    assert [found[name] for name in "snti"] == [missing] * 4
    assert found["j"] == missing
    nested = found["k"] if suffix == "jsonl" else json.loads(found["k"])
    assert nested == {"a": [1.5, None, None]}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''+1"])
def test_a_cell_that_begins_as_a_formula_does_is_text_and_is_read_as_it_was(
    tmp_path: Path, text: str
) -> None:
    columns: list[tuple[str, ColumnType]] = [("s", "string"), ("n", "number"), ("j", "json")]
    manifest = write_rows([{"s": text, "n": -1.5, "j": -2}], tmp_path / "i.csv", columns=columns)
    with (tmp_path / "i.csv").open(newline="", encoding="utf-8") as stream:
        assert list(csv.reader(stream))[1] == [f"'{text}", "-1.5", "-2"]
    assert list(read_rows(manifest)) == [{"s": text, "n": "-1.5", "j": "-2"}]


@pytest.mark.parametrize("text", ["'quoted'", "a=b", "5 - 3", "'"])
def test_other_cells_stay_as_they_are(tmp_path: Path, text: str) -> None:
    manifest = write_rows([{"s": text}], tmp_path / "i.csv", columns=[("s", "string")])
    assert (tmp_path / "i.csv").read_text() == f"s\n{text}\n"
    assert list(read_rows(manifest)) == [{"s": text}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("i.csv", "a,b\r\nü,2\r\n"),
        ("i.csv", "a;b\nü;2\n"),
        ("i.jsonl", '{"a": "ü", "b": "2"}\n\n'),
        ("i.jsonl", '\r\n{"a": "ü", "b": "2"}\r\n  '),
    ],
)
def test_a_file_that_another_program_saved_is_read(
    tmp_path: Path, name: str, text: str, encoding: str
) -> None:
    marked = encoding.removesuffix("-bom")
    content = f"\ufeff{text}" if marked != encoding else text
    (tmp_path / name).write_bytes(content.encode(marked))
    assert list(read_rows(tmp_path / name, columns=["a", "b"])) == [{"a": "ü", "b": "2"}]


@pytest.mark.parametrize(("name", "text"), [("i.csv", "a\nStraße\n"), ("i.jsonl", '{"a": "Straße"}\n')])
def test_text_in_a_code_page_is_refused_with_what_to_do(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode("cp1252"))
    with pytest.raises(InvalidInputError, match=rf"issues: .*{name} .*Save it as UTF-8"):
        list(read_rows(tmp_path / name, argument="issues"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("i.jsonl", b"[1]\n"),
        ("i.jsonl", b'{"a": "1"}\n{"a": "cut'),
        ("i.jsonl", b'{\n"a": "1"\n}\n'),
        ("i.jsonl", b"[" * 100_000),
        ("i.jsonl", b'{"a": ' + b"1" * 5000 + b"}"),
        ("i.parquet", b"PAR1 and nothing more"),
    ],
)
def test_a_file_that_is_none_of_its_format_is_named_with_the_argument(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TransferError, match=rf"issues: .*{name} is no file of ") as caught:
        list(read_rows(tmp_path / name, argument="issues"))
    assert caught.value.parameter == "issues"


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("a,severity,severity\n1,CRITICAL,INFO\n")
    with pytest.raises(InvalidInputError, match="severity in several columns"):
        list(read_rows(tmp_path / "i.csv", columns=["severity"]))
