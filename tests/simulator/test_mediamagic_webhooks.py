"""Deliveries to a real endpoint, checked with the library that receivers are told to use."""

from __future__ import annotations

import socket
from collections import Counter
from typing import Any

import pytest
from standardwebhooks import WebhookVerificationError

from airflow_provider.simulator import Simulator
from tests.simulator.receiver import Receiver, until
from tests.simulator.talk import (
    COMPLETED,
    FAILED,
    LONG,
    SANDBOX_KEY,
    SUBSCRIPTIONS,
    MediaMagicTalk,
)


def ledger_of(sim: Simulator, subscription: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in sim.ledger()["webhook_deliveries"] if one["subscription_id"] == subscription["id"]]


def attempted(sim: Simulator, subscription: dict[str, Any], attempts: int) -> dict[str, Any]:
    """The one delivery to a subscription, once so many attempts are over."""
    until(lambda: [one for one in ledger_of(sim, subscription) if one["attempts"] >= attempts])
    (delivery,) = ledger_of(sim, subscription)
    return delivery


def finish_one(sim: Simulator, mediamagic: MediaMagicTalk, *filenames: str) -> dict[str, Any]:
    """A submission that is over."""
    submission = mediamagic.submit(*(mediamagic.upload(name) for name in filenames or ("ad.txt",)))
    sim.advance(LONG)
    return submission


def fire(mediamagic: MediaMagicTalk, submission: dict[str, Any], **body: Any) -> int:
    body = {"eventType": COMPLETED, "submissionId": submission["submissionId"], **body}
    answer = mediamagic.send("POST", "/sandbox/events/fire", SANDBOX_KEY, json=body)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["dispatched"])


# What is sent, and to whom


def test_the_end_of_an_asset_is_told_signed(
    sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver
) -> None:
    subscription = mediamagic.subscribe(f"{receiver.url}/hook")
    submission = finish_one(sim, mediamagic)
    (got,) = receiver.wait(1)
    event = got.verified(subscription["secret"])
    assert list(event) == ["id", "type", "timestamp", "data"]
    assert (event["id"], event["type"]) == (got.id, COMPLETED)
    assert event["timestamp"] == mediamagic.status(submission)["completedAt"]
    assert event["data"] == {
        "submission_id": submission["submissionId"],
        "asset_id": submission["assets"][0]["assetId"],
        "status": "complete",
    }
    assert got.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        got.verified(mediamagic.subscribe(f"{receiver.url}/other")["secret"])


def test_a_failure_says_why(sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver) -> None:
    subscription = mediamagic.subscribe(f"{receiver.url}/hook", FAILED)
    sim.script("mediamagic", asset_status="failed", error_message="Modèle surchargé")
    finish_one(sim, mediamagic)
    event = receiver.wait(1)[0].verified(subscription["secret"])
    assert (event["type"], event["data"]["status"], event["data"]["error_message"]) == (
        FAILED,
        "failed",
        "Modèle surchargé",
    )


def test_each_asset_has_its_event_at_its_own_end(
    sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver
) -> None:
    mediamagic.subscribe(f"{receiver.url}/hook")
    sim.script("mediamagic", match={"filename": "slow.txt"}, duration=1000)
    submission = mediamagic.submit(mediamagic.upload("slow.txt"), mediamagic.upload("quick.txt"))
    slow, quick = (asset["assetId"] for asset in submission["assets"])
    sim.advance(100)
    assert [one.envelope["data"]["asset_id"] for one in receiver.wait(1)] == [quick]
    assert mediamagic.status(submission)["status"] == "processing"
    sim.advance(1000)
    assert [one.envelope["data"]["asset_id"] for one in receiver.wait(2)] == [quick, slow]
    assert mediamagic.status(submission)["status"] == "complete"


