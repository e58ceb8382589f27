"""What a service says never ends a triggerer: the waits beside it, of other providers too, go on."""

from __future__ import annotations

import pytest

from tests.live.harness.bench import MODES, Bench

MESSAGES = {
    "half an emoji": "Report generation timed out \ud83d",
    "a NUL": "Report generation timed out \x00",
    "escapes": "Report generation timed out \x1b]0;title\x07\x1b[31mred\x9b2J",
    "no end": "Report generation timed out " + "x" * 200_000,
}


@pytest.mark.parametrize("mode", MODES)
def test_texts_that_no_log_and_no_database_takes(bench: Bench, mode: str) -> None:
    neighbour = bench.airflow.rest.trigger("live_neighbour", {})
    neighbour.until_task("deferred")
    pids = [triggerer.pid for triggerer in bench.airflow.triggerers]
    for message in MESSAGES.values():
        bench.simulator.script("silent_witness", duration=3, status="failed", message=message)
        job = bench.start("silent_witness", mode, variant="once")
        job.run.until_task("failed")
        log = bench.airflow.log_of(job.run.run_id)
        assert "Report generation timed out" in log
        assert "UnicodeEncodeError" not in log
        assert len(bench.jobs_of(job)) == 1
    assert neighbour.until_task_ended() == "success"
    assert neighbour.task()["try_number"] == 1
    assert [triggerer.pid for triggerer in bench.airflow.triggerers] == pids
    assert all(triggerer.running for triggerer in bench.airflow.triggerers)
    for triggerer in bench.airflow.triggerers:
        assert "airflow_provider" not in triggerer.tail(2000).partition("Traceback")[2]
