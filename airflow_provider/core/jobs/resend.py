"""Send a request again that a service refuses because it does not know everywhere what it was just told."""

from __future__ import annotations

from collections.abc import Callable
from logging import Logger
from typing import Any, TypeVar

from airflow_provider.core.jobs import pay_once
from airflow_provider.exceptions import ApiError

T = TypeVar("T")


def resend_refused(
    send: Callable[[], T],
    *,
    may_pass: Callable[[ApiError], bool],
    hook: Any,
    log: Logger,
    pause: Callable[[float], object],
) -> T:
    """
    Send a request, again for half a minute while it is refused with an error that may pass.

    :param send: sends it.
    :param may_pass: whether an error is a refusal, after which nothing was done, that may be lifted.
    :param hook: of the service. What is paid for is on record as about to be sent before each repetition.
    :param log: of the task.
    :param pause: waits some seconds.
    :raises ApiError: any other error at once; the last refusal when the time is over.
    """
    for seconds in pay_once.READ_PAUSES:
        try:
            return send()
        except ApiError as error:
            if not may_pass(error):
                raise
            log.warning("%s The service may be behind; sending it again in %.0f s.", error, seconds)
        pause(seconds)
        if hook.before_resending is not None:
            hook.before_resending()
    return send()