def test_only_those_are_told_who_want_it_are_enabled_and_of_the_workspace(
    sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver
) -> None:
    told = [mediamagic.subscribe(f"{receiver.url}/{name}", COMPLETED) for name in ("one", "two")]
    mediamagic.subscribe(f"{receiver.url}/failures", FAILED)
    mediamagic.subscribe(f"{receiver.url}/foreign", key="sk_live_other")
    off = mediamagic.subscribe(f"{receiver.url}/off")
    mediamagic.send("PATCH", f"{SUBSCRIPTIONS}/{off['id']}", json={"enabled": False})
    finish_one(sim, mediamagic)
    one, two = receiver.wait(1, "/one") + receiver.wait(1, "/two")
    assert one.body == two.body
    # All deliveries of an event are entered at once: there are no more to come.
    listed = sim.ledger()["webhook_deliveries"]
    assert [one["subscription_id"] for one in listed] == [one["id"] for one in told]


def test_an_event_is_for_those_who_listen_at_that_moment(
    sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver
) -> None:
    missed = finish_one(sim, mediamagic)
    running = mediamagic.submit(mediamagic.upload())
    subscription = mediamagic.subscribe(f"{receiver.url}/hook")
    sim.advance(LONG)
    receiver.wait(1)  # two deliveries at once may arrive in either order
    later = finish_one(sim, mediamagic)
    told = [one.envelope["data"]["submission_id"] for one in receiver.wait(2)]
    assert told == [running["submissionId"], later["submissionId"]]
    assert len(ledger_of(sim, subscription)) == 2
    assert missed["submissionId"] not in told


def test_what_ended_before_the_subscription_is_not_told_though_its_submission_goes_on(
    sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver
) -> None:
    sim.script("mediamagic", match={"filename": "slow.txt"}, duration=1000)
    submission = mediamagic.submit(mediamagic.upload("quick.txt"), mediamagic.upload("slow.txt"))
    sim.advance(100)
    subscription = mediamagic.subscribe(f"{receiver.url}/hook")
    sim.advance(LONG)
    (got,) = receiver.wait(1)
    assert got.envelope["data"]["asset_id"] == submission["assets"][1]["assetId"]
    assert len(ledger_of(sim, subscription)) == 1


def test_with_the_last_subscription_gone_the_next_one_starts_anew(
    sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver
) -> None:
    first = mediamagic.subscribe(f"{receiver.url}/first")
    submission = mediamagic.submit(mediamagic.upload())
    mediamagic.send("DELETE", f"{SUBSCRIPTIONS}/{first['id']}")
    second = mediamagic.subscribe(f"{receiver.url}/second")
    sim.advance(LONG)
    receiver.wait(1, "/second")
    assert [one["subscription_id"] for one in sim.ledger()["webhook_deliveries"]] == [second["id"]]
    assert mediamagic.status(submission)["status"] == "complete"


def test_a_retried_asset_ends_twice(sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver) -> None:
    mediamagic.subscribe(f"{receiver.url}/hook")
    sim.script("mediamagic", asset_status="failed")
    submission = finish_one(sim, mediamagic)
    receiver.wait(1)
    assert mediamagic.retry(submission).status_code == 202
    sim.advance(LONG)
    first, second = receiver.wait(2)
    assert [one.envelope["type"] for one in (first, second)] == [FAILED, COMPLETED]
    assert first.id != second.id


def test_sandbox_events_are_delivered(sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver) -> None:
    submission = mediamagic.submit(*(mediamagic.upload(key=SANDBOX_KEY) for _ in range(2)), key=SANDBOX_KEY)
    secret = mediamagic.subscribe(f"{receiver.url}/hook", FAILED, key=SANDBOX_KEY)["secret"]
    assert fire(mediamagic, submission, eventType=FAILED) == 2
    events = [one.verified(secret) for one in receiver.wait(2)]
    assert {one["data"]["asset_id"] for one in events} == {one["assetId"] for one in submission["assets"]}
    assert [one["data"]["error_message"] for one in events] == ["Sandbox simulated failure"] * 2
    assert fire(mediamagic, submission, eventType=FAILED, errorMessage="Out of memory") == 2
    assert receiver.wait(3)[2].envelope["data"]["error_message"] == "Out of memory"


