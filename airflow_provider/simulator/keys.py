"""Which API keys exist, in what state, and whose workspace or account they open."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Any

from airflow_provider.simulator.limits import Limit, parse_limit

MEDIAMAGIC = "mediamagic"
SILENT_WITNESS = "silent_witness"
SERVICES = (MEDIAMAGIC, SILENT_WITNESS)
PREFIXES = {MEDIAMAGIC: ("sk_live_", "sk_test_"), SILENT_WITNESS: ("sk-",)}

#: ``no_plan`` is a 402 at MediaMagic; ``forbidden`` a 403 at Silent Witness.
STATES = ("active", "expired", "revoked", "no_plan", "forbidden")

_NAMESPACE = uuid.UUID("5f1d1d1c-5a0e-4e55-9f55-6d6d2d73776d")


@dataclass(slots=True)
class Caller:
    """The owner of a key."""

    key_hash: str
    state: str
    sandbox: bool
    #: MediaMagic workspace
    workspace_id: str
    #: Silent Witness account
    account_id: str
    #: limits of this key alone, by bucket; ``*`` is every bucket
    limits: dict[str, tuple[Limit, ...]] = field(default_factory=dict)


def key_hash(key: str) -> str:
    """What the ledger shows instead of a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


class KeyRing:
    """All keys. Until :meth:`restrict` is called, any key with the vendor's prefix is good."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Caller] = {}
        self._derived: dict[tuple[str, str], Caller] = {}
        self._restricted: set[str] = set()

    def find(self, service: str, key: str) -> Caller | None:
        """The owner of a key, ``None`` for one that is not recognised."""
        caller = self._known.get((service, key)) or self._derived.get((service, key))
        if caller is not None:
            return caller
        if service in self._restricted or not key.startswith(PREFIXES[service]):
            return None
        caller = self._derived[service, key] = _caller(key)
        return caller

    def register(
        self,
        key: str,
        *,
        service: str | None = None,
        state: str = "active",
        workspace: str | None = None,
        rate_limit: Any = None,
    ) -> str:
        """Make a key known.

        :param service: guessed from the prefix when left out.
        :param workspace: a name; keys with the same name share a workspace or account.
        :param rate_limit: ``"100/60"``, a list of such, or a dict of bucket to either.
        :return: the service that it belongs to.
        """
        if state not in STATES:
            raise ValueError(f"unknown key state {state!r}, one of {', '.join(STATES)}")
        if service is None:
            service = next((name for name, starts in PREFIXES.items() if key.startswith(starts)), None)
        if service not in SERVICES:
            raise ValueError(f"service of the key is needed, one of {', '.join(SERVICES)}")
        caller = _caller(key, workspace)
        caller.state = state
        caller.limits = parse_limits(rate_limit)
        self._known[service, key] = caller
        self._derived.pop((service, key), None)
        return service

    def restrict(self, service: str, on: bool = True) -> None:
        """From now on only registered keys of this service are good (or any, again)."""
        if service not in SERVICES:
            raise ValueError(f"unknown service {service!r}, one of {', '.join(SERVICES)}")
        if on:
            self._restricted.add(service)
            self._derived = {k: v for k, v in self._derived.items() if k[0] != service}
        else:
            self._restricted.discard(service)

    def is_restricted(self, service: str) -> bool:
        """Whether only registered keys of this service are good."""
        return service in self._restricted


def parse_limits(value: Any) -> dict[str, tuple[Limit, ...]]:
    """Limits as the control API and the command line write them."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return {bucket: _several(limits) for bucket, limits in value.items()}
    return {"*": _several(value)}


def _several(value: Any) -> tuple[Limit, ...]:
    return tuple(parse_limit(one) for one in ([value] if isinstance(value, str) else value))


def _caller(key: str, workspace: str | None = None) -> Caller:
    seed = f"workspace {workspace}" if workspace else key
    digest = hashlib.sha256(seed.encode()).hexdigest()
    return Caller(
        key_hash=key_hash(key),
        state="active",
        sandbox=key.startswith("sk_test_"),
        workspace_id=str(uuid.uuid5(_NAMESPACE, seed)),
        account_id=f"acc_{digest[:16]}",
    )
