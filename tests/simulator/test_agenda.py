"""The one timer behind everything that happens by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from airflow_provider.simulator.agenda import Agenda
from airflow_provider.simulator.clock import Clock


def happened(test: Callable[[Clock, Agenda, list[str]], Awaitable[None]]) -> list[str]:
    """What happened until ``last`` did."""
    seen: list[str] = []

    async def run() -> None:
        clock = Clock()
        agenda = Agenda(clock)
        await test(clock, agenda, seen)
        async with asyncio.timeout(10):
            while "last" not in seen:
                await asyncio.sleep(0)

    asyncio.run(run())
    return seen


def test_things_happen_in_the_order_of_their_moments_when_time_is_skipped() -> None:
    async def test(clock: Clock, agenda: Agenda, seen: list[str]) -> None:
        now = clock.now()
        for name, after in (("last", 900), ("second", 500), ("first", 100), ("third", 500), ("never", 9000)):
            agenda.at(now + after, partial(seen.append, name))
        clock.advance(1000)

    assert happened(test) == ["first", "second", "third", "last"]


def test_a_moment_comes_by_itself() -> None:
    async def test(clock: Clock, agenda: Agenda, seen: list[str]) -> None:
        agenda.at(clock.now() + 1000, partial(seen.append, "never"))
        agenda.at(clock.now() + 0.01, partial(seen.append, "last"))

    assert happened(test) == ["last"]


def test_something_in_the_past_waits_for_its_turn_and_may_enter_more() -> None:
    async def test(clock: Clock, agenda: Agenda, seen: list[str]) -> None:
        def first() -> None:
            seen.append("first")
            agenda.at(0, partial(seen.append, "last"))

        agenda.at(0, first)
        seen.append("entered")

    assert happened(test) == ["entered", "first", "last"]


def test_what_is_struck_out_does_not_happen() -> None:
    async def test(clock: Clock, agenda: Agenda, seen: list[str]) -> None:
        agenda.at(0, partial(seen.append, "struck out"))
        agenda.clear()
        assert len(agenda) == 0
        agenda.at(1, partial(seen.append, "last"))

    assert happened(test) == ["last"]


def test_more_than_fit_into_one_turn_all_happen() -> None:
    async def test(clock: Clock, agenda: Agenda, seen: list[str]) -> None:
        for number in range(1000):
            agenda.at(number, partial(seen.append, str(number)))
        agenda.at(1000, partial(seen.append, "last"))

    assert happened(test) == [*map(str, range(1000)), "last"]
