"""
Links from a task to pages outside Airflow.

Airflow asks for them on the worker, whenever an attempt ends or is deferred, and keeps each as an XCom; the
web interface reads those alone. An empty address shows no link.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class ProviderLink(BaseOperatorLink):
    """What the links of this package share: a link that cannot be made anew stays what it was."""

    @abstractmethod
    def address(self, operator: Any) -> str:
        """
        Return the web address; empty when there is none.

        :param operator: with its templates rendered, as far as the attempt came.
        """

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the web address; empty when there is none.

        :param operator: the task.
        :param ti_key: its running task instance.
        """
        try:
            return self.address(operator)
        except Exception as error:  # whatever it is, a task does not end differently for want of a link
            operator.log.info("No new link %r: %s", self.name, error)
            ti: Any = ti_key
            found = ti.xcom_pull(task_ids=ti.task_id, key=self.xcom_key, map_indexes=ti.map_index)
            return str(found or "")


def show_links(operator: BaseOperator, ti: Any) -> None:
    """
    Show the links of a task that will keep its worker for long; Airflow itself shows them at the end only.

    :param operator: the task.
    :param ti: its running task instance.
    """
    try:
        for link in operator.operator_extra_links:
            ti.xcom_push(key=link.xcom_key, value=link.get_link(operator, ti_key=ti))
    except Exception as error:  # a wait does not fail for want of a link
        operator.log.warning("Links are not shown before the task ends: %s", error)
