"""Signatures of deliveries, made by the library that MediaMagic tells receivers to verify them with.

https://docs.mediamagic-lite.northell.io/concepts/webhooks and
https://github.com/standard-webhooks/standard-webhooks.
"""

from __future__ import annotations

import base64
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider.simulator.mediamagic.errors import refuse

if TYPE_CHECKING:
    from standardwebhooks import Webhook

_PREFIX = "whsec_"
#: Seconds; receivers accept five minutes.
_OLD = 600


def new_secret() -> str:
    """A signing secret, as a subscription gets it when it is created."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signer(secret: str) -> Webhook:
    """What signs with a secret.

    :raises Refusal: 500 that names the library when it is not installed; nothing else here needs it.
    """
    try:
        from standardwebhooks import Webhook
    except ImportError:
        raise refuse(
            500, "The simulator needs standardwebhooks to sign webhooks; install the extra 'simulator'"
        ) from None
    return Webhook(secret)


def headers(secret: str, event_id: str, body: bytes, how: str = "right") -> dict[str, str]:
    """The headers of one attempt.

    :param how: one of ``webhook_faults.SIGNATURES``.
    """
    # The wall clock, not the one that tests skip: receivers compare it with theirs.
    seconds = int(time.time()) - (_OLD if how == "old" else 0)
    result = {"webhook-id": event_id, "webhook-timestamp": str(seconds)}
    if how != "none":
        webhook = signer(new_secret() if how == "wrong" else secret)
        result["webhook-signature"] = webhook.sign(
            event_id, datetime.fromtimestamp(seconds, UTC), body.decode()
        )
    return result
