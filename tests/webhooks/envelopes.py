"""Events as MediaMagic sends them, signed by the reference library."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_" + base64.b64encode(b"a secret of the tests, 32 bytes.").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"another secret of 32 whole bytes").decode()

COMPLETED = "asset.processing.completed"
FAILED = "asset.processing.failed"


def envelope(event_id: str = "evt_1", **changes: Any) -> dict[str, Any]:
    """The body of an event, as an object."""
    data = {"submission_id": "sub-1", "asset_id": "asset-1", "status": "complete"}
    return {"id": event_id, "type": COMPLETED, "timestamp": "2026-01-02T03:04:05Z", "data": data} | changes


def signed(
    body: bytes | dict[str, Any], *, secret: str = SECRET, event_id: str = "evt_1", age: float = 0.0
) -> tuple[bytes, dict[str, str]]:
    """A body and its headers.

    :param age: seconds since it was signed.
    """
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    seconds = int(time.time() - age)
    signature = Webhook(secret).sign(event_id, datetime.fromtimestamp(seconds, UTC), content.decode())
    return content, {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": signature,
    }
