"""One task in a Dag of its own, run by the machinery behind ``dag.test()``: in process, through the real
Execution API, triggers in line. Attempts can be made one by one, for what lies between them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow.sdk import DAG

TASK_ID = "job"
_numbers = itertools.count(1)


class WorkerDied(BaseException):
    """The worker process is gone: nothing of ours may catch this, as nothing could have run."""


@dataclass
class Recorder:
    """What passes between Airflow and the tasks while they run: outcomes, triggers, events."""

    dag_ids: list[str] = field(default_factory=list)
    errors: list[BaseException | None] = field(default_factory=list)
    deferrals: list[Any] = field(default_factory=list)
    triggers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        from airflow.sdk.execution_time import supervisor
        from airflow.sdk.execution_time.comms import DeferTask

        run_task = supervisor.run_task_in_process
        run_trigger = supervisor.InProcessTestSupervisor.run_trigger_in_process

        def recorded_task(*args: Any, **kwargs: Any) -> Any:
            outcome = run_task(*args, **kwargs)
            if isinstance(outcome.msg, DeferTask):
                self.deferrals.append(outcome.msg)
            else:
                self.errors.append(outcome.error)
            return outcome

        def recorded_trigger(*, trigger: Any, ti: Any) -> Any:
            self.triggers.append(trigger.serialize())
            event = run_trigger(trigger=trigger, ti=ti)
            self.events.append(event.payload)
            return event

        patch.setattr(supervisor, "run_task_in_process", recorded_task)
        patch.setattr(
            supervisor.InProcessTestSupervisor, "run_trigger_in_process", staticmethod(recorded_trigger)
        )


class TaskRun:
    """
    One task instance, from its first attempt on.

    :param make: makes the operator; called inside a Dag, gets ``task_id`` and retries without delay.
    :param retries: of the task.
    """

    def __init__(self, make: Callable[..., Any], recorder: Recorder, *, retries: int = 0) -> None:
        from airflow.sdk import DAG

        self.recorder = recorder
        self.dag = DAG(f"one_task_{next(_numbers)}", schedule=None)
        recorder.dag_ids.append(self.dag.dag_id)
        with self.dag:
            self.task: Any = make(task_id=TASK_ID, retries=retries, retry_delay=timedelta(0))
        register(self.dag)
        self.run_id = ""

    # -- making it happen ------------------------------------------------------------------------------------

    def test(self) -> TaskRun:
        """Run the Dag with ``dag.test()``, retries and all."""
        self.run_id = self.dag.test().run_id
        return self

    def attempt(self, *, until_deferred: bool = False, **next_call: Any) -> TaskRun:
        """
        Make one attempt, or resume one.

        :param until_deferred: leave it deferred; its trigger does not run.
        :param next_call: ``next_method`` and ``next_kwargs``, as the scheduler would set them.
        """
        from airflow.sdk.definitions.dag import _run_task
        from airflow.utils.state import TaskInstanceState

        session = fresh_session()
        if not self.run_id:
            self.run_id = _new_run(self.dag, session)
        ti = self._row(session)
        if next_call:
            ti.next_method, ti.next_kwargs = next_call["next_method"], next_call["next_kwargs"]
        elif ti.state != TaskInstanceState.UP_FOR_RESCHEDULE:
            ti.try_number += 1
        ti.state = TaskInstanceState.SCHEDULED
        session.commit()
        _run_task(ti=ti, task=self.task, run_triggerer=not until_deferred)
        return self

    def resume(self, event: dict[str, Any], **kwargs: Any) -> TaskRun:
        """Let the trigger's event arrive, whenever it was sent."""
        return self.attempt(next_method="execute_complete", next_kwargs={"event": event}, **kwargs)

    def deferral_timeout(self) -> TaskRun:
        """What the scheduler does when a trigger exceeds the timeout of its deferral."""
        return self.attempt(next_method="__fail__", next_kwargs={"error": "Trigger timeout"})

    def trigger_failure(self) -> TaskRun:
        """What the scheduler does when a trigger has crashed or cannot be imported."""
        error = {"error": "Trigger failure", "traceback": ["ImportError: no such trigger"]}
        return self.attempt(next_method="__fail__", next_kwargs=error)

    def clear(self) -> TaskRun:
        """Clear the task, as a user does; the scheduler then starts its Dag run once more."""
        from airflow.models.taskinstance import clear_task_instances

        session = fresh_session()
        row = self._row(session)
        clear_task_instances([row], session)
        row.dag_run.start_date = datetime.now(UTC)
        session.commit()
        return self

    def discard_task_state(self) -> TaskRun:
        """What a clear does as well from Airflow 3.4 on; 3.1 and 3.2 keep nothing over a retry anyway."""
        if has_state_store():
            from airflow.models.task_state_store import TaskStateStoreModel as Stored
            from sqlalchemy import delete

            session = fresh_session()
            session.execute(delete(Stored).where(Stored.dag_id == self.dag.dag_id))
            session.commit()
        return self

    def replace(self) -> None:
        """Give the attempt that runs up for lost, as the scheduler does when its heartbeats are missing."""
        session = fresh_session()
        self._row(session).prepare_db_for_next_try(session)
        session.commit()

    # -- what came of it -------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        return str(self._row(fresh_session()).state)

    @property
    def tries(self) -> int:
        return int(self._row(fresh_session()).try_number)

    @property
    def next_start(self) -> datetime:
        """When a sensor that has rescheduled itself is to run again."""
        from airflow.models.taskreschedule import TaskReschedule
        from sqlalchemy import select

        session = fresh_session()
        query = select(TaskReschedule.reschedule_date).where(TaskReschedule.ti_id == self._row(session).id)
        dates: list[datetime] = list(session.scalars(query))
        return max(dates)

    @property
    def error(self) -> BaseException:
        """The error of the last attempt, which must have had one."""
        error = self.recorder.errors[-1]
        assert error is not None, f"the task ended without an error, in state {self.state}"
        return error

    @property
    def errors(self) -> list[BaseException]:
        """The errors of all attempts."""
        return [error for error in self.recorder.errors if error is not None]

    @property
    def xcoms(self) -> dict[str, Any]:
        """Everything in XCom, by key."""
        from airflow.models.xcom import XComModel
        from sqlalchemy import select

        rows = fresh_session().scalars(
            select(XComModel).where(XComModel.dag_id == self.dag.dag_id, XComModel.run_id == self.run_id)
        )
        return {row.key: XComModel.deserialize_value(row) for row in rows}

    @property
    def value(self) -> Any:
        """What the task returned; only a task that succeeded has it."""
        assert self.state == "success", self.errors
        return self.xcoms["return_value"]

    @property
    def rendered(self) -> dict[str, Any]:
        """The template fields, as the web interface shows them."""
        (fields,) = rendered_fields(self.dag.dag_id, TASK_ID, self.run_id)
        return fields

    @property
    def record(self) -> dict[str, Any] | None:
        """What the ledger holds: from Airflow 3.3 in the task state store, before that in an XCom."""
        from airflow_provider.core.jobs.ledger import KEY

        if not has_state_store():
            return self.xcoms.get(KEY)
        from airflow.models.task_state_store import TaskStateStoreModel as Stored
        from sqlalchemy import select

        query = select(Stored.value).where(
            Stored.dag_id == self.dag.dag_id, Stored.run_id == self.run_id, Stored.key == KEY
        )
        value = fresh_session().scalars(query).one_or_none()
        return None if value is None else dict(json.loads(value))

    def _row(self, session: Any) -> Any:
        from airflow.models.taskinstance import TaskInstance
        from sqlalchemy import select

        return session.scalars(
            select(TaskInstance).where(
                TaskInstance.dag_id == self.dag.dag_id, TaskInstance.run_id == self.run_id
            )
        ).one()


