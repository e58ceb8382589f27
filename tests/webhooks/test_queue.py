"""Webhooks that come through a queue: a real SQS API on localhost, read by the common messaging provider."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.triggers.base import TriggerEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider.core.seen import MOST_IN_SLOT, SeenEvents
from airflow_provider.exceptions import ConfigurationError, TransportError, UndefinedConnectionError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.mediamagic.webhooks.events import TOLERANCE
from airflow_provider.triggers import mediamagic_events
from airflow_provider.triggers.mediamagic_events import (
    DAY,
    MOST_REQUESTS,
    RECHECK_AFTER,
    SECRETS_TTL,
    MediaMagicEventTrigger,
    requests_in,
)
from tests.airflow.lone import FakeAssetStore
from tests.webhooks.envelopes import OTHER_SECRET, SECRET, envelope, signed
from tests.webhooks.sqs import Queue

CONN_ID = "mediamagic_of_the_queue"


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    one = Queue()
    monkeypatch.setenv("AIRFLOW_CONN_QUEUE_AWS", json.dumps({"conn_type": "aws", "extra": one.extra}))
    connect(monkeypatch, {"webhook_secret": SECRET})
    monkeypatch.setattr(mediamagic_events, "RESTART_PAUSE", 0.0)
    yield one
    one.close()


def connect(monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any]) -> None:
    fields = {"conn_type": "mediamagic", "password": "sk_live_x", "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(fields))


def deliver(queue: Queue, *, encoded: bool = False, **how: Any) -> None:
    """Let an event arrive: of MediaMagic, unless ``how`` it is signed says otherwise."""
    queue.receive(*signed(envelope(how.get("event_id", "evt_1")), **how), encoded=encoded)


def watching(queue: Queue, store: Any = None, **more: Any) -> MediaMagicEventTrigger:
    trigger = MediaMagicEventTrigger(
        scheme="sqs",
        conn_id=CONN_ID,
        sqs_queue=queue.url,
        aws_conn_id="queue_aws",
        wait_time_seconds=0,
        waiter_delay=0,
        **more,
    )
    trigger.asset_state_store = store
    return trigger


def read(trigger: MediaMagicEventTrigger, count: int) -> list[dict[str, Any]]:
    """Return the payloads of so many events."""

    async def take() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            async for event in trigger.run():
                found.append(event.payload)
                if len(found) == count:
                    break
        return found

    return asyncio.run(take())


def test_a_signed_message_becomes_an_event(queue: Queue) -> None:
    deliver(queue)
    assert read(watching(queue), 1) == [
        {
            "event_id": "evt_1",
            "type": "asset.processing.completed",
            "conn_id": CONN_ID,
            "submission_id": "sub-1",
            "asset_id": "asset-1",
            "status": "complete",
            "timestamp": "2026-01-02T03:04:05Z",
        }
    ]
    assert queue.length == 0


def test_what_mediamagic_has_not_signed_is_dropped(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    deliver(queue, event_id="forged", secret=OTHER_SECRET)
    deliver(queue, event_id="too_old", age=2 * 86400)
    deliver(queue, event_id="of_the_future", age=-3600)
    queue.put("hello")
    queue.put('{"headers": {}, "body": "{}"}')
    queue.put('{"headers": {}, "body": "?", "isBase64Encoded": true}')
    queue.put(json.dumps({"headers": {"webhook-timestamp": "1e400"}, "body": "x" * 70_000}))
    deliver(queue, event_id="genuine")
    assert [one["event_id"] for one in read(watching(queue), 1)] == ["genuine"]
    assert SECRET not in caplog.text


def test_an_event_that_lay_in_the_queue_for_hours_counts(queue: Queue) -> None:
    deliver(queue, event_id="old", age=20 * 3600)
    assert [one["event_id"] for one in read(watching(queue, FakeAssetStore()), 1)] == ["old"]
    deliver(queue, event_id="old", age=20 * 3600)
    deliver(queue, event_id="new")
    assert [one["event_id"] for one in read(watching(queue, FakeAssetStore(), max_age=3600), 1)] == ["new"]


def test_a_copy_counts_no_more_after_a_restart(queue: Queue) -> None:
    store = FakeAssetStore()
    deliver(queue, event_id="seen", age=7200)
    assert [one["event_id"] for one in read(watching(queue, store), 1)] == ["seen"]
    for age in (7200, 0):
        deliver(queue, event_id="seen", age=age)
    deliver(queue, event_id="new")
    assert [one["event_id"] for one in read(watching(queue, store), 1)] == ["new"]


@pytest.mark.parametrize(
    "store", [None, FakeAssetStore(watched=2), object()], ids=["none", "shared", "3.3.0"]
)
def test_without_a_store_only_the_last_minutes_count(
    queue: Queue, capfd: pytest.CaptureFixture[str], store: Any
) -> None:
    deliver(queue, event_id="captured", age=400)
    deliver(queue, event_id="young", age=200)
    assert [one["event_id"] for one in read(watching(queue, store), 1)] == ["young"]
    assert capfd.readouterr().out.count("only events signed in the last 300 seconds count") == 1


def test_a_store_that_does_not_answer_loses_no_event(queue: Queue, capfd: pytest.CaptureFixture[str]) -> None:
    store = FakeAssetStore(broken=OSError("no API"))
    deliver(queue, event_id="one")
    assert [one["event_id"] for one in read(watching(queue, store), 1)] == ["one"]
    assert "could not be stored (OSError)" in capfd.readouterr().out


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, int(DAY + TOLERANCE))), max_size=60),
    st.sampled_from([60.0, 3600.0, DAY, 3 * DAY]),
)
@settings(deadline=None)
def test_nothing_is_new_twice_whatever_restarts(sent: list[tuple[int, int]], max_age: float) -> None:
    async def main() -> list[str]:
        store, found = FakeAssetStore(), []
        for number, age in sent:
            seen = SeenEvents("events", max_age, store)
            await seen.load()
            if seen.add(f"evt_{number}", 1_800_000_000 + TOLERANCE - age % (max_age + TOLERANCE)):
                found.append(f"evt_{number}")
            await seen.save()
        assert len(store.values) <= 28
        return found

    found = asyncio.run(main())
    assert sorted(found) == sorted({f"evt_{number}" for number, _ in sent})


def test_what_is_stored_is_bounded_and_what_is_old_goes() -> None:
    store = FakeAssetStore()

    async def main() -> None:
        seen = SeenEvents("events", DAY, store)
        for hour in range(60):
            for number in range(MOST_IN_SLOT + 5 if hour == 59 else 1):
                seen.add(f"evt_{hour}_{number}", 1_800_000_000.0 + hour * 3600)
            await seen.save()

    asyncio.run(main())
    assert len(store.values) <= 28
    assert max(map(len, store.values.values())) < 65_536


def test_copies_are_one_event(queue: Queue) -> None:
    for name in ("evt_1", "evt_1", "evt_2", "evt_1", "evt_3"):
        deliver(queue, event_id=name)
    found = read(watching(queue), 3)
    assert sorted(one["event_id"] for one in found) == ["evt_1", "evt_2", "evt_3"]


def test_a_gateway_may_encode_the_body_and_the_secret_may_rotate(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, {"webhook_secret": [OTHER_SECRET, SECRET]})
    deliver(queue, event_id="one", encoded=True)
    deliver(queue, event_id="two", secret=OTHER_SECRET)
    assert {one["event_id"] for one in read(watching(queue), 2)} == {"one", "two"}


def test_without_a_secret_nothing_is_taken_from_the_queue(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, {})
    deliver(queue)
    with pytest.raises(ConfigurationError, match="webhook_secret"):
        read(watching(queue), 1)
    assert queue.length == 1


@pytest.mark.parametrize("lacks", ["secret", "queue"])
def test_a_trigger_that_fails_is_not_started_again_at_once(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], lacks: str
) -> None:
    if lacks == "secret":
        connect(monkeypatch, {})
    else:
        queue.url += "-gone"
    monkeypatch.setattr(mediamagic_events, "RESTART_PAUSE", 12345.0)

    async def main() -> None:
        events = cast("AsyncGenerator[TriggerEvent]", watching(queue).run())

        async def first() -> None:
            await anext(events)

        async with aclosing(events):
            failing, logged = asyncio.create_task(first()), ""
            while "read again in 12345 s" not in logged:
                assert not failing.done()
                await asyncio.sleep(0.1)
                logged += capfd.readouterr().out
            failing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await failing

    asyncio.run(main())


class Watch:
    """Reads one event after another, and counts lookups."""

    def __init__(self, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lookups = 0
        self.broken: Exception | None = None
        self.trigger = watching(queue)
        self._real = MediaMagicHook.aload_settings
        self._now = 1000.0
        monkeypatch.setattr(MediaMagicHook, "aload_settings", self._load)
        clock = SimpleNamespace(monotonic=lambda: self._now, time=time.time)
        monkeypatch.setattr(mediamagic_events, "time", clock)

    async def _load(self) -> Any:
        self.lookups += 1
        if self.broken:
            raise self.broken
        return await self._real(MediaMagicHook(CONN_ID))

    def events(self) -> AsyncGenerator[TriggerEvent]:
        """Return what the trigger yields."""
        return cast("AsyncGenerator[TriggerEvent]", self.trigger.run())

    def later(self, seconds: float) -> None:
        """Let time go by for the secrets."""
        self._now += seconds

    async def next(
        self, events: AsyncIterator[TriggerEvent], meanwhile: Callable[[], None] | None = None
    ) -> str:
        """Return the id of the next event; what comes about while the queue is waited for."""

        async def one() -> str:
            return str((await anext(events)).payload["event_id"])

        async with asyncio.timeout(30):
            waiting = asyncio.create_task(one())
            if meanwhile is not None:
                await asyncio.sleep(0.5)
                meanwhile()
            return await waiting


@pytest.fixture
def watch(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(queue, monkeypatch)


@pytest.mark.parametrize(
    "error", [TransportError("away"), UndefinedConnectionError("not defined"), OSError("no API")], ids=repr
)
def test_no_event_is_lost_while_the_secrets_cannot_be_looked_up(
    queue: Queue, watch: Watch, capfd: pytest.CaptureFixture[str], error: Exception
) -> None:
    async def main() -> None:
        async with aclosing(watch.events()) as events:
            deliver(queue, event_id="first")
            assert await watch.next(events) == "first"

            def break_down() -> None:
                watch.later(SECRETS_TTL + 1)
                watch.broken = error
                deliver(queue, event_id="second")

            assert await watch.next(events, break_down) == "second"
            deliver(queue, event_id="third")
            assert await watch.next(events) == "third"
            assert watch.lookups == 2, "not once for every event"
            watch.later(RECHECK_AFTER + 1)
            watch.broken = None
            deliver(queue, event_id="fourth")
            assert await watch.next(events) == "fourth"
            assert watch.lookups == 3, "and again soon"

    asyncio.run(main())
    assert type(error).__name__ in capfd.readouterr().out


def test_a_variable_that_cannot_be_found_for_once_loses_no_event(
    queue: Queue, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = "AIRFLOW_VAR_QUEUE_SECRET"
    monkeypatch.setenv(variable, SECRET)
    connect(monkeypatch, {"webhook_secret_variable": "queue_secret"})

    async def main() -> None:
        async with aclosing(watch.events()) as events:
            deliver(queue, event_id="first")
            assert await watch.next(events) == "first"

            def lose() -> None:
                watch.later(SECRETS_TTL + 1)
                monkeypatch.delenv(variable)
                deliver(queue, event_id="second")

            assert await watch.next(events, lose) == "second"

    asyncio.run(main())
    assert watch.lookups == 2


def test_a_secret_that_was_taken_out_of_the_connection_counts_no_more(
    queue: Queue, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with aclosing(watch.events()) as events:
            deliver(queue, event_id="first")
            assert await watch.next(events) == "first"

            def take_out() -> None:
                watch.later(SECRETS_TTL + 1)
                connect(monkeypatch, {})
                deliver(queue, event_id="second")

            with pytest.raises(ConfigurationError, match="webhook_secret"):
                await watch.next(events, take_out)

    asyncio.run(main())
    deliver(queue, event_id="third")
    with pytest.raises(ConfigurationError, match="webhook_secret"):
        read(watch.trigger, 1)
    assert queue.length == 1


def test_an_event_signed_with_a_new_secret_is_not_dropped(
    queue: Queue, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with aclosing(watch.events()) as events:
            deliver(queue, event_id="first")
            assert await watch.next(events) == "first"
            watch.later(RECHECK_AFTER + 1)
            connect(monkeypatch, {"webhook_secret": OTHER_SECRET})
            deliver(queue, event_id="second", secret=OTHER_SECRET)
            assert await watch.next(events) == "second"

    asyncio.run(main())
    assert watch.lookups == 2


def test_forged_messages_cause_one_lookup_in_a_while(queue: Queue, watch: Watch) -> None:
    async def main() -> None:
        async with aclosing(watch.events()) as events:
            deliver(queue, event_id="first")
            assert await watch.next(events) == "first"
            watch.later(RECHECK_AFTER + 1)
            for number in range(30):
                deliver(queue, event_id=f"forged-{number}", secret=OTHER_SECRET)
            deliver(queue, event_id="last")
            assert await watch.next(events) == "last"

    asyncio.run(main())
    # The queue says nothing of the order: the last may be read before some of the forged ones.
    assert 1 <= watch.lookups <= 2


def test_the_trigger_survives_its_serialization_without_a_secret(queue: Queue) -> None:
    trigger = watching(queue, max_age=60.0)
    path, kwargs = trigger.serialize()
    assert path.endswith(".MediaMagicEventTrigger")
    assert MediaMagicEventTrigger(**kwargs).serialize() == (path, kwargs)
    assert SECRET not in json.dumps(kwargs)


def test_the_queue_of_triggerers_is_not_the_queue_that_is_read() -> None:
    trigger = MediaMagicEventTrigger(scheme="sqs", sqs_queue="https://q", trigger_queue="outside")
    assert trigger.queue == "outside"
    assert "trigger_queue" not in trigger.serialize()[1]


def test_an_age_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="max_age"):
        MediaMagicEventTrigger(scheme="sqs", max_age=0)


@pytest.mark.parametrize(
    "wrapped",
    [
        {"status": "success", "message_batch": [{"Body": '{"headers": {"a": "1"}, "body": "x"}'}]},
        {"type": "message", "channel": "c", "data": b'{"headers": {"a": "1"}, "body": "x"}'},
        '[{"headers": {"a": "1"}, "body": "x"}]',
        {"headers": {"a": "1"}, "body": "x"},
    ],
)
def test_a_request_is_found_however_a_queue_wraps_it(wrapped: Any) -> None:
    assert list(requests_in(wrapped)) == [{"headers": {"a": "1"}, "body": "x"}]


def test_half_a_character_costs_its_own_message_only(queue: Queue) -> None:
    body, headers = signed(envelope("evt_2"))
    broken = "\ud800"
    messages = [
        {"headers": headers, "body": broken},
        {"headers": {**headers, "webhook-signature": f"v1,{broken}"}, "body": body.decode()},
        {"headers": {**headers, "webhook-id": broken}, "body": body.decode()},
        {"headers": {**headers, "webhook-timestamp": broken}, "body": body.decode()},
        {"headers": {**headers, broken: broken}, "body": body.decode()},
    ]
    queue.put(json.dumps(messages))
    deliver(queue, event_id="genuine")
    found = {one["event_id"] for one in read(watching(queue), 2)}
    assert found == {"evt_2", "genuine"}


def test_a_signed_text_that_no_database_takes_is_cleaned(queue: Queue) -> None:
    data = {"submission_id": "sub-1", "asset_id": "asset-1", "status": "\ud800\0\x1b[31mcomplete"}
    queue.receive(*signed(json.dumps(envelope("evt_\ud800", data=data)).encode()), encoded=False)
    (event,) = read(watching(queue), 1)
    json.dumps(event, ensure_ascii=False).encode()
    assert "\0" not in event["status"]
    assert "\x1b" not in event["status"]


def test_one_message_is_a_few_requests_and_one_warning(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    forged = {"headers": signed(envelope(), secret=OTHER_SECRET)[1], "body": "{}"}
    queue.put(json.dumps([forged] * 500))
    deliver(queue, event_id="genuine")
    deliver(queue, event_id="genuine too")

    def dropped() -> list[str]:
        return [line.getMessage() for line in caplog.records if "dropped" in line.getMessage()]

    read(watching(queue), 2)
    assert len(dropped()) <= 1
    assert all(line.startswith(f"{MOST_REQUESTS} requests") for line in dropped())
    assert len(list(requests_in(json.dumps([forged] * 500)))) == MOST_REQUESTS


@pytest.mark.parametrize("wrap", [lambda one: one, json.dumps, lambda one: {"messages": [one]}])
def test_a_flood_in_one_batch_is_bounded_in_requests_and_warnings(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], wrap: Callable[..., Any]
) -> None:
    trigger = watching(queue)
    checked: list[bytes] = []
    monkeypatch.setattr(mediamagic_events, "check_signature", lambda _, body, __, least: checked.append(body))
    payload = wrap([{"headers": signed(b"{}")[1], "body": "{}"}] * 9000)

    async def main() -> None:
        for _ in range(20):
            assert await trigger._new_events(payload, SeenEvents("events", DAY), DAY) == []

    asyncio.run(main())
    assert len(checked) <= 20 * 1000
    assert capfd.readouterr().out.count("were dropped") <= 1


def test_nesting_without_end_is_given_up() -> None:
    payload: Any = {"headers": {"a": "1"}, "body": "x"}
    for _ in range(50):
        payload = [payload]
    assert list(requests_in(payload)) == []
