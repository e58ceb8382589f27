"""Progress of long transfers in the log: one line every few seconds, none for short ones."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

LOG_EVERY_SECONDS = 10.0


class Progress:
    """
    Count bytes and write a line when enough time has passed.

    :param what: subject of the line, for example ``"Upload of clip.mp4"``. Never a signed link.
    :param total: bytes expected; ``None`` when the other side did not say.
    :param log: where to write, at INFO.
    :param done: bytes that are already there, from an earlier attempt. They do not count for the rate.
    :param every: seconds between lines, default 10. A transfer shorter than that writes none.
    :param on_progress: called with ``(done, total)`` for every piece; for heartbeats or a user's own display.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        log: logging.Logger,
        *,
        done: int = 0,
        every: float = LOG_EVERY_SECONDS,
        on_progress: Callable[[int, int | None], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what = what
        self.total = total
        self.done = done
        self._log = log
        self._every = every
        self._on_progress = on_progress
        self._clock = clock
        self._began = self._last = clock()
        self._moved = 0
        self._logged = False

    def advance(self, count: int) -> None:
        """Count ``count`` more bytes."""
        self.done += count
        self._moved += count
        now = self._clock()
        if now - self._last >= self._every:
            self._last = now
            self._logged = True
            self._log.info("%s: %s", self.what, self._line(now))
        if self._on_progress is not None:
            self._on_progress(self.done, self.total)

    def reset(self, done: int) -> None:
        """Go back to ``done`` bytes: a piece has to be sent or fetched again."""
        self.done = done

    def finish(self) -> None:
        """Write the last line, if there was a first."""
        if self._logged:
            seconds = self._clock() - self._began
            self._log.info("%s: done, %s in %s", self.what, human_bytes(self.done), _human_seconds(seconds))

    def _line(self, now: float) -> str:
        seconds = max(now - self._began, 1e-9)
        rate = self._moved / seconds
        if not self.total:
            return f"{human_bytes(self.done)}, {human_bytes(rate)}/s"
        percent = 100 * self.done // self.total
        left = max(self.total - self.done, 0)
        remaining = _human_seconds(left / rate) if rate else "unknown"
        return f"{percent}% of {human_bytes(self.total)}, {human_bytes(rate)}/s, {remaining} remaining"


def human_bytes(count: float) -> str:
    """Return ``count`` bytes for people: ``512 B``, ``10.0 MB``. Decimal units, as the vendors write them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def _human_seconds(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
