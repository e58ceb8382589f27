from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider.core.polling.shared_clients import CONNECTION_TTL, Lease, SharedClients
from airflow_provider.core.polling.wait import JobState, Observation
from airflow_provider.exceptions import (
    AuthenticationError,
    ConfigurationError,
    RateLimitedError,
    ServerError,
    TransportError,
    UndefinedConnectionError,
)
from tests.unit.triggers.virtual import START, Client, Hook, Trigger, VirtualLoop, event, run, seen

DONE = JobState.SUCCEEDED


def ends_at(**ends: float) -> None:
    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        return seen(job_id, DONE if now >= START + ends.get(job_id, 60.0) else JobState.ACTIVE)

    Trigger.answer = staticmethod(answer)


def waits(count: int, **more: Any) -> list[Trigger]:
    options = {"submitted_at": START, "deadline": START + 600, "poll_interval": 10.0, **more}
    return [Trigger("toy", f"job{number}", **options) for number in range(count)]


def all_of(triggers: list[Trigger]) -> list[dict[str, Any]]:
    async def main(clients: SharedClients) -> list[dict[str, Any]]:
        return list(await asyncio.gather(*(event(trigger) for trigger in triggers)))

    found: list[dict[str, Any]] = run(main)
    return found


def test_many_waits_share_one_lookup_and_one_client() -> None:
    ends_at()
    events = all_of(waits(200))
    assert {one["status"] for one in events} == {"success"}
    assert set(events[0]) == {"status", "job_id", "raw_status", "message", "polls"}
    assert Hook.lookups == 1
    assert len(Client.made) == 1


def test_a_user_s_interval_is_kept_exactly() -> None:
    ends_at()
    all_of(waits(1))
    times = [now - START for now, _ in Trigger.polls]
    # The first wait looks the connection up; a poll itself takes a twentieth of a second.
    assert times[0] == pytest.approx(10.5, abs=0.51)
    assert [b - a for a, b in pairwise(times)] == pytest.approx([10.05] * (len(times) - 1))


def test_the_connection_is_looked_up_again_after_a_while() -> None:
    ends_at(job0=3 * CONNECTION_TTL)
    all_of(waits(1, deadline=START + 4 * CONNECTION_TTL))
    assert Hook.lookups in (3, 4)


@pytest.mark.parametrize("which", ["lookup_error", "store_error"])
@pytest.mark.parametrize(
    "error", [TransportError("no supervisor"), ConfigurationError("its extra is no JSON")], ids=repr
)
def test_a_known_connection_goes_on_being_used(which: str, error: Exception) -> None:
    """Airflow cannot be asked, or somebody edits the connection, or that of the budget, and makes a slip."""

    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        setattr(Hook, which, error)
        return seen(job_id, DONE if now > START + 700 else JobState.ACTIVE)

    Trigger.answer = staticmethod(answer)
    assert all_of(waits(3, deadline=START + 900))[0]["status"] == "success"


def test_a_rotated_key_is_picked_up_once_for_all() -> None:
    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        if now > START + 30:
            Hook.key = "k2"
            if hook.settings.api_key == "k1":
                raise AuthenticationError("401")
        return seen(job_id, DONE if now > START + 60 else JobState.ACTIVE)

    Trigger.answer = staticmethod(answer)
    assert {one["status"] for one in all_of(waits(50))} == {"success"}
    assert Hook.lookups == 2


@pytest.mark.parametrize("rotated", [30.0, 3.5 * CONNECTION_TTL])
def test_a_key_is_picked_up_by_both_connections_that_hold_it(rotated: float) -> None:
    """Also long after the first lookup, when its settings were looked up anew and are another object."""

    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        if now > START + rotated:
            Hook.key = "k2"
            if hook.settings.api_key == "k1":
                raise AuthenticationError("401")
        return seen(job_id, DONE if now > START + rotated + 60 else JobState.ACTIVE)

    Trigger.answer = staticmethod(answer)
    triggers = waits(6, deadline=START + rotated + 600)
    for trigger in triggers[3:]:
        trigger.conn_id = "another"
    assert {one["status"] for one in all_of(triggers)} == {"success"}