# What happens when it does not arrive


def test_a_refused_delivery_is_sent_again_unchanged(
    sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver
) -> None:
    receiver.answers["/hook"] = [500, 302]
    subscription = mediamagic.subscribe(f"{receiver.url}/hook")
    finish_one(sim, mediamagic)
    for attempts in (1, 2):
        attempted(sim, subscription, attempts)
        sim.advance(30)
    delivery = attempted(sim, subscription, 3)
    assert delivery["response_statuses"] == [500, 302, 204]
    assert delivery["due_at"] <= delivery["sent_at"] < delivery["delivered_at"]
    first, *others = receiver.at("/hook")
    for one in others:
        assert (one.id, one.body) == (first.id, first.body)
        assert one.verified(subscription["secret"])["id"] == delivery["event_id"]
    assert receiver.at("/elsewhere") == []

    attempts_listed = mediamagic.deliveries(subscription)
    assert [set(one) for one in attempts_listed] == [
        {"id", "status", "createdAt", "responseStatus", "eventId"}
    ] * 3
    assert [(one["status"], one["responseStatus"]) for one in attempts_listed] == [
        ("SUCCESSFUL", 204),
        ("FAILED", 302),
        ("FAILED", 500),
    ]
    assert {one["eventId"] for one in attempts_listed} == {first.id}
    failed = mediamagic.deliveries(subscription, status_filter="failed")
    assert failed == attempts_listed[1:]
    assert mediamagic.deliveries(subscription, limit=1) == attempts_listed[:1]
    assert mediamagic.deliveries(subscription, status_filter="tired") == []


def test_it_gives_up_in_the_end(sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver) -> None:
    sim.settings(webhook_retry_delays=[5, 60])
    receiver.answers["/hook"] = [503] * 10
    subscription = mediamagic.subscribe(f"{receiver.url}/hook", FAILED)
    mediamagic.subscribe(f"{receiver.url}/other", COMPLETED)
    sim.script("mediamagic", match={"filename": "bad.txt"}, asset_status="failed")
    finish_one(sim, mediamagic, "bad.txt")
    for attempts in (1, 2, 3):
        attempted(sim, subscription, attempts)
        sim.advance(LONG)
    finish_one(sim, mediamagic)
    receiver.wait(1, "/other")  # which a fourth attempt would have gone before
    assert len(receiver.at("/hook")) == 3


@pytest.mark.parametrize("why", ["nobody there", "no answer"])
def test_without_an_answer_there_is_no_status(
    sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver, why: str
) -> None:
    sim.settings(webhook_timeout=0.2)
    receiver.silent.add("/hook")
    with socket.socket() as closed:  # bound, so that no other server gets its port
        closed.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
        subscription = mediamagic.subscribe(nowhere if why == "nobody there" else f"{receiver.url}/hook")
        finish_one(sim, mediamagic)
        delivery = attempted(sim, subscription, 1)
    assert (delivery["response_statuses"], delivery["delivered_at"]) == ([None], None)
    (attempt,) = mediamagic.deliveries(subscription)
    assert (attempt["status"], attempt["responseStatus"]) == ("FAILED", None)


def test_an_endpoint_that_hangs_holds_up_no_other(
    sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver
) -> None:
    receiver.silent.add("/hangs")
    submission = mediamagic.submit(*(mediamagic.upload(key=SANDBOX_KEY) for _ in range(60)), key=SANDBOX_KEY)
    mediamagic.subscribe(f"{receiver.url}/hangs", key=SANDBOX_KEY)
    mediamagic.subscribe(f"{receiver.url}/hook", key=SANDBOX_KEY)
    assert fire(mediamagic, submission) == 120
    assert len(receiver.wait(60)) == 60
    assert len(receiver.at("/hangs")) <= 50


