"""MediaMagic as a service to connect to: its address, and the secrets that its webhooks are signed with."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from airflow_provider.core.http.connection import Service

if TYPE_CHECKING:
    from airflow_provider.core.http.extras import Extras

API: Final = "/api/integrations"

MOST_SUBSCRIPTIONS: Final = 50
"""Most webhook secrets that an object by subscription may hold: each is tried on every event."""

_MOST_SECRETS: Final = 5
_SHORTEST_KEY: Final = 16

WEBHOOK_SECRET: Final = (
    "a secret as MediaMagic returned it (`whsec_` and base64 of at least 16 bytes), or a list of up to "
    f"{_MOST_SECRETS} of them, or an object of up to {MOST_SUBSCRIPTIONS} by subscription"
)
"""What :func:`read_secrets` takes."""


def _extras() -> type[Extras]:
    from airflow_provider.hooks.mediamagic_extras import MediaMagicExtras

    return MediaMagicExtras


def rate_limit_bucket(method: str, path: str) -> str:
    """
    Return which of the six rate limits of a key a request counts against.

    See https://docs.mediamagic-lite.northell.io/reference/rate-limiting
    """
    group = path.removeprefix(API).lstrip("/").partition("/")[0]
    kind = "read" if method == "GET" else "write"
    return {
        "submissions": f"submission_{kind}",
        "webhooks": f"webhook_{kind}",
        "sandbox": "sandbox",
    }.get(group, "upload")


MEDIAMAGIC: Final = Service(
    conn_type="mediamagic",
    name="MediaMagic",
    base_url="https://mm-midmarket-integrations-api-preview.azurewebsites.net",
    bucket=rate_limit_bucket,
    poll_bucket="submission_read",
    extras=_extras,
)


def read_secrets(value: Any) -> tuple[str, ...]:
    """
    Return webhook secrets given as one text, as a list, or in JSON as a list or as an object by subscription.

    A list holds what one subscription signs with while its secret is replaced; an object those of many.

    :raises ValueError: says what was expected, and never quotes the value.
    """
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    most = _MOST_SECRETS
    found = [value] if isinstance(value, str) else value
    if isinstance(found, dict):
        found, most = list(found.values()), MOST_SUBSCRIPTIONS
    if not isinstance(found, list) or not 1 <= len(found) <= most or not all(map(_is_signing_key, found)):
        raise ValueError(WEBHOOK_SECRET)
    return tuple(dict.fromkeys(secret.strip() for secret in found))


def _is_signing_key(secret: Any) -> bool:
    if not isinstance(secret, str):
        return False
    encoded = secret.strip().removeprefix("whsec_").rstrip("=")
    try:
        return len(base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)) >= _SHORTEST_KEY
    except ValueError:
        return False
