"""Parallel transfers: several at a time, in threads; results arrive in the caller's thread."""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from queue import SimpleQueue
from typing import Generic, TypeVar

from airflow_provider.exceptions import TransferError

WorkerT = TypeVar("WorkerT")
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

MAX_PARALLEL = 4
"""Default number of transfers at a time: enough to hide round trips, few enough to share a worker's line."""


class Parallel(Generic[WorkerT, ItemT, ResultT]):
    """
    Runs ``work`` for every item, some at a time.

    After the first failure nothing more is begun. Transfers under way go on to their end, because a retry
    then has less to send; ``arrived`` is called for them before the failure is raised.

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
        # What arrives, threads that have ended, and None for a stop. A SimpleQueue, because a signal handler
        # may put into it while this thread waits for it.
        self._events: SimpleQueue[tuple[int, ItemT, ResultT] | Future[None] | None] = SimpleQueue()

    def run(self, items: Iterable[ItemT]) -> list[ResultT]:
        """
        Return the results in the order of ``items``.

        :raises Exception: the first failure, of ``work`` or of ``arrived``.
        :raises TransferError: :meth:`stop` was called.
        """
        waiting = deque(enumerate(items))
        total, running = len(waiting), min(self._max_parallel, len(waiting))
        results: dict[int, ResultT] = {}
        failure: BaseException | None = None
        pool = ThreadPoolExecutor(max(running, 1))
        try:
            for _ in range(running):
                # Airflow's log finds its task in the context; a copy each, because one can be entered only
                # once.
                thread = pool.submit(contextvars.copy_context().run, self._take_all, waiting)
                thread.add_done_callback(self._events.put)
            while running:
                event = self._events.get()
                if event is None:
                    raise TransferError(f"The task was killed: {len(results)} of {total} files had arrived.")
                if isinstance(event, Future):
                    running -= 1
                    failure = failure or event.exception()
                    continue
                index, item, results[index] = event
                try:
                    self._arrived(item, results[index])
                except Exception as error:
                    self._stopped = True
                    failure = failure or error
        finally:
            self._stopped = True
            # Airflow's task process does not wait for its threads when it ends.
            pool.shutdown(wait=False)
        if failure is not None:
            raise failure
        return [results[index] for index in range(total)]

    def stop(self) -> None:
        """Let :meth:`run` raise at once, and begin nothing more. May be called from a signal handler."""
        self._stopped = True
        self._events.put(None)

    def _take_all(self, waiting: deque[tuple[int, ItemT]]) -> None:
        try:
            with self._worker() as worker:
                while waiting and not self._stopped:
                    try:
                        index, item = waiting.popleft()
                    except IndexError:
                        return
                    self._events.put((index, item, self._work(worker, item)))
        except BaseException:
            self._stopped = True
            raise
