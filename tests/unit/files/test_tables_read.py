"""Landed rows, read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider.core.files.tables import read_rows, write_rows
from airflow_provider.exceptions import InvalidInputError, TransferError

FORMATS = pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])


def landed(folder: Path, suffix: str, *rows: dict[str, Any]) -> dict[str, Any]:
    return write_rows(rows, folder / f"rows.{suffix}", columns=[("a", "string"), ("b", "string")])


@FORMATS
def test_what_has_landed_has_its_columns(tmp_path: Path, suffix: str) -> None:
    manifest = landed(tmp_path, suffix, {"a": "1", "b": "2"})
    for source in (manifest, manifest["path"]):
        assert list(read_rows(source, columns=["a", "b"])) == [{"a": "1", "b": "2"}]


@FORMATS
def test_line_ends_quotes_and_commas_in_values_survive(tmp_path: Path, suffix: str) -> None:
    values = ["\r", "x\ry", "x\r", "\r\n", "x\r\ny", "x\r\n", "x\ny", "\n", '"', 'x"\r"y', "x,y", ",", " x "]
    rows = [{"a": value, "b": value} for value in values]
    assert list(read_rows(landed(tmp_path, suffix, *rows))) == rows


@FORMATS
def test_a_missing_column_is_named(tmp_path: Path, suffix: str) -> None:
    manifest = landed(tmp_path, suffix, {"a": "1"})
    with pytest.raises(InvalidInputError, match=r"it has no c, d\.") as caught:
        list(read_rows(manifest, columns=["c", "a", "d"], argument="rows"))
    assert caught.value.parameter == "rows"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_missing_column_is_named_also_when_there_are_no_rows(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InvalidInputError, match=r"it has no c\."):
        list(read_rows(landed(tmp_path, suffix), columns=["a", "c"]))


@pytest.mark.parametrize("rows", [0, 1, 3])
@FORMATS
def test_the_rows_are_as_many_as_the_manifest_says(tmp_path: Path, suffix: str, rows: int) -> None:
    path = landed(tmp_path, suffix, {"a": "1"}, {"a": "2"})["path"]
    with pytest.raises(TransferError, match=f"it has 2 rows, not {rows}"):
        list(read_rows({"path": path, "rows": rows}))
