"""The synchronous wait: the same decisions as a trigger's, on the worker."""

from __future__ import annotations

from collections.abc import Callable
from logging import Logger

from airflow_provider.core.budget.turns import SLICE
from airflow_provider.core.polling.wait import Observation, PollOutcome, Wait
from airflow_provider.errors import ProviderError


def wait_here(
    wait: Wait,
    poll: Callable[[], Observation],
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    log: Logger,
    check: Callable[[], None] = lambda: None,
    polled: Callable[[Wait], None] = lambda wait: None,
) -> PollOutcome:
    """
    Poll a job until its wait is over.

    :param wait: decides; its schedule chooses the pauses.
    :param poll: makes one status request; raises errors of our tree.
    :param clock: epoch seconds.
    :param sleep: as :func:`time.sleep`.
    :param log: gets a line when status or progress changes.
    :param check: called at least once a second; raises to abandon the wait.
    :param polled: called after each poll that was answered.
    :return: how the wait ended.
    """
    while True:
        while (pause := wait.pause(clock())) > 0:
            check()
            sleep(min(pause, SLICE))
        check()
        try:
            observation = poll()
        except ProviderError as error:
            outcome = wait.on_error(error, clock())
            log.warning("%s %s: %s", wait.noun.capitalize(), wait.job_id, error)
        else:
            outcome = wait.on_state(observation, clock())
            if line := wait.status_line():
                log.info(line)
            polled(wait)
        if outcome is not None:
            return outcome
