"""What every operator of this package shares: a hook for its connection, and checked arguments."""

from __future__ import annotations

from collections.abc import Sequence
from logging import Logger
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from airflow.sdk import BaseOperator

from airflow_provider.core.lineage.operators import TracksLineage
from airflow_provider.exceptions import InvalidInputError

if TYPE_CHECKING:
    from airflow_provider.core.http.client import ServiceHook
    from airflow_provider.core.http.connection import ConnectionSettings

HookT = TypeVar("HookT", bound="ServiceHook")


class ServiceOperator(TracksLineage, BaseOperator, Generic[HookT]):
    """
    An operator that speaks to one of the services.

    :param conn_id: connection id.
    """

    hook_class: ClassVar[type[Any]]
    template_fields: Sequence[str] = ("conn_id",)

    def __init__(self, *, conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self._settings: ConnectionSettings | None = None
        self._read: list[str] = []
        self._written: list[str] = []

    def hook(self) -> HookT:
        """Return a hook; the connection is looked up once per operator."""
        hook: HookT = self.hook_class(self.conn_id, settings=self._settings)
        self._settings = hook.settings
        return hook

    @property
    def task_log(self) -> Logger:
        """The task's log, as what our own modules take; Airflow declares an interface of its own for it."""
        return cast("Logger", self.log)


def required_id(argument: str, value: Any) -> str:
    """
    Return an id that must be there: upstream tasks may have returned nothing.

    :raises InvalidInputError: it is empty or not a string.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # Dags with render_template_as_native_obj turn digits into numbers
    if not isinstance(value, str) or not value.strip() or value.strip() == "None":
        raise InvalidInputError(
            f"{argument} must be a non-empty string; got {value!r}. Did the upstream task push its XCom?",
            parameter=argument,
        )
    return value.strip()


def as_bool(argument: str, value: Any) -> bool:
    """
    Return a boolean that a template may have turned into text.

    :raises InvalidInputError: it is neither a boolean nor ``true`` or ``false``.
    """
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in ("true", "false"):
        raise InvalidInputError(f"{argument} must be true or false; got {value!r}.", parameter=argument)
    return text == "true"


def switch(argument: str, value: Any) -> bool:
    """
    Return a boolean argument that is no template: the text of one would count as true.

    :raises InvalidInputError: it is anything but ``True`` or ``False``.
    """
    if not isinstance(value, bool):
        raise InvalidInputError(
            f"{argument} must be True or False, and is no template; got {value!r}.", parameter=argument
        )
    return value


def whole_number(argument: str, value: Any, *, least: int = 0) -> int:
    """
    Return a count that is no template.

    :raises InvalidInputError: it is no whole number, or less than ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInputError(
            f"{argument} must be a whole number from {least}, and is no template; got {value!r}.",
            parameter=argument,
        )
    return value


def one_of(argument: str, value: Any, allowed: Sequence[str]) -> str:
    """
    Return a value that must be one of ``allowed``.

    :raises InvalidInputError: it is not.
    """
    if value not in allowed:
        raise InvalidInputError(
            f"{argument} must be one of {', '.join(allowed)}; got {value!r}.", parameter=argument
        )
    return str(value)
