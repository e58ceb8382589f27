"""Webhooks through a message queue, read by a real triggerer: for an Airflow that nobody can reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.harness.airflow import Airflow
from tests.live.harness.bench import Bench
from tests.live.harness.patience import until
from tests.live.harness.postgres import running_postgres
from tests.live.harness.rest import Run
from tests.live.test_webhooks import Waits
from tests.simulator.receiver import Receiver
from tests.webhooks.envelopes import OTHER_SECRET, envelope, signed
from tests.webhooks.sqs import Queue


@pytest.fixture(scope="module")
def queue() -> Iterator[Queue]:
    one = Queue()
    yield one
    one.close()


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, queue: Queue) -> Iterator[Airflow]:
    """A deployment that knows the queue, with a database of its own."""
    base = tmp_path_factory.mktemp("queue")
    with pytest.MonkeyPatch.context() as patch, running_postgres(base) as database:
        patch.setenv("LIVE_QUEUE_URL", queue.url)
        airflow = Airflow(base / "home", database, triggerers=2, timings={})
        with airflow.running(lambda: ["live_on_queue"]):
            yield airflow


@pytest.fixture
def gateway() -> Iterator[Receiver]:
    """What the vendor can reach."""
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_a_signed_event_of_a_queue_starts_a_dag(
    bench: Bench, queue: Queue, gateway: Receiver, tmp_path: Path
) -> None:
    """Beside it in the queue: a forged one before it, and a copy after it."""
    rest = bench.airflow.rest
    rest.set_connection("live_queue_aws", "aws", "", "", None, **queue.extra)
    waits = Waits(bench, tmp_path, webhooks=True, conn_id="live_queue", endpoint=f"{gateway.url}/hook")
    submission_id = waits.submit()
    bench.finish_jobs()
    (event,) = until(lambda: gateway.at("/hook"), "the vendor has sent its event")
    queue.receive(*signed(envelope("evt_forged"), secret=OTHER_SECRET))
    for _ in range(2):
        queue.receive(event.body, event.headers)

    def ended() -> list[Run]:
        runs = rest.call("GET", "/dags/live_on_queue/dagRuns")["dag_runs"]
        return [Run(rest, "live_on_queue", run["dag_run_id"]) for run in runs if run["state"] == "success"]

    (run,) = until(ended, "the Dag has run")
    (heard,) = run.xcom(task_id="heard")
    assert (heard["conn_id"], heard["submission_id"]) == ("live_queue", submission_id)
    assert heard["status"] == "complete"
    assert waits.polls() == [0]
