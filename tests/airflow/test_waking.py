"""An event resumes the task that waits for its submission: what Airflow's trigger table makes of it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider import compat
from airflow_provider.mediamagic.webhooks.events import Event
from airflow_provider.plugins import waking
from airflow_provider.plugins.waking import Outcome, Waker, still_awaited
from tests.airflow.jobs import ENDLESS, SubmissionJob
from tests.airflow.task_run import TaskRun, trigger_kwargs

CONN_ID = "mediamagic_default"


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "SHORTEST_DEFERRAL", 0.0)


@pytest.fixture(autouse=True)
def no_triggers_of_others(airflow_db: None) -> Iterator[None]:
    """The database is shared by all tests of the session."""
    yield
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session
    from sqlalchemy import delete, update

    with create_session() as session:
        session.execute(update(TaskInstance).values(trigger_id=None))
        session.execute(delete(Trigger))


class Deferred:
    """A task that waits for a submission of so many assets."""

    def __init__(self, submission: SubmissionJob, tmp_path: Any, assets: int = 1) -> None:
        submission.takes(ENDLESS)
        paths = [tmp_path / f"asset-{number}.txt" for number in range(assets)]
        for path in paths:
            path.write_text(f"{path.name}: GlowTonic is the number one tonic.\n")
        self.run: TaskRun = submission.task(
            files=[str(path) for path in paths], deferrable=True, poll_interval=None
        ).attempt(until_deferred=True)
        kwargs = trigger_kwargs(self.run.recorder.deferrals[-1])
        self.submission_id: str = kwargs["job_id"]
        self.awaited: list[str] = kwargs["awaited"]

    def event(self, asset: int = 0, **changes: Any) -> Event:
        event = Event(
            conn_id=CONN_ID,
            id=f"evt_{asset}",
            type="asset.processing.completed",
            submission_id=self.submission_id,
            asset_id=self.awaited[asset],
            status="complete",
            timestamp="2026-01-02T03:04:05Z",
        )
        return dataclasses.replace(event, **changes)

    @property
    def row(self) -> Any:
        """The task instance."""
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            return session.scalars(
                select(TaskInstance).where(TaskInstance.dag_id == self.run.dag.dag_id)
            ).one()

    def set_trigger(self, **columns: Any) -> int:
        """Change the row of its trigger; its id."""
        from airflow.models.trigger import Trigger
        from airflow.utils.session import create_session

        with create_session() as session:
            trigger = session.get(Trigger, self.row.trigger_id)
            assert trigger is not None
            for name, value in columns.items():
                setattr(trigger, name, value)
            return int(trigger.id)


@pytest.fixture
def deferred(submission: SubmissionJob, tmp_path: Any) -> Deferred:
    return Deferred(submission, tmp_path)


def test_an_event_resumes_the_task(deferred: Deferred) -> None:
    assert deferred.run.state == "deferred"

    assert Waker().wake([deferred.event()]) == [Outcome.WOKEN]

    assert deferred.run.state == "scheduled"
    assert deferred.row.trigger_id is None
    assert deferred.row.next_method == "execute_complete"
    assert "woken" in str(deferred.row.next_kwargs)
    assert deferred.submission_id in str(deferred.row.next_kwargs)


def test_the_same_event_again_does_nothing(deferred: Deferred) -> None:
    waker = Waker()
    assert waker.connections() == {CONN_ID}
    assert waker.wake([deferred.event(), deferred.event()]) == [Outcome.WOKEN, Outcome.NOBODY]
    assert Waker().wake([deferred.event()]) == [Outcome.NOBODY]


def test_a_task_that_was_deferred_only_just_now_is_not_resumed_yet(
    deferred: Deferred, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compat, "SHORTEST_DEFERRAL", 1000.0)
    waker = Waker()
    assert waker.wake([deferred.event()]) == [Outcome.EARLY]
    assert deferred.run.state == "deferred"

    monkeypatch.setattr(compat, "SHORTEST_DEFERRAL", 0.0)
    assert waker.wake([deferred.event()]) == [Outcome.WOKEN]


def test_the_task_is_resumed_when_all_assets_have_ended_whoever_heard_of_them(
    submission: SubmissionJob, tmp_path: Any
) -> None:
    deferred = Deferred(submission, tmp_path, assets=3)
    one, other = Waker(), Waker()  # two API servers
    assert one.wake([deferred.event(1), deferred.event(1)]) == [Outcome.NOTED] * 2
    assert other.wake([deferred.event(0)]) == [Outcome.NOTED]
    assert deferred.run.state == "deferred"
    assert one.wake([deferred.event(2)]) == [Outcome.WOKEN]
    assert deferred.run.state == "scheduled"


@pytest.mark.parametrize(
    "changes", [{"conn_id": "another"}, {"submission_id": "another"}], ids=["connection", "submission"]
)
def test_an_event_of_something_else_resumes_nothing(deferred: Deferred, changes: dict[str, str]) -> None:
    assert Waker().wake([dataclasses.replace(deferred.event(), **changes)]) == [Outcome.NOBODY]
    assert deferred.run.state == "deferred"


def test_a_task_that_an_older_version_deferred_is_resumed_by_any_event(deferred: Deferred) -> None:
    kwargs = {"conn_id": CONN_ID, "job_id": deferred.submission_id, "submitted_at": 1.0, "deadline": 2.0}
    deferred.set_trigger(kwargs=kwargs)
    assert Waker().wake([deferred.event(asset_id="whatever")]) == [Outcome.WOKEN]


def test_a_task_deferred_after_the_first_look_is_found(
    deferred: Deferred, submission: SubmissionJob, tmp_path: Any
) -> None:
    waker = Waker()
    assert waker.wake([deferred.event(submission_id="unknown")]) == [Outcome.NOBODY]
    later = Deferred(submission, tmp_path)
    assert waker.wake([later.event()]) == [Outcome.WOKEN]
    assert deferred.run.state == "deferred"


def test_an_event_after_the_poll_does_nothing(deferred: Deferred) -> None:
    from airflow.models.trigger import Trigger
    from airflow.triggers.base import TriggerEvent

    waker = Waker()
    waker.wake([deferred.event(submission_id="unknown")])  # so that it knows of the trigger
    Trigger.submit_event(deferred.row.trigger_id, TriggerEvent({"status": "success"}))
    assert waker.wake([deferred.event()]) == [Outcome.NOBODY]
    assert "woken" not in str(deferred.row.next_kwargs)


def test_a_poll_after_the_event_does_nothing(deferred: Deferred) -> None:
    from airflow.models.trigger import Trigger
    from airflow.triggers.base import TriggerEvent

    trigger_id = deferred.row.trigger_id
    Waker().wake([deferred.event()])
    Trigger.submit_event(trigger_id, TriggerEvent({"status": "success"}))
    assert "woken" in str(deferred.row.next_kwargs)


def test_a_trigger_that_cannot_be_read_keeps_no_other_from_being_found(
    deferred: Deferred, submission: SubmissionJob, tmp_path: Any
) -> None:
    deferred.set_trigger(encrypted_kwargs="{not json")
    other = Deferred(submission, tmp_path)
    assert Waker().wake([other.event()]) == [Outcome.WOKEN]


def test_an_airflow_that_cannot_be_used_is_reported_once_and_nothing_breaks(
    deferred: Deferred, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from airflow.models.trigger import Trigger

    monkeypatch.delattr(Trigger, "submit_event")
    waker = Waker()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert waker.wake([deferred.event()]) == [Outcome.NOBODY]
    assert len([record for record in caplog.records if "cannot wake tasks" in record.message]) == 1
    assert deferred.run.state == "deferred"


def test_a_woken_task_reads_the_truth_and_waits_on(deferred: Deferred) -> None:
    """An event is a hint: the submission still runs, so the task defers again, for the same time."""
    woken = waking.waking_event({"job_id": deferred.submission_id}, deferred.event())
    before = trigger_kwargs(deferred.run.recorder.deferrals[-1])

    deferred.run.resume(woken, until_deferred=True)

    assert deferred.run.state == "deferred"
    after = trigger_kwargs(deferred.run.recorder.deferrals[-1])
    assert after["deadline"] == before["deadline"]
    assert after["awaited"] == before["awaited"]


def test_a_woken_task_whose_submission_has_ended_returns_it(
    deferred: Deferred, submission: SubmissionJob
) -> None:
    submission.simulator.advance(ENDLESS)
    deferred.run.resume(waking.waking_event({"job_id": deferred.submission_id}, deferred.event()))
    assert deferred.run.value["submissionId"] == deferred.submission_id
    assert submission.simulator.ledger()["polls"][deferred.submission_id]["count"] == 1


def test_a_woken_sensor_waits_on_until_its_first_deadline(
    deferred: Deferred, submission: SubmissionJob
) -> None:
    run = submission.waiting(deferred.submission_id, deferrable=True).attempt(until_deferred=True)
    before = trigger_kwargs(run.recorder.deferrals[-1])

    run.resume(waking.waking_event(before, deferred.event()), until_deferred=True)

    after = trigger_kwargs(run.recorder.deferrals[-1])
    assert (after["deadline"], after["submitted_at"]) == (before["deadline"], before["submitted_at"])
    assert after["awaited"] == deferred.awaited


@pytest.mark.parametrize(
    ("awaited", "asset_id", "left"),
    [
        (["a", "b"], "a", ["b"]),
        (["a"], "a", []),
        (["a"], "b", ["a"]),
        ([], "a", []),
        (None, "a", None),
        (["a"], "", None),
        ("a", "a", None),
    ],
)
def test_what_is_still_awaited(awaited: Any, asset_id: str, left: list[str] | None) -> None:
    assert still_awaited(awaited, asset_id) == left
