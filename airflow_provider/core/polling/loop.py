"""The synchronous wait: the same decisions as a trigger's, on the worker."""

from __future__ import annotations

from collections.abc import Callable
from logging import Logger

from airflow_provider.core.polling.wait import Observation, PollOutcome, Wait
from airflow_provider.exceptions import ProviderError

SLICE = 1.0
"""Longest single sleep in seconds, so that a kill is noticed soon."""


def wait_here(
    wait: Wait,
    look: Callable[[], Observation],
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    log: Logger,
    check: Callable[[], None] = lambda: None,
) -> PollOutcome:
    """
    Look at a job until its wait is over.

    :param wait: decides; its pace chooses the pauses.
    :param look: makes one status request; raises errors of our tree.
    :param clock: epoch seconds.
    :param sleep: as :func:`time.sleep`.
    :param log: gets a line when status or progress changes.
    :param check: called at least once a second; raises to abandon the wait.
    :return: how the wait ended.
    """
    while True:
        while (pause := wait.next_look() - clock()) > 0:
            check()
            sleep(min(pause, SLICE))
        check()
        try:
            observation = look()
        except ProviderError as error:
            verdict = wait.stumbled(error, clock())
            log.warning("%s %s: %s", wait.noun.capitalize(), wait.job_id, error)
        else:
            verdict = wait.saw(observation, clock())
            if news := wait.news():
                log.info(news)
        if verdict is not None:
            return verdict
