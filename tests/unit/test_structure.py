"""What the layout promises: a poll passes through few files, and the rooms below Airflow do not import it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import airflow_provider
from airflow_provider.core.jobs.trigger import JobTrigger
from airflow_provider.core.polling.shared_clients import SharedClients
from airflow_provider.operators.mediamagic import (
    MediaMagicCreateSubmissionOperator,
    MediaMagicRetryAssetOperator,
)
from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateCaseOperator,
    SilentWitnessCreateReportOperator,
)
from airflow_provider.sensors.mediamagic import MediaMagicSubmissionSensor
from airflow_provider.sensors.silent_witness import SilentWitnessReportSensor
from airflow_provider.simulator import Simulator
from airflow_provider.triggers.mediamagic import MediaMagicSubmissionTrigger
from airflow_provider.triggers.silent_witness import SilentWitnessReportTrigger
from tests.airflow.lone import FakeTaskInstance, execute
from tests.conftest import SILENT_WITNESS_KEY
from tests.simulator.talk import SilentWitnessTalk

PACKAGE = Path(airflow_provider.__file__).parent
FILES_TO_THE_REQUEST = 11
FILES_OF_A_POLL = 12
"""With those that read the answer, count it and show it."""
FILES_OF_A_PAID_POST = {"report": 24, "case": 21, "submission": 31}
"""From Airflow's call to the id on record and in XCom; a submission's file is read and uploaded first."""

SPEED = 200.0
"""How much faster than real time the wait runs."""

REPORT = {"id": "rpt_1", "status": "processing", "progress": {"message": "Reading photos"}}
SUBMISSION = {"submissionId": "5b1e", "status": "processing", "progressPercent": 40, "assets": []}


def modules_in(*folders: str) -> list[str]:
    files = (path for folder in folders for path in sorted((PACKAGE / folder).glob("*.py")))
    return [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in files]


@pytest.mark.parametrize("module", modules_in("core/polling", "core/budget"))
def test_waiting_is_decided_without_airflow(module: str) -> None:
    script = f"import sys, {module}; sys.exit('airflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, cwd=PACKAGE.parent)


async def files_of_a_poll(
    monkeypatch: pytest.MonkeyPatch,
    trigger_class: type[JobTrigger] = SilentWitnessReportTrigger,
    job_id: str = "rpt_1",
    answer: Mapping[str, Any] = {"success": True, "data": REPORT},
) -> tuple[set[str], set[str]]:
    """
    Return the package's files that run code between two status requests of a wait.

    :param answer: what the service says of the job.
    :return: those on the way down, from when the next poll is chosen until aiohttp sends; and all, with those
        that read the answer.
    """
    answers = 0
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    entered: set[str] = set()
    before_sending: set[str] = set()
    steps: list[str] = []
    enough = asyncio.Event()

    def trace(frame: FrameType, event: str, arg: Any) -> None:
        code = frame.f_code
        if code.co_qualname == "Wait.next_poll" or (steps and code.co_qualname == "ClientSession._request"):
            steps.append(code.co_name)
        if (path := Path(code.co_filename)).is_relative_to(PACKAGE):
            entered.add(str(path.relative_to(PACKAGE)))
            if steps and "_request" not in steps:
                before_sending.add(str(path.relative_to(PACKAGE)))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answers
        with suppress(asyncio.IncompleteReadError):  # the client has closed
            while await reader.readuntil(b"\r\n\r\n"):
                answers += 1
                if answers == 2:
                    sys.settrace(trace)
                elif answers == 4:
                    sys.settrace(None)
                    enough.set()
                writer.write(head.encode() + body)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    host = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    connection = {"conn_type": trigger_class.hook_class.conn_type, "host": host, "password": "sk_test"}
    monkeypatch.setenv("AIRFLOW_CONN_POLLED", json.dumps(connection))
    # What is done once for all waits, every second or every few minutes, this wait's time runs too fast for.
    monkeypatch.setattr("airflow_provider.core.polling.key_state.EXCHANGE_EVERY", 1e9)
    monkeypatch.setattr("airflow_provider.core.polling.shared_clients.CONNECTION_TTL", 1e9)
    monkeypatch.setattr("airflow_provider.core.polling.metrics.FLUSH_EVERY", 1e9)
    began = time.time()
    clients = SharedClients(
        clock=lambda: began + SPEED * (time.time() - began),
        sleep=lambda seconds: asyncio.sleep(seconds / SPEED),
    )
    SharedClients._of_loop[asyncio.get_running_loop()] = clients
    trigger = trigger_class("polled", job_id, began - 150.0, began + 36_000.0)
    wait = asyncio.ensure_future(anext(trigger.run()))
    try:
        await asyncio.wait_for(enough.wait(), 60)
    finally:
        sys.settrace(None)
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)
        server.close()
    return before_sending, entered


@pytest.mark.parametrize(
    "waited_for",
    [
        (SilentWitnessReportTrigger, "rpt_1", {"success": True, "data": REPORT}),
        (MediaMagicSubmissionTrigger, "5b1e", SUBMISSION),
    ],
)
def test_a_poll_in_the_triggerer_passes_through_few_files(
    waited_for: tuple[type[JobTrigger], str, Mapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before_sending, entered = asyncio.run(files_of_a_poll(monkeypatch, *waited_for))
    assert "core/polling/wait.py" in before_sending
    assert len(before_sending) <= FILES_TO_THE_REQUEST, "\n".join(sorted(before_sending))
    assert len(entered) <= FILES_OF_A_POLL, "\n".join(sorted(entered))


class SettledTaskInstance(FakeTaskInstance):
    """Stops following what runs when the id of what was paid for is pushed."""

    def xcom_push(self, key: str, value: Any) -> None:
        if key in ("report_id", "case_id", "submission_id"):
            sys.settrace(None)
        super().xcom_push(key, value)


def files_until_settled(operator: Any) -> set[str]:
    """Return the package's files that run code until the id of what is paid for is on record and in XCom."""
    entered: set[str] = set()

    def trace(frame: FrameType, event: str, arg: Any) -> None:
        if (path := Path(frame.f_code.co_filename)).is_relative_to(PACKAGE):
            entered.add(str(path.relative_to(PACKAGE)))

    ti = SettledTaskInstance()
    sys.settrace(trace)
    try:
        execute(operator, ti=ti)
    finally:
        sys.settrace(None)
    assert any(key.endswith("_id") for key in ti.xcoms)
    return entered


