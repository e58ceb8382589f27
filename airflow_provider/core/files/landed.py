"""Rows that have landed, read again: JSON Lines, CSV or Parquet, one by one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, BinaryIO

from airflow_provider.core.files.landing import ROWS_PER_GROUP, format_of
from airflow_provider.core.files.location import locate, storage_errors
from airflow_provider.exceptions import ConfigurationError, InvalidInputError, TransferError

_LONGEST_CSV_FIELD = 2**31 - 1


def read_rows(
    source: Any, *, columns: Collection[str] = (), conn_id: str | None = None, argument: str = "source"
) -> Iterator[dict[str, Any]]:
    """
    Yield the rows of a landed file, in constant memory.

    Values are as the format keeps them: CSV gives text, with an empty field for what was missing.

    :param source: local path or URL of a store, or a manifest, whose ``sha256`` and ``rows`` the file must
        then have.
    :param columns: what the file must have, also when it has no rows. JSON Lines without rows has none to
        be checked.
    :param conn_id: Airflow connection for a URL that names none.
    :param argument: the operator argument, for errors.
    :raises InvalidInputError: no path, no such file, no format, or a column is missing.
    :raises ConfigurationError: Parquet is to be read and ``pyarrow`` is not installed.
    :raises TransferError: the file cannot be read, or is not the one that the manifest describes.
    """
    manifest = source if isinstance(source, Mapping) else {"path": source}
    location = locate(manifest.get("path"), conn_id=conn_id, argument=argument)
    chosen = format_of(location, manifest.get("format"), argument=argument)
    stat = location.stat()
    if stat is None or stat[0] != "file":
        raise InvalidInputError(f"{argument}: there is no file {location}.", parameter=argument)
    expected = manifest.get("sha256")
    if expected and (found := location.sha256()) != expected:
        raise TransferError(
            f"{location} is not the file of its manifest any more: its SHA-256 is {found}, not {expected}."
        )
    read = {"jsonl": _read_jsonl, "csv": _read_csv, "parquet": _read_parquet}[chosen]

    def check(found: Collection[str]) -> None:
        if missing := [name for name in columns if name not in found]:
            raise InvalidInputError(
                f"{argument}: {location} is a file of something else: it has no {', '.join(missing)}.",
                parameter=argument,
            )

    count = 0
    with storage_errors("cannot read", location), location.open() as stream:
        for row in read(stream, check):
            count += 1
            yield row
    announced = manifest.get("rows")
    if announced is not None and announced != count:
        raise TransferError(
            f"{location} is not the file of its manifest: it has {count} rows, not {announced}."
        )


_Check = Callable[[Collection[str]], None]
"""Takes the names of the columns; raises when one is missing."""


def _read_jsonl(stream: BinaryIO, check: _Check) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(stream, 1):
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is not an object")
        check(row)
        yield row


def _read_csv(stream: BinaryIO, check: _Check) -> Iterator[dict[str, Any]]:
    # A whole issue as JSON in one field may be longer than the 128 KB that the module allows by default.
    csv.field_size_limit(_LONGEST_CSV_FIELD)
    with io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
        rows = csv.DictReader(text)
        check(rows.fieldnames or ())
        yield from rows


def _read_parquet(stream: BinaryIO, check: _Check) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow.parquet as pq  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigurationError(
            "Parquet needs pyarrow. Install this provider with its extra 'parquet', or use .jsonl or .csv."
        ) from None
    file = pq.ParquetFile(stream)
    check(file.schema_arrow.names)
    for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
        yield from batch.to_pylist()
