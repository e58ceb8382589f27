from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol, TypeVar

import pytest

from airflow_provider.core.http.client import ServiceHook
from airflow_provider.core.http.connection import ConnectionSettings

KEY = "sk_test_topsecretkey"

HookT = TypeVar("HookT", bound=ServiceHook)


class FakeTime:
    """A clock that sleeping moves on; nothing really waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.naps: list[float] = []
        self.on_nap: Callable[[], object] | None = None

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds
        if self.on_nap is not None:
            self.on_nap()

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


class HookMaker(Protocol):
    def __call__(self, kind: type[HookT], url: str, **settings: Any) -> HookT: ...


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def make_hook(fake_time: FakeTime) -> Iterator[HookMaker]:
    """Make a hook for a URL whose pauses cost no time and whose jitter is at its most."""
    made: list[ServiceHook] = []

    def make(kind: type[HookT], url: str, **settings: Any) -> HookT:
        fields: dict[str, Any] = {"api_key": KEY, "connect_timeout": 5.0, "read_timeout": 5.0}
        hook = kind("c1", settings=ConnectionSettings("c1", url, **(fields | settings)))
        hook._now, hook._sleep, hook._asleep = fake_time.read, fake_time.sleep, fake_time.asleep
        hook._rng = lambda: 1.0
        made.append(hook)
        return hook

    yield make
    for hook in made:
        hook.close()


Ask = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Call a method that exists in both halves: ``ask(hook, "get_report", "rpt_1")``."""

    def sync_call(hook: ServiceHook, method: str, *args: Any) -> Any:
        return getattr(hook, method)(*args)

    def async_call(hook: ServiceHook, method: str, *args: Any) -> Any:
        async def run() -> Any:
            async with hook.new_async_client() as client:
                call: Callable[..., Awaitable[Any]] = getattr(hook, f"a{method}")
                return await call(client, *args)

        return asyncio.run(run())

    return sync_call if request.param == "sync" else async_call


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port that nobody listens at, and nobody else gets: bound, and free for a server of the test's own."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
