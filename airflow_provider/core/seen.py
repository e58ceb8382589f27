"""Which events were seen, kept in Airflow's asset state store: no restart lets a copy in."""

from __future__ import annotations

import hashlib
import math
from typing import Any, Final

MOST_IN_SLOT: Final = 3000
"""Ids that one slot holds: 60 KB; Airflow recommends no more for a value (``max_value_storage_bytes``)."""

SHORTEST_SLOT: Final = 300.0
"""Seconds; also by how much an event may be older than what is asked for."""

_SLOTS: Final = 24


class SeenEvents:
    """
    The ids of events, by when they happened, in slots that are used again in turn.

    :param name: of the events; what is stored is found again by it and ``max_age``.
    :param max_age: greatest age in seconds of what is asked for.
    :param store: the trigger's ``asset_state_store`` (Airflow 3.3.2 or newer); ``None`` remembers in memory.
    """

    def __init__(self, name: str, max_age: float, store: Any = None) -> None:
        self._name = name
        self._seconds = max(max_age / _SLOTS, SHORTEST_SLOT)
        self._count = math.ceil((max_age + SHORTEST_SLOT) / self._seconds) + 1
        self._store = store
        self._slots: dict[int, dict[str, None]] = {}
        self._changed: set[int] = set()

    async def load(self) -> None:
        """
        Read what was stored.

        :raises ValueError: several assets share the trigger, and Airflow gives them no store in common.
        """
        for index in range(self._count):
            stored = await self._store.aget(self._key(index), default=None)
            if isinstance(stored, dict) and isinstance(stored.get("slot"), int):
                self._slots[stored["slot"]] = dict.fromkeys(stored["ids"])

    def add(self, event_id: str, happened_at: float) -> bool:
        """
        Remember an event.

        :param happened_at: epoch seconds.
        :return: whether it was not known.
        """
        digest = hashlib.sha256(event_id.encode()).hexdigest()[:16]
        if any(digest in ids for ids in self._slots.values()):
            return False
        slot = int(happened_at // self._seconds)
        ids = self._slots.setdefault(slot, {})
        ids[digest] = None
        if len(ids) > MOST_IN_SLOT:
            del ids[next(iter(ids))]
        self._changed.add(slot)
        for old in [other for other in self._slots if other <= max(self._slots) - self._count]:
            del self._slots[old]
        return True

    async def save(self) -> None:
        """Store what was added."""
        for slot in sorted(self._changed) if self._store is not None else ():
            if ids := self._slots.get(slot):
                await self._store.aset(self._key(slot), {"slot": slot, "ids": list(ids)})
            self._changed.discard(slot)

    def _key(self, slot: int) -> str:
        return f"{self._name}_seen_{self._seconds:g}_{slot % self._count}"
