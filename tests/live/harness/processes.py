"""Processes that a test may kill, stop, resume and start again, and that never outlive the tests."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

GRACE = 15.0
"""Real seconds that a process has to end by itself before it is killed."""


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Component:
    """
    One long-running process of the system under test.

    :param name: for messages and the log file's name.
    :param command: what to run.
    :param environment: its whole environment.
    :param log: where its output goes, appended over restarts.
    :param directory: where it works; default where the log is.
    :param ready: returns true once it does its work.
    :param user: run as this user, when this process is root.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        directory: Path | None = None,
        ready: Callable[[], bool] = lambda: True,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.ready = ready
        self._command = list(command)
        self._environment = dict(environment)
        self._directory = directory or log.parent
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self._family: dict[int, psutil.Process] = {}

    @property
    def running(self) -> bool:
        """Whether the process itself is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    def start(self) -> None:
        """Start it; does not wait until it is ready."""
        assert not self.running, f"{self.name} runs already"
        if self._process is None:
            # Also when somebody interrupts the tests while they tidy up.
            atexit.register(self.kill)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                start_new_session=True,
                user=self._user if os.geteuid() == 0 else None,
            )

    def family(self) -> list[psutil.Process]:
        """The process and everything below it, eldest first; those whose parent has died stay known."""
        if self.running:
            with contextlib.suppress(psutil.NoSuchProcess):
                eldest = psutil.Process(self.pid)
                for one in (eldest, *eldest.children(recursive=True)):
                    self._family[one.pid] = one
        self._family = {pid: one for pid, one in self._family.items() if one.is_running()}
        return list(self._family.values())

    def kill(self) -> None:
        """Kill -9 it with all that it started, as when a machine goes."""
        for one in self.family():
            kill_process(one)
        if self._process is not None:
            self._process.wait(GRACE)

    def stop(self) -> None:
        """End it by the front door, and what does not go by force. Twice is no harm."""
        family = self.family()
        if self.running:
            self.resume()
            self._process.terminate()  # type: ignore[union-attr]
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE)  # type: ignore[union-attr]
        for one in family:
            kill_process(one)
        if self._process is not None:
            self._process.wait(GRACE)

    def suspend(self) -> None:
        """SIGSTOP for it and all that it started."""
        for one in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                one.suspend()

    def resume(self) -> None:
        """SIGCONT after :meth:`suspend`."""
        for one in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                one.resume()

    def tail(self, lines: int = 25) -> str:
        """The end of its output, for messages."""
        if not self.log.exists():
            return "(no output)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def sweep(directory: Path) -> int:
    """
    Kill what still works in a directory or below it: whose parent died by itself, nobody has killed with it.

    :return: how many are left all the same.
    """

    def left() -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(directory):
                    found.append(process)
        return found

    end = time.monotonic() + GRACE
    while (remaining := left()) and time.monotonic() < end:
        for process in remaining:
            kill_process(process)
        psutil.wait_procs(remaining, timeout=1)
    return len(remaining)


def kill_process(process: psutil.Process) -> None:
    """Kill -9 one process, if it is still there."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)
