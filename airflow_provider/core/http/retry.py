"""
Retries: whether a request may be sent again, and after which pause. Pure: no I/O, no sleep.

The API's requests, the asynchronous half and the transfers of files all ask this module; nothing else reads
``Retry-After``.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from logging import Logger
from typing import Final

from airflow_provider.core.http.responses import http_date
from airflow_provider.exceptions import (
    ApiError,
    MalformedResponseError,
    RateLimitedError,
    ServerError,
    SubmitOutcomeUnknownError,
    TransportError,
)

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
TRANSIENT_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 531)})
"""
Status codes after which the same request may succeed later. From 520 on they are a CDN's that did not get an
answer from the server behind it:
https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors
"""


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


def may_have_started(error: BaseException) -> bool:
    """
    Whether a paid call that ended with this error may have done its work all the same.

    True for a lost answer, a 5xx, a 2xx that cannot be read, and a 3xx such as 303, which tells where to see
    what was done. False for a request that never left, a refusal, and a redirect to another address, which
    was not followed.
    """
    if isinstance(error, TransportError):
        return error.sent
    if isinstance(error, MalformedResponseError):
        status = error.http_status
        return status is None or (status < 400 and status not in (301, 302, 307, 308))
    return isinstance(error, ServerError | SubmitOutcomeUnknownError)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """
    Return the seconds that an answer asks to wait: ``Retry-After`` as seconds or as a date, else
    ``X-RateLimit-Reset`` (epoch seconds) when nothing remains.

    :param headers: with lower-case names, or of a mapping that takes names in any case.
    :param now: epoch seconds; the answer's own ``Date`` wins, so that a wrong local clock does no harm.
    """
    served_at = http_date(headers.get("date", ""))
    if served_at is not None:
        now = served_at
    elif now is None:
        now = time.time()
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]*)?", text):
        return float(text)
    moment = http_date(text)
    if moment is None and headers.get("x-ratelimit-remaining", "0").strip() == "0":
        reset = headers.get("x-ratelimit-reset", "").strip()
        moment = float(reset) if re.fullmatch(r"[0-9]{9,11}(\.[0-9]*)?", reset) else None
    return None if moment is None else max(0.0, moment - now)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """
    How patiently one request is sent again.

    :param max_retries: attempts after the first.
    :param total: seconds after the first attempt in which a further one may begin.
    :param first: longest pause before the first retry, in seconds; it doubles from there.
    :param cap: longest pause, in seconds, unless the service asks for more.
    :param jitter: random share of a pause, 0 to 1; 0 for transfers, which do not start at the same time.
    """

    max_retries: int = 4
    total: float = 120.0
    first: float = 1.0
    cap: float = 30.0
    jitter: float = 0.5

    def next_pause(
        self,
        retries: int,
        *,
        asked: float | None = None,
        elapsed: float = 0.0,
        rng: Callable[[], float] = random.random,
    ) -> float | None:
        """
        Return the seconds to wait before a retry; ``None`` when none is left or the time would not do.

        :param retries: retries made so far, or since the last progress.
        :param asked: what :func:`retry_after` read from the answer; the pause is never shorter.
        :param elapsed: seconds since the first attempt began, or since the last progress.
        :param rng: source of jitter, 0 to 1.
        """
        if retries >= self.max_retries:
            return None
        pause = min(self.cap, self.first * 2.0 ** min(retries, 16)) * (1.0 - self.jitter * (1.0 - rng()))
        if asked is not None:
            # A little later than asked, so that many waiters do not come back at once.
            pause = max(pause, asked * (1.0 + 0.2 * self.jitter * rng()))
        return pause if elapsed + pause <= self.total else None


@dataclass(slots=True)
class Attempts:
    """
    The attempts of one request: how many were made, and when the next one may begin.

    :param endpoint: ``METHOD /path``, for the log.
    :param log: each repetition is written there, with its reason and pause.
    :param now: returns seconds, monotonic.
    :param rng: source of jitter, 0 to 1.
    :param began_at: when the first attempt began, on the same clock.
    """

    method: str
    endpoint: str
    policy: RetryPolicy
    log: Logger
    now: Callable[[], float]
    rng: Callable[[], float]
    began_at: float
    retries: int = 0

    def pause_after(self, error: ApiError) -> float:
        """
        Return the seconds to wait before the next attempt.

        :raises ApiError: the error itself; there is no next attempt.
        """
        pause = None
        if may_send_again(self.method, error):
            elapsed = self.now() - self.began_at
            asked = error.retry_after
            pause = self.policy.next_pause(self.retries, asked=asked, elapsed=elapsed, rng=self.rng)
        if pause is None:
            raise error
        self.retries += 1
        reason = (
            f"answered {error.http_status}"
            if error.http_status
            else str(error).removeprefix(f"{self.endpoint} ")
        )
        self.log.warning(
            "%s: %s; sending it again in %.1f s (retry %d of %d)",
            self.endpoint,
            reason,
            pause,
            self.retries,
            self.policy.max_retries,
        )
        return pause
