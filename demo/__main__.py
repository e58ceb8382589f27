"""Make files, start the simulator, run four example Dags at once, say what came out.

Everything it writes is under ``.demo/`` (Airflow's homes) and ``demo-output/`` (inputs, results, logs).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from airflow_provider.simulator import Simulator
from demo.airflow_runs import AirflowHome, Command, wait_for
from demo.inputs import FILED_ON, make_inputs
from demo.summary import campaign_lines, claim_lines, report_lines, review_lines

REPOSITORY = Path(__file__).resolve().parent.parent
DAGS = REPOSITORY / "dags"

REVIEW = "mediamagic_review"
REPORT = "silent_witness_report"
CAMPAIGNS = "mediamagic_campaigns"
CLAIMS = "silent_witness_claims"

TIME_SCALE = 20.0
"""A minute at the vendor takes three seconds here."""
MIGRATION_LIMIT = 180.0
RUN_LIMIT = 600.0

KEYS = {"mediamagic": "sk_live_" + "0123456789abcdef" * 4, "silent_witness": "sk-" + "a1b2c3d4e5" * 6 + "f"}


class DemoFailed(Exception):
    """Something did not work; the message says what, and where to read on."""


class Interrupted(Exception):
    """Somebody wants the demo to end."""


class _Interrupts:
    """Remembers a signal until it is asked.

    An exception raised by the handler itself could come between the start of a process and the note that it
    has to be stopped.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._received = number

    def check(self) -> None:
        """Raise :class:`Interrupted` after a signal."""
        if self._received is not None:
            raise Interrupted(signal.Signals(self._received).name)

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that was ended by this signal."""
        return 128 + (self._received or 0)


class _Progress:
    """Short lines with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, line: str) -> None:
        print(f"{self.elapsed():5.1f} s  {line}", flush=True)

    def elapsed(self) -> float:
        return time.monotonic() - self._started


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="Run the example Dags.")
    parser.add_argument("--into", type=Path, default=REPOSITORY, help="write here (default: the repository)")
    into: Path = parser.parse_args(arguments).into.resolve()

    interrupts = _Interrupts()
    try:
        try:
            _run(into / ".demo", into / "demo-output", interrupts.check)
        except Exception:
            # What failed may have failed because a process got the same signal.
            interrupts.check()
            raise
    except Interrupted as error:
        print(f"\nInterrupted ({error}); everything that was started has been stopped.", file=sys.stderr)
        return interrupts.exit_code
    except DemoFailed as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    return 0


def _run(homes: Path, output: Path, tick: Callable[[], None]) -> None:
    say = _Progress()
    for old in (homes, output):
        shutil.rmtree(old, ignore_errors=True)

    with contextlib.ExitStack() as stack:
        migrated = AirflowHome(homes / "migrated", DAGS)
        migration = Command(migrated, output / "logs" / "migrate.log", "db", "migrate")
        stack.callback(migration.stop)

        inputs = make_inputs(output / "inputs")
        say(f"input files in {_relative(output / 'inputs')}")
        tick()
        try:
            simulator = stack.enter_context(Simulator(time_scale=TIME_SCALE))
        except (RuntimeError, TimeoutError) as error:
            raise DemoFailed(str(error)) from error
        say(
            f"both services, simulated, on {simulator.url}; a minute there takes {60 / TIME_SCALE:.0f} s here"
        )

        _check({"airflow db migrate": migration}, seconds=MIGRATION_LIMIT, tick=tick)
        say("metadata database migrated (SQLite, thrown away by the next run)")

        connections = {
            f"{service}_default": {"conn_type": service, "host": simulator.url, "password": key}
            for service, key in KEYS.items()
        }
        params: dict[str, dict[str, Any]] = {
            REVIEW: {"files": _texts(inputs.media)},
            REPORT: {"photos": _texts(inputs.photos), "edr_reports": _texts(inputs.edr_reports)},
            CAMPAIGNS: {"spots": str(inputs.spots)},
            CLAIMS: {"database": str(inputs.claims), "filed_on": FILED_ON},
        }
        runs: dict[str, Command] = {}
        for dag_id, conf in params.items():
            # A home each: two runs at once would wait for each other's locks in one SQLite file.
            home = AirflowHome(homes / dag_id, DAGS, connections)
            home.copy_database(migrated)
            conf_json = json.dumps({**conf, "output_dir": str(output / dag_id)})
            log = output / "logs" / f"{dag_id}.log"
            runs[dag_id] = Command(home, log, "dags", "test", dag_id, "--conf", conf_json)
            stack.callback(runs[dag_id].stop)
            say(f"airflow dags test {dag_id} ...")
        _check(runs, seconds=RUN_LIMIT, tick=tick)
        say("all Dag runs succeeded")

    _show("MediaMagic review", review_lines, output / REVIEW, runs[REVIEW])
    _show("MediaMagic campaigns", campaign_lines, output / CAMPAIGNS, runs[CAMPAIGNS])
    _show("Silent Witness report", report_lines, output / REPORT, runs[REPORT])
    _show("Silent Witness claims", claim_lines, output / CLAIMS, runs[CLAIMS])
    print(f"\nDone in {say.elapsed():.0f} s. Airflow's own logs are in {_relative(output / 'logs')}.")


def _texts(paths: Iterable[Path]) -> list[str]:
    return [str(path) for path in paths]


def _check(commands: dict[str, Command], *, seconds: float, tick: Callable[[], None]) -> None:
    outcomes = wait_for(commands.values(), seconds=seconds, tick=tick)
    failures = []
    for name, command in commands.items():
        code = outcomes[command]
        if code is None:
            failures.append(f"{name} did not end within {seconds:.0f} s; see {_relative(command.log)}")
        elif code != 0:
            failures.append(
                f"{name} ended with exit code {code}; see {_relative(command.log)}\n{_tail(command.log)}"
            )
    if failures:
        raise DemoFailed("\n".join(failures))


def _show(title: str, lines: Callable[[Path], Iterator[str]], directory: Path, run: Command) -> None:
    print(f"\n{title}\n{'=' * len(title)}")
    try:
        for line in lines(directory):
            print(line)
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise DemoFailed(f"the Dag run succeeded, but: {error}; see {_relative(run.log)}") from error


def _tail(log: Path, count: int = 15) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    # Airflow goes on talking after an error.
    lines = [line for line in lines if "[info " not in line]
    return "\n".join(f"  | {line[:200]}" for line in lines[-count:])


def _relative(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
