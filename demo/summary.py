"""What came out, for a person to read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_SEVERITIES = ("CRITICAL", "MAJOR", "MINOR", "INFO")


def review_lines(directory: Path) -> Iterator[str]:
    """Describe what ``mediamagic_review`` wrote.

    :param directory: its ``output_dir``, with ``summary.json``.
    :raises FileNotFoundError: the Dag wrote no summary.
    """
    path = directory / "summary.json"
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    yield f"Submission {summary.get('submission_id')}: {summary.get('status')}"
    yield ""

    assets: list[dict[str, Any]] = summary.get("assets") or []
    yield from _table(
        ("file", "issues"),
        [
            (str(asset.get("filename") or asset.get("assetId")), _number(asset.get("issueCount")))
            for asset in assets
        ],
    )
    yield ""

    counts: dict[str, int] = summary.get("issues_by_severity") or {}
    ordered = [*(name for name in _SEVERITIES if name in counts), *sorted(set(counts) - set(_SEVERITIES))]
    total = sum(counts.values())
    yield from _table(
        ("severity", "issues"),
        [(name, f"{counts[name]:>3}  {_bar(counts[name], total)}") for name in ordered],
    )
    yield ""

    topics: list[Any] = summary.get("topics") or []
    yield f"Topics ({len(topics)})"
    for topic in topics:
        yield f"  - {_topic(topic)}"
    yield ""
    yield "Files"
    yield from _files([path, *(other for other in sorted(directory.rglob("*")) if other != path)])


def campaign_lines(directory: Path) -> Iterator[str]:
    """Describe what ``mediamagic_campaigns`` wrote.

    :param directory: its ``output_dir``, with ``findings.jsonl``.
    :raises FileNotFoundError: the Dag wrote no table.
    """
    path = directory / "findings.jsonl"
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    yield from _table(
        ("severity", "file and finding"),
        [
            (str(one["severity"]), f"{one['filename']}: {one['summary']}"[:90])
            for one in sorted(found, key=lambda one: _SEVERITIES.index(one["severity"]))
        ],
    )
    yield ""
    yield "Files"
    yield from _files([path, directory / "findings.html"])


def claim_lines(directory: Path) -> Iterator[str]:
    """Describe what ``silent_witness_claims`` downloaded.

    :param directory: its ``output_dir``, with documents named after the claims.
    :raises FileNotFoundError: there is none.
    """
    written = sorted(directory.glob("claim-*"))
    if not written:
        raise FileNotFoundError(f"no document in {directory}")
    yield "Files"
    yield from _files(written)


def report_lines(directory: Path) -> Iterator[str]:
    """Describe what ``silent_witness_report`` downloaded.

    :param directory: its ``output_dir``, with a PDF and a DOCX.
    :raises FileNotFoundError: one of them is missing.
    """
    for kind in ("pdf", "docx"):
        if not list(directory.rglob(f"*.{kind}")):
            raise FileNotFoundError(f"no .{kind} file in {directory}")
    for pdf in sorted(directory.rglob("*.pdf")):
        yield from _first_page(pdf)
    yield ""
    yield "Files"
    yield from _files(sorted(directory.rglob("*")))


def _first_page(path: Path) -> Iterator[str]:
    from pypdf import PdfReader

    pages = PdfReader(path).pages
    yield f"{path.name}, {len(pages)} page{'s' if len(pages) != 1 else ''}, begins"
    lines = [line.strip() for line in pages[0].extract_text().splitlines() if line.strip()]
    yield from (f"  | {line[:90]}" for line in lines[:6])


def _topic(topic: Any) -> str:
    if not isinstance(topic, dict):
        return str(topic)
    severity = f"{topic['severity']}: " if topic.get("severity") else ""
    count = topic.get("issueCount") or len(topic.get("issues") or ())
    about = f", in {topic['filename']}" if topic.get("filename") else ""
    return f"{severity}{topic.get('title') or topic.get('name')} ({count} issues{about})"


def _files(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        if path.is_file():
            yield f"  {_short(path)}  ({_size(path.stat().st_size)})"


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _size(size: int) -> str:
    return f"{size / 1024:.1f} KB" if size >= 1024 else f"{size} bytes"


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:>3}"


def _bar(count: int, total: int) -> str:
    return "#" * max(1, round(30 * count / total)) if count else ""


def _table(header: tuple[str, str], rows: list[tuple[str, str]]) -> Iterator[str]:
    width = max(len(first) for first, _ in [header, *rows]) + 2
    yield f"{header[0]:<{width}}{header[1]}"
    yield from (f"  {first:<{width - 2}}{second}" for first, second in rows)
