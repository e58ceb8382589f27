"""What operators that only read return: nothing called secret and no signed link, whatever a service adds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider.core.http.connection import ConnectionSettings
from airflow_provider.core.operator import ServiceOperator
from airflow_provider.operators.mediamagic import (
    MediaMagicComplianceGateOperator,
    MediaMagicGetAssetResultOperator,
    MediaMagicGetIssuesOperator,
    MediaMagicGetTopicsOperator,
    MediaMagicListDeliveriesOperator,
    MediaMagicListSubscriptionsOperator,
    MediaMagicSetSubscriptionEnabledOperator,
)
from airflow_provider.operators.silent_witness import SilentWitnessCancelReportOperator
from tests.service.hooks.conftest import KEY
from tests.service.hooks.odd_server import OddServer, answer

LINK = "https://storage.example/a?sig=TOPSECRET"
UNKNOWN = {
    "clientSecret": "TOPSECRET",
    "previewUrl": LINK,
    "note": f"see {LINK}",
    "more": [{"webhookSecret": "TOPSECRET", "href": LINK}],
}
ISSUE: dict[str, Any] = {
    "id": "i1",
    "severity": "INFO",
    "status": "OPEN",
    "ruleCode": "A_1",
    **UNKNOWN,
    "summary": LINK,
}
ISSUE |= {"referenceNumber": 1}
ASSET = {"assetId": "a1", "filename": "a.mp4", "status": "complete", "issueCount": 1, "issues": [ISSUE]}
PAGE = {"page": 1, "pageSize": 100, "total": 1, "totalPages": 1}
SUBSCRIPTION = {
    "id": "sub1",
    "endpointUrl": "https://gw.example/hook?code=TOPSECRET",
    "eventTypes": ["asset.processing.completed"],
    "enabled": True,
    "secret": "TOPSECRET",
}
RESULT: dict[str, Any] = {"mediamagic_conn_id": "c1", "submission_id": "s1", "asset_id": "a1"}
READ: list[tuple[type[Any], dict[str, Any], list[Any]]] = [
    (MediaMagicGetAssetResultOperator, RESULT, [ASSET]),
    (MediaMagicGetIssuesOperator, RESULT, [{"issues": [ISSUE], "pagination": PAGE}, ASSET]),
    (MediaMagicGetTopicsOperator, RESULT, [{"topics": [{"id": "t", "title": LINK}]}, ASSET]),
    (MediaMagicListSubscriptionsOperator, {"mediamagic_conn_id": "c1"}, [{"subscriptions": [SUBSCRIPTION]}]),
    (
        MediaMagicSetSubscriptionEnabledOperator,
        {"mediamagic_conn_id": "c1", "subscription_id": "sub1", "enabled": True},
        [SUBSCRIPTION],
    ),
    (
        MediaMagicListDeliveriesOperator,
        {"mediamagic_conn_id": "c1", "subscription_id": "sub1"},
        [{"attempts": [{"id": "d1", "status": "SUCCESSFUL", "eventId": "e1"}]}],
    ),
    (
        SilentWitnessCancelReportOperator,
        {"silent_witness_conn_id": "c1", "report_id": "r1"},
        [{"success": True, "data": {"id": "r1", "status": "cancelled", "output": {"url": LINK}}}] * 2,
    ),
    (
        MediaMagicComplianceGateOperator,
        {"mediamagic_conn_id": "c1", "issues": [ISSUE], "policy": {"block_at": None}},
        [],
    ),
]


def hostile(body: Any) -> Any:
    """Return a body in which every object has fields that nobody knows."""
    if isinstance(body, dict):
        return {**{name: hostile(value) for name, value in body.items()}, **UNKNOWN}
    return [hostile(item) for item in body] if isinstance(body, list) else body


class Instance:
    """A running task instance, as far as these operators use one."""

    map_index = -1

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.mark.parametrize(("kind", "arguments", "body"), READ, ids=[kind.__name__ for kind, *_ in READ])
def test_a_result_has_no_secret_and_no_signed_link(
    kind: type[ServiceOperator[Any]], arguments: dict[str, Any], body: list[Any]
) -> None:
    ti = Instance()
    with OddServer(*[answer(200, hostile(one)) for one in body]) as server:
        operator = kind(task_id="read", **arguments)
        operator.settings = ConnectionSettings("c1", server.url, KEY)
        context: Any = {"ti": ti}
        returned = operator.execute(context)
    assert returned
    assert "TOPSECRET" not in json.dumps([returned, ti.pushed])
