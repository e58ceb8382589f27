"""What the receiver takes, what it refuses, and that strangers learn nothing from its answers."""

from __future__ import annotations

import base64
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient
from standardwebhooks import Webhook

from airflow_provider.mediamagic.webhooks.events import MOST_BYTES
from airflow_provider.mediamagic.webhooks.secrets import LOOKUPS, RECHECK_AFTER, WINDOW, Secrets
from airflow_provider.plugins import receiver as receiver_module
from airflow_provider.plugins.inbox import Inbox
from airflow_provider.plugins.receiver import REFUSED_AFTER, make_app
from tests.webhooks.conftest import Behind
from tests.webhooks.envelopes import FAILED, OTHER_SECRET, SECRET, envelope, signed


def send(receiver: TestClient, body: bytes, headers: dict[str, str], conn_id: str = "mm") -> Any:
    return receiver.post(f"/webhooks/{conn_id}", content=body, headers=headers)


def test_a_genuine_event_is_handed_on(receiver: TestClient, behind: Behind) -> None:
    answer = send(receiver, *signed(envelope()))

    assert (answer.status_code, answer.json()) == (200, {"status": "taken"})
    (event,) = behind.woken
    assert behind.recorded == [event]
    assert (event.conn_id, event.submission_id, event.asset_id) == ("mm", "sub-1", "asset-1")


def test_names_of_the_rest_api_are_understood(receiver: TestClient, behind: Behind) -> None:
    body = envelope(type=FAILED, data={"submissionId": "sub-2", "assetId": "asset-2", "status": "failed"})
    assert send(receiver, *signed(body)).status_code == 200
    assert (behind.woken[0].submission_id, behind.woken[0].asset_id) == ("sub-2", "asset-2")


@pytest.mark.parametrize("good", [SECRET, OTHER_SECRET])
def test_both_secrets_are_good_during_a_rotation(receiver: TestClient, behind: Behind, good: str) -> None:
    behind.secrets["mm"] = (SECRET, OTHER_SECRET)
    assert send(receiver, *signed(envelope(), secret=good)).status_code == 200


def test_the_same_event_is_handed_on_once(receiver: TestClient, behind: Behind) -> None:
    for age in (0, 0, 3):
        assert send(receiver, *signed(envelope(), age=age)).status_code == 200
    assert len(behind.woken) == 1
    assert len(behind.recorded) == 1


def test_an_event_that_could_not_be_handed_on_may_come_again(receiver: TestClient, behind: Behind) -> None:
    behind.broken = OSError("no database")
    assert send(receiver, *signed(envelope())).status_code == 503
    assert behind.woken == []

    behind.broken = None
    assert send(receiver, *signed(envelope())).status_code == 200
    assert len(behind.woken) == 1


def attacks() -> Iterator[tuple[str, bytes, dict[str, str], str]]:
    body, headers = signed(envelope())
    yield "forged", body, headers | {"webhook-signature": "v1," + "A" * 43 + "="}, "mm"
    yield "signed by another", *signed(envelope(), secret=OTHER_SECRET), "mm"
    yield "changed body", body.replace(b"sub-1", b"sub-2"), headers, "mm"
    yield "changed id", body, headers | {"webhook-id": "evt_2"}, "mm"
    yield "changed time", body, headers | {"webhook-timestamp": str(int(time.time()) + 1)}, "mm"
    yield "stale", *signed(envelope(), age=400), "mm"
    yield "from the future", *signed(envelope(), age=-400), "mm"
    yield "time is no number", body, headers | {"webhook-timestamp": "nan"}, "mm"
    yield "time is text", body, headers | {"webhook-timestamp": "now"}, "mm"
    yield (
        "other version",
        body,
        headers | {"webhook-signature": headers["webhook-signature"].replace("v1", "v2")},
        "mm",
    )
    yield "no comma", body, headers | {"webhook-signature": "v1"}, "mm"
    yield "no base64", body, headers | {"webhook-signature": "v1,?"}, "mm"
    yield "long header", body, headers | {"webhook-signature": "v1," + "A" * 5000}, "mm"
    yield "not utf-8", b"\xff\xfe", headers, "mm"
    yield "unknown connection", body, headers, "nobody"
    yield "no secret", body, headers, "bare"
    yield "odd connection id", body, headers, "%27%20OR%201"
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        yield f"without {name}", body, {key: value for key, value in headers.items() if key != name}, "mm"


@pytest.mark.parametrize("name", [name for name, *_ in attacks()])
def test_what_is_not_proved_gets_one_answer_and_does_nothing(
    receiver: TestClient, behind: Behind, name: str
) -> None:
    behind.secrets["bare"] = ()

    # Made anew, for what was signed when the tests were collected is stale by now.
    ((_, body, headers, conn_id),) = [attack for attack in attacks() if attack[0] == name]
    answer = send(receiver, body, headers, conn_id)

    assert (answer.status_code, answer.json()) == (401, {"detail": "No matching signature."})
    assert behind.woken == behind.recorded == []


