"""ServiceOperator: what all operators and sensors share: a hook, turns on its key, and lineage."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from logging import Logger
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, NoReturn, ParamSpec, TypeVar, cast

from airflow.sdk import BaseOperator

from airflow_provider.compat import conf
from airflow_provider.core.arguments import path_as_template, positive_seconds, switch
from airflow_provider.core.budget.turn_queue import Priority, Ticket
from airflow_provider.core.budget.turns import TurnAwaitedError, Turns, waiting_line
from airflow_provider.core.jobs.ledger import Ledger, owner_name
from airflow_provider.core.lineage import literal_paths, operator_lineage
from airflow_provider.core.naming import show_name
from airflow_provider.core.outlets import tell_outlets
from airflow_provider.exceptions import InvalidInputError, RateLimitedError

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from airflow_provider.core.http.client import ServiceHook
    from airflow_provider.core.http.connection import ConnectionSettings

HookT = TypeVar("HookT", bound="ServiceHook")
OperatorT = TypeVar("OperatorT", bound="ServiceOperator[Any]")
P = ParamSpec("P")
T = TypeVar("T")

TURN_MARGIN = 600.0
"""Seconds past the longest wait for a turn after which Airflow's deferral timeout steps in."""


def in_turn(
    execute: Callable[Concatenate[OperatorT, Context, P], T],
) -> Callable[Concatenate[OperatorT, Context, P], T]:
    """Decorate ``execute``: while the rate limit is used up, the task is deferred, then begins anew."""

    @functools.wraps(execute)
    def deferring(self: OperatorT, context: Context, *args: P.args, **kwargs: P.kwargs) -> T:
        self._require_running_task(context)
        self._wait_here_inside_another_task(context)
        with self.waiting_for_turns("execute", {}):
            return execute(self, context, *args, **kwargs)

    return deferring


