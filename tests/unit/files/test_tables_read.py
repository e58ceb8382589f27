"""Landed rows, read again."""

from __future__ import annotations

from datetime import UTC, datetime
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\nx, y,3\n", "after row 1: line 3 has more values than there are columns"),
        ('a,b\n1,2\n3,"half of a val', "after row 1: unexpected end of data"),
    ],
)
def test_values_out_of_place_are_an_error(tmp_path: Path, text: str, said: str) -> None:
    """A gate would read a severity where a status is, and let it pass."""
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(TransferError, match=said):
        list(read_rows(tmp_path / "rows.csv"))


def test_a_spreadsheet_may_leave_out_separators_at_the_end_or_add_some(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2,,\n3\n")
    assert list(read_rows(tmp_path / "rows.csv")) == [{"a": "1", "b": "2"}, {"a": "3", "b": None}]


@pytest.mark.parametrize("int96", [True, False])
def test_times_in_nanoseconds_are_read(tmp_path: Path, int96: bool) -> None:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    times = pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns", tz=None if int96 else "UTC"))
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": times, "b": ["x", "y"]}), path, use_deprecated_int96_timestamps=int96)
    first, second = read_rows(path)
    at = datetime(2023, 11, 14, 22, 13, 20, 123456, None if int96 else UTC)
    assert first == {"a": at, "b": "x"}
    assert second == {"a": None, "b": "y"}
