"""The demo runs through, says what came out, and leaves no process behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo, started, with everything it writes in ``tmp_path``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "demo", "--into", str(tmp_path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    yield process
    if process.poll() is None:
        process.terminate()
    process.communicate()


@pytest.mark.timeout(660)  # Airflow 3.2 needs four times as long for a task of `dags test` as 3.3
def test_runs_the_dags_and_shows_what_came_out(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    output, _ = demo.communicate(timeout=620)
    assert demo.returncode == 0, output
    results = tmp_path / "demo-output"
    assert (results / "mediamagic_review" / "summary.json").is_file()
    for kind in ("pdf", "docx"):
        (document,) = (results / "silent_witness_report").rglob(f"*.{kind}")
        assert str(document) in output
    for name in ("mediamagic_campaigns/findings.jsonl", "silent_witness_claims/claim-7.pdf"):
        assert str(results / name) in output
    assert Path(__file__).with_name("demo_review.txt").read_text() in output, "docs/images/demo.svg shows it"
    assert "Topics" in output
    assert _processes_of(tmp_path) == []


@pytest.mark.parametrize(
    ("moment", "number"),
    [("simulated", signal.SIGINT), ("dags test", signal.SIGTERM)],
    ids=["while it migrates", "while the Dags run"],
)
def test_leaves_nothing_when_interrupted(
    demo: subprocess.Popen[str], tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    assert demo.stdout is not None
    for line in demo.stdout:
        if moment in line:
            break
    latest = time.monotonic() + 60
    while len(_processes_of(tmp_path)) < 2:  # the demo, and what it has started
        assert time.monotonic() < latest, "Airflow has started no process"
        time.sleep(0.05)

    demo.send_signal(number)
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 128 + number, output
    assert f"Interrupted ({number.name})" in output
    assert _processes_of(tmp_path) == []


def _processes_of(directory: Path) -> list[str]:
    """What runs with this directory in its command line or as its Airflow home."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.environ().get("AIRFLOW_HOME", "")]
        except (psutil.Error, OSError):
            continue
        if process.pid != psutil.Process().pid and any(str(directory) in word for word in words):
            found.append(f"{process.pid} {words}")
    return found