@pytest.mark.parametrize("paid", FILES_OF_A_PAID_POST)
def test_a_paid_request_passes_through_few_files(
    paid: str,
    simulator: Simulator,
    mediamagic_conn: str,
    silent_witness_conn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Where Airflow's own record outlives a clear: up to 3.3 there is no file beside it.
    monkeypatch.setattr("airflow_provider.core.jobs.ledger.CLEAR_DISCARDS_TASK_STATE", False)
    talk = SilentWitnessTalk(simulator)
    talk.key = SILENT_WITNESS_KEY
    (tmp_path / "ad.txt").write_text("A guaranteed cure.")

    def operator(task_id: str) -> Any:
        if paid == "report":
            return SilentWitnessCreateReportOperator(
                task_id=task_id, case_id=talk.ready_case(), wait_for_completion=False
            )
        if paid == "case":
            return SilentWitnessCreateCaseOperator(
                task_id=task_id, plaintiff_name="Ann", defendant_name="Bob", attorney_name="Cleo"
            )
        return MediaMagicCreateSubmissionOperator(
            task_id=task_id, files=[str(tmp_path / "ad.txt")], wait_for_completion=False
        )

    execute(operator("first"))  # which imports what is imported late
    entered = files_until_settled(operator("second"))
    assert "core/jobs/pay_once.py" in entered
    assert len(entered) <= FILES_OF_A_PAID_POST[paid], "\n".join(sorted(entered))


@pytest.mark.parametrize(
    "operator",
    [
        MediaMagicCreateSubmissionOperator,
        MediaMagicRetryAssetOperator,
        SilentWitnessCreateCaseOperator,
        SilentWitnessCreateReportOperator,
        MediaMagicSubmissionSensor,
        SilentWitnessReportSensor,
    ],
)
def test_few_classes_of_ours_stand_over_an_operator(operator: type[Any]) -> None:
    own = [cls.__name__ for cls in operator.__mro__ if cls.__module__.startswith("airflow_provider.")]
    assert len(own) <= 4, own