class ServiceOperator(BaseOperator, Generic[HookT]):
    """
    A task that speaks to one service. Its class has an argument for the connection id, of the name that its
    hook declares.

    ``settings`` are those of the connection, ``None`` before it was looked up; ``files_read`` and
    ``files_written`` are the files of this attempt; ``turn_priority`` is what its requests are for.

    A rate limit that is used up fails no task and uses up no retry: the task waits for its turn on the key.

    :param deferrable: wait in the triggerer and give the worker slot back. Default: ``[operators]
        default_deferrable``.
    :param max_turn_wait: seconds that one wait for a turn may take, beside all other limits but
        ``execution_timeout``. Default: the connection's, 12 hours.
    """

    hook_class: ClassVar[type[Any]]
    turn_priority: Priority = Priority.FINISH

    def __init__(
        self,
        *,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        max_turn_wait: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self.max_turn_wait = max_turn_wait
        self.settings: ConnectionSettings | None = None
        self._turns: Turns | None = None
        self._ticket: Ticket | None = None
        self._turn_until: float | None = None
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
        hook.turns = self.turns
        return hook

    @contextmanager
    def hook_of_dry_run(self) -> Iterator[HookT]:
        """Open a hook that waits for its turns here: outside of Airflow no task could be deferred."""
        hook = self.hook()
        with hook, hook.turns.in_place():
            try:
                yield hook
            finally:
                hook.turns.close()

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

    def record_files(self, context: Context, manifests: Sequence[dict[str, Any]]) -> None:
        """Keep what was written for lineage and links, and let the events of ``outlets`` carry it."""
        self.files_written = [manifest["path"] for manifest in manifests]
        tell_outlets(self.outlets, context, manifests)

    def render_template(self, content: Any, *args: Any, **kwargs: Any) -> Any:
        """Render a template: a text or an ``ObjectStoragePath``, as in Airflow, and a ``Path`` too."""
        return super().render_template(path_as_template(content), *args, **kwargs)

    # -- the task that runs ----------------------------------------------------------------------------------

    def is_nested(self, context: Context) -> bool:
        """Whether another task runs, and calls this operator, as in ``Operator(...).execute(context)``."""
        task = getattr(context["ti"], "task", self)
        return not hasattr(task, "resume_after_turn") or task.task_id != self.task_id

    def ledger(self, context: Context, request: Callable[[], dict[str, Any]]) -> Ledger:
        """
        Return the record of what this task instance has asked for.

        :param request: returns what is asked for, as plain JSON: it tells those apart that one task calls.
        """
        part = ""
        if self.is_nested(context):
            asked = [self.task_id, type(self).__name__, self.conn_id, request()]
            part = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:16]
        ledger = Ledger.of(context, part)
        ledger.owner = owner_name(context, part)
        return ledger

    def _require_running_task(self, context: Any) -> None:
        """Refuse to run outside a task, where there is no record to find a paid job by."""
        if not context or context.get("ti") is None:
            raise InvalidInputError(
                f"{type(self).__name__}.execute needs the context of a running task. Let Airflow run the "
                "operator (dag.test() does as well), or pass get_current_context() inside a @task.",
                parameter="context",
            )

    # -- turns on the key ------------------------------------------------------------------------------------

    @property
    def turns(self) -> Turns:
        """What stands between this attempt's requests and the key's rate limit."""
        if self._turns is None:
            self._turns = Turns(
                patience=self._turn_patience(),
                defers=switch("deferrable", self.deferrable),
                priority=Priority.CANCEL if self.is_teardown else self.turn_priority,
                ticket=self._ticket,
                log=self.task_log,
            )
        return self._turns

    def finish_first(self) -> None:
        """Go before those who start something: what follows is for a job that was paid for."""
        self.turn_priority = Priority.FINISH
        if self._turns is not None:
            self._turns.priority = Priority.FINISH

    @contextmanager
    def waiting_for_turns(self, method: str, arguments: dict[str, Any]) -> Iterator[None]:
        """
        Defer the task where a turn has to be waited for, then call the method again from its beginning.

        :param method: of this operator.
        :param arguments: of that method, beside the context; plain JSON.
        """
        try:
            yield
        except TurnAwaitedError as awaited:
            self._await_turn(awaited, method, arguments)
        finally:
            if self._turns is not None:
                self._turns.close()
            self._turns = self._ticket = self._turn_until = None

    def _wait_here_inside_another_task(self, context: Context) -> None:
        """Airflow resumes the task that runs, and a ``@task`` that calls an operator cannot go on with it."""
        if self.deferrable is True and self.is_nested(context):
            self.log.warning(
                "%s runs inside the task %s, which Airflow could not resume for it: it waits on the worker. "
                "Make it a task of its own to defer it, and to have a kill cancel its job.",
                type(self).__name__,
                context["ti"].task_id,
            )
            self.deferrable = False

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral."""
        with self.waiting_for_turns(next_method, next_kwargs or {}):
            return self.go_on(next_method, next_kwargs, context)

    def go_on(self, method: str, arguments: dict[str, Any] | None, context: Context) -> Any:
        """Call the method that was to be called after a deferral."""
        return super().resume_execution(method, arguments, context)

    def resume_after_turn(self, context: Context, event: dict[str, Any]) -> Any:
        """
        Go on when the task's turn has come, or no more is waited for it.

        :param event: of the trigger. It says what to go on with, because ``dag.test()`` drops what
            ``defer(kwargs=...)`` is given.
        :raises RateLimitedError: no turn came in time.
        """
        if event["status"] == "timeout":
            raise RateLimitedError(
                f"No turn on the key of connection {self.conn_id!r} within {self._turn_patience():.0f} s "
                "(max_turn_wait, execution_timeout): its rate limit is used up.",
                http_status=None,
            )
        self._ticket = Ticket(
            event["ticket"],
            Priority(event["priority"]),
            event["since"],
            event["requests"],
            bucket=event["bucket"],
        )
        self._turn_until = event["until"]
        method, arguments = event["method"], event["arguments"]
        return (
            self.execute(context)
            if method == "execute"
            else self.resume_execution(method, arguments, context)
        )

    def _await_turn(self, awaited: TurnAwaitedError, method: str, arguments: dict[str, Any]) -> NoReturn:
        from airflow_provider.core.jobs.turn_trigger import TurnTrigger

        ticket, patience, now = awaited.ticket, self._turn_patience(), awaited.now
        until = self._turn_until
        if until is None or self.turns.progressed:
            until = now + patience  # else it has come no further than before
        left = max(0.0, until - now)
        self.log.info("%s", waiting_line(self.conn_id, awaited.wait, awaited.ahead, left))
        self.defer(
            trigger=TurnTrigger(
                hook=f"{self.hook_class.__module__}.{self.hook_class.__qualname__}",
                conn_id=self.conn_id,
                bucket=ticket.bucket,
                ticket=ticket.id,
                priority=int(ticket.priority),
                since=ticket.since,
                requests=ticket.requests,
                not_before=now + awaited.pause,
                until=until,
                method=method,
                arguments=arguments,
            ),
            method_name="resume_after_turn",
            timeout=timedelta(seconds=left + TURN_MARGIN),
        )

    def _turn_patience(self) -> float:
        # Airflow itself does not count the time that a task is deferred.
        limit = inf if self.execution_timeout is None else self.execution_timeout.total_seconds()
        if self.max_turn_wait is not None:
            return min(limit, positive_seconds("max_turn_wait", self.max_turn_wait))
        if self.settings is None:
            self.settings = self.hook_class(self.conn_id).settings
        return min(limit, self.settings.max_turn_wait)

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
