"""A Redis server of our own, from the system's binary: the broker of the CeleryExecutor."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from tests.live.harness.patience import until
from tests.live.harness.processes import Component, free_port


class Redis:
    """
    A server on a free port of the loopback interface that writes nothing to disk.

    :param home: an empty directory of its own.
    """

    def __init__(self, home: Path) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            raise RuntimeError("No Redis here: install the Debian package `redis-server`.")
        home.mkdir(parents=True)
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.server = Component(
            "redis",
            [
                binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(home), "--save", "",
                "--appendonly", "no",
            ],
            environment={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            log=home / "redis.log",
        )  # fmt: skip

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.server.start()
        until(self._answers, "Redis answers")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
