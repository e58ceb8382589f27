"""Several transfers at a time, in threads; what came of them is told in the caller's thread."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from enum import Enum
from queue import SimpleQueue
from typing import Generic, TypeVar

from airflow_provider.exceptions import InvalidInputError, TransferError

WorkerT = TypeVar("WorkerT")
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

MAX_PARALLEL = 4
"""Default number of transfers at a time: enough to hide round trips, few enough to share a worker's line."""


class _Note(Enum):
    THREAD_ENDED = "thread ended"
    STOP = "stop"


def check_max_parallel(value: object) -> int:
    """
    Return ``max_parallel``.

    :raises InvalidInputError: it is not a positive whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInputError(
            f"max_parallel must be a positive whole number; got {value!r}.", parameter="max_parallel"
        )
    return value


class Parallel(Generic[WorkerT, ItemT, ResultT]):
    """
    Runs ``work`` for every item, some at a time.

    After the first failure nothing more is begun. Transfers under way are let finish, because a retry then
    has less to send, and what has arrived is told before the failure is raised.

    :param worker: makes what each thread works with, such as a hook with a session of its own: a
        ``requests`` session is not promised to be thread-safe. Opened and closed in the thread.
    :param work: called in a thread with a worker and an item.
    :param arrived: called in the thread of :meth:`run` with an item and its result, as they finish.
    :param max_parallel: most items at a time.
    """

    def __init__(
        self,
        worker: Callable[[], AbstractContextManager[WorkerT]],
        work: Callable[[WorkerT, ItemT], ResultT],
        *,
        arrived: Callable[[ItemT, ResultT], None] = lambda item, result: None,
        max_parallel: int = MAX_PARALLEL,
    ) -> None:
        self._worker = worker
        self._work = work
        self._arrived = arrived
        self._max_parallel = max_parallel
        self._stopped = False
        self._taking = threading.Lock()
        # SimpleQueue, because a signal handler may put into it while this thread waits for it.
        self._news: SimpleQueue[tuple[int, ItemT, ResultT] | BaseException | _Note] = SimpleQueue()

    def run(self, items: Iterable[ItemT]) -> list[ResultT]:
        """
        Return the results in the order of ``items``.

        :raises Exception: the first failure, of ``work`` or of ``arrived``.
        :raises TransferError: :meth:`stop` was called.
        """
        waiting = list(enumerate(items))
        waiting.reverse()
        total, running = len(waiting), min(self._max_parallel, len(waiting))
        results: dict[int, ResultT] = {}
        failure: BaseException | None = None
        for _ in range(running):
            # Airflow's log finds its task in the context; a copy each, because one can be entered only once.
            context = contextvars.copy_context()
            # Daemons, so that a task that was killed ends without waiting for the rest of a large file.
            threading.Thread(target=context.run, args=(self._labour, waiting), daemon=True).start()
        try:
            while running:
                news = self._news.get()
                if news is _Note.STOP:
                    raise TransferError(f"The task was killed: {len(results)} of {total} files had arrived.")
                if news is _Note.THREAD_ENDED:
                    running -= 1
                elif isinstance(news, tuple):
                    index, item, result = news
                    results[index] = result
                    not_told = self._tell(item, result)
                    failure = failure or not_told
                elif isinstance(news, BaseException):
                    failure = failure or news
        finally:
            self._stopped = True
        if failure is not None:
            raise failure
        return [results[index] for index in range(total)]

    def stop(self) -> None:
        """Let :meth:`run` raise at once, and begin nothing more. May be called from a signal handler."""
        self._stopped = True
        self._news.put(_Note.STOP)

    def _tell(self, item: ItemT, result: ResultT) -> Exception | None:
        try:
            self._arrived(item, result)
        except Exception as error:
            self._stopped = True
            return error
        return None

    def _labour(self, waiting: list[tuple[int, ItemT]]) -> None:
        try:
            with self._worker() as worker:
                while (taken := self._take(waiting)) is not None:
                    index, item = taken
                    self._news.put((index, item, self._work(worker, item)))
        except BaseException as error:
            self._stopped = True
            self._news.put(error)
        finally:
            self._news.put(_Note.THREAD_ENDED)

    def _take(self, waiting: list[tuple[int, ItemT]]) -> tuple[int, ItemT] | None:
        with self._taking:
            return waiting.pop() if waiting and not self._stopped else None
