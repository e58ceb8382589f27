"""Rows that have landed, read again: JSON Lines, CSV or Parquet, one by one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from airflow_provider.exceptions import ConfigurationError, InvalidInputError, TransferError
from airflow_provider.files.landing import ROWS_PER_GROUP, format_of
from airflow_provider.files.location import locate, storage_errors

_LONGEST_CSV_FIELD = 2**31 - 1


def read_rows(
    source: Any, *, conn_id: str | None = None, argument: str = "source"
) -> Iterator[dict[str, Any]]:
    """
    Yield the rows of a landed file, in constant memory.

    Values are as the format keeps them: CSV gives text, with an empty field for what was missing.

    :param source: local path or URL of a store, or a manifest, whose ``sha256`` the file must then have.
    :param conn_id: Airflow connection for a URL that names none.
    :param argument: the operator argument, for errors.
    :raises InvalidInputError: no path, no such file, or no format.
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
    with storage_errors("cannot read", location), location.open() as stream:
        yield from read(stream)


def _read_jsonl(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(stream, 1):
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is not an object")
        yield row


def _read_csv(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    # A whole issue as JSON in one field may be longer than the 128 KB that the module allows by default.
    csv.field_size_limit(_LONGEST_CSV_FIELD)
    with io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text)


def _read_parquet(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow.parquet as pq  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigurationError(
            "Parquet needs pyarrow. Install this provider with its extra 'parquet', or use .jsonl or .csv."
        ) from None
    for batch in pq.ParquetFile(stream).iter_batches(batch_size=ROWS_PER_GROUP):
        yield from batch.to_pylist()
