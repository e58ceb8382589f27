"""
Verify and parse webhook events of MediaMagic. No network, no database.

See https://docs.mediamagic-lite.northell.io/concepts/webhooks and https://www.standardwebhooks.com
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from standardwebhooks import Webhook

from airflow_provider.core.http.responses import PLAIN_ID
from airflow_provider.core.text import clean
from airflow_provider.hooks.mediamagic_connection import MOST_SUBSCRIPTIONS
from airflow_provider.mediamagic.assets import KINDS

MOST_BYTES: Final = 32 * 1024
"""Longest body that is read. Events hold ids, a status and at most an error message, never results."""

TOLERANCE: Final = 300.0
"""Seconds by which a timestamp may differ from our clock, either way: what ``standardwebhooks`` allows."""

_EVENT_TYPES: Final = tuple(KINDS)
_LONGEST_HEADER: Final = 1024
_CHECKS: Final = 2 * MOST_SUBSCRIPTIONS
"""
Signatures computed for every request, so that its time does not tell how many secrets there are: as many as
the extra and the Variable of a connection may hold.
"""
_NOBODY: Final = "whsec_" + "bm9ib2R5IGhhcyB0aGlzIHNlY3JldA=="


class RefusedError(Exception):
    """
    The request is not taken.

    :param reason: for the answer and the log; says nothing that a stranger may not know.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def not_genuine() -> RefusedError:
    """Return the one answer to every request that does not prove that it comes from MediaMagic."""
    return RefusedError(401, "No matching signature.")


@dataclass(frozen=True, slots=True)
class Event:
    """
    One asset has ended.

    :param conn_id: the connection whose secret proved the event.
    :param id: the same for every delivery of this event.
    :param type: ``asset.processing.completed`` or ``asset.processing.failed``.
    :param asset_id: its asset; empty when the event names none.
    :param status: the asset's status word as sent.
    :param timestamp: when it happened, as sent.
    """

    conn_id: str
    id: str
    type: str
    submission_id: str
    asset_id: str
    status: str
    timestamp: str

    def as_extra(self) -> dict[str, str]:
        """Return what an Airflow asset event says of it: ids and a status, no results."""
        return {
            "event_id": self.id,
            "type": self.type,
            "conn_id": self.conn_id,
            "submission_id": self.submission_id,
            "asset_id": self.asset_id,
            "status": self.status,
            "timestamp": self.timestamp,
        }


def check_age(headers: Mapping[str, str], now: float, *, most: float = TOLERANCE) -> None:
    """
    Refuse what is not signed, or was signed too long ago or in the future.

    :param headers: with lower-case names.
    :param now: epoch seconds.
    :param most: greatest age in seconds.
    :raises RefusedError: 401.
    """
    named = [headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")]
    if not all(named) or max(map(len, named)) > _LONGEST_HEADER:
        raise not_genuine()
    try:
        age = now - float(named[1])
    except ValueError:
        raise not_genuine() from None
    if not -TOLERANCE <= age <= most:
        raise not_genuine()


def check_headers(headers: Mapping[str, str], now: float) -> None:
    """
    Refuse what cannot be an event, from its headers alone: before anything is read or looked up.

    :param headers: with lower-case names.
    :param now: epoch seconds.
    :raises RefusedError: 401, 413 or 415.
    """
    check_age(headers, now)
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RefusedError(415, "Content-Type must be application/json.")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > MOST_BYTES:
        raise RefusedError(413, f"More than {MOST_BYTES} bytes.")


def check_signature(
    secrets: Sequence[str], body: bytes, headers: Mapping[str, str], *, least: int = _CHECKS
) -> None:
    """
    Refuse a body that none of the secrets has signed. As much is computed for one secret, or none, as for all
    that a connection may hold. :func:`check_age` says when it was signed.

    :param secrets: all that are good now; several during a rotation.
    :param body: as it was sent, byte by byte.
    :param least: how many signatures to compute at least; 0 where nobody waits for an answer.
    :raises RefusedError: 401.
    """
    given = [one for one in headers.get("webhook-signature", "").split() if one.isascii()]
    try:
        signed_at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        text = body.decode()
        computed = [
            (Webhook(secret).sign(headers["webhook-id"], signed_at, text).encode(), secret is not _NOBODY)
            for secret in [*secrets, *[_NOBODY] * (least - len(secrets))]
        ]
    except (KeyError, ValueError, OverflowError, OSError):
        raise not_genuine() from None
    matches = [hmac.compare_digest(one, other.encode()) and real for one, real in computed for other in given]
    if not any(matches):
        raise not_genuine()


def read_event(conn_id: str, body: bytes, headers: Mapping[str, str]) -> Event | None:
    """
    Read a body whose signature is good.

    MediaMagic documents the envelope and not all names inside ``data``: those of the REST API are understood
    beside the snake_case ones.

    :return: ``None`` for a type of event that this version does not know.
    :raises RefusedError: 400, not an event.
    """
    try:
        envelope: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(400, "The body is not JSON.") from None
    if not isinstance(envelope, dict):
        raise RefusedError(400, "The body is not an object.")
    if envelope.get("type") not in _EVENT_TYPES:
        return None
    data = envelope.get("data")
    if not isinstance(data, dict):
        raise RefusedError(400, "The field `data` is not an object.")
    submission_id = _text(data, "submission_id", "submissionId")
    asset_id = _text(data, "asset_id", "assetId")
    if not submission_id:
        raise RefusedError(400, "The field `data.submission_id` is missing.")
    for name, value in (("submission_id", submission_id), ("asset_id", asset_id)):
        if value and not PLAIN_ID.fullmatch(value):
            raise RefusedError(400, f"The field `data.{name}` is not an id.")
    return Event(
        conn_id=conn_id,
        id=_plain(_text(envelope, "id") or headers["webhook-id"]),
        type=str(envelope["type"]),
        submission_id=submission_id,
        asset_id=asset_id,
        status=_text(data, "status"),
        timestamp=_text(envelope, "timestamp"),
    )


def _text(data: Mapping[str, Any], *names: str) -> str:
    for name in names:
        value = data.get(name)
        if isinstance(value, str) and value:
            return clean(value, 256)
    return ""


def _plain(event_id: str) -> str:
    """Return an id that can be searched for in a database and shown in a log."""
    return event_id if PLAIN_ID.fullmatch(event_id) else hashlib.sha256(event_id.encode()).hexdigest()
