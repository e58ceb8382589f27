"""Signed links: a path, a moment, an HMAC over both."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from enum import Enum

from airflow_provider.simulator.clock import Clock


class Check(Enum):
    """What is wrong with a signed link."""

    GOOD = "good"
    EXPIRED = "expired"
    INVALID = "invalid"


class Signer:
    """Signs and checks for one run of the simulator."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(32)

    def sign(self, permission: str, path: str, expires: str, nonce: str) -> str:
        """The signature of a link.

        :param permission: ``r`` to read, ``cw`` to create and write.
        :param expires: epoch seconds as text, part of what is signed.
        :param nonce: makes each link its own.
        """
        text = "\n".join((permission, path, expires, nonce))
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    def check(self, permission: str, path: str, expires: str, nonce: str, signature: str) -> Check:
        """Whether a link is good now."""
        expected = self.sign(permission, path, expires, nonce)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            return Check.INVALID
        return Check.GOOD if self._clock.now() < float(expires) else Check.EXPIRED

    def expiry(self, vendor_seconds: float) -> str:
        """The moment until which a link made now is good."""
        return f"{self._clock.now() + self._clock.real(vendor_seconds):.3f}"


def new_nonce() -> str:
    """Something that no other link has."""
    return secrets.token_hex(8)