@pytest.mark.parametrize("seconds", [30.0, 300.0, 86400.0])
def test_a_clock_that_is_set_back_ends_no_polling(seconds: float) -> None:
    """The next poll is due when the clock shows a time that it has shown already."""
    clocks: list[Callable[[], float]] = []

    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        return seen(job_id, DONE if clocks[0]() > START + 200 else JobState.ACTIVE)

    async def main(clients: SharedClients) -> list[float]:
        clock = clients.clock
        clocks.append(clock)
        clients.clock = lambda: clock() - (seconds if clock() > START + 60 else 0.0)
        found = []
        for waiting in asyncio.as_completed([event(trigger) for trigger in waits(3, poll_interval=None)]):
            assert (await waiting)["status"] == "success"
            found.append(clock() - START)
        return found

    Trigger.answer = staticmethod(answer)
    assert max(run(main)) < 200 + 2 * 15


@pytest.mark.parametrize("refused", [True, False], ids=["revoked at once", "goes on"])
def test_a_key_that_is_rotated_after_a_clock_was_set_back_is_picked_up(refused: bool) -> None:
    clocks: list[Callable[[], float]] = []

    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        if clocks[0]() > START + 100:
            Hook.key = "k2"
            if refused and hook.settings.api_key == "k1":
                raise AuthenticationError("401")
        return seen(job_id, DONE if hook.settings.api_key == "k2" else JobState.ACTIVE)

    async def main(clients: SharedClients) -> list[dict[str, Any]]:
        clock = clients.clock
        clocks.append(clock)
        clients.clock = lambda: clock() - (86400.0 if clock() > START + 60 else 0.0)
        found = list(await asyncio.gather(*(event(trigger) for trigger in waits(3))))
        assert clock() < START + 100 + (60 if refused else CONNECTION_TTL + 60)
        return found

    Trigger.answer = staticmethod(answer)
    assert {one["status"] for one in run(main)} == {"success"}


@pytest.mark.parametrize("which", ["lookup_error", "store_error"])
@pytest.mark.parametrize("error", [TransportError("no answer"), UndefinedConnectionError("no toy")])
def test_a_connection_that_cannot_be_looked_up_at_first_is_waited_for(which: str, error: Exception) -> None:
    """Airflow says that there is none when its database does not answer; the budget's own is one too."""
    setattr(Hook, which, error)

    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        return seen(job_id, DONE)

    async def main(clients: SharedClients) -> dict[str, Any]:
        waiting = asyncio.create_task(event(waits(1)[0]))
        await asyncio.sleep(60)
        setattr(Hook, which, None)
        return await waiting

    Trigger.answer = staticmethod(answer)
    assert run(main)["status"] == "success"


def test_a_key_that_stays_refused_ends_the_wait() -> None:
    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        raise AuthenticationError("401: unknown key")

    Trigger.answer = staticmethod(answer)
    (found,) = all_of(waits(1))
    assert found["status"] == "error"
    assert "unknown key" in found["message"]


def test_the_limit_holds_and_nobody_starves() -> None:
    Hook.limits = {"requests_per_minute": 30}
    ends_at(**{f"job{number}": 1e9 for number in range(60)})
    all_of(waits(60, deadline=START + 900, poll_interval=5.0))
    times = [now for now, _ in Trigger.polls]
    assert all(sum(at <= other < at + 60 for other in times) <= 30 for at in times)
    polling = [job for now, job in Trigger.polls if now < START + 880]
    counts = [polling.count(f"job{number}") for number in range(60)]
    assert max(counts) - min(counts) <= 2


def test_a_changed_limit_is_kept_to_from_the_next_lookup_on() -> None:
    Hook.limits = {"requests_per_minute": 6000}
    changed = START + CONNECTION_TTL

    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        Hook.limits = {"requests_per_minute": 10}
        return seen(job_id, JobState.ACTIVE)

    Trigger.answer = staticmethod(answer)
    all_of(waits(30, deadline=changed + 300))

    def sent(since: float) -> int:
        return sum(since <= now < since + 60 for now, _ in Trigger.polls)

    assert sent(changed - 120) > 100
    assert sent(changed + 120) <= 10
    assert len(Client.made) == 2