@pytest.mark.parametrize("how", ["PATCH", "DELETE"])
def test_what_waits_for_a_subscription_that_is_switched_off_is_not_sent(
    sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver, how: str
) -> None:
    receiver.answers["/hook"] = [500]
    subscription = mediamagic.subscribe(f"{receiver.url}/hook")
    mediamagic.subscribe(f"{receiver.url}/other")
    finish_one(sim, mediamagic)
    attempted(sim, subscription, 1)
    mediamagic.send(how, f"{SUBSCRIPTIONS}/{subscription['id']}", json={"enabled": False})
    sim.advance(LONG)
    finish_one(sim, mediamagic)
    receiver.wait(2, "/other")
    assert len(receiver.at("/hook")) == 1


def test_reset_ends_all_deliveries(sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver) -> None:
    receiver.answers["/hook"] = [500]
    subscription = mediamagic.subscribe(f"{receiver.url}/hook")
    mediamagic.submit(mediamagic.upload())
    finish_one(sim, mediamagic)
    until(lambda: sum(one["attempts"] for one in ledger_of(sim, subscription)) == 2)
    sim.webhooks(loss=1)
    sim.reset()
    assert sim.ledger()["webhook_deliveries"] == []
    assert mediamagic.send("GET", SUBSCRIPTIONS).json() == []
    mediamagic.subscribe(f"{receiver.url}/other")
    sim.advance(LONG)
    finish_one(sim, mediamagic)
    receiver.wait(1, "/other")
    assert len(receiver.at("/hook")) == 2


def test_reset_breaks_off_what_is_under_way(
    sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver
) -> None:
    receiver.silent.add("/hook")
    receiver.answers["/hook"] = [500]
    mediamagic.subscribe(f"{receiver.url}/hook")
    finish_one(sim, mediamagic)
    receiver.wait(1)
    sim.reset()
    receiver.let_go()
    mediamagic.subscribe(f"{receiver.url}/other")
    finish_one(sim, mediamagic)
    sim.advance(LONG)
    finish_one(sim, mediamagic)
    receiver.wait(2, "/other")
    assert len(receiver.at("/hook")) == 1


# Faults


def test_lost(sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver) -> None:
    sim.webhooks(loss=1)
    subscription = mediamagic.subscribe(f"{receiver.url}/hook")
    finish_one(sim, mediamagic)
    (delivery,) = until(lambda: ledger_of(sim, subscription))
    assert (delivery["copies"], delivery["sent_at"], delivery["attempts"]) == (0, None, 0)
    sim.webhooks()
    second = finish_one(sim, mediamagic)
    assert [one.envelope["data"]["submission_id"] for one in receiver.wait(1)] == [second["submissionId"]]


def test_doubled(sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver) -> None:
    sim.webhooks(duplicate=1)
    subscription = mediamagic.subscribe(f"{receiver.url}/hook")
    finish_one(sim, mediamagic)
    first, second = receiver.wait(2)
    assert (first.id, first.body) == (second.id, second.body)
    delivery = attempted(sim, subscription, 2)
    assert (delivery["copies"], delivery["response_statuses"]) == (2, [204, 204])


def test_delayed(sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver) -> None:
    sim.script("mediamagic", duration=100)
    sim.webhooks(delay=500)
    subscription = mediamagic.subscribe(f"{receiver.url}/hook")
    mediamagic.submit(mediamagic.upload())
    sim.advance(400)
    (waiting,) = until(lambda: ledger_of(sim, subscription))
    assert waiting["sent_at"] is None
    sim.advance(300)
    delivery = attempted(sim, subscription, 1)
    assert delivery["sent_at"] - delivery["due_at"] >= 500


