"""Reports that end start a Dag, whoever has ordered them, over a restart of the triggerer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.harness.airflow import Airflow
from tests.live.harness.bench import Bench
from tests.live.harness.patience import until
from tests.live.harness.postgres import running_postgres
from tests.live.harness.rest import Run
from tests.simulator.talk import SilentWitnessTalk


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """A deployment with the watching Dag, and a database of its own."""
    base = tmp_path_factory.mktemp("reports")
    with pytest.MonkeyPatch.context() as patch, running_postgres(base) as database:
        patch.setenv("LIVE_REPORTS", "1")
        airflow = Airflow(base / "home", database, triggerers=1, timings={})
        with airflow.running(lambda: ["live_on_report"]):
            yield airflow


def test_a_report_that_a_person_ordered_starts_a_dag_once(bench: Bench) -> None:
    rest = bench.airflow.rest
    talk = SilentWitnessTalk(bench.simulator)
    talk.key = bench.new_key("silent_witness", "reports")
    ordered = [_order(talk)]
    extra = {"requests_per_hour": 1_000_000, "requests_per_minute": 100_000}
    rest.set_connection("live_reports", "silent_witness", bench.simulator.url, talk.key, **extra)

    def heard() -> list[dict[str, Any]]:
        runs = rest.call("GET", "/dags/live_on_report/dagRuns")["dag_runs"]
        done = [Run(rest, "live_on_report", run["dag_run_id"]) for run in runs if run["state"] == "success"]
        return [event for run in done for event in run.xcom(task_id="heard")]

    def reads() -> int:
        return int(bench.simulator.ledger()["requests"].get("GET /api/cases", 0))

    until(lambda: reads() >= 2, "the list was read", seconds=120)
    bench.finish_jobs()
    (event,) = until(heard, "the Dag has run", seconds=120)
    assert (event["report_id"], event["status"]) == (ordered[0], "completed")

    (triggerer,) = bench.airflow.triggerers
    triggerer.stop()
    ordered.append(_order(talk))
    bench.finish_jobs()
    triggerer.start()
    until(lambda: len(heard()) >= 2, "the Dag has run again", seconds=120)
    read = reads()
    until(lambda: reads() >= read + 4, "the list was read again", seconds=120)
    assert [one["report_id"] for one in sorted(heard(), key=lambda one: one["created_at"])] == ordered


def _order(talk: SilentWitnessTalk) -> str:
    return str(talk.order(talk.ready_case()).json()["data"]["id"])
