"""Names that moved between Airflow 3.1 and 3.4, and what is worked around in all of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airflow import __version__ as version

if TYPE_CHECKING:
    from airflow.sdk import BranchMixIn, conf
    from airflow.sdk.exceptions import (
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        TaskDeferralError,
        TaskDeferralTimeout,
    )
else:
    try:
        from airflow.sdk.exceptions import (
            AirflowFailException,
            AirflowNotFoundException,
            AirflowSensorTimeout,
            AirflowSkipException,
            TaskDeferralError,
            TaskDeferralTimeout,
        )
    except ImportError:  # Airflow 3.1
        from airflow.exceptions import (
            AirflowFailException,
            AirflowNotFoundException,
            AirflowSensorTimeout,
            AirflowSkipException,
            TaskDeferralError,
            TaskDeferralTimeout,
        )
    try:
        from airflow.sdk import conf
    except ImportError:  # Airflow 3.1
        from airflow.configuration import conf
    try:
        from airflow.sdk import BranchMixIn
    except ImportError:  # Airflow 3.1
        from airflow.providers.standard.operators.branch import BranchMixIn


def airflow_stats() -> Any:
    """Return Airflow's metrics interface (``incr``, ``gauge``, ``timing``); imported on first use."""
    try:
        from airflow.sdk.observability.stats import Stats
    except ImportError:  # Airflow 3.1
        from airflow.stats import Stats
    return Stats


def answers_asynchronously() -> bool:
    """
    Return whether Airflow can be asked from an event loop, which ``dag.test()`` cannot.

    There a trigger's lookup of a connection finds only those of the environment and of a secrets backend, and
    says of all others that they are not defined.
    """
    from airflow.sdk.execution_time import task_runner

    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return comms is None or hasattr(comms, "asend")


def runs_in_local_executor() -> bool:
    """Return whether LocalExecutor runs this task: then all its attempts run where the scheduler runs."""
    # Airflow forks the task from a process of the executor, and tells it nothing of that.
    return "airflow.executors.local_executor" in sys.modules


CLEAR_DISCARDS_TASK_STATE = tuple(int(part) for part in version.split(".")[:2]) >= (3, 4)
"""Whether a clear discards what a task has stored, unless the user keeps it."""

SHORTEST_DEFERRAL = 10.0
"""
Seconds for which a task stays deferred at least. When it is resumed sooner, the scheduler may learn only then
that the process that deferred it has ended, takes that for the end of the resumed one and fails the task:
https://github.com/apache/airflow/issues/72716 and its kin, in all supported versions.
"""


def earliest_event(trigger_id: object, now: float) -> float:
    """
    Return when a trigger may yield its event, epoch seconds.

    :param trigger_id: of the trigger; ``None`` where no triggerer runs it, as in ``dag.test()``.
    :param now: when it was started.
    """
    return now if trigger_id is None else now + SHORTEST_DEFERRAL


__all__ = [
    "CLEAR_DISCARDS_TASK_STATE",
    "SHORTEST_DEFERRAL",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "BranchMixIn",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "airflow_stats",
    "answers_asynchronously",
    "conf",
    "earliest_event",
    "runs_in_local_executor",
]
