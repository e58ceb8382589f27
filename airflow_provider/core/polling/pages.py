"""Pages of a list: finds those that show certain rows, whatever its order and the size of its pages."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TypeVar

from airflow_provider.core.polling.wait import JobState
from airflow_provider.errors import ApiError

T = TypeVar("T")

SMALL_PAGE, LARGE_PAGE = 100, 1000
"""Rows asked for at once: by the older documentation of lists at most the first."""

WAITS_PER_PAGE = 4
"""A sweep reads no more pages than one for so many waits."""

MOST_PAGES = 100
"""Pages after which a list that is read whole is taken for endless."""

UNLISTED_FOR = 60.0
"""Seconds for which a job that the whole list does not show is not searched for."""

Page = Mapping[str, JobState | None]
"""What the list shows, by the id that it shows a job under; ``None`` where a row says nothing of a job."""


class Pages:
    """Reads pages of one list; remembers where wanted rows were, and how many rows a page may have."""

    def __init__(self) -> None:
        self._start = 0
        self._reach = 0
        self._most_rows = LARGE_PAGE
        self._unlisted: dict[str, float] = {}

    async def read(
        self, request: Callable[..., Awaitable[Page]], places: Collection[str], now: float
    ) -> tuple[dict[str, JobState | None], int]:
        """
        Read until all that is wanted was found, or the list ends, or more requests are not worth it.

        :param request: reads the page at ``offset``, ``limit`` and ``page``.
        :param now: epoch seconds.
        :return: all rows that were read, and how many requests that took.
        """
        self._unlisted = {
            place: since for place, since in self._unlisted.items() if now - since < UNLISTED_FOR
        }
        wanted = {place for place in places if place not in self._unlisted} or set(places)
        most_requests = max(1, len(wanted) // WAITS_PER_PAGE)
        start = offset = self._start
        size = self._rows_for(len(wanted))
        first_hit: int | None = None
        found: dict[str, JobState | None] = {}
        requests = 0
        while True:
            page = await self._page(request, offset, size)
            requests += 1
            new = page.keys() - found.keys()
            if new and requests > 1:
                self._most_rows = size
            if first_hit is None and not wanted.isdisjoint(new):
                first_hit = offset
            found |= page
            if not new or wanted <= found.keys() or requests >= most_requests:
                break
            offset += len(page)
            size = min(size, len(page))  # a server may return fewer than were asked for
        missing = wanted - found.keys()
        if not new and not start:  # the whole list was read
            self._unlisted |= dict.fromkeys(missing, now)
        self._reach = max((row for row, place in enumerate(found, 1) if place in wanted), default=0)
        if first_hit is not None and not (missing and start):
            # Begin there the next time.
            self._start = first_hit
            self._reach -= first_hit - start
        else:
            # Search on where this ended, or from the beginning.
            self._start = offset + len(page) if new and first_hit is None else 0
        return found, requests

    async def read_all(self, request: Callable[..., Awaitable[Mapping[str, T]]]) -> tuple[dict[str, T], int]:
        """
        Read the whole list, at most :data:`MOST_PAGES`; what was inserted meanwhile may be missing.

        :param request: reads the page at ``offset``, ``limit`` and ``page``.
        :return: all rows, and how many requests that took.
        """
        found: dict[str, T] = {}
        size, longest, requests = self._most_rows, 0, 0
        while requests < MOST_PAGES:
            page = await self._page(request, len(found), size)
            requests += 1
            known = len(found)
            found |= page
            # A page that is shorter than asked for is the last, or as long as the server lets it be.
            if len(found) == known or len(page) < longest:
                break
            size, longest = min(size, len(page)), len(page)
        return found, requests

    async def _page(
        self, request: Callable[..., Awaitable[Mapping[str, T]]], offset: int, size: int
    ) -> Mapping[str, T]:
        number = offset // size + 1 if size <= SMALL_PAGE and offset % size == 0 else None
        try:
            return await request(offset=offset, limit=size, page=number)
        except ApiError as error:
            if error.http_status not in (400, 422) or size <= SMALL_PAGE:
                raise
            self._most_rows = SMALL_PAGE
            return await request(offset=offset, limit=SMALL_PAGE, page=offset // SMALL_PAGE + 1)

    def _rows_for(self, wanted: int) -> int:
        """Return how many rows to ask for: jobs that are not waited for stand between those that are."""
        rows = max(2 * wanted, int(1.2 * self._reach))
        return min(self._most_rows, max(SMALL_PAGE, math.ceil(rows / SMALL_PAGE) * SMALL_PAGE))
