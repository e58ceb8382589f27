"""Webhook events (``/concepts/webhooks``): one for each asset that ends."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from airflow_provider.simulator.clock import stamp
from airflow_provider.simulator.replies import json_body

COMPLETED = "asset.processing.completed"
FAILED = "asset.processing.failed"
EVENT_TYPES = (COMPLETED, FAILED)


@dataclass(slots=True, frozen=True)
class Event:
    """Something that happened to an asset."""

    type: str
    submission_id: str
    asset_id: str
    #: epoch seconds
    happened_at: float
    #: of a failure
    error_message: str | None = None
    id: str = field(default_factory=lambda: f"evt_{uuid.uuid4().hex}")

    def body(self) -> bytes:
        """The Standard Webhooks envelope. Results are never in it."""
        failed = self.type == FAILED
        data: dict[str, Any] = {
            "submission_id": self.submission_id,
            "asset_id": self.asset_id,
            "status": "failed" if failed else "complete",
        }
        if failed:
            data["error_message"] = self.error_message
        return json_body(
            {"id": self.id, "type": self.type, "timestamp": stamp(self.happened_at), "data": data}
        )
