"""Issues as warehouse rows: one row per issue, the same columns in every file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider.core.files.tables import ColumnType

COLUMNS: tuple[tuple[str, ColumnType], ...] = (
    ("run_id", "string"),
    ("submission_id", "string"),
    ("asset_id", "string"),
    ("version_group_id", "string"),
    ("version_number", "integer"),
    ("filename", "string"),
    ("mime_type", "string"),
    ("issue_id", "string"),
    ("reference_number", "integer"),
    ("rule_code", "string"),
    ("summary", "string"),
    ("severity", "string"),
    ("status", "string"),
    ("sidekick_id", "string"),
    ("created_at", "timestamp"),
    ("updated_at", "timestamp"),
    ("severity_reasoning_headline", "string"),
    ("severity_reasoning", "string"),
    ("precedents", "json"),
    ("issue", "json"),
)
"""Column names and types, in order. ``issue`` is the issue as the vendor sent it, with all its fields."""


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
    :param run_id: the Dag run.
    :param target: file to write, local or in a store; its suffix decides the format.
    :param conn_id: connection for a URL that names none.
    :return: manifest with ``rows`` and, of one asset, ``submission_id``, ``asset_id`` and ``filename``.
    """
    from airflow_provider.core.files.tables import write_rows

    shared = [_shared(asset, run_id) for asset, _ in found]
    named = ("submission_id", "asset_id", "filename")
    return write_rows(
        (
            {**columns, **_row(issue)}
            for columns, (_, issues) in zip(shared, found, strict=True)
            for issue in issues
        ),
        target,
        columns=COLUMNS,
        conn_id=conn_id,
        **({name: shared[0][name] for name in named} if len(shared) == 1 else {}),
    )


def _shared(asset: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "submission_id": asset.get("submissionId"),
        "asset_id": asset.get("assetId"),
        "version_group_id": asset.get("versionGroupId"),
        "version_number": asset.get("versionNumber"),
        "filename": asset.get("filename"),
        "mime_type": asset.get("mimeType"),
    }


REQUIRED_COLUMNS = ("issue_id", "severity", "status")
"""Columns without which a file holds no issues."""


def read_issue_rows(source: Any, *, conn_id: str | None) -> Iterator[dict[str, Any]]:
    """
    Yield the rows of a file of issues, which anybody may have written: fit for every log and database.

    :param source: path, URL or manifest, as ``files.tables.read_rows`` takes it.
    :param conn_id: connection for a URL that names none.
    :raises InvalidInputError: it is no such file; names the argument ``issues``.
    """
    from airflow_provider.core.files.tables import read_rows
    from airflow_provider.core.http.responses import plain

    for row in read_rows(source, columns=REQUIRED_COLUMNS, conn_id=conn_id, argument="issues"):
        yield plain(row)


def issue_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the issue of a row in the vendor's field names, as far as people tell issues apart by it.

    :param row: from :func:`read_issue_rows`.
    """
    return {
        "id": row["issue_id"],
        "referenceNumber": row.get("reference_number"),
        "ruleCode": row.get("rule_code"),
        "summary": row.get("summary"),
        "severity": row["severity"],
        "status": row["status"],
    }


def _row(issue: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "issue_id": issue.get("id"),
        "reference_number": issue.get("referenceNumber"),
        "rule_code": issue.get("ruleCode"),
        "summary": issue.get("summary"),
        "severity": issue.get("severity"),
        "status": issue.get("status"),
        "sidekick_id": issue.get("sidekickId"),
        "created_at": issue.get("createdAt"),
        "updated_at": issue.get("updatedAt"),
        "severity_reasoning_headline": issue.get("severityReasoningHeadline"),
        "severity_reasoning": issue.get("severityReasoning"),
        "precedents": issue.get("precedents"),
        "issue": dict(issue),
    }