def test_what_its_headers_give_away_looks_nothing_up(receiver: TestClient, behind: Behind) -> None:
    body, headers = signed(envelope())
    send(receiver, *signed(envelope(), age=400))
    send(receiver, body, headers | {"content-type": "text/plain"})
    send(receiver, body, headers | {"content-length": str(MOST_BYTES + 1)})
    send(receiver, b"", {})
    assert behind.looked_up == []


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "streamed"])
def test_an_oversized_body_is_refused_before_it_is_read_whole(
    receiver: TestClient, behind: Behind, declared: bool
) -> None:
    def endless() -> Iterator[bytes]:
        yield from [b"x" * 1024] * (MOST_BYTES // 1024 + 1)

    body, headers = signed(envelope())
    if declared:
        headers |= {"content-length": str(MOST_BYTES + 1)}
        answer = receiver.post("/webhooks/mm", content=body, headers=headers)
    else:
        answer = receiver.post("/webhooks/mm", content=endless(), headers=headers)
    assert answer.status_code == 413
    assert behind.woken == []
    assert behind.looked_up == []


def test_only_json_is_taken(receiver: TestClient, behind: Behind) -> None:
    body, headers = signed(envelope())
    assert send(receiver, body, headers | {"content-type": "text/plain"}).status_code == 415
    assert (
        send(receiver, body, headers | {"content-type": "application/json; charset=utf-8"}).status_code == 200
    )


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"null", envelope(data=None), envelope(data={"asset_id": "a"}), b"[" * 20_000],
    ids=["cut", "list", "null", "no data", "no submission", "deep"],
)
def test_a_signed_body_that_is_no_event_is_refused(
    receiver: TestClient, behind: Behind, body: bytes | dict[str, Any]
) -> None:
    assert send(receiver, *signed(body)).status_code == 400
    assert behind.woken == []


def test_a_type_that_nobody_knows_is_accepted_and_ignored(receiver: TestClient, behind: Behind) -> None:
    answer = send(receiver, *signed(envelope(type="asset.processing.started")))
    assert (answer.status_code, answer.json()) == (200, {"status": "ignored"})
    assert behind.woken == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_post_is_served(receiver: TestClient, method: str) -> None:
    assert receiver.request(method, "/webhooks/mm").status_code == 405


def test_a_slash_at_the_end_of_the_address_is_no_redirect(receiver: TestClient) -> None:
    body, headers = signed(envelope())
    answer = receiver.post("/webhooks/mm/", content=body, headers=headers, follow_redirects=False)
    assert (answer.status_code, answer.json()) == (200, {"status": "taken"})


def test_nothing_else_is_served(receiver: TestClient) -> None:
    for path in ("/", "/docs", "/openapi.json", "/webhooks", "/webhooks/mm/more"):
        assert receiver.get(path).status_code == 404


def test_a_flood_of_made_up_connections_causes_a_handful_of_lookups(
    receiver: TestClient, behind: Behind
) -> None:
    cases = [(body, headers) for _, body, headers, _ in attacks()]
    for number in range(400):
        body, headers = cases[number % len(cases)]
        send(receiver, body, headers, f"made-up-{number}")
    assert behind.woken == behind.recorded == []
    assert 0 < len(behind.looked_up) <= 100


def test_a_flood_of_made_up_connections_holds_no_genuine_event_back(behind: Behind) -> None:
    """Also right after the start, when no connection was seen before."""
    with TestClient(behind.app()) as receiver:
        for number in range(LOOKUPS + 5):
            send(receiver, *signed(envelope()), f"made-up-{number}")
        assert send(receiver, *signed(envelope())).status_code == 200
    assert len(behind.woken) == 1
    assert len(behind.looked_up) == LOOKUPS


def test_amid_a_flood_an_event_of_a_connection_that_cannot_be_listed_is_to_come_again(
    behind: Behind,
) -> None:
    now = 1000.0
    behind.listed = ()
    with TestClient(behind.app(lambda: now)) as receiver:
        for number in range(LOOKUPS):
            send(receiver, *signed(envelope()), f"made-up-{number}")

        early = send(receiver, *signed(envelope()))
        assert (early.status_code, early.headers["Retry-After"]) == (503, "5")
        assert behind.woken == []

        now += WINDOW
        assert send(receiver, *signed(envelope())).status_code == 200
    assert len(behind.woken) == 1


def test_an_event_signed_with_a_secret_that_was_stored_just_now_is_taken(behind: Behind) -> None:
    now = 1000.0
    with TestClient(behind.app(lambda: now)) as receiver:
        assert send(receiver, *signed(envelope())).status_code == 200
        behind.secrets["mm"] = (OTHER_SECRET,)
        now += RECHECK_AFTER + 1
        assert send(receiver, *signed(envelope("evt_2"), secret=OTHER_SECRET)).status_code == 200


