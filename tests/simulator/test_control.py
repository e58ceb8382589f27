"""The control API is for those on this machine who mean it, and for no web page in a browser there."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
import requests

from airflow_provider.simulator import Simulator


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8090", "x.localhost", "10.1.2.3", "["])
@pytest.mark.parametrize(("method", "path"), [("GET", "ledger"), ("POST", "reset"), ("GET", "nothing")])
def test_a_name_that_was_made_to_lead_here_controls_nothing(
    sim: Simulator, host: str, method: str, path: str
) -> None:
    headers = {"Host": host, "Content-Type": "application/json"}
    answer = requests.request(method, f"{sim.url}/_simulator/{path}", headers=headers, timeout=60)
    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:9", "[::1]:9", "127.9.9.9"])
def test_names_of_this_machine_do(sim: Simulator, host: str) -> None:
    answer = requests.get(f"{sim.url}/_simulator/health", headers={"Host": host}, timeout=60)
    assert answer.status_code == 200


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_what_a_form_can_send_controls_nothing(sim: Simulator, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = requests.post(f"{sim.url}/_simulator/advance", '{"seconds": 1}', headers=headers, timeout=60)
    assert answer.status_code == 415


def test_a_bind_beyond_this_machine_warns() -> None:
    command = [sys.executable, "-m", "airflow_provider.simulator", "--host", "0.0.0.0", "--port", "0"]
    with subprocess.Popen(
        [*command, "--exit-on-stdin-eof"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().split()[3].rpartition(":")[2])
        own = f"{socket.gethostname()}.example"
        for host, status in (("10.1.2.3", 200), (own, 403)):
            url = f"http://127.0.0.1:{port}/_simulator/health"
            assert requests.get(url, headers={"Host": host}, timeout=60).status_code == status
        _, errors = process.communicate("")
    assert "bound to 0.0.0.0, beyond this machine" in errors
