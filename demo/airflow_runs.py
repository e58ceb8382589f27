"""Runs of ``airflow dags test`` in throwaway Airflow homes, with nothing left running afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

_GRACE = 5.0
"""Seconds that a process has to end by itself before it is killed."""


@dataclass(frozen=True, slots=True)
class AirflowHome:
    """A directory with a SQLite metadata database and logs, and the environment that points Airflow at it."""

    path: Path
    dags: Path
    connections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.path / "airflow.db"

    def environment(self) -> dict[str, str]:
        """The environment of every Airflow command here, free of the user's own Airflow settings."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        return inherited | {
            "AIRFLOW_HOME": str(self.path),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.database}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.path / "logs"),
            "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            # A proxy for the world outside is not one for the simulator on this machine.
            "NO_PROXY": ",".join(filter(None, ("127.0.0.1", "localhost", os.environ.get("NO_PROXY")))),
            "no_proxy": ",".join(filter(None, ("127.0.0.1", "localhost", os.environ.get("no_proxy")))),
            **{
                f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(connection)
                for conn_id, connection in self.connections.items()
            },
        }

    def copy_database(self, source: AirflowHome) -> None:
        """Start from a database that is migrated already, which is much faster than to migrate again."""
        self.path.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.database, self.database)


class Command:
    """One Airflow command in a process group of its own, its output in a file."""

    def __init__(self, home: AirflowHome, log: Path, *arguments: str) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._output: BinaryIO = log.open("wb")
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter and arguments of the demo's
            [sys.executable, "-m", "airflow", *arguments],
            env=home.environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def exit_code(self) -> int | None:
        """Return it when the command has ended, else None."""
        return self._process.poll()

    def stop(self) -> None:
        """End the command and everything that it started. Twice is no harm."""
        if self._output.closed:
            return
        self._signal_group(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        # Also when the command ended by itself: one of its children may not have.
        self._signal_group(signal.SIGKILL)
        self._process.wait()
        self._output.close()

    def _signal_group(self, number: signal.Signals) -> None:
        # Nobody may be left; macOS says it with PermissionError when only a zombie is.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def wait_for(
    commands: Iterable[Command], *, seconds: float, tick: Callable[[], None]
) -> dict[Command, int | None]:
    """Wait for all commands, and stop what is left, whatever happens.

    :param seconds: how long to wait at most.
    :param tick: called all the time; what it raises ends the wait.
    :return: the exit code of each; None when it was out of time.
    """
    running = list(commands)
    deadline = time.monotonic() + seconds
    try:
        while any(command.exit_code() is None for command in running) and time.monotonic() < deadline:
            tick()
            time.sleep(0.05)
        return {command: command.exit_code() for command in running}
    finally:
        for command in running:
            command.stop()
