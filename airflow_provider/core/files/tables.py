"""Rows for a warehouse: JSON Lines, CSV or Parquet with the same columns and types every time."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, BinaryIO, Literal, cast

from airflow_provider.core.files.atomic import AtomicFile, write_atomic
from airflow_provider.core.files.locations import Location, locate, locate_source, storage_errors, wrong
from airflow_provider.core.text import clean
from airflow_provider.exceptions import ConfigurationError, InvalidInputError, TransferError

ColumnType = Literal["string", "integer", "number", "boolean", "timestamp", "json"]
Format = Literal["jsonl", "csv", "parquet"]

MEDIA_TYPES: dict[str, str] = {
    "jsonl": "application/jsonl",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}
_FORMAT_BY_SUFFIX: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}

ROWS_PER_GROUP = 5_000
"""Rows of a Parquet file that are held in memory at a time."""


def write_rows(
    rows: Iterable[Mapping[str, Any]],
    target: Any,
    *,
    columns: Sequence[tuple[str, ColumnType]],
    conn_id: str | None = None,
    **ids: Any,
) -> dict[str, Any]:
    """
    Write ``rows`` to one file that appears when it is complete.

    Every format gets the same columns in the same order with the same types, also when there are no rows or
    a value is missing, so that a load job needs no schema inference. Values are converted, not only
    labelled: an ``integer`` that arrives as ``"7"`` lands as 7, and one that arrives as ``"x"`` is an error
    that names row and column.

    - ``string``; ``integer`` (64 bit); ``number`` (double); ``boolean``.
    - ``timestamp``: ISO 8601 or ``datetime``, written in UTC; without an offset it is taken for UTC.
    - ``json``: any value. Stays nested in JSON Lines, becomes a JSON string in CSV and Parquet.

    A missing or ``None`` value is ``null`` in JSON Lines and Parquet and an empty field in CSV, which
    cannot tell it from an empty string; so is a number that is not finite, which JSON does not know. Keys
    that are not in ``columns`` are left out.

    In CSV, texts that begin as a formula does (``=``, ``+``, ``-``, ``@``, tab, carriage return) get an
    apostrophe in front: a spreadsheet would run what a service, or whoever named a file, has written there.
    :func:`read_rows` takes it off again.

    :param rows: read once, in constant memory.
    :param target: local path or URL of a store, with a suffix of ``.jsonl``, ``.csv`` or ``.parquet``.
    :param columns: ``(name, type)`` in order.
    :param ids: added to the manifest.
    :returns: a manifest with ``path``, ``bytes``, ``sha256``, ``media_type``, ``format``, ``rows`` and
        ``ids``.
    :raises InvalidInputError: no format, no columns, an unknown type.
    :raises ConfigurationError: Parquet is asked for and ``pyarrow`` is not installed.
    :raises TransferError: a value does not fit its column, or the file could not be written. Nothing appears.
    """
    location = locate(target, conn_id=conn_id, argument="target")
    chosen = format_of(location, argument="target")
    converters = _converters(columns, chosen)
    write = {"jsonl": _write_jsonl, "csv": _write_csv, "parquet": _write_parquet}[chosen]
    batches = _Batches(rows, converters)
    with write_atomic(location) as file:
        write(file, columns, batches)
    return file.manifest(MEDIA_TYPES[chosen], format=chosen, rows=batches.count, **ids)


def write_json(value: Any, target: Any, *, conn_id: str | None = None) -> dict[str, Any]:
    """
    Write one JSON document that is too large for XCom to a file that appears when it is complete.

    :param value: anything JSON serializable; a number that is not finite is ``null``.
    :param target: local path or URL of a store.
    :returns: a manifest.
    :raises TransferError: ``value`` is not JSON, or the file could not be written.
    """
    location = locate(target, conn_id=conn_id, argument="target")
    with write_atomic(location) as file:
        try:
            pieces = json.JSONEncoder(ensure_ascii=False, allow_nan=False).iterencode(_to_json(value))
            # The encoder yields single tokens.
            while text := "".join(islice(pieces, 10_000)):
                file.write(_encoded(text))
        except (TypeError, ValueError) as error:
            raise TransferError(f"cannot write {location}: the value is not JSON: {error}") from None
    return file.manifest("application/json")


def format_of(location: Location, format: str | None = None, *, argument: str) -> Format:
    """
    Return the format of a file of rows, by its suffix where none is said.

    :raises InvalidInputError: it has none of the three.
    """
    format = format or _FORMAT_BY_SUFFIX.get(f".{location.name.rpartition('.')[2].lower()}")
    if format not in MEDIA_TYPES:
        raise wrong(argument, f"no format for {location}; name it .jsonl, .csv or .parquet.")
    return cast("Format", format)


class _Batches:
    """Converted rows, some thousands at a time; counts them."""

    def __init__(self, rows: Iterable[Mapping[str, Any]], converters: Mapping[str, _Converter]) -> None:
        self._rows = rows
        self._converters = converters
        self.count = 0

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        rows = iter(self._rows)
        while batch := [self._convert(row) for row in islice(rows, ROWS_PER_GROUP)]:
            yield batch

    def _convert(self, row: Mapping[str, Any]) -> dict[str, Any]:
        self.count += 1
        converted = {}
        for name, convert in self._converters.items():
            value = row.get(name)
            if isinstance(value, float) and not math.isfinite(value):
                value = None
            try:
                converted[name] = None if value is None else convert(value)
            except (ValueError, TypeError, OverflowError) as error:
                raise TransferError(f"row {self.count}, column {name!r}: {error}") from None
        return converted


_Columns = Sequence[tuple[str, ColumnType]]
_Converter = Callable[[Any], Any]


def _write_jsonl(file: AtomicFile, columns: _Columns, batches: _Batches) -> None:
    for batch in batches:
        file.write(_encoded("".join(f"{_json_text(row)}\n" for row in batch)))


def _write_csv(file: AtomicFile, columns: _Columns, batches: _Batches) -> None:
    names = [name for name, _ in columns]
    file.write(_encoded(_csv_lines([dict(zip(names, names, strict=True))], names)))
    for batch in batches:
        file.write(_encoded(_csv_lines(batch, names)))


# One apostrophe more than there were, so that a reader can take exactly that one off.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_DEFUSED = re.compile(r"'+[=+\-@\t\r]")


def _no_formula(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _csv_lines(batch: list[dict[str, Any]], names: list[str]) -> str:
    text = _CsvLines()
    csv.DictWriter(text, names, lineterminator="\r\n").writerows(batch)
    return text.getvalue()


class _CsvLines(io.StringIO):
    """
    Ends the rows that ``csv`` writes, one per call, with a line feed.

    Before Python 3.13, ``csv`` quotes a carriage return in a value only when it ends the rows with one.
    """

    def write(self, line: str) -> int:
        return super().write(line.removesuffix("\r\n") + "\n")


def _write_parquet(file: AtomicFile, columns: _Columns, batches: _Batches) -> None:
    pa, pq = _pyarrow()
    types = {
        "string": pa.string(),
        "json": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema([(name, types[column_type]) for name, column_type in columns])
    sink = _Sink(file)
    writer = pq.ParquetWriter(sink, schema)
    try:
        for batch in batches:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
    except BaseException:
        # close() writes the footer, and the garbage collector would call it.
        sink.discards = True
        writer.close()
        raise
    writer.close()


class _Sink(io.RawIOBase):
    """What pyarrow writes to."""

    def __init__(self, file: AtomicFile) -> None:
        self._file = file
        self.discards = False

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.digest.size

    def write(self, data: Any) -> int:
        if not self.discards:
            self._file.write(bytes(data))
        return len(data)


def _time_text(value: datetime) -> str:
    return value.isoformat(timespec="microseconds")


def _json_text(value: Any) -> str:
    return _whole_characters(json.dumps(value, ensure_ascii=False))


def _encoded(text: str) -> bytes:
    # JSON can carry half a surrogate pair, UTF-8 cannot.
    return text.encode("utf-8", "replace")


def _whole_characters(text: str) -> str:
    return text if text.isascii() else _encoded(text).decode()


def _converters(columns: _Columns, chosen: Format) -> dict[str, _Converter]:
    converters: dict[str, _Converter] = {}
    for name, column_type in columns:
        if column_type not in _CONVERTERS or name in converters:
            raise InvalidInputError(
                f"columns: {name!r} is there twice or has an unknown type {column_type!r}; "
                f"types are {', '.join(_CONVERTERS)}.",
                parameter="columns",
            )
        converters[name] = _as_text(_CONVERTERS[column_type], _TEXTS[chosen].get(column_type))
    if not converters:
        raise InvalidInputError("columns: at least one is needed.", parameter="columns")
    return converters


def _as_text(convert: _Converter, text: Callable[[Any], str] | None) -> _Converter:
    return convert if text is None else lambda value: text(convert(value))


def _to_string(value: Any) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        raise ValueError(f"{type(value).__name__} is not a string; use the type json")
    return _whole_characters(str(value))


def _to_integer(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(f"{value!r} is not an integer")
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{value!r} does not fit 64 bits")
    return number


def _to_number(value: Any) -> float | None:
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a number")
    number = float(value)
    return number if math.isfinite(number) else None


def _to_boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
    if known is None:
        raise ValueError(f"{value!r} is not a boolean")
    return known


def _to_timestamp(value: Any) -> datetime:
    import pendulum

    parsed = pendulum.parse(value) if isinstance(value, str) else value
    if not isinstance(parsed, datetime):
        raise ValueError(f"{value!r} is not a timestamp")
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _to_json(value: Any) -> Any:
    # Fails here, where row and column are known.
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        # NaN and Infinity, which JSON does not know.
        return json.loads(json.dumps(value), parse_constant=lambda name: None)
    return value


_CONVERTERS: dict[ColumnType, _Converter] = {
    "string": _to_string,
    "integer": _to_integer,
    "number": _to_number,
    "boolean": _to_boolean,
    "timestamp": _to_timestamp,
    "json": _to_json,
}


_TEXTS: dict[Format, dict[ColumnType, Callable[[Any], str]]] = {
    "jsonl": {"timestamp": _time_text},
    # Python writes True; warehouses read true.
    "csv": {"timestamp": _time_text, "json": _json_text, "boolean": _json_text, "string": _no_formula},
    "parquet": {"json": _json_text},
}
"""Types of which a format keeps a text."""

_LONGEST_CSV_FIELD = 2**31 - 1


def read_rows(
    source: Any, *, columns: Collection[str] = (), conn_id: str | None = None, argument: str = "source"
) -> Iterator[dict[str, Any]]:
    """
    Yield the rows of a table, in constant memory.

    Values are as the format keeps them: CSV gives text, with an empty field for what was missing.

    :param source: local path or URL of a store, or a manifest, whose ``sha256`` and ``rows`` the file must
        then have.
    :param columns: what the file must have, also when it has no rows. JSON Lines without rows has none to
        be checked.
    :raises InvalidInputError: no path, no such file, no format, a column is missing or there twice, or the
        text is neither UTF-8 nor UTF-16.
    :raises ConfigurationError: Parquet is to be read and ``pyarrow`` is not installed.
    :raises TransferError: the file cannot be read, is not of its format, or is not the one that the manifest
        describes.
    """
    manifest = source if isinstance(source, Mapping) else {"path": source}
    location = locate_source(manifest.get("path"), conn_id=conn_id, argument=argument)
    chosen = format_of(location, manifest.get("format"), argument=argument)
    stat = location.stat()
    if stat is None or stat.kind != "file":
        raise wrong(argument, f"there is no file {location}.")
    expected = manifest.get("sha256")
    if expected and (found := location.sha256()) != expected:
        raise TransferError(
            f"{location} is not the file of its manifest any more: its SHA-256 is {found}, not {expected}."
        )
    read = {"jsonl": _read_jsonl, "csv": _read_csv, "parquet": _read_parquet}[chosen]

    def check(found: Collection[str]) -> None:
        if doubles := [name for name, number in Counter(iter(found)).items() if number > 1]:
            raise wrong(argument, f"{location} has {', '.join(doubles)} in several columns.")
        if missing := [name for name in columns if name not in found]:
            raise wrong(argument, f"{location} is a file of something else: it has no {', '.join(missing)}.")

    count = 0
    try:
        with storage_errors("cannot read", location), location.open() as stream:
            for row in read(stream, check):
                count += 1
                yield row
    except TransferError as error:
        cause = error.__cause__
        if isinstance(cause, UnicodeDecodeError):
            raise wrong(
                argument,
                f"{location} is text in an encoding that cannot be told, after row {count}. Save "
                "it as UTF-8.",
            ) from None
        if isinstance(cause, ValueError | RecursionError | csv.Error):
            # A retry may help: somebody may still be writing it.
            raise TransferError(
                f"{argument}: {location} is no file of {chosen}, after row {count}: {clean(cause, 200)}.",
                parameter=argument,
            ) from None
        raise
    announced = manifest.get("rows")
    if announced is not None and announced != count:
        raise TransferError(
            f"{location} is not the file of its manifest: it has {count} rows, not {announced}."
        )


_Check = Callable[[Collection[str]], None]
"""Takes the names of the columns; raises when one is missing."""


def _text(stream: BinaryIO, newline: str) -> io.TextIOWrapper:
    utf16 = stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    stream.seek(0)
    # Spreadsheets write a byte order mark before UTF-8 too.
    return io.TextIOWrapper(stream, encoding="utf-16" if utf16 else "utf-8-sig", newline=newline)


def _read_jsonl(stream: BinaryIO, check: _Check) -> Iterator[dict[str, Any]]:
    with _text(stream, "\n") as lines:
        for number, line in enumerate(lines, 1):
            if line.isspace():
                continue
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is not an object")
            check(row)
            yield row


def _read_csv(stream: BinaryIO, check: _Check) -> Iterator[dict[str, Any]]:
    # A whole issue as JSON in one field may be longer than the 128 KB that the module allows by default.
    csv.field_size_limit(_LONGEST_CSV_FIELD)
    with _text(stream, "") as text:
        # Spreadsheets of many languages separate by semicolons.
        header = text.readline()
        text.seek(0)
        separator = ";" if ";" in header and "," not in header else ","
        rows = csv.DictReader(text, delimiter=separator, strict=True)
        check(rows.fieldnames or ())
        for row in rows:
            # Spreadsheets leave separators at the end of rows; a value there has moved others out of place.
            if any(row.pop(None, ())):
                raise ValueError(f"line {rows.line_num} has more values than there are columns")
            for name, value in row.items():
                if value and value.startswith("'") and _DEFUSED.match(value):
                    row[name] = value[1:]
            yield row


def _read_parquet(stream: BinaryIO, check: _Check) -> Iterator[dict[str, Any]]:
    _, pq = _pyarrow()
    file = pq.ParquetFile(stream)
    check(file.schema_arrow.names)
    for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
        yield from _in_microseconds(batch).to_pylist()


def _in_microseconds(batch: Any) -> Any:
    """Python's times have no nanoseconds, which pandas and Spark write."""
    pa, _ = _pyarrow()
    fields = [
        field.with_type(pa.timestamp("us", field.type.tz))
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns"
        else field
        for field in batch.schema
    ]
    return batch.cast(pa.schema(fields), safe=False)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigurationError(
            "Parquet needs pyarrow. Install this provider with its extra 'parquet', or use .jsonl or .csv."
        ) from None
    return pyarrow, pyarrow.parquet
