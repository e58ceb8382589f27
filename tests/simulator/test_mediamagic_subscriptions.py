"""Webhook subscriptions and the sandbox's events: who may do what, and what is answered."""

from __future__ import annotations

import base64
import sys
import uuid
from typing import Any

import pytest
from standardwebhooks import Webhook

from airflow_provider.simulator import Simulator
from airflow_provider.simulator.mediamagic.signatures import signer
from airflow_provider.simulator.replies import Refusal
from tests.simulator.talk import COMPLETED, FAILED, SANDBOX_KEY, SUBSCRIPTIONS, MediaMagicTalk

URL = "https://hooks.example.com/mediamagic"
FIRE = "/sandbox/events/fire"
FIELDS = {
    "id", "workspaceId", "endpointUrl", "eventTypes", "enabled", "createdAt", "updatedAt", "description",
}  # fmt: skip
NOBODY = uuid.UUID(int=1)


def test_the_secret_is_in_the_answer_to_the_creation_and_nowhere_else(mediamagic: MediaMagicTalk) -> None:
    created = mediamagic.subscribe(URL, COMPLETED)
    assert set(created) == FIELDS | {"secret"}
    assert str(uuid.UUID(created["id"])) == created["id"]
    assert (created["endpointUrl"], created["eventTypes"], created["enabled"], created["description"]) == (
        URL,
        [COMPLETED],
        True,
        None,
    )
    prefix, _, key = created["secret"].partition("_")
    assert (prefix, len(base64.b64decode(key, validate=True))) == ("whsec", 32)
    assert mediamagic.subscribe(URL)["secret"] != created["secret"]

    path = f"{SUBSCRIPTIONS}/{created['id']}"
    shown = {name: created[name] for name in FIELDS}
    assert mediamagic.send("GET", path).json() == shown
    assert mediamagic.send("GET", SUBSCRIPTIONS).json()[0] == shown
    assert set(mediamagic.send("PATCH", path, json={"enabled": True}).json()) == FIELDS
    assert created["secret"] not in str(mediamagic.sim.ledger())


