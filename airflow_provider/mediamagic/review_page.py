"""A review as one HTML document that stands alone: no script, nothing from elsewhere, every text escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from airflow_provider.mediamagic.compliance import SEVERITIES, severity_rank

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def review_page(
    title: str,
    findings: Iterable[Mapping[str, Any]],
    names: Iterable[str],
    topics: Sequence[Mapping[str, Any]] = (),
    verdict: Mapping[str, Any] | None = None,
) -> str:
    """
    Return the document.

    :param findings: issues with ``assetId`` and ``filename``.
    :param names: of files, also of those without findings.
    :param topics: as ``MediaMagicGetTopicsOperator`` returns them, one per asset.
    """
    rows = sorted(findings, key=_worst_first)
    listed = _listed((verdict or {}).get("blocking"))
    blocking = {str(issue.get("id")) for issue in listed if isinstance(issue, Mapping)}
    style = files("airflow_provider.plugins").joinpath("static", "pages.css").read_text(encoding="utf-8")
    parts = [
        _banner(rows, verdict),
        _files(rows, names),
        _findings(rows, blocking),
        _topics(topics),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{style}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>{''.join(parts)}</main></body></html>\n"
    )


def _text(issue: Mapping[str, Any], key: str) -> str:
    value = issue.get(key)
    return "" if value is None else str(value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _severity(issue: Mapping[str, Any]) -> str:
    return _text(issue, "severity").upper() or "NO SEVERITY"


def _name(issue: Mapping[str, Any]) -> str:
    return _text(issue, "filename") or _text(issue, "assetId") or "file unknown"


def _worst_first(issue: Mapping[str, Any]) -> tuple[Any, ...]:
    number = issue.get("referenceNumber")
    return severity_rank(_severity(issue)), _name(issue), number if isinstance(number, int) else 0


def _kind(severity: str) -> str:
    return severity if severity in SEVERITIES else "CRITICAL"


def _badge(severity: str) -> str:
    return f'<span class="badge {_kind(severity)}">{escape(severity)}</span>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: object, more: str = "") -> str:
    return f"<td>{escape(str(text)) or '-'}{more}</td>"


def _banner(rows: Sequence[Mapping[str, Any]], verdict: Mapping[str, Any] | None) -> str:
    counts = Counter(map(_severity, rows))
    said = ", ".join(f"{counts[severity]} {severity}" for severity in sorted(counts, key=severity_rank))
    lines = []
    if rows:
        worst = rows[0]
        lines.append(f"Worst: {_text(worst, 'summary')} ({_name(worst)}, rule {_text(worst, 'ruleCode')})")
    kind, headline = "none", said or "No findings"
    if verdict is not None:
        passed = verdict.get("passed") is True
        kind = "success" if passed else "CRITICAL"
        headline = f"{'Passed' if passed else 'Blocked'}: {headline}"
        if reasons := _listed(verdict.get("reasons")):
            lines.append(f"The policy: {'; '.join(map(str, reasons))}.")
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return f'<section class="verdict {kind}"><b>{escape(headline)}</b>{paragraphs}</section>'


def _files(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> str:
    counts: dict[str, Counter[str]] = {}
    for issue in rows:
        counts.setdefault(_name(issue), Counter())[_severity(issue)] += 1
    for name in names:
        counts.setdefault(name, Counter())
    shown = [*sorted({one for count in counts.values() for one in count} - {*SEVERITIES}), *SEVERITIES]
    body = [
        [f'<th scope="row">{escape(name)}</th>', *(_count(count[severity], severity) for severity in shown)]
        for name, count in counts.items()
    ]
    return f"<h2>Files</h2>{_table(['File', *shown], body)}" if body else ""


def _count(number: int, severity: str) -> str:
    kind = _kind(severity) if number else "zero"
    return f'<td class="count {kind}">{number}</td>'


def _findings(rows: Sequence[Mapping[str, Any]], blocking: set[str]) -> str:
    body = []
    for issue in rows:
        blocks = '<div class="blocks">blocks</div>' if _text(issue, "id") in blocking else ""
        number, reasoning = _text(issue, "referenceNumber"), _text(issue, "severityReasoning")
        why = f'<span class="quiet">{escape(reasoning)}</span>' if reasoning else ""
        body.append(
            [
                f"<td>{_badge(_severity(issue))}{blocks}</td>",
                f'<th scope="row">{escape(_name(issue))}</th>',
                _cell(_text(issue, "ruleCode")),
                _cell(_text(issue, "summary"), why),
                _cell(f"no. {number}" if number else ""),
                _cell(_text(issue, "status")),
            ]
        )
    heads = ["Severity", "File", "Rule", "Finding", "Place", "Status"]
    return f"<h2>Findings</h2>{_table(heads, body)}" if body else ""


def _topics(topics: Sequence[Mapping[str, Any]]) -> str:
    items = [
        f"<li><b>{escape(_text(topic, 'title') or 'Topic')}</b> "
        f'<p class="quiet">{escape(_name(asset))}, {len(_listed(topic.get("issues")))} findings</p></li>'
        for asset in topics
        for topic in _listed(asset.get("topics"))
        if isinstance(topic, Mapping)
    ]
    return f'<h2>Topics</h2><ul class="topics">{"".join(items)}</ul>' if items else ""
