"""Whatever a service answers, the waits of others in the same triggerer go on, and so do ours."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.live.harness.bench import ENDLESS, MODES, SERVICES, Bench, Job
from tests.live.harness.patience import until

HOSTILE = "half a smile \ud83d, a NUL \x00 and \x1b[31mred\x1b[0m " + "x" * 100_000

UNLABELLED = gzip.compress(b"<html>Access denied</html>").decode(errors="surrogateescape")
"""A compressed page whose headers do not say so."""

JOB = {"mediamagic": "/api/integrations/submissions/*", "silent_witness": "/api/reports/*"}
TOLD = {"mediamagic": "status", "silent_witness": "data.progress"}
"""The field of a job's description that a service may fill with anything."""

ANSWERS: dict[str, dict[str, Any]] = {
    "text": {"kind": "set_field", "value": HOSTILE},
    "object": {"kind": "set_field", "value": {"message": HOSTILE, "step": [HOSTILE]}},
    "number": {"kind": "set_field", "value": 10**400},
    "error": {"kind": "status", "status": 500, "body": HOSTILE.replace("\ud83d", "")},
    "headers": {"kind": "status", "status": 503, "headers": {"Retry-After": "\x80soon", "Date": "never"}},
    "bytes": {"kind": "status", "status": 502, "body": UNLABELLED},
    "garbage": {"kind": "garbage"},
}


@pytest.fixture
def pids(bench: Bench) -> list[int]:
    """Of the triggerers, before anything was answered."""
    return [triggerer.pid for triggerer in bench.airflow.triggerers]


def unharmed(bench: Bench, pids: list[int]) -> None:
    """No triggerer has ended, and neither a triggerer nor a trigger has logged an exception."""
    assert all(triggerer.running for triggerer in bench.airflow.triggerers)
    assert pids == [triggerer.pid for triggerer in bench.airflow.triggerers]
    for triggerer in bench.airflow.triggerers:
        assert "airflow_provider/" not in triggerer.log.read_text(errors="replace")
    for log in (bench.airflow.home / "logs").rglob("*.trigger.*.log"):
        assert "error_detail" not in log.read_text(errors="replace"), log


def test_while_jobs_are_waited_for(bench: Bench, pids: list[int]) -> None:
    end = datetime.now(UTC) + timedelta(seconds=45)
    neighbour = bench.airflow.rest.trigger("live_neighbour", {"until": end.isoformat()})
    jobs = [bench.start(service, mode) for service in SERVICES for mode in MODES]
    for job in jobs:
        bench.until_waiting(job)
    neighbour.until_task("deferred")
    for answer in ANSWERS.values():
        for service in SERVICES:
            field = {"field": TOLD[service]} if answer["kind"] == "set_field" else {}
            bench.simulator.fault(path=JOB[service], method="GET", times=2, **field, **answer)
    until(
        lambda: all(fault["hits"] == 2 for fault in bench.simulator.faults()),
        "the waits have met every answer",
        seconds=240,
    )
    bench.finish_jobs()
    for job in jobs:
        bench.close(job, state="success")
    assert neighbour.until_task_ended() == "success"
    unharmed(bench, pids)
    bench.count_orphans()


def test_when_jobs_fail(bench: Bench, pids: list[int]) -> None:
    end = datetime.now(UTC) + timedelta(seconds=30)
    neighbour = bench.airflow.rest.trigger("live_neighbour", {"until": end.isoformat()})
    bench.simulator.clear_scripts()
    bench.simulator.script("silent_witness", duration=ENDLESS, status="failed", message=HOSTILE)
    bench.simulator.script(
        "mediamagic", duration=ENDLESS, asset_status="failed", error_message=HOSTILE, is_retryable=False
    )
    jobs: list[Job] = [bench.start(service, mode, variant="once") for service in SERVICES for mode in MODES]
    for job in jobs:
        bench.until_waiting(job)
    bench.finish_jobs()
    for job in jobs:
        bench.close(job, state="failed")
        assert "\x00" not in bench.airflow.log_of(job.run.run_id)
    assert neighbour.until_task_ended() == "success"
    unharmed(bench, pids)


def test_when_keys_are_refused_in_bytes_that_are_no_text(bench: Bench, pids: list[int]) -> None:
    end = datetime.now(UTC) + timedelta(seconds=30)
    neighbour = bench.airflow.rest.trigger("live_neighbour", {"until": end.isoformat()})
    jobs: list[Job] = [bench.start(service, mode, variant="once") for service in SERVICES for mode in MODES]
    for job in jobs:
        bench.until_waiting(job)
    for path in JOB.values():
        bench.simulator.fault("status", path, "GET", status=401, body=UNLABELLED)
    for job in jobs:
        bench.close(job, state="failed")
        assert "answered 401" in bench.airflow.log_of(job.run.run_id)
    assert neighbour.until_task_ended() == "success"
    unharmed(bench, pids)
