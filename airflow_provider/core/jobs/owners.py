"""Which task has which job, over all Dags: kept where those who use a key share its budget."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


def owner_name(context: Context, part: str = "") -> str:
    """
    Return the name of the running task instance, the same for all its attempts.

    :param part: of the record; see :func:`~airflow_provider.core.jobs.nested.part_of_record`.
    """
    ti: Any = context["ti"]
    return "\0".join(str(one) for one in (ti.dag_id, ti.run_id, ti.task_id, ti.map_index, part))


class JobOwners:
    """
    The owners of jobs. What cannot be read or written is not known: nothing but a search depends on it.

    :param hook: of the service; jobs are told apart by its host and key.
    :param name: of the task instance that asks; empty for none.
    """

    def __init__(self, hook: Any, name: str) -> None:
        self._hook = hook
        self._name = name

    def take(self, job_id: str) -> None:
        """Record that the task instance has the job, unless another has it."""
        self._first_of(job_id, self._name)

    def is_others(self, job_id: str) -> bool:
        """Whether another task instance has the job."""
        return self._first_of(job_id, "") not in ("", self._name)

    def _first_of(self, job_id: str, name: str) -> str:
        """Return who has the job; the given one, if nobody has."""

        def change(state: dict[str, Any] | None, _: float) -> tuple[dict[str, Any], str]:
            owner = str((state or {}).get("owner") or name)
            return {"owner": owner}, owner

        if not self._name:
            return ""
        try:
            key = f"{self._hook.settings.identity}:job:{job_id}"
            owner: str = self._hook.store.update(key, change)
        except Exception as error:
            log.warning("Which task has job %s is not known: %s", job_id, error)
            return ""
        return owner