def test_a_changed_connection_breaks_no_poll_under_way() -> None:
    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        Hook.limits = {"requests_per_minute": 600}
        if job_id == "job0":
            await asyncio.sleep(CONNECTION_TTL + 60)
            assert not Client.made[0].closed
        return seen(job_id, DONE if job_id == "job0" or now > START + 500 else JobState.ACTIVE)

    Trigger.answer = staticmethod(answer)
    assert {one["status"] for one in all_of(waits(5, deadline=START + 900))} == {"success"}
    assert len(Client.made) == 2


def test_the_connection_that_came_first_sets_the_limit_of_a_key() -> None:
    ends_at(**{f"job{number}": 1e9 for number in range(40)})
    Hook.limits = {"requests_per_minute": 10}
    first, *others = waits(40, deadline=START + 200)

    async def main(clients: SharedClients) -> None:
        leading = asyncio.create_task(event(first))
        await asyncio.sleep(15)
        Hook.limits = {"requests_per_minute": 6000}
        for trigger in others:
            trigger.conn_id = "another"
        await asyncio.gather(leading, *(event(trigger) for trigger in others))

    run(main)
    assert sum(START + 60 <= now < START + 120 for now, _ in Trigger.polls) <= 10


@pytest.mark.parametrize(
    "route", [{"verify": False}, {"verify": "/private/ca.pem"}, {"proxies": {"all": "http://proxy:3128"}}]
)
@pytest.mark.parametrize("first", ["plain", "other"])
def test_connections_of_one_key_keep_their_own_certificates_and_proxies(
    route: dict[str, Any], first: str
) -> None:
    Hook.routes = {"other": route}

    async def main(clients: SharedClients) -> None:
        leases = {conn_id: Lease(clients, Hook, conn_id) for conn_id in (first, "plain", "other")}
        states = {conn_id: await lease.key_state() for conn_id, lease in leases.items()}
        for conn_id, state in states.items():
            settings = state.client.settings  # type: ignore[attr-defined]
            expected = {"verify": True, "proxies": {}, **Hook.routes.get(conn_id, {})}
            assert {"verify": settings.verify, "proxies": settings.proxies} == expected
        assert states["plain"].budget is states["other"].budget
        for lease in leases.values():
            await lease.release()

    run(main)


def test_a_deadline_goes_before_those_unseen_longer() -> None:
    Hook.limits = {"requests_per_minute": 10}
    ends_at(**{f"job{number}": 1e9 for number in range(30)})
    triggers = waits(30, deadline=START + 2000, poll_interval=1.0)
    triggers[29].deadline = START + 100
    triggers[29].submitted_at = START

    async def main(clients: SharedClients) -> float:
        others = [asyncio.create_task(event(trigger)) for trigger in triggers[:29]]
        found = await event(triggers[29])
        assert found["status"] == "timeout"
        ended = clients.clock()
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        return ended

    assert run(main) <= START + 101


def test_a_429_pauses_everybody_and_one_probes_alone() -> None:
    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        if START + 30 < now < START + 100:
            raise RateLimitedError("429")
        return seen(job_id, DONE if now > START + 120 else JobState.ACTIVE)

    Trigger.answer = staticmethod(answer)
    events = all_of(waits(40))
    assert {one["status"] for one in events} == {"success"}
    after_the_burst = [now for now, _ in Trigger.polls if START + 45 < now < START + 100]
    assert len(after_the_burst) <= 4
    assert all(b - a >= 5 for a, b in pairwise(after_the_burst))


def test_retry_after_is_waited_for_by_all() -> None:
    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        if START + 15 < now < START + 25:
            raise RateLimitedError("429", retry_after=90.0)
        return seen(job_id, DONE if now > START + 120 else JobState.ACTIVE)

    Trigger.answer = staticmethod(answer)
    assert {one["status"] for one in all_of(waits(20))} == {"success"}
    assert not [now for now, _ in Trigger.polls if START + 26 < now < START + 105]


