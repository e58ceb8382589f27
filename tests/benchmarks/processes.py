"""Starting the processes of a benchmark, and printing its tables."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
QUICK = bool(os.environ.get("BENCH_QUICK"))


def undisturbed() -> None:
    """Go before other processes of this machine where that is allowed: what they take looks like a stall."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)


def environment() -> dict[str, str]:
    """An environment in which Airflow knows nothing of the user's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    home = Path(tempfile.gettempdir()) / f"airflow-bench-{os.getpid()}"
    home.mkdir(exist_ok=True)
    return kept | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "PYTHONPATH": str(REPOSITORY),
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def start(module: str, *arguments: object, trusting: Path | None = None) -> subprocess.Popen[str]:
    """
    Start a module of this folder in a process of its own.

    :param trusting: the certificate authority that it trusts, instead of those of the web.
    """
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, arguments)]
    trust = {"SSL_CERT_FILE": str(trusting), "REQUESTS_CA_BUNDLE": str(trusting)} if trusting else {}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment() | trust,
        cwd=REPOSITORY,
    )


def result(process: subprocess.Popen[str], *, timeout: float) -> dict[str, Any] | None:
    """Return the JSON on the last line that a process prints; ``None`` when it did not survive."""
    try:
        out, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    lines = [line for line in out.splitlines() if line.startswith("{")]
    if process.returncode or not lines:
        print(errors[-2000:], file=sys.stderr)
        return None
    found: dict[str, Any] = json.loads(lines[-1])
    return found


@contextmanager
def status_server() -> Iterator[tuple[str, Path]]:
    """Run the status server, over HTTPS as the services are; yields its URL and whom to trust."""
    import trustme

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"https://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        authority, certificate = Path(folder, "authority.pem"), Path(folder, "server.pem")
        ca = trustme.CA()
        ca.cert_pem.write_to_path(str(authority))
        ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        trust = ssl.create_default_context(cafile=authority)
        process = start("status_server", port, certificate)
        try:
            for _ in range(200):
                try:
                    urllib.request.urlopen(f"{url}/polls", timeout=5, context=trust).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield url, authority
        finally:
            process.terminate()
            process.communicate()


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print(f"\n{title}\n", *lines, sep="\n", flush=True)
