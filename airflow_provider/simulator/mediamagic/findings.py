"""From what is seen in a file to issues and topics."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider.simulator.mediamagic.inspection import inspect
from airflow_provider.simulator.mediamagic.rules import FAMILIES, MEDIA_RULES, TEXT_RULES

_HASHED = 8 * 1024 * 1024
_REASONING = {
    "CRITICAL": "Likely to be banned",
    "MAJOR": "Likely to draw a complaint",
    "MINOR": "Worth correcting",
    "INFO": "For information",
}


@dataclass(slots=True, frozen=True)
class Finding:
    """One thing that the review found, independent of the submission it was found in."""

    code: str
    family: str
    severity: str
    summary: str
    status: str = "OPEN"


def fingerprint(path: Path) -> str:
    """A hash of the content, cheap also for gigabytes."""
    digest = hashlib.sha256(str(path.stat().st_size).encode())
    with path.open("rb") as stream:
        digest.update(stream.read(_HASHED))
    return digest.hexdigest()


def review(path: Path, filename: str, content_type: str, kind: str, content_hash: str) -> list[Finding]:
    """All findings of a file, the same for the same file at any time."""
    facts = inspect(path, content_type, kind, content_hash)
    text = f"{facts.text}\n{re.sub(r'[_.-]+', ' ', filename)}"
    found = []
    for rule in TEXT_RULES:
        phrases = dict.fromkeys(
            " ".join(match.group().lower().split()) for match in rule.words.finditer(text)
        )
        found += [
            Finding(rule.code, rule.family, rule.severity, f'{rule.summary}: "{phrase}"')
            for phrase in phrases
        ]
    found += [
        Finding(rule.code, rule.family, rule.severity, rule.summary, rule.status)
        for rule in MEDIA_RULES
        if rule.applies(facts)
    ]
    return found


def issue(finding: Finding, number: int, asset_id: str, sidekicks: list[str], at: str) -> dict[str, Any]:
    """A finding as the asset result shows it (``/concepts/assets``)."""
    identity = hashlib.sha256(f"{asset_id}\n{number}\n{finding.code}\n{finding.summary}".encode()).hexdigest()
    return {
        "id": f"{identity[:8]}-{identity[8:12]}-4{identity[13:16]}-8{identity[17:20]}-{identity[20:32]}",
        "referenceNumber": number,
        "ruleCode": finding.code,
        "summary": finding.summary,
        "severity": finding.severity,
        "status": finding.status,
        "sidekickId": sidekicks[(number - 1) % len(sidekicks)] if sidekicks else None,
        "createdAt": at,
        "updatedAt": at,
        "severityReasoning": f"{finding.code} is rated {finding.severity} for this kind of content.",
        "severityReasoningHeadline": _REASONING[finding.severity],
        "precedents": _precedents(finding),
    }


def enriched(one: dict[str, Any], finding: Finding) -> dict[str, Any]:
    """An issue with the rule that it breaks; the names of these fields are not documented."""
    return {
        **one,
        "rule": {"code": finding.code, "family": finding.family, "title": FAMILIES[finding.family]},
    }


def topics(
    issues: list[dict[str, Any]], findings: list[Finding]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Cluster issues.

    :return: topics of two or more issues of one family, and the issues that are left over.
    """
    families: dict[str, list[dict[str, Any]]] = {}
    for one, finding in zip(issues, findings, strict=True):
        families.setdefault(finding.family, []).append(one)
    clustered = [
        {
            "id": hashlib.sha256(f"{members[0]['id']}{family}".encode()).hexdigest()[:32],
            "title": FAMILIES[family],
            "severity": min((member["severity"] for member in members), key=list(_REASONING).index),
            "issueCount": len(members),
            "issues": members,
        }
        for family, members in families.items()
        if len(members) > 1
    ]
    alone = [members[0] for members in families.values() if len(members) == 1]
    return clustered, alone


def _precedents(finding: Finding) -> list[dict[str, str]]:
    if finding.severity not in ("CRITICAL", "MAJOR"):
        return []
    return [
        {
            "url": f"https://example.com/rulings/{finding.code.lower()}",
            "title": f"Ruling on {FAMILIES[finding.family].lower()}",
            "decision": "Upheld",
            "date": "2024-01-01",
        }
    ]
