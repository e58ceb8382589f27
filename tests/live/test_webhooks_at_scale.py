"""A thousand waiting submissions, twice as many events in a minute: some lost, some doubled, all shuffled."""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider.core.polling.hints import LONGEST
from tests.live.harness.airflow import Airflow
from tests.live.harness.bench import Bench
from tests.live.harness.patience import until
from tests.live.harness.postgres import Postgres
from tests.live.test_webhooks import Waits, seconds, tell

SUBMISSIONS = int(os.environ.get("WEBHOOK_SUBMISSIONS", "1000"))
ASSETS = 2
MINUTE = 60.0

HOUR = 3600.0
"""For the start and the end of a thousand tasks on two cores."""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Airflow]:
    """Nothing is killed here, and a machine that starts a thousand tasks must not be taken for dead."""
    airflow = Airflow(tmp_path_factory.mktemp("airflow") / "home", postgres, triggerers=2, timings={})
    with airflow.running(lambda: ["live_webhooks_many"]):
        yield airflow


@pytest.mark.scale
@pytest.mark.timeout(2 * HOUR)
def test_every_task_ends_once(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    waits = Waits(bench, tmp_path, webhooks=True)
    bench.simulator.webhooks(loss=0.05, duplicate=0.05, reorder=True, reorder_window=MINUTE, seed=1)
    rest = bench.airflow.rest

    submissions = [waits.submit(ASSETS) for _ in range(SUBMISSIONS)]
    run = rest.trigger("live_webhooks_many", {"conn_id": waits.account.conn_id, "submissions": submissions})
    until(lambda: run.count("deferred") == SUBMISSIONS, "all wait", seconds=HOUR)
    ended_at = time.time()
    bench.finish_jobs()
    until(lambda: run.count("deferred") == 0, "all are woken", seconds=HOUR)
    run.until_ended(seconds=HOUR)

    tasks = run.tasks()
    noticed = sorted(seconds(task["scheduled_when"]) - ended_at for task in tasks)
    polls = waits.polls()
    sent = Counter(one["attempts"] for one in waits.deliveries())
    tell(
        capsys,
        f"{SUBMISSIONS} submissions: noticed {statistics.median(noticed):.1f} s (median), "
        f"{noticed[-1]:.1f} s (most) after their end, events spread over {MINUTE:.0f} s; "
        f"{statistics.mean(polls):.2f} requests (mean), {max(polls)} (most); "
        f"events by copies sent: {dict(sorted(sent.items()))}",
    )
    assert Counter((task["state"], task["try_number"]) for task in tasks) == {("success", 1): SUBMISSIONS}
    results = [run.xcom(map_index=number) for number in range(SUBMISSIONS)]
    assert [one["submissionId"] for one in results] == submissions
    assert Counter(one["status"] for one in results) == {"complete": SUBMISSIONS}
    assert noticed[0] > 0
    assert noticed[-1] <= LONGEST + MINUTE
    assert sent.total() == ASSETS * SUBMISSIONS
