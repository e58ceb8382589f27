"""A PostgreSQL cluster of our own in a temporary directory, from the system's binaries."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.live.harness.patience import until
from tests.live.harness.processes import Component, free_port, sweep

NAME = "airflow"


def binaries() -> Path | None:
    """The directory of ``initdb`` and ``postgres``, newest version first; ``None`` when there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: path.parts[-3])
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class Postgres:
    """
    A cluster on a free port of the loopback interface.

    PostgreSQL refuses to run as root: then it runs as ``postgres``, or else as ``nobody``.

    :param home: an empty directory of its own, which every user can get to.
    :param log: where its output goes.
    """

    def __init__(self, home: Path, log: Path) -> None:
        directory = binaries()
        if directory is None:
            raise RuntimeError("No PostgreSQL here: install the Debian package `postgresql`.")
        self._binaries = directory
        self.home = home
        self.port = free_port()
        self._user = _unprivileged() if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(home, self._user)
        self._data = home / "data"
        self._run(
            "initdb", "--pgdata", str(self._data), "--username", NAME, "--auth", "trust",
            "--encoding", "UTF8", "--no-sync",
        )  # fmt: skip
        self.server = Component(
            "postgres",
            [
                str(directory / "postgres"), "-D", str(self._data), "-p", str(self.port), "-k", str(home),
                "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off",
                "-c", "max_connections=200",
            ],
            environment=self._environment(),
            log=log,
            directory=home,  # it returns to where it started, and pytest's folder is closed to its user
            ready=self._answers,
            user=self._user,
        )  # fmt: skip

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the metadata database."""
        return f"postgresql+psycopg2://{NAME}@127.0.0.1:{self.port}/{NAME}"

    def start(self) -> None:
        """Start the server and make the database on first use."""
        self.server.start()
        until(self._answers, "PostgreSQL answers")
        if not self._sql(f"SELECT 1 FROM pg_database WHERE datname = '{NAME}'"):
            self._sql(f"CREATE DATABASE {NAME}")

    def restart(self) -> None:
        """Crash it and start it again: every connection is lost."""
        self.server.kill()
        self.server.start()
        until(self._answers, "PostgreSQL answers after its crash")

    def rows(self, *tables: str) -> dict[str, int]:
        """How many rows these tables of the metadata database have."""
        return {name: int(self._sql(f"SELECT count(*) FROM {name}", database=NAME)) for name in tables}

    def _answers(self) -> bool:
        ready = subprocess.run(
            [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
        )
        return ready.returncode == 0

    def _sql(self, statement: str, *, database: str = "postgres") -> str:
        address = ("-h", "127.0.0.1", "-p", str(self.port), "-U", NAME, "-d", database)
        return self._run("psql", *address, "-tA", "-c", statement).strip()

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            env=self._environment(),
            user=self._user,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(self.home)}


@contextlib.contextmanager
def running_postgres(base: Path) -> Iterator[Postgres]:
    """
    A cluster for the length of a ``with`` block.

    Its files are in a directory outside pytest's: every run of pytest closes that to all other users (mode
    0700), also while another run's cluster works below it as one of them.

    :param base: a directory of pytest, for the log.
    """
    with tempfile.TemporaryDirectory(prefix="airflow-postgres-") as home:
        cluster = Postgres(Path(home), base / "logs" / "postgres.log")
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.server.stop()
            left = sweep(Path(home))
    assert not left, "PostgreSQL has left processes behind"


def _unprivileged() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)