def fresh_session() -> Any:
    """A session that sees what the in-process API server has written meanwhile."""
    from airflow import settings

    session = settings.Session()  # type: ignore[misc]
    session.rollback()
    session.expire_all()
    return session


def attempts_own_their_data() -> bool:
    """Whether XComs and rendered fields belong to one attempt, and go with it (Airflow 3.4)."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields

    return not hasattr(RenderedTaskInstanceFields, "dag_id")


def rendered_fields(dag_id: str, task_id: str, run_id: str | None = None) -> list[dict[str, Any]]:
    """The template fields of each instance of a task, as the web interface shows them."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields as Fields
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    query: Any = select(Fields.rendered_fields)
    owner: Any = Fields
    if attempts_own_their_data():
        query = query.join(TaskInstance, TaskInstance.id == Fields.task_instance_id)
        owner = TaskInstance
    query = query.where(owner.dag_id == dag_id, owner.task_id == task_id)
    if run_id is not None:
        query = query.where(owner.run_id == run_id)
    return [dict(fields) for fields in fresh_session().scalars(query)]


def has_state_store() -> bool:
    """Whether this Airflow keeps task state over retries (3.3)."""
    try:
        import airflow.models.task_state_store  # noqa: F401
    except ImportError:
        return False
    return True


needs_state_store = pytest.mark.skipif(not has_state_store(), reason="about Airflow's own store, from 3.3 on")


def trigger_kwargs(deferral: Any) -> dict[str, Any]:
    """The trigger's arguments, as the triggerer gets them."""
    try:
        from airflow.sdk.serde import deserialize
    except ImportError:  # Airflow 3.1 and 3.2
        return dict(deferral.trigger_kwargs)
    kwargs: Any = deserialize(deferral.trigger_kwargs)
    return dict(kwargs)


def register(dag: DAG) -> None:
    """Write the Dag to the metadata database, as the Dag processor does."""
    import os

    from airflow.dag_processing.bundles.manager import DagBundlesManager

    try:
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag, sync_bag_to_db  # type: ignore[no-redef]

    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(os.devnull)
    dag.fileloc = str(Path(__file__).resolve())  # its source is kept with it, so it must be a file
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)


def _new_run(dag: DAG, session: Any) -> str:
    """Make the run that ``dag.test()`` would make."""
    from datetime import UTC, datetime

    from airflow.models.dagrun import get_or_create_dagrun

    try:
        from airflow.serialization.serialized_objects import DagSerialization
    except ImportError:  # Airflow 3.1
        from airflow.serialization.serialized_objects import (  # type: ignore[assignment, attr-defined]
            SerializedDAG as DagSerialization,
        )
    from airflow.utils.types import DagRunTriggeredByType

    now = datetime.now(UTC)
    run = get_or_create_dagrun(
        dag=DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)),
        run_id=f"manual__{now.isoformat()}",
        logical_date=now,
        data_interval=(now, now),
        run_after=now,
        conf=None,
        triggered_by=DagRunTriggeredByType.TEST,
        triggering_user_name="test",
        start_date=now,
        session=session,
    )
    session.commit()
    return str(run.run_id)


def as_stored(dag: DAG) -> Any:
    """The Dag as the API server reads it from the database."""
    try:
        from airflow.serialization.serialized_objects import DagSerialization
    except ImportError:  # Airflow 3.1
        from airflow.serialization.serialized_objects import (  # type: ignore[assignment, attr-defined]
            SerializedDAG as DagSerialization,
        )
    # Whoever reads a serialized Dag decides this for the whole process; the API server wants links.
    DagSerialization._load_operator_extra_links = True
    return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
