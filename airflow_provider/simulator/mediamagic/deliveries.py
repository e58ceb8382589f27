"""What became of each delivery (``/api-reference/webhooks/list-subscription-deliveries``)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider.simulator.calls import Call
from airflow_provider.simulator.clock import stamp
from airflow_provider.simulator.mediamagic.errors import invalid
from airflow_provider.simulator.mediamagic.events import Event
from airflow_provider.simulator.mediamagic.subscriptions import Subscription
from airflow_provider.simulator.replies import Reply, json_reply

DEFAULT_LIMIT, HIGHEST_LIMIT = 50, 200


@dataclass(slots=True)
class DeliveryAttempt:
    """One request to the endpoint that is over."""

    event_id: str
    at: float
    #: ``None`` when no answer came
    response_status: int | None
    id: str = field(default_factory=lambda: f"atm_{uuid.uuid4().hex}")

    @property
    def status(self) -> str:
        """In the words of Hookdeck, which the documentation names as the sender."""
        return "SUCCESSFUL" if self.succeeded else "FAILED"

    @property
    def succeeded(self) -> bool:
        """Whether the endpoint has taken the event."""
        return self.response_status is not None and 200 <= self.response_status < 300


@dataclass(slots=True)
class Delivery:
    """One event on its way to one subscription, with all its attempts and copies."""

    event: Event
    subscription_id: str
    #: how often a fault, or none, lets it be sent: 0 is lost, 2 is doubled
    copies: int
    attempts: list[DeliveryAttempt] = field(default_factory=list)
    sent_at: float | None = None
    delivered_at: float | None = None


class Deliveries:
    """All deliveries, and the attempts of each subscription."""

    def __init__(self) -> None:
        self._all: list[Delivery] = []
        self._attempts: dict[str, list[DeliveryAttempt]] = {}

    def reset(self) -> None:
        """Forget all."""
        self._all = []
        self._attempts = {}

    def add(self, delivery: Delivery) -> None:
        """One more."""
        self._all.append(delivery)

    def attempted(self, delivery: Delivery, at: float, response_status: int | None) -> DeliveryAttempt:
        """Note an attempt that is over."""
        attempt = DeliveryAttempt(delivery.event.id, at, response_status)
        delivery.attempts.append(attempt)
        self._attempts.setdefault(delivery.subscription_id, []).append(attempt)
        return attempt

    async def listed(self, call: Call, subscription: Subscription) -> Reply:
        """``GET .../subscriptions/{subscription_id}/deliveries``, newest first."""
        text = call.query.get("limit", str(DEFAULT_LIMIT))
        limit = int(text) if text.isdecimal() else 0
        if not 1 <= limit <= HIGHEST_LIMIT:
            raise invalid("limit", f"Input should be an integer from 1 to {HIGHEST_LIMIT}")
        wanted = call.query.get("status_filter", "").upper()
        found = [
            attempt
            for attempt in reversed(self._attempts.get(subscription.id, []))
            if not wanted or attempt.status == wanted
        ][:limit]
        return json_reply(200, {"attempts": list(_shown(found)), "total": len(found)})

    def ledger(self) -> list[dict[str, Any]]:
        """All, as the ledger lists them. Moments are those of the simulator's clock."""
        return [
            {
                "event_id": one.event.id,
                "type": one.event.type,
                "subscription_id": one.subscription_id,
                "submission_id": one.event.submission_id,
                "asset_id": one.event.asset_id,
                "copies": one.copies,
                "due_at": one.event.happened_at,
                "sent_at": one.sent_at,
                "delivered_at": one.delivered_at,
                "attempts": len(one.attempts),
                "response_statuses": [attempt.response_status for attempt in one.attempts],
            }
            for one in self._all
        ]


def _shown(attempts: Iterable[DeliveryAttempt]) -> Iterable[dict[str, Any]]:
    for attempt in attempts:
        yield {
            "id": attempt.id,
            "status": attempt.status,
            "createdAt": stamp(attempt.at),
            "responseStatus": attempt.response_status,
            "eventId": attempt.event_id,
        }
