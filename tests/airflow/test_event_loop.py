"""A deferred wait leaves its event loop as it found it: nothing unclosed, nothing unawaited."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
from collections.abc import Iterator

import pytest

from airflow_provider.core.polling.shared_clients import SharedClients
from tests.airflow.jobs import ENDLESS, SOON, Job
from tests.airflow.task_run import TaskRun


@pytest.fixture
def strict_loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Asyncio's debug mode, and every complaint of loops and collected objects, to be read after a run."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    monkeypatch.setattr(asyncio.coroutines, "_is_debug_mode", lambda: True)
    complaints: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            complaints.append(record.getMessage())

    listener = Listener(logging.WARNING)
    logger = logging.getLogger("asyncio")
    logger.addHandler(listener)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        warnings.simplefilter("always", RuntimeWarning)
        yield complaints
        gc.collect()
        complaints += [str(one.message) for one in caught if _about_us(one)]
    logger.removeHandler(listener)


def _about_us(warning: warnings.WarningMessage) -> bool:
    words = ("unclosed", "never awaited", "never retrieved")
    names = ("client session", "connector", "transport", "coroutine", "Task", "aiohttp")
    text = str(warning.message)
    return any(word in text for word in words) and any(name in text for name in names)


def _checked(run: TaskRun, complaints: list[str]) -> TaskRun:
    run.test()
    gc.collect()
    assert [text for text in complaints if "Executing <" not in text] == []
    return run


def test_the_listener_hears_an_unclosed_client(strict_loop: list[str]) -> None:
    import aiohttp

    async def careless() -> None:
        aiohttp.ClientSession()

    asyncio.run(careless())
    gc.collect()
    assert any("Unclosed client session" in text for text in strict_loop)


def test_a_wait_that_succeeds(job: Job, strict_loop: list[str]) -> None:
    job.takes(SOON)
    run = _checked(job.task(deferrable=True), strict_loop)
    assert run.state == "success"


def test_a_wait_that_times_out(job: Job, strict_loop: list[str]) -> None:
    job.takes(ENDLESS)
    run = _checked(job.task(deferrable=True, timeout=0.1), strict_loop)
    assert run.state == "failed"


@pytest.mark.parametrize("fault", ["reset", "garbage", "truncate"])
def test_a_wait_with_trouble_on_the_line(job: Job, strict_loop: list[str], fault: str) -> None:
    job.takes(SOON)
    job.simulator.fault(fault, job.status_path, "GET", times=2)
    run = _checked(job.task(deferrable=True), strict_loop)
    assert run.state == "success"


def test_a_wait_whose_key_is_refused(job: Job, strict_loop: list[str]) -> None:
    job.takes(ENDLESS)
    job.simulator.fault("status", job.status_path, "GET", status=401)
    run = _checked(job.task(deferrable=True), strict_loop)
    assert run.state == "failed"


def test_loops_of_the_past_do_not_pile_up_in_the_shared_clients(job: Job) -> None:
    """Each trigger of a ``dag.test()`` has a loop of its own; what they share must not collect them."""
    job.takes(0)
    for _ in range(3):
        job.task(deferrable=True).test()
    gc.collect()
    assert len(SharedClients._of_loop) <= 1