def test_a_pause_of_days_is_waited_for_no_longer_than_an_hour() -> None:
    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        if now < START + 25:
            raise RateLimitedError("429", retry_after=9e8)
        return seen(job_id, DONE)

    Trigger.answer = staticmethod(answer)
    assert {one["status"] for one in all_of(waits(3, deadline=START + 7 * 86400))} == {"success"}
    assert START + 3600 < Trigger.polls[-1][0] < START + 2 * 3600


def test_a_storm_of_refusals_does_not_hold_the_waits_for_long_after_it() -> None:
    Hook.limits = {"requests_per_hour": 1000}

    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        if START + 10 < now < START + 310 and len(Trigger.polls) % 2:
            raise RateLimitedError("429", retry_after=1.0)
        return seen(job_id, DONE if now > START + 300 else JobState.ACTIVE)

    Trigger.answer = staticmethod(answer)
    assert {one["status"] for one in all_of(waits(5, poll_interval=None))} == {"success"}
    assert Trigger.polls[-1][0] <= START + 310 + 120


def test_trouble_is_tolerated_for_a_time_only() -> None:
    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        raise ServerError("503")

    Trigger.answer = staticmethod(answer)
    (found,) = all_of(waits(1, tolerance=100.0))
    assert found["status"] == "error"
    assert 100 <= Trigger.polls[-1][0] - Trigger.polls[0][0] <= 115


def test_a_deadline_that_has_passed_fires_at_once_after_one_last_poll() -> None:
    ends_at(job0=0.0, job1=1e9)
    done, late = all_of(waits(2, submitted_at=START - 900, deadline=START - 300))
    assert (done["status"], done["polls"]) == ("success", 1)
    assert (late["status"], late["polls"]) == ("timeout", 1)
    assert all(now < START + 1 for now, _ in Trigger.polls)


def test_thousands_taken_over_do_not_poll_at_once() -> None:
    ends_at(**{f"job{number}": 100.0 for number in range(2000)})
    all_of(waits(2000, submitted_at=START - 50, poll_interval=20.0))
    first = [now for now, _ in Trigger.polls[:2000]]
    assert max(sum(second <= now - START < second + 1 for now in first) for second in range(30)) < 200


def test_every_way_round_the_loop_sleeps() -> None:
    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        turn = len(Trigger.polls) % 3
        if turn == 0:
            raise ServerError("500")
        if turn == 1:
            raise RateLimitedError("429", retry_after=0.0)
        return seen(job_id, fraction=1.0)

    Trigger.answer = staticmethod(answer)
    (found,) = all_of(waits(1, poll_interval=None))
    assert found["status"] == "timeout"
    times = [now for now, _ in Trigger.polls]
    # The last poll may come soon after the one before: it is due at the deadline.
    assert all(b - a >= 2.4 for a, b in pairwise(times[:-1]))


@pytest.mark.parametrize("moment", [0.1, 5.0, 10.03, 30.0])
def test_cancelled_waits_leave_nothing_open(moment: float) -> None:
    Hook.limits = {"requests_per_minute": 2}
    ends_at(**{f"job{number}": 1e9 for number in range(20)})

    async def main(clients: SharedClients) -> None:
        tasks = [asyncio.create_task(event(trigger)) for trigger in waits(20)]
        await asyncio.sleep(moment)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ended)
        assert all(
            key_state.active == 0 and key_state._in_flight == 0 for key_state in clients._key_states.values()
        )

    run(main)


def test_a_closed_loop_takes_its_hub_with_it() -> None:
    ends_at()
    all_of(waits(5))
    all_of(waits(5))
    loop = VirtualLoop()

    async def current() -> None:
        SharedClients.current()

    loop.run_until_complete(current())
    gc.collect()
    assert [one for one in SharedClients._of_loop if one is not loop and isinstance(one, VirtualLoop)] == []
    loop.close()


def test_the_budget_outlives_the_last_wait() -> None:
    Hook.limits = {"requests_per_minute": 10}
    ends_at(job0=0.0)

    async def main(clients: SharedClients) -> list[float]:
        for _ in range(12):
            now = clients.clock()
            await event(Trigger("toy", "job0", now - 20, now + 600, poll_interval=1.0))
        return [now for now, _ in Trigger.polls]

    times = run(main)
    assert sum(now < times[0] + 60 for now in times) <= 8
    assert len(Client.made) == 12


