"""Issues as a table of plain text, for a log."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider.core.text import clean
from airflow_provider.mediamagic.compliance import LISTED, Issue

COLUMNS = (("SEVERITY", 11), ("FILE", 40), ("NO.", 5), ("RULE", 16), ("STATUS", 20), ("FINDING", 100))
"""Headings, and the most characters of a cell."""


def table(issues: Sequence[Issue]) -> str:
    """Return the first 50 issues, one a line, below their headings."""
    rows = [[heading for heading, _ in COLUMNS]]
    for issue in issues[:LISTED]:
        number = "" if issue.reference_number is None else str(issue.reference_number)
        cells = (issue.severity, issue.asset, number, issue.rule_code, issue.status, issue.summary)
        rows.append([clean(cell, most) or "-" for cell, (_, most) in zip(cells, COLUMNS, strict=True)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    if len(issues) > LISTED:
        lines.append(f"and {len(issues) - LISTED} more")
    return "\n".join(lines)
