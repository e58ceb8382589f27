"""
Reading MediaMagic answers: the documented types of their fields, and what must be there.

See https://docs.mediamagic-lite.northell.io/introduction
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from airflow_provider.core.http.responses import Body, Id, Kind, Word, fields
from airflow_provider.hooks.mediamagic_submission import TIMES

_ISSUE: Final[Mapping[str, Kind]] = {
    **TIMES,
    **fields(str, "id", "ruleCode", "summary", "severity", "status", "sidekickId"),
    **fields(str, "severityReasoning", "severityReasoningHeadline"),
    "referenceNumber": int,
    "precedents": [fields(str, "url", "title", "decision", "date")],
}

_ASSET: Final[Mapping[str, Kind]] = {
    "assetId": Id,
    **fields(str, "submissionId", "filename", "mimeType", "versionGroupId"),
    **fields(int, "issueCount", "versionNumber"),
    "status": Word,
    "issues": [_ISSUE],
}

_TOPICS: Final[Mapping[str, Kind]] = {"assetId": Id, "orphanIssues": [_ISSUE], "metadata": dict}

_SUBSCRIPTION: Final[Mapping[str, Kind]] = {
    **TIMES,
    "id": Id,
    **fields(str, "workspaceId", "description"),
    "eventTypes": list,
    "enabled": bool,
}

_DELIVERY: Final[Mapping[str, Kind]] = {
    **TIMES,
    **fields(str, "id", "status", "eventId"),
    "responseStatus": int,
}


def read_asset(asset_id: str, body: Body) -> dict[str, Any]:
    found = body.object("assetId", "status", kinds=_ASSET)
    body.check_asked("asset", asset_id.lower(), found["assetId"].lower())
    return found


def read_issues(body: Body) -> list[dict[str, Any]]:
    """Read a list of issues, bare or as ``issues``, ``items`` or ``data``: which is not documented."""
    found = _listed(body, "issues").rows("issues", kinds=_ISSUE)
    if said := body.left_out(len(found)):
        raise body.malformed(f"{said} issues; no way to read the others is documented")
    return found


def read_topics(asset_id: str, body: Body) -> dict[str, Any]:
    """Read topics of an asset and the issues in none."""
    body.require("topics", list)
    found = body.object(kinds=_TOPICS)
    body.check_asked("asset", asset_id.lower(), (found.get("assetId") or "").lower())
    return found


def read_subscription(body: Body) -> dict[str, Any]:
    body.require("eventTypes", list)
    return body.object("id", "endpointUrl", kinds=_SUBSCRIPTION)


def read_new_subscription(body: Body) -> dict[str, Any]:
    """Read a subscription with its secret, which is shown only once."""
    body.require("secret")
    return read_subscription(body)


def read_subscriptions(body: Body) -> list[dict[str, Any]]:
    """Read a list of subscriptions, bare or as ``subscriptions``, ``items`` or ``data``."""
    listed = _listed(body, "subscriptions")
    return [read_subscription(listed.part(one)) for one in listed.rows("subscriptions")]


def read_deliveries(body: Body) -> list[dict[str, Any]]:
    return body.part(body.require("attempts", list)).rows("attempts", kinds=_DELIVERY)


def _listed(body: Body, name: str) -> Body:
    if not isinstance(body.data, dict):
        return body
    return body.part(next((body.data[key] for key in (name, "items", "data") if key in body.data), None))
