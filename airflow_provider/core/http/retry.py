"""When a request may be sent again, and after which pause. Pure: no I/O, no clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from airflow_provider.exceptions import ApiError, RateLimitedError, ServerError, TransportError

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
TRANSIENT_STATUS: Final = frozenset({408, 425, 500, 502, 503, 504})


def may_send_again(method: str, error: ApiError) -> bool:
    """
    Whether sending the request again can do nothing twice.

    A POST is repeated only when the service refused to look at it (429) or was never reached. After a 5xx or
    a lost answer it may have been carried out.
    """
    if isinstance(error, RateLimitedError):
        return True
    if isinstance(error, TransportError):
        return not error.sent or method in IDEMPOTENT
    if isinstance(error, ServerError):
        return method in IDEMPOTENT and error.http_status in TRANSIENT_STATUS
    return False


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """
    How patiently one request is sent again.

    :param max_retries: attempts after the first.
    :param total: seconds after the first attempt in which a further one may begin.
    :param first: longest pause before the first retry, in seconds; it doubles from there.
    :param cap: longest pause, in seconds, unless the service asks for more.
    """

    max_retries: int = 4
    total: float = 120.0
    first: float = 1.0
    cap: float = 30.0

    def pause(
        self,
        error: ApiError,
        *,
        method: str,
        retries: int,
        elapsed: float,
        rng: Callable[[], float] = random.random,
    ) -> float | None:
        """
        Return the seconds to wait before the next attempt, or ``None`` to let the error out.

        :param error: what came of the last attempt.
        :param method: HTTP method.
        :param retries: retries made so far.
        :param elapsed: seconds since the first attempt began.
        :param rng: source of jitter, 0 to 1.
        """
        if retries >= self.max_retries or not may_send_again(method, error):
            return None
        pause = min(self.cap, self.first * 2.0 ** min(retries, 16)) * (0.5 + 0.5 * rng())
        if error.retry_after is not None:
            # Never earlier than asked; a little later, so that many waiters do not come back at once.
            pause = max(pause, error.retry_after * (1.0 + 0.1 * rng()))
        return pause if elapsed + pause <= self.total else None
