"""Issues as warehouse rows: one row per issue, the same columns in every file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider.core.files.tables import ColumnType

ASSET_COLUMNS: tuple[tuple[str, ColumnType, str], ...] = (
    ("submission_id", "string", "submissionId"),
    ("asset_id", "string", "assetId"),
    ("version_group_id", "string", "versionGroupId"),
    ("version_number", "integer", "versionNumber"),
    ("filename", "string", "filename"),
    ("mime_type", "string", "mimeType"),
)
"""Column, type and the vendor's field of an asset."""

NAMED_COLUMNS: tuple[tuple[str, ColumnType, str], ...] = (
    ("issue_id", "string", "id"),
    ("reference_number", "integer", "referenceNumber"),
    ("rule_code", "string", "ruleCode"),
    ("summary", "string", "summary"),
    ("severity", "string", "severity"),
    ("status", "string", "status"),
)
"""The same of an issue, as far as people tell issues apart by it."""

ISSUE_COLUMNS: tuple[tuple[str, ColumnType, str], ...] = (
    *NAMED_COLUMNS,
    ("sidekick_id", "string", "sidekickId"),
    ("created_at", "timestamp", "createdAt"),
    ("updated_at", "timestamp", "updatedAt"),
    ("severity_reasoning_headline", "string", "severityReasoningHeadline"),
    ("severity_reasoning", "string", "severityReasoning"),
    ("precedents", "json", "precedents"),
)
"""The same of an issue."""

COLUMNS: tuple[tuple[str, ColumnType], ...] = (
    ("run_id", "string"),
    *((name, kind) for name, kind, _ in (*ASSET_COLUMNS, *ISSUE_COLUMNS)),
    ("issue", "json"),
)
"""Column names and types, in order. ``issue`` is the issue as the vendor sent it, with all its fields."""

REQUIRED_COLUMNS = ("issue_id", "severity", "status")
"""Columns without which a file holds no issues."""


def write_issues(
    found: Sequence[tuple[Mapping[str, Any], Iterable[Mapping[str, Any]]]],
    *,
    run_id: str,
    target: Any,
    conn_id: str | None = None,
) -> dict[str, Any]:
    """
    Write issues to a JSON Lines, CSV or Parquet file.

    :param found: each asset, as from ``MediaMagicHook.get_asset_result``, with its issues, as from
        ``MediaMagicHook.get_issues``.
    :param target: file to write, local or in a store; its suffix decides the format.
    :return: manifest with ``rows`` and, of one asset, ``submission_id``, ``asset_id`` and ``filename``.
    """
    from airflow_provider.core.files.tables import write_rows

    shared = [
        {"run_id": run_id, **{name: asset.get(field) for name, _, field in ASSET_COLUMNS}}
        for asset, _ in found
    ]
    named = ("submission_id", "asset_id", "filename")
    return write_rows(
        (
            {
                **columns,
                **{name: issue.get(field) for name, _, field in ISSUE_COLUMNS},
                "issue": dict(issue),
            }
            for columns, (_, issues) in zip(shared, found, strict=True)
            for issue in issues
        ),
        target,
        columns=COLUMNS,
        conn_id=conn_id,
        **({name: shared[0][name] for name in named} if len(shared) == 1 else {}),
    )


def read_issue_rows(source: Any, *, conn_id: str | None) -> Iterator[dict[str, Any]]:
    """
    Yield the rows of a file of issues, which anybody may have written: fit for every log and database.

    :param source: path, URL or manifest, as ``files.tables.read_rows`` takes it.
    :raises InvalidInputError: it is no such file; names the argument ``issues``.
    """
    from airflow_provider.core.files.tables import read_rows
    from airflow_provider.core.http.responses import plain

    for row in read_rows(source, columns=REQUIRED_COLUMNS, conn_id=conn_id, argument="issues"):
        yield plain(row)


def issue_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the issue of a row in the vendor's field names, as far as people tell issues apart by it."""
    return {field: row.get(name) for name, _, field in NAMED_COLUMNS}
