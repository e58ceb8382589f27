"""Bounded waits: for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY = 0.2
"""Real seconds between two looks at a condition."""


def until(condition: Callable[[], T], what: str, *, seconds: float = 240.0) -> T:
    """
    Return the first truthy value of ``condition``.

    :param what: what is waited for, for the message.
    :param seconds: far more than it ever takes; only a broken run waits so long.
    :raises AssertionError: it did not become true in time.
    """
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds:.0f} s for: {what}; last seen: {value!r}"
        time.sleep(LOOK_EVERY)