def test_enabling_is_all_that_can_be_changed(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    created = mediamagic.subscribe(URL)
    path = f"{SUBSCRIPTIONS}/{created['id']}"
    sim.advance(60)
    changed = mediamagic.send("PATCH", path, json={"enabled": False, "endpointUrl": "https://other.example"})
    assert changed.status_code == 200
    assert (changed.json()["enabled"], changed.json()["endpointUrl"]) == (False, URL)
    assert changed.json()["createdAt"] == created["createdAt"] < changed.json()["updatedAt"]
    assert mediamagic.send("GET", path).json() == changed.json()
    wrong: list[Any] = [{}, {"enabled": "no"}, []]
    for body in wrong:
        assert mediamagic.send("PATCH", path, json=body).status_code == 422


def test_a_deleted_subscription_is_gone(mediamagic: MediaMagicTalk) -> None:
    path = f"{SUBSCRIPTIONS}/{mediamagic.subscribe(URL)['id']}"
    answer = mediamagic.send("DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert [mediamagic.send(method, path).status_code for method in ("GET", "DELETE")] == [404, 404]
    assert mediamagic.send("GET", SUBSCRIPTIONS).json() == []


@pytest.mark.parametrize(
    ("method", "below"), [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/deliveries")]
)
def test_another_workspace_is_forbidden_and_an_unknown_id_not_found(
    mediamagic: MediaMagicTalk, method: str, below: str
) -> None:
    foreign = mediamagic.subscribe(URL, key="sk_live_other")["id"]
    codes = [
        mediamagic.send(method, f"{SUBSCRIPTIONS}/{one}{below}", json={"enabled": False}).status_code
        for one in (foreign, NOBODY, "no-uuid")
    ]
    assert codes == [403, 404, 422]
    assert mediamagic.send("GET", SUBSCRIPTIONS).json() == []
    assert mediamagic.send("GET", f"{SUBSCRIPTIONS}/{foreign}", "sk_live_other").json()["enabled"] is True


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"endpointUrl": None}, "endpointUrl"),
        ({"endpointUrl": ""}, "endpointUrl"),
        ({"endpointUrl": 7}, "endpointUrl"),
        ({"endpointUrl": "hooks.example.com"}, "endpointUrl"),
        ({"endpointUrl": "http://hooks.example.com/x"}, "endpointUrl"),
        ({"endpointUrl": "http://127.0.0.1.example.com/x"}, "endpointUrl"),
        ({"endpointUrl": "http://10.0.0.1/x"}, "endpointUrl"),
        ({"endpointUrl": "ftp://127.0.0.1/x"}, "endpointUrl"),
        ({"endpointUrl": "https://hooks.example.com:port/x"}, "endpointUrl"),
        ({"endpointUrl": "https://hooks.example.com/a b"}, "endpointUrl"),
        ({"endpointUrl": f"{URL}/{'x' * 2083}"}, "endpointUrl"),
        ({"eventTypes": None}, "eventTypes"),
        ({"eventTypes": []}, "eventTypes"),
        ({"eventTypes": COMPLETED}, "eventTypes"),
        ({"eventTypes": [COMPLETED, "submission.completed"]}, "eventTypes.1"),
        ({"description": 7}, "description"),
    ],
)
def test_validation_error_names_the_field(
    mediamagic: MediaMagicTalk, change: dict[str, Any], field: str
) -> None:
    body = {"endpointUrl": URL, "eventTypes": [COMPLETED], **change}
    answer = mediamagic.send("POST", SUBSCRIPTIONS, json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert mediamagic.send("GET", SUBSCRIPTIONS).json() == []


def test_an_address_without_a_host_is_no_destination(mediamagic: MediaMagicTalk) -> None:
    body = {"endpointUrl": "https:///hook", "eventTypes": [COMPLETED]}
    answer = mediamagic.send("POST", SUBSCRIPTIONS, json=body)
    assert (answer.status_code, list(answer.json())) == (400, ["detail"])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8:9000", "localhost:80", "[::1]:9000"])
def test_http_is_for_loopback_and_can_be_switched_off(
    sim: Simulator, mediamagic: MediaMagicTalk, host: str
) -> None:
    body = {"endpointUrl": f"http://{host}/hook", "eventTypes": [FAILED]}
    assert mediamagic.send("POST", SUBSCRIPTIONS, json=body).status_code == 201
    sim.settings(http_webhooks_on_loopback=False)
    assert mediamagic.send("POST", SUBSCRIPTIONS, json=body).status_code == 422


def test_a_workspace_has_so_many_and_no_more(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    sim.settings(max_webhook_subscriptions=2)
    first = mediamagic.subscribe(URL)
    mediamagic.subscribe(URL)
    body = {"endpointUrl": URL, "eventTypes": [COMPLETED]}
    assert mediamagic.send("POST", SUBSCRIPTIONS, json=body).status_code == 422
    mediamagic.subscribe(URL, key="sk_live_other")
    mediamagic.send("DELETE", f"{SUBSCRIPTIONS}/{first['id']}")
    mediamagic.subscribe(URL)


def test_the_list_can_come_in_an_object(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    ids = [mediamagic.subscribe(URL)["id"] for _ in range(2)]
    assert [one["id"] for one in mediamagic.send("GET", SUBSCRIPTIONS).json()] == ids
    sim.settings(subscriptions_container="object")
    listed = mediamagic.send("GET", SUBSCRIPTIONS).json()
    assert ([one["id"] for one in listed["subscriptions"]], listed["total"]) == (ids, 2)


@pytest.mark.parametrize(
    ("method", "path", "bucket"),
    [
        ("POST", SUBSCRIPTIONS, "webhook_write"),
        ("PATCH", f"{SUBSCRIPTIONS}/{NOBODY}", "webhook_write"),
        ("DELETE", f"{SUBSCRIPTIONS}/{NOBODY}", "webhook_write"),
        ("GET", SUBSCRIPTIONS, "webhook_read"),
        ("GET", f"{SUBSCRIPTIONS}/{NOBODY}", "webhook_read"),
        ("GET", f"{SUBSCRIPTIONS}/{NOBODY}/deliveries", "webhook_read"),
        ("POST", FIRE, "sandbox"),
    ],
)
def test_buckets(sim: Simulator, mediamagic: MediaMagicTalk, method: str, path: str, bucket: str) -> None:
    sim.keys({"key": "sk_live_poor", "state": "no_plan"})
    assert mediamagic.send(method, path, "sk_live_poor", json={}).json()["bucket"] == bucket
    sim.settings(mediamagic_limits={bucket: "1/60"})
    codes = [mediamagic.send(method, path, json={}).status_code for _ in range(2)]
    assert codes[0] != 429
    assert codes[1] == 429


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many", ""])
def test_the_limit_of_deliveries(mediamagic: MediaMagicTalk, limit: str) -> None:
    subscription = mediamagic.subscribe(URL)
    answer = mediamagic.send("GET", f"{SUBSCRIPTIONS}/{subscription['id']}/deliveries?limit={limit}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "limit")
    assert mediamagic.deliveries(subscription, limit=200) == []


def test_firing_counts_subscriptions_over_all_assets(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    # Nothing is to leave this machine.
    sim.webhooks(loss=1)
    submission = mediamagic.submit(*(mediamagic.upload(key=SANDBOX_KEY) for _ in range(2)), key=SANDBOX_KEY)
    for types in ([COMPLETED, FAILED], [COMPLETED], [FAILED]):
        mediamagic.subscribe(URL, *types, key=SANDBOX_KEY)
    disabled = mediamagic.subscribe(URL, key=SANDBOX_KEY)
    mediamagic.send("PATCH", f"{SUBSCRIPTIONS}/{disabled['id']}", SANDBOX_KEY, json={"enabled": False})
    mediamagic.subscribe(URL, key="sk_test_other")
    body = {"eventType": COMPLETED, "submissionId": submission["submissionId"]}
    answer = mediamagic.send("POST", FIRE, SANDBOX_KEY, json=body)
    assert (answer.status_code, answer.json()) == (200, {"dispatched": 4})


def test_firing_is_for_sandbox_keys(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    submission = mediamagic.submit(mediamagic.upload())
    body = {"eventType": COMPLETED, "submissionId": submission["submissionId"]}
    answer = mediamagic.send("POST", FIRE, json=body)
    assert (answer.status_code, list(answer.json())) == (403, ["detail"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, 404),  # of another workspace
        ({"submissionId": str(NOBODY)}, 404),
        ({"submissionId": "no-uuid"}, 422),
        ({"submissionId": None}, 422),
        ({"eventType": "submission.completed"}, 422),
        ({"eventType": []}, 422),
        ({"errorMessage": 7}, 422),
    ],
)
def test_firing_what_cannot_be(mediamagic: MediaMagicTalk, change: dict[str, Any], code: int) -> None:
    submission = mediamagic.submit(mediamagic.upload())
    body = {"eventType": COMPLETED, "submissionId": submission["submissionId"], **change}
    assert mediamagic.send("POST", FIRE, SANDBOX_KEY, json=body).status_code == code


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "whsec_" + base64.b64encode(b"0" * 24).decode()
    assert isinstance(signer(secret), Webhook)
    monkeypatch.setitem(sys.modules, "standardwebhooks", None)
    with pytest.raises(Refusal) as caught:
        signer(secret)
    assert caught.value.reply.status == 500
    assert b"install the extra 'simulator'" in caught.value.reply.body
