"""A deadline holds on a triggerer whose clock is hours ahead of, or behind, that of the worker."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider.core.polling.shared_clients import SharedClients
from airflow_provider.triggers.silent_witness import SilentWitnessReportTrigger

HOURS = 7200.0


def answer(status: str, date: float) -> bytes:
    body = json.dumps({"success": True, "data": {"id": "rpt_1", "status": status}}).encode()
    head = f"HTTP/1.1 200 OK\r\nDate: {formatdate(date, usegmt=True)}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def wait_for_report(
    monkeypatch: pytest.MonkeyPatch,
    *,
    triggerer: float = 0.0,
    service: float = 0.0,
    to_worker: float | None = None,
    statuses: list[str],
    limit: float,
) -> dict[str, Any]:
    """
    Run a trigger that a worker with the right clock has deferred.

    :param triggerer: seconds by which its clock is ahead.
    :param service: the same of the service's clock.
    :param to_worker: the same of the service's clock as it was when it answered the worker.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):  # the client has closed
            while await reader.readuntil(b"\r\n\r\n"):
                status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
                writer.write(answer(status, time.time() + service))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    host = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    connection = {"conn_type": "silent_witness", "host": host, "password": "sk_test"}
    monkeypatch.setenv("AIRFLOW_CONN_SKEWED", json.dumps(connection))
    clock = SimpleNamespace(time=lambda: time.time() + triggerer, monotonic=time.monotonic, sleep=time.sleep)
    monkeypatch.setattr("airflow_provider.core.http.client.time", clock)
    clients = SharedClients(clock=clock.time)
    SharedClients._of_loop[asyncio.get_running_loop()] = clients
    now = time.time()
    trigger = SilentWitnessReportTrigger(
        "skewed",
        "rpt_1",
        now - 1.0,
        now + limit,
        poll_interval=0.05,
        clock_offset=service if to_worker is None else to_worker,
    )
    try:
        event = await asyncio.wait_for(anext(trigger.run()), 60)
    finally:
        server.close()
    return dict(event.payload)


SKEWS = pytest.mark.parametrize(
    ("triggerer", "service"),
    [(0.0, 0.0), (HOURS, 0.0), (-HOURS, 0.0), (0.0, HOURS), (HOURS, -HOURS), (-HOURS, HOURS)],
)


@SKEWS
def test_a_report_has_its_time(monkeypatch: pytest.MonkeyPatch, triggerer: float, service: float) -> None:
    statuses = ["processing", "processing", "completed"]
    event = asyncio.run(
        wait_for_report(monkeypatch, triggerer=triggerer, service=service, statuses=statuses, limit=600.0)
    )
    assert (event["status"], event["polls"]) == ("success", 3)


@SKEWS
def test_and_no_more_than_its_time(monkeypatch: pytest.MonkeyPatch, triggerer: float, service: float) -> None:
    event = asyncio.run(
        wait_for_report(monkeypatch, triggerer=triggerer, service=service, statuses=["processing"], limit=0.5)
    )
    assert event["status"] == "timeout"


@pytest.mark.parametrize(("to_worker", "service"), [(HOURS, 0.0), (0.0, HOURS), (-HOURS, 0.0), (0.0, -HOURS)])
@pytest.mark.parametrize("limit", [600.0, 0.5])
def test_a_clock_of_the_service_that_is_set_takes_a_report_no_time(
    monkeypatch: pytest.MonkeyPatch, to_worker: float, service: float, limit: float
) -> None:
    statuses = ["processing", "processing", "completed"] if limit > 1 else ["processing"]
    event = asyncio.run(
        wait_for_report(monkeypatch, service=service, to_worker=to_worker, statuses=statuses, limit=limit)
    )
    assert event["status"] == ("success" if limit > 1 else "timeout")
