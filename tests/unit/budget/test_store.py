"""Where budgets are kept: what one process counts all know, and a store out of reach stops nobody."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_provider.core.budget import store
from airflow_provider.core.budget.store import (
    FallbackStore,
    MemoryStore,
    SharedBudget,
    SQLiteStore,
    Store,
    StoreError,
    memory_store,
)
from airflow_provider.core.budget.turn_queue import Priority, Ticket, TurnQueue
from airflow_provider.core.budget.windows import Window
from airflow_provider.core.http.connection import ConnectionSettings
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from tests.unit.budget.redis_server import needs_redis, redis_server

LIMITS = [Window(1000, 60.0)]

COUNTS = """
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from airflow_provider.core.budget.store import FallbackStore, SharedBudget, SQLiteStore
from airflow_provider.core.budget.windows import Window
budget = SharedBudget(FallbackStore({store}), "key", [Window(1000, 60.0)])
for _ in range(20):
    budget.update(lambda queue, now: queue.budget.acquire(now, poll=False))
"""


def _count(queue: TurnQueue, now: float) -> None:
    queue.budget.acquire(now, poll=False)


def _sent(budget: SharedBudget) -> int:
    return budget.update(lambda queue, now: len(queue.budget.state(now)["sent"]))


def _count_in_processes(store: str, imports: str = "") -> None:
    script = imports + COUNTS.format(store=store)
    running = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [process.wait(120) for process in running] == [0, 0, 0]


def test_processes_of_one_machine_count_together(tmp_path: Path) -> None:
    path = str(tmp_path / "budgets.db")
    _count_in_processes(f"SQLiteStore({path!r})")
    assert _sent(SharedBudget(SQLiteStore(path), "key", LIMITS)) == 60
    assert _sent(SharedBudget(SQLiteStore(path), "another", LIMITS)) == 0
    assert (tmp_path / "budgets.db").stat().st_mode & 0o077 == 0


def test_a_budget_that_is_not_to_be_shared_stays_in_the_process() -> None:
    settings = ConnectionSettings(
        "c", "https://api.example", "k", shared_budget=False, budget_conn_id="redis"
    )
    worker, triggerer = (SilentWitnessHook("c", settings=settings) for _ in range(2))
    assert worker.shared_budget("").store is memory_store()
    assert asyncio.run(triggerer.astore()) is memory_store()


def test_a_signal_in_the_middle_of_a_change_waits_for_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed task sends its cancel from the handler, and has five seconds for it."""
    monkeypatch.setattr(store, "THREADS_TIMEOUT", 0.01)
    budget = SharedBudget(FallbackStore(SQLiteStore(str(tmp_path / "budgets.db"))), "key", LIMITS)
    before = signal.signal(signal.SIGUSR1, lambda *_: budget.update(_count))
    try:
        budget.update(lambda queue, now: signal.raise_signal(signal.SIGUSR1))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not caplog.records
    budget.update(_count)
    assert _sent(budget) == 1


@pytest.mark.parametrize("trouble", ["no folder", "no database"])
def test_a_store_out_of_reach_is_said_once_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    path = tmp_path / "missing" / "budgets.db"
    if trouble == "no database":
        path.parent.mkdir()
        path.write_bytes(b"this is no database, and long enough to be read as one" * 40)
    budget = SharedBudget(FallbackStore(SQLiteStore(str(path))), "key", LIMITS)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            budget.update(_count)
    assert _sent(budget) == 3
    assert len([record for record in caplog.records if "out of reach" in record.message]) == 1


def test_a_store_that_comes_back_is_used_again_and_a_second_outage_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider.core.budget.store.OUT_OF_REACH", 0.0)
    folder = tmp_path / "share"
    budget = SharedBudget(FallbackStore(SQLiteStore(str(folder / "budgets.db"))), "key", LIMITS)
    with caplog.at_level(logging.INFO):
        for mounted in (False, True, False):
            if mounted:
                folder.mkdir()
            elif folder.exists():
                shutil.rmtree(folder)
            budget.update(_count)
            budget.update(_count)
    said = ["gone" if "is out of reach" in record.message else record.message for record in caplog.records]
    assert said == ["gone", "The shared budget of rate limits is back.", "gone"]