def test_a_key_that_a_wait_moves_to_has_one_budget_from_then_on() -> None:
    """Leaving the old key takes a while; meanwhile another key appears, and what nobody uses is forgotten."""

    async def main(clients: SharedClients) -> None:
        first, second, third = (Lease(clients, Hook, conn_id) for conn_id in ("first", "second", "third"))
        Hook.keys = {"first": "old", "second": "unrelated", "third": "new"}
        old = await first.key_state()
        assert not old.client.closed
        Hook.keys["first"] = "new"
        await clients.sleep(CONNECTION_TTL)
        for conn_id in Hook.keys:
            await clients.lookup(Hook, conn_id).settings()
        moved, _ = await asyncio.gather(first.key_state(), second.key_state())
        assert await third.key_state() is moved
        for lease in (first, second, third):
            await lease.release()

    run(main)


def test_triggerers_that_share_a_store_divide_the_key_among_the_waits_of_all() -> None:
    Hook.limits = {"requests_per_hour": 1000}

    async def main(clients: SharedClients) -> tuple[list[int], list[int]]:
        others = SharedClients(clock=clients.clock, store=clients._store)
        leases = [Lease(where, Hook, "toy") for where in (clients, clients, others)]
        states = [await lease.key_state() for lease in leases]

        async def active() -> list[int]:
            for state in (*states, *states):
                await clients.sleep(2.0)
                await state.refresh()
            return [state.load().active for state in states]

        together = await active()
        await leases[2].release()
        await clients.sleep(90.0)
        await states[0].refresh()
        alone = [state.load().active for state in states[:2]]
        for lease in leases[:2]:
            await lease.release()
        return together, alone

    assert run(main) == ([3, 3, 3], [2, 2])


def test_two_triggerers_never_take_the_same_room_in_one_second() -> None:
    Hook.limits = {"requests_per_minute": 10}
    ends_at(**{f"job{number}": 1e9 for number in range(20)})

    async def main(clients: SharedClients) -> list[float]:
        others = SharedClients(clock=clients.clock, store=clients._store)
        leases = [Lease(where, Hook, "toy") for where in (clients, others)]
        states = [await lease.key_state() for lease in leases]
        sent: list[float] = []

        async def request(hook: Any, client: Any) -> None:
            sent.append(clients.clock())

        sends = [states[number % 2].send(request, since=START) for number in range(20)]
        await asyncio.gather(*sends)
        for lease in leases:
            await lease.release()
        return sent

    sent = run(main)
    assert len(sent) == 20
    assert all(sum(at <= other < at + 60 for other in sent) <= 8 for at in sent)


def test_waits_that_began_after_the_submission_teach_no_durations() -> None:
    """Sensors know when they began, not when the job did."""
    ends_at(**{f"job{number}": 10.0 for number in range(200)})

    async def main(clients: SharedClients) -> tuple[float, float]:
        late = waits(200, poll_interval=None, submission_known=False)
        assert {found["status"] for found in await asyncio.gather(*map(event, late))} == {"success"}
        state = await clients.key_state(Hook, "toy")
        return state.durations("", (120.0, 300.0)).range()

    assert run(main) == (120.0, 300.0)


def test_only_a_wait_that_began_late_says_so_on_the_wire() -> None:
    path, kwargs = Trigger("c", "j", 1.0, 2.0, submission_known=False).serialize()
    assert kwargs["submission_known"] is False
    assert Trigger(**kwargs).serialize() == (path, kwargs)
    assert "submission_known" not in Trigger("c", "j", 1.0, 2.0).serialize()[1]


def test_a_trigger_survives_its_serialization() -> None:
    trigger = Trigger("c", "j", 1.0, 2.0, "k", 3.0, True, 4.0, 5.0, True)
    path, kwargs = trigger.serialize()
    assert path.endswith(".Trigger")
    assert Trigger(**kwargs, of_a_later_version=1).serialize() == (path, kwargs)
