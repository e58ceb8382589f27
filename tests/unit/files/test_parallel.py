"""Several transfers at a time: who runs where, what a failure stops and what it does not lose."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from airflow_provider.core.arguments import whole_number
from airflow_provider.core.files.parallel import Parallel
from airflow_provider.exceptions import InvalidInputError, TransferError

PATIENCE = 60.0
"""Seconds after which a test that hangs fails; none waits for it when all is well."""


class Workers:
    """Counts what is opened and closed."""

    def __init__(self) -> None:
        self.opened: list[int] = []
        self.closed: list[int] = []

    @contextmanager
    def __call__(self) -> Iterator[int]:
        me = threading.get_ident()
        self.opened.append(me)
        try:
            yield me
        finally:
            self.closed.append(me)


def parallel(work: Callable[[Any], Any], **more: Any) -> Parallel[int, Any, Any]:
    return Parallel(more.pop("workers", Workers()), lambda worker, item: work(item), **more)


def test_results_are_in_order_and_told_in_this_thread() -> None:
    later = threading.Event()
    told: list[tuple[int, int, int]] = []

    def work(item: int) -> int:
        # The first item is the last to finish.
        assert later.wait(PATIENCE) if item == 0 else True
        return item * 10

    def arrived(item: int, result: int) -> None:
        told.append((item, result, threading.get_ident()))
        if len(told) == 4:
            later.set()

    assert parallel(work, arrived=arrived).run(range(5)) == [0, 10, 20, 30, 40]
    assert [item for item, _, _ in told][-1] == 0
    assert {thread for _, _, thread in told} == {threading.get_ident()}


def test_as_many_as_allowed_run_at_once_each_with_a_worker_of_its_own() -> None:
    together = threading.Barrier(3)
    workers = Workers()
    parallel(lambda item: together.wait(PATIENCE), workers=workers, max_parallel=3).run(range(9))
    assert len(set(workers.opened)) == len(workers.opened) == 3
    assert sorted(workers.closed) == sorted(workers.opened)
    assert threading.get_ident() not in workers.opened


def test_no_more_than_allowed_run_at_once() -> None:
    running: list[int] = []
    most: list[int] = []

    def work(item: int) -> None:
        running.append(item)
        most.append(len(running))
        time.sleep(0.001)
        running.remove(item)

    parallel(work, max_parallel=2).run(range(40))
    assert max(most) <= 2


def test_no_more_threads_than_items() -> None:
    workers = Workers()
    assert parallel(str, workers=workers).run([1]) == ["1"]
    assert parallel(str, workers=workers).run([]) == []
    assert len(workers.opened) == 1


def test_after_a_failure_nothing_is_begun_and_what_is_under_way_is_told() -> None:
    both = threading.Barrier(2)
    begun: list[int] = []
    told: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        both.wait(PATIENCE)
        if item == 0:
            raise LookupError("the first failed")
        deadline = time.monotonic() + PATIENCE
        while not transfers._stopped and time.monotonic() < deadline:
            time.sleep(0.001)
        return item

    transfers = parallel(work, arrived=lambda item, result: told.append(item), max_parallel=2)
    with pytest.raises(LookupError, match="the first failed"):
        transfers.run(range(50))
    assert sorted(begun) == [0, 1]
    assert told == [1]


def test_what_cannot_be_recorded_is_the_failure() -> None:
    told: list[int] = []

    def arrived(item: int, result: int) -> None:
        told.append(item)
        raise LookupError(f"no record of {item}")

    with pytest.raises(LookupError, match="no record of 0"):
        parallel(lambda item: item, arrived=arrived, max_parallel=1).run(range(3))
    assert told[0] == 0


def test_a_worker_that_cannot_be_made_is_the_failure() -> None:
    def workers() -> AbstractContextManager[int]:
        raise LookupError("no connection")

    with pytest.raises(LookupError, match="no connection"):
        parallel(str, workers=workers).run(range(9))


def test_a_stop_does_not_wait_for_what_is_under_way() -> None:
    release, started, ended = threading.Event(), threading.Event(), threading.Event()
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        started.set()
        release.wait(PATIENCE)
        ended.set()

    transfers = parallel(work, max_parallel=1)

    def kill() -> None:
        started.wait(PATIENCE)
        transfers.stop()

    threading.Thread(target=kill).start()
    with pytest.raises(TransferError, match="killed: 0 of 2 files had arrived"):
        transfers.run(range(2))
    assert not ended.is_set()
    release.set()
    assert ended.wait(PATIENCE)
    assert begun == [0]


def test_a_stop_before_the_start_is_kept() -> None:
    transfers = parallel(str)
    transfers.stop()
    with pytest.raises(TransferError, match="killed"):
        transfers.run([1])


def test_threads_see_the_context_of_the_task() -> None:
    task = contextvars.ContextVar("task", default="none")
    task.set("mine")
    assert set(parallel(lambda item: task.get()).run(range(8))) == {"mine"}


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "4", None])
def test_max_parallel_is_a_positive_number(value: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        whole_number("max_parallel", value, least=1)
    assert caught.value.parameter == "max_parallel"
    assert whole_number("max_parallel", 1, least=1) == 1
