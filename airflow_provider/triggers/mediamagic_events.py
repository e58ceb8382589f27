"""
Event trigger for MediaMagic webhooks that come through a message queue, where Airflow cannot be reached from
outside.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider.core.arguments import positive_seconds
from airflow_provider.core.seen import SeenEvents
from airflow_provider.core.text import clean
from airflow_provider.exceptions import ConfigurationError, UndefinedConnectionError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.mediamagic_connection import read_secrets
from airflow_provider.mediamagic.webhooks.events import (
    MOST_BYTES,
    TOLERANCE,
    Event,
    RefusedError,
    check_age,
    check_signature,
    read_event,
)

DAY = 86400.0

SEEN = "mediamagic_events"
"""Name under which Airflow stores which events were seen."""

SECRETS_TTL = 300.0
"""Seconds after which the secrets are looked up again, so that a rotation is picked up."""

RECHECK_AFTER = 5.0
"""Seconds between lookups at least: after a wrong signature, and while looking up fails."""

MOST_REQUESTS = 10
"""Requests that are read out of one message; those who can write to the queue may put thousands into it."""

MOST_IN_BATCH = 1000
"""Requests that are read out of what a queue's own trigger yields at a time."""

RESTART_PAUSE = 30.0
"""Seconds from an error to the end of the trigger: Airflow starts it again within a second, for ever."""

WARN_EVERY = 60.0
"""Seconds between two warnings about dropped requests."""

_DEEPEST = 8
"""How deep inside what a queue's own trigger yields a message is looked for."""


