"""``kill -9`` at any moment: the target holds nothing or the whole file, and the next attempt finishes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from airflow_provider.core.files.download import download
from tests.service.files.origin import Fault, Origin

REPOSITORY = Path(__file__).parents[3]
BODY = random.Random(7).randbytes(6 * 1024 * 1024)

# One long-lived parent forks a child per download: starting Python and importing requests once is enough.
# It speaks lines: a target comes in, the child's pid goes out at once and its exit status when it has ended.
# What the child logs goes to stderr, for it could come before its pid.
PROGRAM = """
import os, sys
import requests, airflow_provider.core.files.atomic as atomic
import airflow_provider.core.files.download as module
from airflow_provider.core.files.download import download
atomic.CHECKPOINT_BYTES = 256 * 1024
module.CHUNK_BYTES = 65536
for line in sys.stdin:
    link, target = line.split()
    pid = os.fork()
    if pid == 0:
        os.dup2(2, 1)
        download(requests.Session(), lambda: link, target, expected_type=None)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""

Killed = Callable[[str, Path, int], int]


@pytest.fixture(scope="module")
def nursery() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPOSITORY,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def kill_at(origin: Origin, nursery: subprocess.Popen[str]) -> Killed:
    """
    Download ``name`` in another process and kill that one when the host is about to send byte ``offset``.
    """

    def run(name: str, target: Path, offset: int) -> int:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        known, reached = threading.Event(), threading.Event()
        child: list[int] = []

        def gate(sent: int) -> None:
            if sent >= offset and not reached.is_set():
                known.wait(60)
                os.kill(child[0], signal.SIGKILL)
                reached.set()

        origin.faults = [Fault(gate=gate)]
        nursery.stdin.write(f"{origin.link(name)} {target}\n")
        nursery.stdin.flush()
        child.append(int(nursery.stdout.readline()))
        known.set()
        return int(nursery.stdout.readline())

    return run


def check_one_kill(origin: Origin, kill_at: Killed, folder: Path, offset: int) -> int:
    """Kill once, look, and finish; return at which byte the second attempt went on."""
    target = folder / "r.bin"
    status = kill_at("r.bin", target, offset)
    if target.exists():
        assert target.read_bytes() == BODY
    else:
        assert status == signal.SIGKILL
    origin.seen.clear()
    origin.faults.clear()
    download(requests.Session(), lambda: origin.link("r.bin"), target, expected_type=None)
    assert target.read_bytes() == BODY
    assert os.listdir(folder) == ["r.bin"]
    asked = origin.seen[0].headers.get("range", "bytes=0-")
    return int(asked[6:-1])


def run_kills(origin: Origin, kill_at: Killed, folder: Path, times: int) -> list[tuple[int, int]]:
    origin.put("r.bin", BODY)
    draw = random.Random(times)
    found = []
    for number in range(times):
        offset = draw.randrange(len(BODY))
        here = folder / str(number)
        here.mkdir()
        found.append((offset, check_one_kill(origin, kill_at, here, offset)))
    return found


def test_killed_anywhere_it_is_whole_or_absent_and_goes_on(
    origin: Origin, kill_at: Killed, tmp_path: Path
) -> None:
    found = run_kills(origin, kill_at, tmp_path, 15)
    resumed = [went_on for offset, went_on in found if offset > 2 * 1024 * 1024]
    # How far a killed process got is its own affair, but most of the late ones have something to go on from.
    assert sum(went_on > 0 for went_on in resumed) >= len(resumed) // 2
    assert resumed


@pytest.mark.slow
@pytest.mark.skipif("FILES_KILL_TIMES" not in os.environ, reason="set FILES_KILL_TIMES=100 to run")
def test_killed_many_times(origin: Origin, kill_at: Killed, tmp_path: Path) -> None:
    run_kills(origin, kill_at, tmp_path, int(os.environ["FILES_KILL_TIMES"]))


def test_killed_again_and_again_one_file_still_gets_there(
    origin: Origin, kill_at: Killed, tmp_path: Path
) -> None:
    origin.put("r.bin", BODY)
    target = tmp_path / "r.bin"
    for offset in (1_500_000, 1_500_000, 1_500_000):
        kill_at("r.bin", target, offset)
        assert not target.exists()
    download(requests.Session(), lambda: origin.link("r.bin"), target, expected_type=None)
    assert target.read_bytes() == BODY
    assert os.listdir(tmp_path) == ["r.bin"]
