"""The simulator as a context manager: a subprocess on free ports."""

from __future__ import annotations

import http.client
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlsplit


class Simulator:
    """Runs the simulator for the length of a ``with`` block.

    :param time_scale: vendor seconds per real second.
    :param port: of both APIs; 0 picks a free one.
    :param arguments: more command-line arguments, such as ``("--sw-rate-limit", "off")``.
    :param start_timeout: real seconds to wait for it to be ready.

    .. code-block:: python

        with Simulator(time_scale=100) as sim:
            requests.get(f"{sim.url}/api/cases", headers={"X-API-Key": "sk-anything"})
            assert sim.ledger()["requests"]["GET /api/cases"] == 1
    """

    def __init__(
        self,
        time_scale: float = 20,
        *,
        port: int = 0,
        arguments: tuple[str, ...] = (),
        start_timeout: float = 30,
    ) -> None:
        self.url = ""
        self.storage_url = ""
        self._command = [
            sys.executable, "-m", "airflow_provider.simulator", "--exit-on-stdin-eof",
            "--port", str(port), "--time-scale", str(time_scale), *arguments,
        ]  # fmt: skip
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None

    def __enter__(self) -> Simulator:
        root = str(Path(__file__).parents[2])
        search = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        # Appending, because reading moves the position that the process shares.
        self._errors = tempfile.TemporaryFile("a+")
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter and arguments of the test's
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": search},
        )
        try:
            words = self._first_line().split()
            if words[:3] != ["simulator", "listening", "on"]:
                raise RuntimeError(f"The simulator did not start: {self.errors() or 'no output'}")
        except BaseException:
            self.stop()
            raise
        self.url, self.storage_url = words[3], words[5]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process that this object started, and only that."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def errors(self) -> str:
        """What the process has written to stderr."""
        if self._errors is None:
            return ""
        self._errors.seek(0)
        return self._errors.read().strip()

    # Control API

    def ledger(self) -> dict[str, Any]:
        """Everything that arrived, see ``ledger.py``."""
        return dict(self.control("GET", "ledger"))

    def fault(self, kind: str, path: str = "*", method: str = "*", **parameters: Any) -> dict[str, Any]:
        """Switch a fault on, see ``faults.py``."""
        return dict(
            self.control("POST", "faults", {"kind": kind, "path": path, "method": method, **parameters})
        )

    def faults(self) -> list[dict[str, Any]]:
        """Faults and how often they struck."""
        return list(self.control("GET", "faults")["faults"])

    def clear_faults(self) -> None:
        """Switch all faults off."""
        self.control("DELETE", "faults")

    def script(self, service: str, **outcome: Any) -> None:
        """Decide the outcome of jobs to come, see ``scripts.py``."""
        self.control("POST", "script", {"service": service, **outcome})

    def webhooks(self, **faults: Any) -> None:
        """Decide what goes wrong with webhooks from now on, see ``webhook_faults.py``; nothing by default.

        ``sim.webhooks(loss=0.05, duplicate=0.05, reorder=True, seed=1)``
        """
        self.control("POST", "webhooks", faults)

    def clear_scripts(self) -> None:
        """Forget all scripted outcomes."""
        self.control("DELETE", "script")

    def keys(self, *keys: dict[str, Any], restrict: bool | list[str] | None = None) -> None:
        """Register keys, e.g. ``{"key": "sk-old", "state": "expired"}``.

        :param restrict: from now on accept no others, of the services named or of both.
        """
        self.control("POST", "keys", {"keys": list(keys), "restrict": restrict})

    def advance(self, seconds: float) -> None:
        """Skip vendor seconds."""
        self.control("POST", "advance", {"seconds": seconds})

    def settings(self, **changes: Any) -> None:
        """Change switches, see ``settings.py``."""
        self.control("POST", "settings", changes)

    def reset(self) -> None:
        """Forget all jobs, keys, faults, scripts and counts."""
        self.control("POST", "reset")

    def control(self, method: str, path: str, data: Any = None) -> Any:
        """One control call.

        :raises ValueError: the simulator says what is wrong with it.
        """
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        try:
            body = None if data is None else json.dumps(data)
            connection.request(method, f"/_simulator/{path}", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        answer = json.loads(content) if content else None
        if response.status >= 400:
            raise ValueError(f"simulator: {answer}")
        return answer

    def _first_line(self) -> str:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        lines: queue.Queue[str] = queue.Queue()
        output = process.stdout
        threading.Thread(target=lambda: lines.put(output.readline()), daemon=True).start()
        try:
            return lines.get(timeout=self._start_timeout)
        except queue.Empty:
            raise TimeoutError(
                f"The simulator was not ready in {self._start_timeout} s: {self.errors()}"
            ) from None