class MediaMagicEventTrigger(BaseEventTrigger):
    """
    Turn verified MediaMagic webhooks out of a message queue into asset events.

    Whatever receives the webhooks outside (an API gateway, a function) puts each request into the queue as
    JSON: ``{"headers": {...}, "body": "...", "isBase64Encoded": false}``, which is what AWS API Gateway and
    Lambda call a proxy request. The queue is read by the common messaging provider; the signature is checked
    here, with the connection's secret, so that the way to the queue need not be trusted::

        events = Asset(
            "mediamagic_events",
            watchers=[
                AssetWatcher(
                    name="queue", trigger=MediaMagicEventTrigger(scheme="sqs", sqs_queue="https://...")
                )
            ],
        )

    The ``extra["payload"]`` of the asset event holds ``event_id``, ``type``, ``conn_id``, ``submission_id``,
    ``asset_id``, ``status`` and ``timestamp``. Copies of an event are dropped. On Airflow 3.3.2 and newer,
    with one asset for the trigger, the asset's state store remembers the events, also over a restart.
    Elsewhere only events that were signed in the last five minutes are taken. How the queue is acknowledged
    is up to its own trigger.

    :param scheme: the queue's kind, as ``MessageQueueTrigger`` knows it: ``sqs``, ``redis+pubsub``, ...
    :param conn_id: MediaMagic connection whose webhook secret proves the events, default
        ``mediamagic_default``.
    :param max_age: seconds, or a timedelta, that an event may have lain in the queue, default 86,400; at most
        300 without a store.
    :param trigger_queue: queue of the triggerers that run it (``airflow triggerer --queues``), from Airflow
        3.4 on; named as in ``MessageQueueTrigger``.
    :param queue: arguments of the queue's own trigger, such as ``sqs_queue``.
    """

    def __init__(
        self,
        *,
        scheme: str,
        conn_id: str = MediaMagicHook.default_conn_name,
        max_age: float | timedelta = DAY,
        trigger_queue: str | None = None,
        **queue: Any,
    ) -> None:
        super().__init__()
        self.queue = trigger_queue
        self.scheme = scheme
        self.conn_id = conn_id
        self.max_age = positive_seconds("max_age", max_age)
        self.queue_arguments = queue
        self._dropped: Counter[str] = Counter()
        self._warned_at = -WARN_EVERY
        self._secrets: tuple[str, ...] | None = None
        self._looked_up_at = 0.0
        self._failed = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "scheme": self.scheme,
                "conn_id": self.conn_id,
                "max_age": self.max_age,
                **self.queue_arguments,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Read the queue for ever; yield an event for each new message that MediaMagic has signed."""
        try:
            from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger

            seen, max_age = await self._seen_before()
            while True:
                # What was read may be gone from the queue, so nothing is read that could not be verified.
                await self._current_secrets()
                # A queue's own trigger may end after a batch.
                queue = MessageQueueTrigger(scheme=self.scheme, **self.queue_arguments).trigger
                async for batch in queue.run():
                    for event in await self._new_events(batch.payload, seen, max_age):
                        yield TriggerEvent(event.as_extra())
                await asyncio.sleep(0)
        except Exception as error:
            self.log.error(
                "The queue is read again in %.0f s: %s: %s", RESTART_PAUSE, type(error).__name__, clean(error)
            )
            await asyncio.sleep(RESTART_PAUSE)
            raise

    async def _seen_before(self) -> tuple[SeenEvents, float]:
        """Return which events were seen, and the greatest age in seconds for which that is known."""
        # Airflow 3.3.0 has a store that would block the event loop.
        store = getattr(self, "asset_state_store", None)
        try:
            if hasattr(store, "aget"):
                seen = SeenEvents(SEEN, self.max_age, store)
                await seen.load()
                return seen, self.max_age
        except ValueError:
            pass  # several assets
        if self.max_age > TOLERANCE:
            self.log.warning(
                "Airflow keeps no state for this trigger, which needs Airflow 3.3.2 and one asset that it "
                "watches: only events signed in the last %d seconds count, not %d.",
                TOLERANCE,
                self.max_age,
            )
        max_age = min(self.max_age, TOLERANCE)
        return SeenEvents(SEEN, max_age), max_age

    async def _new_events(self, payload: Any, seen: SeenEvents, max_age: float) -> list[Event]:
        """Return what a batch holds of new events; remembered before anybody learns of them."""
        events = []
        requests = requests_in(payload)
        for message in islice(requests, MOST_IN_BATCH):
            await asyncio.sleep(0)
            try:
                headers = {str(name).lower(): str(value) for name, value in message["headers"].items()}
                check_age(headers, time.time(), most=max_age)
                body = _body(message)
                await self._check_signature(body, headers)
                event = read_event(self.conn_id, body, headers)
            except RefusedError as refused:
                self._dropped[refused.reason] += 1
                continue
            if event is not None and seen.add(event.id, float(headers["webhook-timestamp"])):
                events.append(event)
        if next(requests, None) is not None:
            self._dropped[f"More than {MOST_IN_BATCH} requests at a time."] += 1
        try:
            await seen.save()
        except Exception as error:  # of any kind: what was read from the queue does not come again
            self.log.warning(
                "Which events were seen could not be stored (%s): after a restart a copy of them may count.",
                type(error).__name__,
            )
        self._warn_of_dropped()
        return events

    def _warn_of_dropped(self) -> None:
        now = time.monotonic()
        if self._dropped and now - self._warned_at >= WARN_EVERY:
            reasons = " ".join(f"{reason} ({count})" for reason, count in self._dropped.items())
            self.log.warning("%d requests in the queue were dropped: %s", self._dropped.total(), reasons)
            self._dropped.clear()
            self._warned_at = now

    async def _check_signature(self, body: bytes, headers: dict[str, str]) -> None:
        """Refuse what is signed with none of the secrets, also after they were looked up again."""
        secrets = await self._current_secrets()
        try:
            check_signature(secrets, body, headers, least=0)
        except RefusedError:
            newer = await self._current_secrets(ttl=RECHECK_AFTER)
            if newer == secrets:
                raise
            check_signature(newer, body, headers, least=0)

    async def _current_secrets(self, *, ttl: float = SECRETS_TTL) -> tuple[str, ...]:
        """
        Return the secrets, looked up no longer ago than ``ttl`` seconds.

        The known ones stay in use while a look-up fails: what was read from the queue does not come again. An
        unusable connection is an answer, and no failure to look up.
        """
        now = time.monotonic()
        if self._secrets is None or now - self._looked_up_at > (RECHECK_AFTER if self._failed else ttl):
            self._looked_up_at = now
            try:
                self._secrets = await self._look_up()
                self._failed = False
            except ConfigurationError:
                self._secrets = None
                raise
            except Exception as error:
                if self._secrets is None:
                    raise
                self._failed = True
                self.log.warning(
                    "The webhook secrets of connection %r could not be looked up (%s); those known stay.",
                    self.conn_id,
                    type(error).__name__,
                )
        return self._secrets

    async def _look_up(self) -> tuple[str, ...]:
        settings = await MediaMagicHook(self.conn_id).aload_settings()
        secrets = settings.webhook_secrets
        if name := settings.webhook_secret_variable:
            from airflow.sdk import Variable

            value = await asyncio.to_thread(Variable.get, name, default=None)
            if value is None:  # Airflow says the same when its API does not answer
                raise UndefinedConnectionError(
                    f"Connection {self.conn_id!r}: the Airflow Variable {name!r}, which is to hold the "
                    "webhook secret, was not found."
                )
            try:
                secrets += read_secrets(value)
            except ValueError as error:
                raise ConfigurationError(
                    f"Connection {self.conn_id!r}: the Airflow Variable {name!r} must hold {error}."
                ) from None
        if not secrets:
            raise ConfigurationError(
                f"Connection {self.conn_id!r} has no `webhook_secret` in its extra: nothing can be verified.",
                parameter="webhook_secret",
            )
        return secrets


def requests_in(payload: Any, *, depth: int = _DEEPEST) -> Iterator[dict[str, Any]]:
    """
    Find the requests in what a queue's trigger yields: each kind of queue wraps its messages in its own way.

    :param payload: dicts, lists, and texts that may be JSON; of each text the first ten requests count.
    """
    if isinstance(payload, bytes):
        payload = payload.decode(errors="replace")
    if isinstance(payload, str) and payload.lstrip()[:1] in ("{", "["):
        try:
            found = json.loads(payload)
        except (ValueError, RecursionError):
            return
        yield from islice(requests_in(found, depth=depth), MOST_REQUESTS)
        return
    if depth == 0:
        return
    if isinstance(payload, dict):
        if isinstance(payload.get("headers"), dict) and isinstance(payload.get("body"), str):
            yield payload
        else:
            for value in payload.values():
                yield from requests_in(value, depth=depth - 1)
    elif isinstance(payload, list | tuple):
        for value in payload:
            yield from requests_in(value, depth=depth - 1)


def _body(message: dict[str, Any]) -> bytes:
    text: str = message["body"]
    if len(text) > 2 * MOST_BYTES:
        raise RefusedError(413, f"More than {MOST_BYTES} bytes.")
    try:
        return base64.b64decode(text, validate=True) if message.get("isBase64Encoded") else text.encode()
    except ValueError:
        raise RefusedError(400, "The body is not Base64, or no text.") from None
