"""A Redis server of a test's own, on a Unix socket."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_redis = pytest.mark.skipif(not shutil.which("redis-server"), reason="redis-server is not installed")


@contextmanager
def redis_server(path: Path) -> Iterator[None]:
    """
    Run a server while the context lasts.

    :param path: of its socket.
    """
    process = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "eady to accept connections" in line:
            break
    yield
    process.terminate()
    process.communicate(timeout=60)