def test_nothing_is_decided_before_the_connections_could_be_listed(behind: Behind) -> None:
    def fail() -> dict[str, tuple[str, ...]]:
        raise OSError("no database")

    app = make_app(Secrets(behind.look_up, fail), Inbox(behind.wake, behind.record))
    with TestClient(app) as receiver:
        for conn_id in ("mm", "nobody"):
            assert send(receiver, *signed(envelope()), conn_id).status_code == 503


@pytest.mark.parametrize("count", [0, 1, 2, 50, 100])
def test_a_refusal_takes_the_same_work_whatever_the_connection_holds(
    behind: Behind, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The same number of signatures, one pause and one answer; no lookup that an answer waits for."""
    computed: list[str] = []
    pauses: list[float] = []
    real = Webhook.sign

    def sign(webhook: Webhook, msg_id: str, *rest: Any, **named: Any) -> str:
        computed.append(msg_id)
        return real(webhook, msg_id, *rest, **named)

    monkeypatch.setattr(Webhook, "sign", sign)
    behind.secrets["mm"] = tuple(
        "whsec_" + base64.b64encode(f"secret number {number:4}".encode()).decode() for number in range(count)
    )
    behind.listed = ("mm",) if count else ()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    secrets = Secrets(behind.look_up, behind.look_up_all)
    with TestClient(make_app(secrets, Inbox(behind.wake, behind.record), pause=pause)) as receiver:
        body, headers = signed(envelope(), secret=OTHER_SECRET)
        computed.clear()
        answer = send(receiver, body, headers)
    assert (answer.status_code, len(computed), pauses) == (401, 100, [REFUSED_AFTER])


def test_waiting_refusals_are_bounded(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "MOST_WAITING", 0)

    async def pause(seconds: float) -> None:
        raise AssertionError("nobody waits")

    secrets = Secrets(behind.look_up, behind.look_up_all)
    with TestClient(make_app(secrets, Inbox(behind.wake, behind.record), pause=pause)) as receiver:
        assert send(receiver, *signed(envelope(), secret=OTHER_SECRET)).status_code == 401


@pytest.fixture
def address(behind: Behind) -> Iterator[tuple[str, int]]:
    """A receiver on a socket, as the API server runs it."""
    server = uvicorn.Server(uvicorn.Config(behind.app(), port=0, log_level="error", timeout_keep_alive=60))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("body", ["chunked", "announced"])
@pytest.mark.parametrize("reason", ["stale", "no signature", "too long", "not JSON"])
def test_a_refused_body_is_not_read_any_further(address: tuple[str, int], body: str, reason: str) -> None:
    """The connection ends with the answer, for the sender would else go on for ever."""
    _, headers = signed(envelope(), age=400 if reason == "stale" else 0)
    headers |= {"transfer-encoding": "chunked"} if body == "chunked" else {"content-length": "30000"}
    if reason == "no signature":
        del headers["webhook-signature"]
    if reason == "not JSON":
        headers["content-type"] = "text/plain"
    sent = b"x" * 100
    if reason == "too long":
        headers |= {"content-length": str(10**6)} if body == "announced" else {}
        sent = b"x" * (MOST_BYTES + 1)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(["POST /webhooks/mm HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(head + (b"%x\r\n" % len(sent) + sent + b"\r\n" if body == "chunked" else sent))
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert re.match(rb"HTTP/1.1 4\d\d ", answer)
    assert b"connection: close" in answer.lower()


def test_the_answer_amid_a_flood_tells_no_connection_apart(receiver: TestClient, behind: Behind) -> None:
    forged = signed(envelope(), secret=OTHER_SECRET)
    behind.secrets["not-seen"] = (SECRET,)
    assert send(receiver, *forged).status_code == 401
    for number in range(LOOKUPS):
        send(receiver, *forged, f"made-up-{number}")

    answers = {
        conn_id: send(receiver, *forged, conn_id) for conn_id in ("mm", "not-seen", "nobody", "made-up-0")
    }

    def shown(answer: Any) -> tuple[Any, ...]:
        return answer.status_code, answer.content, *sorted(answer.headers.items())

    assert {shown(answer) for answer in answers.values()} == {shown(answers["nobody"])}
    assert answers["nobody"].status_code == 503
    assert send(receiver, *signed(envelope())).status_code == 200, "what is known goes on"
    assert send(receiver, *signed(envelope(), age=400), "nobody").status_code == 401


def test_the_log_shows_no_secret(
    receiver: TestClient, behind: Behind, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        send(receiver, *signed(envelope()))
        send(receiver, *signed(envelope(), secret=OTHER_SECRET))
        send(receiver, *signed(b"{"))
    assert caplog.records
    assert SECRET.removeprefix("whsec_") not in caplog.text
    assert "a secret of the tests" not in caplog.text
