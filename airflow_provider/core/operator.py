"""ServiceOperator: what every operator of this package shares, a hook for its connection."""

from __future__ import annotations

from logging import Logger
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from airflow.sdk import BaseOperator

from airflow_provider.core.lineage.operators import TracksLineage

if TYPE_CHECKING:
    from airflow_provider.core.http.client import ServiceHook
    from airflow_provider.core.http.connection import ConnectionSettings

HookT = TypeVar("HookT", bound="ServiceHook")


class ServiceOperator(TracksLineage, BaseOperator, Generic[HookT]):
    """An operator that speaks to one of the services."""

    hook_class: ClassVar[type[Any]]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._settings: ConnectionSettings | None = None
        self._read: list[str] = []
        self._written: list[str] = []

    @property
    def conn_id(self) -> str:
        """The connection id, which each vendor's operators take under a name of its own."""
        conn_id: str = getattr(self, self.hook_class.conn_name_attr)
        return conn_id

    def hook(self) -> HookT:
        """Return a hook; the connection is looked up once per operator."""
        hook: HookT = self.hook_class(self.conn_id, settings=self._settings)
        self._settings = hook.settings
        return hook

    @property
    def task_log(self) -> Logger:
        """The task's log, as what our own modules take; Airflow declares an interface of its own for it."""
        return cast("Logger", self.log)
