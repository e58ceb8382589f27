"""Find what a lost request created, by the time it was created."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from airflow_provider.exceptions import LedgerError

CLOCK_SKEW = 60.0
"""Seconds by which the vendor's clock may be behind ours."""


def created_since(
    listed: Iterable[dict[str, Any]], since: float, *, noun: str, besides: Collection[str] = ()
) -> dict[str, Any] | None:
    """
    Return the one object created since a moment.

    :param listed: objects with ``id`` and ``created_at``.
    :param since: epoch seconds.
    :param noun: what the objects are, for the error.
    :param besides: ids that are known to be something else.
    :return: ``None`` when there is none.
    :raises LedgerError: there are several, so that it cannot be told which is meant.
    """
    import pendulum

    found = []
    for item in listed:
        created_at = item.get("created_at")
        if item["id"] in besides or not created_at:
            continue
        created = pendulum.parse(created_at)
        if created.timestamp() >= since - CLOCK_SKEW:  # type: ignore[union-attr]
            found.append(item)
    if len(found) > 1:
        ids = ", ".join(item["id"] for item in found)
        raise LedgerError(
            f"A request for a {noun} was sent and its answer lost; several were created since: {ids}. "
            "Nothing was sent again. Keep one of them and go on with its id."
        )
    return found[0] if found else None