def test_reordered_the_same_way_with_the_same_seed(
    sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver
) -> None:
    submission = mediamagic.submit(*(mediamagic.upload(key=SANDBOX_KEY) for _ in range(20)), key=SANDBOX_KEY)
    assets = [one["assetId"] for one in submission["assets"]]
    mediamagic.subscribe(f"{receiver.url}/hook", key=SANDBOX_KEY)

    def order(**faults: Any) -> list[str]:
        sim.webhooks(**faults)
        before = len(sim.ledger()["webhook_deliveries"])
        assert fire(mediamagic, submission) == 20
        sim.advance(100)
        sent = until(
            lambda: (
                [
                    one
                    for one in sim.ledger()["webhook_deliveries"][before:]
                    if one["delivered_at"] is not None
                ][19:]
                and sim.ledger()["webhook_deliveries"][before:]
            )
        )
        return [one["asset_id"] for one in sorted(sent, key=lambda one: float(one["sent_at"]))]

    assert order() == assets
    shuffled = order(reorder=True, reorder_window=100, seed=5)
    assert shuffled != assets
    assert sorted(shuffled) == sorted(assets)
    assert order(reorder=True, reorder_window=100, seed=5) == shuffled
    assert order(reorder=True, reorder_window=100, seed=6) != shuffled


@pytest.mark.parametrize(
    ("signature", "complaint"),
    [("wrong", "No matching signature"), ("old", "too old"), ("none", "Missing required headers")],
)
def test_signatures_that_must_be_refused(
    sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver, signature: str, complaint: str
) -> None:
    receiver.answers["/hook"] = [401]
    subscription = mediamagic.subscribe(f"{receiver.url}/hook")
    sim.webhooks(signature=signature)
    finish_one(sim, mediamagic)
    with pytest.raises(WebhookVerificationError, match=complaint):
        receiver.wait(1)[0].verified(subscription["secret"])
    attempted(sim, subscription, 1)
    sim.webhooks()
    sim.advance(LONG)
    assert receiver.wait(2)[1].verified(subscription["secret"])


@pytest.mark.parametrize(
    "faults",
    [
        {"loss": 2},
        {"loss": "0.5"},
        {"duplicate": True},
        {"delay": -1},
        {"reorder": 1},
        {"signature": "odd"},
        {"drop": 1},
        {"seed": []},
    ],
)
def test_mistakes_are_named_and_change_nothing(sim: Simulator, faults: dict[str, Any]) -> None:
    sim.webhooks(delay=7)
    with pytest.raises(ValueError, match="simulator:"):
        sim.webhooks(**faults)
    assert sim.control("GET", "webhooks")["delay"] == 7
    sim.control("DELETE", "webhooks")
    assert sim.control("GET", "webhooks") == {
        "loss": 0.0, "duplicate": 0.0, "reorder": False, "reorder_window": 10.0, "delay": 0.0,
        "signature": "right", "seed": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"webhook_timeout": 0},
        {"webhook_retry_delays": [5, -1]},
        {"webhook_retry_delays": 5},
        {"subscriptions_container": "bag"},
    ],
)
def test_settings_that_make_no_sense(sim: Simulator, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="simulator:"):
        sim.settings(**change)


# Many


def test_thousands_arrive_as_often_as_the_ledger_says(
    sim: Simulator, mediamagic: MediaMagicTalk, receiver: Receiver
) -> None:
    submission = mediamagic.submit(*(mediamagic.upload(key=SANDBOX_KEY) for _ in range(100)), key=SANDBOX_KEY)
    secret = mediamagic.subscribe(f"{receiver.url}/hook", key=SANDBOX_KEY)["secret"]
    sim.webhooks(loss=0.05, duplicate=0.05, reorder=True, seed=1)
    for _ in range(20):
        assert fire(mediamagic, submission) == 100
    sim.advance(LONG)
    expected = {one["event_id"]: one["copies"] for one in sim.ledger()["webhook_deliveries"]}
    assert len(expected) == 2000
    assert {0, 1, 2} == set(expected.values())
    receiver.wait(sum(expected.values()))
    got = Counter(one.verified(secret)["id"] for one in receiver.at("/hook"))
    assert {event_id: got[event_id] for event_id in expected} == expected
    until(lambda: all(one["attempts"] == one["copies"] for one in sim.ledger()["webhook_deliveries"]))
