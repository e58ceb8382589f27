"""What goes wrong on the way of a webhook, switched on for all deliveries at once."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

#: ``right``; ``wrong`` is made with another secret; ``old`` is right, but for a timestamp that has left every
#: window; ``none`` leaves the header out.
SIGNATURES = ("right", "wrong", "old", "none")


@dataclass(slots=True)
class WebhookFaults:
    """Shares are from 0 to 1, durations are vendor seconds."""

    #: share of deliveries that are never sent
    loss: float = 0.0
    #: share of deliveries that are sent twice, at the same time or, with ``reorder``, at two
    duplicate: float = 0.0
    #: hold each copy back for a random part of ``reorder_window``
    reorder: bool = False
    reorder_window: float = 10.0
    #: hold every copy back for so long
    delay: float = 0.0
    #: one of :data:`SIGNATURES`; asked at each attempt, so that retries get better when it does
    signature: str = "right"
    seed: int = 0
    _random: random.Random = field(default_factory=random.Random, repr=False)

    def __post_init__(self) -> None:
        self._random.seed(self.seed)

    def copies(self) -> list[float]:
        """When the copies of one delivery are sent: vendor seconds after its event, none when it is lost."""
        # The same number of draws each time: switching one fault on does not move the others.
        lost, twice, *spread = (self._random.random() for _ in range(4))
        if lost < self.loss:
            return []
        window = self.reorder_window if self.reorder else 0.0
        return [self.delay + window * part for part in spread[: 2 if twice < self.duplicate else 1]]

    def shown(self) -> dict[str, Any]:
        """As the control API shows them."""
        return {name: getattr(self, name) for name in _PARAMETERS}


_PARAMETERS = ("loss", "duplicate", "reorder", "reorder_window", "delay", "signature", "seed")


def parse_webhook_faults(data: dict[str, Any]) -> WebhookFaults:
    """Faults as the control API writes them; what is left out is off.

    :raises ValueError: an unknown name, or a value that makes no sense.
    """
    unknown = set(data) - set(_PARAMETERS)
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(_PARAMETERS)}")
    faults = WebhookFaults(**data)
    for name, most in (("loss", 1), ("duplicate", 1), ("reorder_window", math.inf), ("delay", math.inf)):
        value = getattr(faults, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise ValueError(f"{name} is a number from 0 to {most}, not {value!r}")
    if not isinstance(faults.reorder, bool):
        raise ValueError("reorder is true or false")
    if faults.signature not in SIGNATURES:
        raise ValueError(f"signature is one of {', '.join(SIGNATURES)}")
    return faults
