from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from airflow_provider.core.polling import key_state
from airflow_provider.core.polling.key_state import RECONSIDER, Sleepers
from airflow_provider.core.polling.wait import Wait


class Asked:
    """A wait whose next poll is due at a time that may be changed; counts how often it is asked."""

    def __init__(self, due: float) -> None:
        self.due = due
        self.asked = 0

    def next_poll(self) -> float:
        self.asked += 1
        return self.due


class Night:
    """Virtual time: a sleep ends once the time has been moved past its end."""

    def __init__(self) -> None:
        self.now = 0.0
        self.refreshed = 0
        self._ends: list[tuple[float, asyncio.Future[None]]] = []
        self.sleepers = Sleepers(clock=lambda: self.now, sleep=self._sleep, refresh=self._refresh)

    async def _sleep(self, seconds: float) -> None:
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ends.append((self.now + seconds, end))
        await end

    async def _refresh(self) -> None:
        self.refreshed += 1

    def begin(self, wait: Asked) -> asyncio.Task[None]:
        return asyncio.create_task(self.sleepers.sleep(cast("Wait", wait), wait.due - self.now))

    async def pass_by(self, seconds: float) -> None:
        until = self.now + seconds
        await self.settle()
        while due := [entry for entry in self._ends if entry[0] <= until and not entry[1].done()]:
            self.now, end = min(due, key=lambda entry: entry[0])
            end.set_result(None)
            await self.settle()
        self.now = until

    async def settle(self) -> None:
        for _ in range(60):
            await asyncio.sleep(0)


def play(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await scenario

    asyncio.run(bounded())


def test_a_wait_sleeps_until_its_next_poll() -> None:
    async def scenario() -> None:
        night, wait = Night(), Asked(100.0)
        asleep = night.begin(wait)
        await night.pass_by(99.0)
        assert not asleep.done()
        await night.pass_by(1.0)
        assert asleep.done()

    play(scenario())


def test_a_poll_that_comes_nearer_ends_the_sleep_within_a_round() -> None:
    async def scenario() -> None:
        night, wait, other = Night(), Asked(300.0), Asked(300.0)
        asleep, sleeps_on = night.begin(wait), night.begin(other)
        await night.pass_by(RECONSIDER + 1)
        wait.due = 40.0
        await night.pass_by(RECONSIDER)
        assert asleep.done()
        assert not sleeps_on.done()
        sleeps_on.cancel()

    play(scenario())


def test_what_is_hardly_nearer_wakes_nobody() -> None:
    async def scenario() -> None:
        night, wait = Night(), Asked(300.0)
        asleep = night.begin(wait)
        await night.settle()
        wait.due -= key_state.SOONER / 2
        await night.pass_by(4 * RECONSIDER)
        assert not asleep.done()
        asleep.cancel()

    play(scenario())


def test_the_list_may_wake_a_wait_at_once() -> None:
    async def scenario() -> None:
        night, wait, other = Night(), Asked(300.0), Asked(300.0)
        asleep, sleeps_on = night.begin(wait), night.begin(other)
        await night.settle()
        night.sleepers.wake(cast("Wait", wait))
        night.sleepers.wake(cast("Wait", Asked(5.0)))  # sleeps nowhere
        await night.settle()
        assert asleep.done()
        assert not sleeps_on.done()
        sleeps_on.cancel()

    play(scenario())


@pytest.mark.parametrize(("many", "apart"), [(10, RECONSIDER), (1000, 25.0), (3000, 60.0)])
def test_all_waits_share_one_timer_that_asks_many_less_often(many: int, apart: float) -> None:
    async def scenario() -> None:
        night = Night()
        waits = [Asked(1000.0 + number) for number in range(many)]
        asleep = [night.begin(wait) for wait in waits]
        await night.pass_by(10 * apart + 1)
        assert night.refreshed == 10
        assert {wait.asked for wait in waits} == {10}
        for one in asleep:
            one.cancel()

    play(scenario())


@pytest.mark.parametrize("close", [True, False])
def test_no_timer_outlives_the_waits(close: bool) -> None:
    async def scenario() -> None:
        night, wait = Night(), Asked(50.0)
        asleep = night.begin(wait)
        await night.settle()
        asleep.cancel()
        await night.settle()
        if close:
            night.sleepers.close()
        else:
            await night.pass_by(RECONSIDER)
        await night.settle()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        again = night.begin(Asked(night.now + 10.0))
        await night.pass_by(10.0)
        assert again.done()
        night.sleepers.close()

    play(scenario())
