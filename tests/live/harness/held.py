"""
Points at which a test may hold a task to kill it there.

A file in the directory ``conf["hold_dir"]`` of the Dag run holds the task, which answers with a file that
says its process id. The mixin only waits around the operator's own steps, it changes none of them.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

BEFORE_POST, AFTER_ANSWER, AFTER_RECORD = "before_post", "after_answer", "after_record"

LONGEST = 400.0
"""Real seconds after which a task that nobody killed goes on."""


class Held:
    """Mixin in front of a job operator."""

    _hold_dir: Path | None = None

    def execute(self, context: Any) -> Any:
        """Read the conf, then run the operator."""
        conf = context["dag_run"].conf or {}
        self._hold_dir = Path(conf["hold_dir"]) if conf.get("hold_dir") else None
        if "defer_margin" in conf:
            # Only this task's process: the framework's own defer time-out is three minutes behind ours.
            from airflow_provider.core.jobs import waiting

            waiting.DEFER_MARGIN = conf["defer_margin"]
        return super().execute(context)  # type: ignore[misc]

    def submit(self, hook: Any, entry: Any) -> dict[str, Any]:
        """Hold before the paid call and between its answer and the record of it."""
        self._hold(BEFORE_POST)
        body: dict[str, Any] = super().submit(hook, entry)  # type: ignore[misc]
        self._hold(AFTER_ANSWER)
        return body

    def announce(self, context: Any, job_id: str | None) -> None:
        """Hold as soon as the id is recorded."""
        self._hold(AFTER_RECORD)
        super().announce(context, job_id)  # type: ignore[misc]

    def _hold(self, point: str) -> None:
        if self._hold_dir is None or not (self._hold_dir / point).exists():
            return
        reached = self._hold_dir / f"{point}.reached"
        reached.with_suffix(".new").write_text(str(os.getpid()))
        reached.with_suffix(".new").rename(reached)
        end = time.monotonic() + LONGEST
        while (self._hold_dir / point).exists() and time.monotonic() < end:
            time.sleep(0.1)


class Holding:
    """
    The test's side of :class:`Held`.

    :param directory: an empty directory of this run.
    :param point: where the task is held.
    """

    def __init__(self, directory: Path, point: str) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        self._file = directory / point
        self._file.touch()
        self._reached = directory / f"{point}.reached"

    def reached(self) -> int:
        """The process id of the held task, 0 while it is not held."""
        return int(self._reached.read_text()) if self._reached.exists() else 0

    def release(self) -> None:
        """Let it go on, and hold nobody again."""
        self._file.unlink()
