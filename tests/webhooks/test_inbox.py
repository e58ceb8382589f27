"""Events are handed on in order, each once, and kept for tasks that are only about to wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from airflow_provider.mediamagic.webhooks.events import Event
from airflow_provider.plugins import inbox as module
from airflow_provider.plugins.inbox import FullError, Inbox
from airflow_provider.plugins.waking import Outcome


def event(number: int = 1, conn_id: str = "mm") -> Event:
    return Event(conn_id, f"evt_{number}", "asset.processing.completed", f"sub-{number}", "a", "complete", "")


class Tasks:
    """Tasks that wait; each answer is taken from ``outcomes``, the last one for ever."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.heard: list[str] = []
        self.recorded: list[str] = []
        self.enough = threading.Event()

    def wake(self, events: Sequence[Event]) -> list[Outcome]:
        self.heard += [one.id for one in events]
        found = []
        for _ in events:
            found.append(self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0])
        if len(self.outcomes) == 1:
            self.enough.set()
        return found

    def record(self, event: Event) -> bool:
        self.recorded.append(event.id)
        return True


def run(act: Callable[[Inbox], Awaitable[Any]], tasks: Tasks) -> Any:
    async def main() -> Any:
        return await act(Inbox(tasks.wake, tasks.record, retry_pauses=[0.001] * 3))

    return asyncio.run(main())


def test_copies_that_come_at_the_same_time_are_handed_on_once() -> None:
    tasks = Tasks(Outcome.WOKEN)

    async def act(inbox: Inbox) -> list[bool]:
        return await asyncio.gather(*(inbox.take(event()) for _ in range(5)))

    assert sorted(run(act, tasks)) == [False, False, False, False, True]
    assert tasks.heard == tasks.recorded == ["evt_1"]


def test_the_same_id_on_another_connection_is_another_event() -> None:
    tasks = Tasks(Outcome.WOKEN)

    async def act(inbox: Inbox) -> list[bool]:
        return [await inbox.take(event()), await inbox.take(event(conn_id="other"))]

    assert run(act, tasks) == [True, True]


@pytest.mark.parametrize("first", [Outcome.NOBODY, Outcome.EARLY])
def test_an_event_before_its_task_waits_is_tried_again_and_recorded_once(first: Outcome) -> None:
    tasks = Tasks(first, first, Outcome.WOKEN)

    async def act(inbox: Inbox) -> None:
        assert await inbox.take(event())
        assert inbox._worker is not None
        await asyncio.wait_for(inbox._worker, 20)

    run(act, tasks)
    assert tasks.heard == ["evt_1"] * 3
    assert tasks.recorded == ["evt_1"]


def test_an_event_that_nobody_waits_for_is_given_up() -> None:
    tasks = Tasks(Outcome.NOBODY)

    async def act(inbox: Inbox) -> None:
        await inbox.take(event())
        assert inbox._worker is not None
        await asyncio.wait_for(inbox._worker, 20)

    run(act, tasks)
    assert tasks.heard == ["evt_1"] * 4


def test_a_new_event_does_not_wait_for_one_that_is_tried_again() -> None:
    tasks = Tasks(Outcome.NOBODY, Outcome.WOKEN)

    async def main() -> bool:
        inbox = Inbox(tasks.wake, tasks.record, retry_pauses=[3600.0])
        await inbox.take(event(1))
        taken = await asyncio.wait_for(inbox.take(event(2)), 20)
        assert inbox._worker is not None
        inbox._worker.cancel()
        return taken

    assert asyncio.run(main()) is True


def test_a_failure_reaches_the_sender_and_the_next_copy_is_taken() -> None:
    tasks = Tasks(Outcome.WOKEN)
    trouble = [OSError("no database")]

    def record(event: Event) -> bool:
        if trouble:
            raise trouble.pop()
        return tasks.record(event)

    async def main() -> bool:
        inbox = Inbox(tasks.wake, record)
        with pytest.raises(OSError, match="no database"):
            await inbox.take(event())
        return await inbox.take(event())

    assert asyncio.run(main()) is True
    assert tasks.recorded == ["evt_1"]


def test_a_sender_that_hangs_up_loses_nothing() -> None:
    tasks = Tasks(Outcome.WOKEN)

    async def act(inbox: Inbox) -> bool:
        sending = asyncio.create_task(inbox.take(event()))
        await asyncio.sleep(0)
        sending.cancel()
        assert await asyncio.to_thread(tasks.enough.wait, 20)
        return await inbox.take(event())

    assert run(act, tasks) is False
    assert tasks.heard == ["evt_1"]


def test_more_than_can_be_handed_on_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_QUEUED", 2)
    tasks = Tasks(Outcome.WOKEN)

    async def act(inbox: Inbox) -> list[Any]:
        return await asyncio.gather(*(inbox.take(event(n)) for n in range(4)), return_exceptions=True)

    found = run(act, tasks)
    assert found[:2] == [True, True]
    assert [type(one) for one in found[2:]] == [FullError, FullError]