@pytest.mark.parametrize("damage", ["no database", "malformed"])
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "budgets.db"
    budget = SharedBudget(SQLiteStore(str(path)), "key", LIMITS)
    budget.update(_count)
    content = path.read_bytes()
    path.write_bytes(b"x" * len(content) if damage == "no database" else content[:100] + b"\xff" * 5000)
    Path(f"{path}-journal").write_bytes(b"left by a machine that lost its power")
    with pytest.raises(StoreError):
        budget.update(_count)
    assert not Path(f"{path}-journal").exists()
    budget.update(_count)
    assert _sent(budget) == 1


def test_a_file_of_another_version_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "budgets.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE budgets (name TEXT PRIMARY KEY, value TEXT)")
    budget = SharedBudget(SQLiteStore(str(path)), "key", LIMITS)
    with pytest.raises(StoreError):
        budget.update(_count)
    budget.update(_count)
    assert _sent(budget) == 1


@pytest.mark.parametrize("text", ["", "[]", '{"sent": 1}', '{"sent": ["x"]}', "{", "null", b"{\xff}"])
def test_a_state_that_nobody_can_read_is_an_empty_one(tmp_path: Path, text: str | bytes) -> None:
    store = SQLiteStore(str(tmp_path / "budgets.db"))
    budget = SharedBudget(store, "key", LIMITS)
    budget.update(_count)
    with store._connect() as database:
        database.execute("UPDATE budgets SET state = CAST(? AS TEXT)", (text,))
    assert _sent(budget) == 0
    budget.update(_count)
    assert _sent(budget) == 1


def test_all_that_is_known_survives_the_way_through_the_store() -> None:
    budget = SharedBudget(MemoryStore(lambda: 1000.0), "key", [Window(9, 60.0)])

    def use(queue: TurnQueue, now: float) -> None:
        queue.budget.acquire(now)
        queue.budget.on_429(now - 90.0, 1.0)
        queue.budget.on_success()
        queue.budget.on_429(now - 60.0, 1.0)
        queue.budget.on_success()
        queue.budget.on_429(now, 30.0)
        queue.budget.update_from_headers(now, limit=9, remaining=0, reset_at=now + 50)
        queue.ask(Ticket("waits", Priority.START, now, 2), now)

    budget.update(use)
    before = budget.update(lambda queue, now: (queue.budget.state(now), queue.state()))
    assert before[0]["learned"]
    assert before[0]["pace"]
    assert before == budget.update(lambda queue, now: (queue.budget.state(now), queue.state()))
    paused_until, busy = budget.update(lambda queue, now: (queue.budget.paused_until, queue.budget.busy))
    assert (paused_until, busy) == (1030.0, True)


def test_many_threads_of_a_process_do_not_find_its_file_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CHANGE_TIMEOUT", 0.05)
    budget = SharedBudget(SQLiteStore(str(tmp_path / "limits.db")), "key", [])

    def slowly(queue: TurnQueue, now: float) -> None:
        time.sleep(0.1)
        _count(queue, now)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(budget.update, [slowly] * 16))
    assert _sent(budget) == 16


@pytest.mark.parametrize("by", [30.0, 86400.0])
def test_a_clock_that_was_set_back_stops_a_key_for_a_minute_at_most(by: float) -> None:
    """Such as that of a machine that started with the wrong time: its file outlives the mistake."""
    now = 1_000_000.0 + by
    budget = SharedBudget(MemoryStore(lambda: now), "key", [Window(1, 60.0), Window(1, 3600.0)])
    budget.update(_count)
    budget.update(lambda queue, at: queue.budget.on_429(at, 3000.0))
    now = 1_000_000.0
    wait = budget.update(lambda queue, at: queue.ask(Ticket("t", Priority.START, at, 1), at).at - at)
    assert wait <= (0.0 if by > 60 else 3600.0 + by + 60)


@needs_redis
def test_machines_count_together_in_redis_and_go_on_without_it(tmp_path: Path) -> None:
    import redis

    from airflow_provider.core.budget.redis_store import RedisStore

    url = f"unix://{tmp_path}/redis"
    imports = "import redis\nfrom airflow_provider.core.budget.redis_store import RedisStore\n"
    with redis_server(tmp_path / "redis"):
        _count_in_processes(f"RedisStore(redis.Redis.from_url({url!r}))", imports)
        shared: Store = FallbackStore(RedisStore(redis.Redis.from_url(url)))
        budget = SharedBudget(shared, "key", LIMITS)
        assert _sent(budget) == 60
        redis.Redis.from_url(url).shutdown(nosave=True)
        budget.update(_count)
        assert _sent(budget) == 1
