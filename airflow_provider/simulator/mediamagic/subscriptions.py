"""Webhook subscriptions (``/webhooks/create-subscription``, ``/guides/webhook-subscriptions``)."""

from __future__ import annotations

import asyncio
import ipaddress
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from airflow_provider.simulator.calls import Call, NotJson
from airflow_provider.simulator.clock import stamp
from airflow_provider.simulator.keys import Caller
from airflow_provider.simulator.mediamagic.errors import invalid, refuse
from airflow_provider.simulator.mediamagic.events import EVENT_TYPES
from airflow_provider.simulator.mediamagic.signatures import new_secret, signer
from airflow_provider.simulator.replies import Reply, json_reply
from airflow_provider.simulator.world import World

LONGEST_URL = 2083
#: Deliveries to one endpoint at the same time; a slow one holds up no other.
_CONCURRENT = 50


@dataclass(slots=True)
class Subscription:
    """Where events of a workspace go."""

    id: str
    workspace_id: str
    endpoint_url: str
    event_types: list[str]
    description: str | None
    secret: str = field(repr=False)
    created_at: float
    updated_at: float
    enabled: bool = True
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CONCURRENT), repr=False)

    def shown(self) -> dict[str, Any]:
        """Everything but the secret."""
        return {
            "id": self.id,
            "workspaceId": self.workspace_id,
            "endpointUrl": self.endpoint_url,
            "eventTypes": self.event_types,
            "enabled": self.enabled,
            "createdAt": stamp(self.created_at),
            "updatedAt": stamp(self.updated_at),
            "description": self.description,
        }


class Subscriptions:
    """All subscriptions, by id.

    :param opened: called when there is a first one.
    :param closed: called when the last one is gone.
    """

    def __init__(self, world: World, opened: Callable[[], None], closed: Callable[[], None]) -> None:
        self._world = world
        self._opened = opened
        self._closed = closed
        self._all: dict[str, Subscription] = {}

    def __len__(self) -> int:
        return len(self._all)

    def reset(self) -> None:
        """Forget all."""
        self._all.clear()

    def listening(self, workspace_id: str, event_type: str) -> list[Subscription]:
        """The enabled ones of a workspace that want this type of event."""
        return [
            one
            for one in self._all.values()
            if one.enabled and one.workspace_id == workspace_id and event_type in one.event_types
        ]

    def find(self, call: Call, caller: Caller) -> Subscription:
        """The subscription that the path names.

        :raises Refusal: 422 for what is no UUID, 404 for an unknown one, 403 for another workspace's: the
            reference pages of get and update say so, other than for submissions.
        """
        subscription = self._all.get(call.params[0])
        if subscription is None:
            try:
                uuid.UUID(call.params[0])
            except ValueError:
                raise invalid("subscription_id", "Input should be a valid UUID") from None
            raise refuse(404, "Webhook subscription not found")
        if subscription.workspace_id != caller.workspace_id:
            raise refuse(403, "Webhook subscription belongs to another workspace")
        return subscription

    async def create(self, call: Call, caller: Caller) -> Reply:
        """``POST /api/integrations/webhooks/subscriptions``; the only answer with the secret."""
        data = await _object(call)
        url = self._endpoint_url(data.get("endpointUrl"))
        event_types = _event_types(data.get("eventTypes"))
        description = data.get("description")
        if description is not None and not isinstance(description, str):
            raise invalid("description", "Input should be a string")
        most = self._world.settings.max_webhook_subscriptions
        if sum(one.workspace_id == caller.workspace_id for one in self._all.values()) >= most:
            raise invalid("body", f"The workspace has reached its limit of {most} webhook subscriptions")
        secret = new_secret()
        signer(secret)  # so that a missing library is said here and not when the first event comes
        now = self._world.clock.now()
        subscription = Subscription(
            id=str(uuid.uuid4()),
            workspace_id=caller.workspace_id,
            endpoint_url=url,
            event_types=event_types,
            description=description,
            secret=secret,
            created_at=now,
            updated_at=now,
        )
        self._all[subscription.id] = subscription
        if len(self._all) == 1:
            self._opened()
        return json_reply(201, {**subscription.shown(), "secret": secret})

    async def listed(self, call: Call, caller: Caller) -> Reply:
        """``GET /api/integrations/webhooks/subscriptions``; the container is not documented."""
        own = [one.shown() for one in self._all.values() if one.workspace_id == caller.workspace_id]
        if self._world.settings.subscriptions_container == "object":
            return json_reply(200, {"subscriptions": own, "total": len(own)})
        return json_reply(200, own)

    async def read(self, call: Call, caller: Caller) -> Reply:
        """``GET .../subscriptions/{subscription_id}`` (``/webhooks/get-subscription``)."""
        return json_reply(200, self.find(call, caller).shown())

    async def update(self, call: Call, caller: Caller) -> Reply:
        """``PATCH .../subscriptions/{subscription_id}`` (``/webhooks/update-subscription``)."""
        subscription = self.find(call, caller)
        enabled = (await _object(call)).get("enabled")
        if not isinstance(enabled, bool):
            raise invalid("enabled", "Field required" if enabled is None else "Input should be a boolean")
        subscription.enabled = enabled
        subscription.updated_at = self._world.clock.now()
        return json_reply(200, subscription.shown())

    async def delete(self, call: Call, caller: Caller) -> Reply:
        """``DELETE .../subscriptions/{subscription_id}``."""
        subscription = self.find(call, caller)
        # Deliveries that still hold it must not be sent.
        subscription.enabled = False
        del self._all[subscription.id]
        if not self._all:
            self._closed()
        return Reply(204)

    def _endpoint_url(self, url: object) -> str:
        if not isinstance(url, str):
            raise invalid("endpointUrl", "Field required" if url is None else "Input should be a string")
        if not 1 <= len(url) <= LONGEST_URL:
            raise invalid("endpointUrl", f"Should have 1 to {LONGEST_URL} characters")
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise invalid("endpointUrl", "Input should be a valid URL") from None
        if not url.isprintable() or " " in url:
            raise invalid("endpointUrl", "Input should be a valid URL")
        plain = parts.scheme == "http" and self._world.settings.http_webhooks_on_loopback
        if parts.scheme != "https" and not (plain and _is_loopback(host or "")):
            raise invalid("endpointUrl", "URL scheme should be 'https'")
        if not host:
            raise refuse(400, "Webhook subscription is missing a delivery destination")
        return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _event_types(value: object) -> list[str]:
    if not isinstance(value, list) or not value:
        message = "Field required" if value is None else "Input should be a list of at least one event type"
        raise invalid("eventTypes", message)
    for position, one in enumerate(value):
        if one not in EVENT_TYPES:
            raise invalid(f"eventTypes.{position}", f"Input should be {' or '.join(EVENT_TYPES)}")
    return list(dict.fromkeys(value))


async def _object(call: Call) -> dict[str, Any]:
    try:
        data = await call.json()
    except NotJson:
        raise invalid("body", "Body is not JSON") from None
    if not isinstance(data, dict):
        raise invalid("body", "Body is not an object")
    return data
