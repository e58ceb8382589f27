"""Requests about a case that this Dag has just made, which the service may not know everywhere yet."""

from __future__ import annotations

from collections.abc import Callable
from logging import Logger
from typing import TYPE_CHECKING, TypeVar

from airflow_provider.core.jobs import pay_once
from airflow_provider.core.jobs.claims import claimed_ids
from airflow_provider.exceptions import NotFoundError

if TYPE_CHECKING:
    from airflow.sdk import Context

T = TypeVar("T")

NEW_CASE = "new_case_id"
"""XCom key of the id of a case that the task itself has made."""


def is_new_case(context: Context, case_id: str) -> bool:
    """Whether a task of this Dag has made the case."""
    return case_id in (claimed_ids(context, NEW_CASE) or ())


def once_known(
    send: Callable[[], T], *, is_new: Callable[[], bool], log: Logger, pause: Callable[[float], object]
) -> T:
    """
    Send a request, for half a minute again while it is answered 404 and its case is new.

    :param send: sends it; a 404 has done nothing.
    :param is_new: asked after a 404.
    :param log: of the task.
    :param pause: waits some seconds.
    """
    for seconds in pay_once.READ_PAUSES:
        try:
            return send()
        except NotFoundError as error:
            if not is_new():
                raise
            log.warning("%s The case was made a moment ago; sending it again in %.0f s.", error, seconds)
            pause(seconds)
    return send()
