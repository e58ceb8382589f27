"""The process: ready line, ports, signals, what it leaves behind."""

from __future__ import annotations

import ast
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

import airflow_provider.simulator.__main__
from airflow_provider.simulator import Simulator
from airflow_provider.simulator.__main__ import main
from airflow_provider.simulator.clock import Clock
from tests.simulator.receiver import Receiver

PACKAGE = Path(airflow_provider.simulator.__file__).parent
COMMAND = [sys.executable, "-m", "airflow_provider.simulator"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Lets a test see which temporary directories the process makes."""
    return {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(PACKAGE.parents[1])}


@pytest.fixture
def process(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [*COMMAND, "--port", "0", "--exit-on-stdin-eof"]
    with subprocess.Popen(
        command,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as started:
        yield started
        started.kill()


def ready(process: subprocess.Popen[str]) -> tuple[str, str]:
    assert process.stdout is not None
    words = process.stdout.readline().split()
    assert words[:3] == ["simulator", "listening", "on"]
    assert words[4] == "storage"
    return words[3], words[5]


def test_ready_line_names_two_origins_that_answer(process: subprocess.Popen[str]) -> None:
    url, storage = ready(process)
    assert url != storage
    assert requests.get(f"{url}/_simulator/health", timeout=60).json()["status"] == "ok"
    assert requests.get(f"{storage}/reports/x/y.pdf", timeout=60).status_code == 403


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_nothing_stays(
    process: subprocess.Popen[str], number: signal.Signals, tmp_path: Path
) -> None:
    url, _ = ready(process)
    headers = {"X-API-Key": "sk_live_x"}
    files = {"file": ("a.txt", b"text")}
    answer = requests.post(f"{url}/api/integrations/uploads/direct", headers=headers, files=files, timeout=60)
    assert answer.status_code == 201
    assert list(tmp_path.iterdir()) != []

    process.send_signal(number)

    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out, errors) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_it_does_not_wait_for_slow_answers(process: subprocess.Popen[str]) -> None:
    url, _ = ready(process)
    fault = {"kind": "delay", "delay": 600}
    assert requests.post(f"{url}/_simulator/faults", json=fault, timeout=60).status_code == 201
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as waiting:
        waiting.sendall(b"GET /api/cases HTTP/1.1\r\nHost: x\r\nX-API-Key: sk-1\r\n\r\n")
        deadline = time.monotonic() + 60
        while not requests.get(f"{url}/_simulator/faults", timeout=60).json()["faults"][0]["hits"]:
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_it_ends_cleanly_in_the_middle_of_a_delivery(
    process: subprocess.Popen[str], receiver: Receiver
) -> None:
    url = f"{ready(process)[0]}/api/integrations"
    headers = {"X-API-Key": "sk_test_x"}
    receiver.silent.add("/hook")
    body = {"endpointUrl": f"{receiver.url}/hook", "eventTypes": ["asset.processing.completed"]}
    requests.post(f"{url}/webhooks/subscriptions", headers=headers, json=body, timeout=60)
    files = {"file": ("a.txt", b"text")}
    upload = requests.post(f"{url}/uploads/direct", headers=headers, files=files, timeout=60).json()
    assets = {"assets": [{"blobPath": upload["blobPath"]}]}
    requests.post(f"{url}/submissions", headers=headers, json=assets, timeout=60)
    receiver.wait(1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_it_ends_with_the_one_who_started_it(process: subprocess.Popen[str]) -> None:
    ready(process)
    process.communicate(timeout=60)  # closes its stdin
    assert process.returncode == 0


def test_a_chosen_data_directory_is_kept(tmp_path: Path) -> None:
    with Simulator(arguments=("--data-dir", str(tmp_path / "kept"))) as sim:
        headers = {"X-API-Key": "sk_live_x"}
        files = {"file": ("a.txt", b"text to keep")}
        requests.post(f"{sim.url}/api/integrations/uploads/direct", headers=headers, files=files, timeout=60)
    stored = [path.read_bytes() for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert stored == [b"text to keep"]


def test_a_port_in_use_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["--port", str(taken.getsockname()[1])]) == 1
    assert "in use" in capsys.readouterr().err


def test_assumptions_are_listed_for_both_services(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--assumptions"]) == 0
    listed = capsys.readouterr().out
    assert "MediaMagic\n  - " in listed
    assert "Silent Witness\n  - " in listed


def test_a_missing_library_names_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        airflow_provider.simulator.__main__, "find_spec", lambda name: None if name == "fpdf" else object()
    )
    assert main([]) == 1
    assert "needs fpdf; install the extra 'simulator'" in capsys.readouterr().err


def test_a_simulator_that_cannot_start_says_why() -> None:
    with (
        pytest.raises(RuntimeError, match="COUNT/SECONDS"),
        Simulator(arguments=("--sw-rate-limit", "often")),
    ):
        pass


def test_stopping_ends_the_process() -> None:
    with Simulator() as sim:
        url = sim.url
        assert requests.get(f"{url}/_simulator/health", timeout=60).ok
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/_simulator/health", timeout=60)


def test_requests_are_logged_only_when_asked_for() -> None:
    with Simulator(arguments=("--log-requests",)) as sim:
        requests.get(f"{sim.url}/api/cases", headers={"X-API-Key": "sk-1"}, timeout=60)
        sim.ledger()  # the line is written after the answer: ask for something else first
        assert sim.errors() == "GET /api/cases 200"


def test_it_imports_nothing_else_of_this_package_and_nothing_of_airflow() -> None:
    foreign = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                inside = name == "airflow_provider.simulator" or name.startswith(
                    "airflow_provider.simulator."
                )
                if name.partition(".")[0] in ("airflow", "airflow_provider") and not inside:
                    foreign.add((path.name, name))
    assert foreign == set()


def test_temporary_directory_of_the_context_manager_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with Simulator():
        assert [path.name for path in tmp_path.iterdir() if path.is_dir()] != []
    assert list(tmp_path.iterdir()) == []


def test_a_standard_input_without_an_end_is_refused(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "airflow_provider.simulator", "--port", "0", "--exit-on-stdin-eof"]
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, timeout=60
    )
    assert ended.returncode == 1
    assert "simulator: standard input is no pipe" in ended.stderr


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_scale_that_is_none_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="time scale must be positive"):
        Clock(scale)


def test_a_port_that_none_can_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "99999"]) == 1
    assert capsys.readouterr().err == "simulator: bind(): port must be 0-65535.\n"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_an_address_of_ipv6_is_named_as_a_url_has_it(environment: dict[str, str]) -> None:
    command = [*COMMAND, "--host", "::1", "--port", "0", "--exit-on-stdin-eof"]
    with subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as started:
        url, storage = ready(started)
        assert url.startswith("http://[::1]:")
        assert storage.startswith("http://[::1]:")
        assert requests.get(f"{url}/_simulator/health", timeout=60).ok
        started.kill()
