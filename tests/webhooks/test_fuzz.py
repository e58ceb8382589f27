"""
Requests of somebody without the secret, to the receiver and through a queue: nothing is woken, nothing
recorded, and nothing raises. ``make test-fuzz`` sends 10,000 of each.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider.core.seen import SeenEvents
from airflow_provider.triggers.mediamagic_events import DAY, MediaMagicEventTrigger
from tests.webhooks.conftest import Behind
from tests.webhooks.envelopes import OTHER_SECRET, SECRET, envelope, signed

EXAMPLES = int(os.environ.get("WEBHOOK_EXAMPLES", "100"))
THOROUGH = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
REFUSALS = {400, 401, 404, 405, 408, 413, 415, 422, 503}

CONN_IDS = st.sampled_from(["mm", "bare", "nobody", "mm%00", "..", "%F0%9F", "a" * 300]) | st.text(
    "abcm./-", min_size=1
)
TEXTS = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=80)
NUMBERS = st.sampled_from(["0", "-1", "1e9", "nan", "inf", "1e400", "9" * 400, "0x1", "1_0", " 1 ", "\u0663"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(), max_size=20), inner, max_size=4)
    ),
    max_leaves=10,
)


@dataclass(frozen=True)
class Forged:
    """A request that nobody has signed so."""

    body: bytes
    headers: dict[str, str]


@st.composite
def forged(draw: Any, too_old: float) -> Forged:
    """
    Return a genuine request that is too old, or changed in at least one thing that its signature covers.

    :param too_old: seconds.
    """
    data = draw(st.none() | JSON)
    content = envelope() if data is None else envelope(data=data)
    body, headers = signed(json.dumps(content).encode(), secret=OTHER_SECRET)
    kinds = ["other secret", "old", "body", "id", "timestamp", "signature", "missing", "all"]
    how = draw(st.sampled_from(kinds))
    if how != "other secret":
        body, headers = signed(json.dumps(content).encode(), age=too_old if how == "old" else 0)
    if how == "body":
        at = draw(st.integers(0, len(body) - 1))
        body = body[:at] + draw(st.binary(max_size=9).filter(lambda piece: piece != body[at:])) + b"~"
    if how in ("id", "all"):
        headers["webhook-id"] += draw(TEXTS.map(lambda text: text or "x"))
    if how in ("timestamp", "all"):
        headers["webhook-timestamp"] = draw(NUMBERS | TEXTS)
    if how in ("signature", "all"):
        given = headers["webhook-signature"]
        headers["webhook-signature"] = draw(
            st.sampled_from([given[:-2], given.replace("v1,", "v2,"), "v1," * 9, "v1", ",", given[3:]])
            | TEXTS
        )
    if how == "missing":
        del headers[draw(st.sampled_from([name for name in headers if name.startswith("webhook-")]))]
    if draw(st.booleans()):
        extra = st.sampled_from(
            ["content-type", "content-length", "content-encoding", "webhook-extra", "host"]
        )
        headers[draw(extra)] = draw(TEXTS | NUMBERS)
    return Forged(body, headers)


@pytest.mark.timeout(3600)
def test_no_request_of_a_stranger_does_anything(behind: Behind) -> None:
    behind.secrets["bare"] = ()
    statuses: dict[int, int] = {}

    with TestClient(behind.app()) as client:

        @THOROUGH
        @given(forged(400), CONN_IDS, st.sampled_from(["POST"] * 9 + ["PUT"]))
        def send(request: Forged, conn_id: str, method: str) -> None:
            headers = [
                (name.encode(), value.encode("latin-1", "replace")) for name, value in request.headers.items()
            ]
            answer = client.request(method, f"/webhooks/{conn_id}", content=request.body, headers=headers)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            assert answer.status_code in REFUSALS
            assert behind.woken == behind.recorded == []

        send()
    assert statuses[401] + statuses.get(503, 0) > EXAMPLES // 4, statuses


@pytest.mark.timeout(3600)
def test_no_message_of_a_stranger_does_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"conn_type": "mediamagic", "password": "k", "extra": {"webhook_secret": SECRET}}
    monkeypatch.setenv("AIRFLOW_CONN_MM", json.dumps(fields))
    trigger = MediaMagicEventTrigger(scheme="sqs", conn_id="mm")
    seen = SeenEvents("events", DAY)

    @st.composite
    def messages(draw: Any) -> Any:
        request = draw(forged(2 * DAY))
        encoded = draw(st.booleans())
        text = request.body.decode("utf-8", "surrogateescape")
        if encoded:
            text = base64.b64encode(request.body).decode()
        more = draw(st.dictionaries(st.text(st.characters(), max_size=9), JSON, max_size=2))
        message = {"headers": {**request.headers, **more}, "body": text, "isBase64Encoded": encoded}
        wrap = draw(st.sampled_from([list, dict, str, bytes]))
        if wrap is list:
            return [message, draw(JSON)]
        if wrap is dict:
            return {"message_batch": [{"Body": json.dumps(message)}, draw(JSON)]}
        return json.dumps(message) if wrap is str else json.dumps(message).encode()

    @THOROUGH
    @given(messages() | JSON)
    def read(payload: Any) -> None:
        assert asyncio.run(trigger._new_events(payload, seen, DAY)) == []

    read()
