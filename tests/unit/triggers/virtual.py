"""A service without a network, and an event loop whose time passes at once."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar

import pytest

from airflow_provider.core.budget.store import MemoryStore, Store
from airflow_provider.core.http.client import ServiceHook
from airflow_provider.core.http.connection import ConnectionSettings, Service
from airflow_provider.core.jobs.kind import JobKind
from airflow_provider.core.jobs.trigger import JobTrigger
from airflow_provider.core.polling.schedule import Backoff
from airflow_provider.core.polling.shared_clients import SharedClients
from airflow_provider.core.polling.wait import JobState, Observation


class _NoWait(selectors.DefaultSelector):
    skipped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("the loop waits for something that never comes")
        self.skipped += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Sleeps take no time: its clock jumps to the next timer. What is for a thread runs at once."""

    def __init__(self) -> None:
        self.selector = _NoWait()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.skipped

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Any, *args: Any
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class Client:
    """Stands for an aiohttp client; remembers whether it was closed."""

    made: ClassVar[list[Client]] = []

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        self.closed = False
        Client.made.append(self)

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.closed = True


class Hook(ServiceHook):
    """A hook whose connection is what the test says."""

    service = Service("toy", "Toy", "https://toy.example")
    conn_type = "toy"
    default_conn_name = "toy_default"
    hook_name = "Toy"
    lookups: ClassVar[int] = 0
    key: ClassVar[str] = "k1"
    limits: ClassVar[dict[str, int | None]] = {}
    lookup_error: ClassVar[Exception | None] = None
    store_error: ClassVar[Exception | None] = None
    keys: ClassVar[dict[str, str]] = {}
    routes: ClassVar[dict[str, dict[str, Any]]] = {}

    async def aload_settings(self) -> ConnectionSettings:
        if self._settings is None:
            Hook.lookups += 1
            await asyncio.sleep(0.5)
            if Hook.lookup_error is not None:
                raise Hook.lookup_error
            key = Hook.keys.get(self.conn_id, Hook.key)
            more: dict[str, Any] = {**Hook.limits, **Hook.routes.get(self.conn_id, {})}
            self._settings = ConnectionSettings(self.conn_id, "https://toy.example", key, **more)
        return self._settings

    async def astore(self) -> Store:
        if Hook.store_error is not None:
            raise Hook.store_error
        return await super().astore()

    def new_async_client(self, *, limit: int = 100) -> Any:
        return Client(self.settings)


Response = Callable[[str, float, Hook], Awaitable[Observation]]


class Trigger(JobTrigger):
    """Follows a toy job."""

    hook_class = Hook
    job = JobKind(
        noun="toy",
        id_key="toy_id",
        get=lambda hook, job_id: {},
        aget=lambda hook, client, job_id: hook.aget(client, job_id),
        observe=lambda body: Observation("toy", "active", JobState.ACTIVE),
        id_of=lambda body: "toy",
        backoff=Backoff(3.0, 1.5, 15.0),
        typical={"": (120.0, 300.0)},
        limits={"": 600.0},
    )
    answer: ClassVar[Response]
    polls: ClassVar[list[tuple[float, str]]] = []

    async def poll(self, hook: Any, client: Any) -> Observation:
        assert not client.closed
        assert client.settings is hook.settings
        now = SharedClients.current().clock()
        Trigger.polls.append((now, self.job_id))
        await asyncio.sleep(0.05)
        return await Trigger.answer(self.job_id, now, hook)


def seen(job_id: str, state: JobState = JobState.ACTIVE, **more: Any) -> Observation:
    return Observation(job_id, str(state), state, **more)


@pytest.fixture(autouse=True)
def fresh() -> None:
    Client.made, Trigger.polls = [], []
    Hook.lookups, Hook.key, Hook.keys, Hook.limits, Hook.lookup_error = 0, "k1", {}, {}, None
    Hook.routes, Hook.store_error = {}, None


START = 1_000_000.0


def run(main: Callable[[SharedClients], Coroutine[Any, Any, Any]]) -> Any:
    """Run in virtual time, and find nothing left open when it ends."""
    loop = VirtualLoop()

    async def all_of_it() -> Any:
        clock = lambda: START + loop.time()  # noqa: E731
        clients = SharedClients(clock=clock, store=MemoryStore(clock))
        SharedClients._of_loop[loop] = clients
        found = await main(clients)
        for _ in range(5):
            await asyncio.sleep(0)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not left
        assert all(client.closed for client in Client.made)
        return found

    try:
        return loop.run_until_complete(all_of_it())
    finally:
        loop.close()


async def event(trigger: JobTrigger) -> dict[str, Any]:
    """Return the one event of a trigger."""
    events = [one async for one in trigger.run()]
    assert len(events) == 1
    payload: dict[str, Any] = events[0].payload
    return payload
