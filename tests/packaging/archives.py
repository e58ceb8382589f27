"""The package as users get it: built from the sdist, installed where nothing else is."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]


def build(directory: Path) -> Path:
    """
    Build the sdist, and the wheel from that sdist.

    :return: the wheel; the sdist lies beside it.
    """
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory), str(REPOSITORY))
    (wheel,) = directory.glob("*.whl")
    return wheel


def install(wheel: Path, home: Path, *, extras: str = "") -> Path:
    """
    Install a wheel and what it needs, of the same Airflow as here, into a fresh environment.

    :param extras: such as ``[simulator]``; default none.
    :return: the environment's Python.
    """
    airflow = ".".join(metadata.version("apache-airflow-core").split(".")[:2])
    constraints = REPOSITORY / "constraints" / f"airflow-{airflow}.txt"
    arguments = ("--constraint", str(constraints), f"{wheel}{extras}")
    python = home / "venv" / "bin" / "python"
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv:
        venv.create(home / "venv")
        # Without the network first: as a rule uv's cache holds what this environment was made of.
        for offline in (["--offline"], []):
            command = [uv, "pip", "install", "--quiet", *offline, "--python", str(python), *arguments]
            if subprocess.run(command, check=False, capture_output=True).returncode == 0:
                return python
    venv.create(home / "venv", clear=True, with_pip=True)
    run(str(python), "-m", "pip", "install", "--quiet", *arguments)
    return python


def run(*command: str, **options: Any) -> str:
    """Run a command that must succeed; what it printed."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, check=False, capture_output=True, text=True, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
