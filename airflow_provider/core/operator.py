"""ServiceOperator: what all operators and sensors share, a hook for their connection and lineage."""

from __future__ import annotations

from collections.abc import Sequence
from logging import Logger
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from airflow.sdk import BaseOperator

from airflow_provider.core.lineage import literal_paths, operator_lineage
from airflow_provider.core.naming import show_name

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from airflow_provider.core.http.client import ServiceHook
    from airflow_provider.core.http.connection import ConnectionSettings

HookT = TypeVar("HookT", bound="ServiceHook")


class ServiceOperator(BaseOperator, Generic[HookT]):
    """
    A task that speaks to one service. Its class has an argument for the connection id, of the name that its
    hook declares.

    ``settings`` are those of the connection, ``None`` before it was looked up; ``files_read`` and
    ``files_written`` are the files of this attempt.
    """

    hook_class: ClassVar[type[Any]]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings: ConnectionSettings | None = None
        self.files_read: list[str] = []
        self.files_written: list[str] = []

    @property
    def conn_id(self) -> str:
        """The connection id."""
        return str(getattr(self, self.hook_class.conn_name_attr))

    def hook(self, *, refresh: bool = False) -> HookT:
        """
        Return a hook; the connection is looked up once per operator.

        :param refresh: look it up again.
        """
        known = self.settings
        usable = known is not None and known.conn_id == self.conn_id and not refresh
        hook: HookT = self.hook_class(self.conn_id, settings=known if usable else None)
        self.settings = hook.settings
        return hook

    def push_result(self, context: Context, value: Any) -> None:
        """Push what the task is about to return, to know whether Airflow takes it."""
        if self.do_xcom_push:
            context["ti"].xcom_push(key="return_value", value=value)

    def push_early(self, context: Context, key: str, value: Any) -> None:
        """Push what people want to know before the task ends; that it cannot be pushed ends no task."""
        if self.do_xcom_push:
            try:
                context["ti"].xcom_push(key=key, value=value)
            except Exception as error:
                self.log.warning("Could not push XCom %s: %s", key, error)

    @property
    def task_log(self) -> Logger:
        """The task's log, as what our own modules take; Airflow declares an interface of its own for it."""
        return cast("Logger", self.log)

    def item_name(self) -> str:
        """
        Return what a person calls what this task instance works on; empty when there is no such name.

        Asked before the arguments are checked, so they may be anything.
        """
        return ""

    def pre_execute(self, context: Any) -> None:
        """Show the name of a mapped task instance, also when it resumes."""
        super().pre_execute(context)
        show_name(context, self.item_name())

    # -- what OpenLineage asks, in a process of its own around the task --------------------------------------

    def lineage_inputs(self) -> Sequence[str]:
        """Return the files that were read; before they are, those that ``files`` names one by one."""
        return self.files_read or literal_paths(getattr(self, "files", None))

    def lineage_job(self, task_instance: Any) -> dict[str, Any]:
        """
        Return ``kind``, ``jobId`` and what else is known of the service's job; empty when there is none.

        :param task_instance: the running one; ``None`` at the task's start.
        """
        return {}

    def get_openlineage_facets_on_start(self) -> OperatorLineage | None:
        """Describe what will be read."""
        return operator_lineage(self, None)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage | None:
        """Describe what was read, written and paid for."""
        return operator_lineage(self, task_instance)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage | None:
        """Describe how far it came."""
        return operator_lineage(self, task_instance)
