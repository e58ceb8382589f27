"""What the two services share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider.simulator.clock import Clock
from airflow_provider.simulator.keys import KeyRing
from airflow_provider.simulator.ledger import Ledger
from airflow_provider.simulator.limits import RateLimiter
from airflow_provider.simulator.scripts import Scripts
from airflow_provider.simulator.settings import Settings
from airflow_provider.simulator.signing import Signer
from airflow_provider.simulator.webhook_faults import WebhookFaults


@dataclass(slots=True)
class World:
    """Clock, keys, switches, disk: everything that is not one vendor's own."""

    clock: Clock
    settings: Settings
    keys: KeyRing
    limiter: RateLimiter
    scripts: Scripts
    ledger: Ledger
    signer: Signer
    data_dir: Path
    storage_port: int = 0
    webhook_faults: WebhookFaults = field(default_factory=WebhookFaults)

    def too_new(self, created_at: float) -> bool:
        """Whether something is in no answer yet but that to its creation."""
        lag = self.settings.read_lag
        return lag > 0 and self.clock.now() < created_at + self.clock.real(lag)

    def storage_url(self, hostname: str) -> str:
        """The storage origin, under the host name that the client used."""
        return f"http://{hostname}:{self.storage_port}"
