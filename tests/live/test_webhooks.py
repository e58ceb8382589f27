"""Webhooks under a real API server, scheduler and triggerer, with deliveries of the simulated vendor."""

from __future__ import annotations

import asyncio
import io
import re
import statistics
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from airflow_provider.core.http.connection import ConnectionSettings
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.mediamagic_connection import MEDIAMAGIC
from airflow_provider.mediamagic.webhooks.events import MOST_BYTES
from tests.live.harness.bench import Account, Bench
from tests.live.harness.patience import until
from tests.live.harness.rest import Run
from tests.webhooks.envelopes import OTHER_SECRET, envelope, signed


class Waits:
    """Submissions that tasks wait for, on one account.

    :param webhooks: whether the account has a subscription and its connection the secret.
    :param conn_id: of the connection; one of its own by default.
    :param endpoint: where events are sent to; the API server's receiver by default.
    """

    def __init__(
        self, bench: Bench, directory: Path, *, webhooks: bool, conn_id: str = "", endpoint: str = ""
    ) -> None:
        self.bench = bench
        self.directory = directory
        self.account: Account = bench.account("mediamagic")
        self.account.conn_id = conn_id or self.account.conn_id
        self.hook = MediaMagicHook(
            self.account.conn_id,
            settings=ConnectionSettings(self.account.conn_id, bench.simulator.url, self.account.key),
        )
        self.subscription: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        if webhooks:
            self.subscription = self.hook.create_subscription(
                endpoint or f"{bench.airflow.rest.url}/mediamagic/webhooks/{self.account.conn_id}"
            )
            extra["webhook_secret"] = self.subscription["secret"]
        bench.airflow.rest.set_connection(
            self.account.conn_id, MEDIAMAGIC.conn_type, bench.simulator.url, self.account.key, **extra
        )

    def start(self, *, assets: int = 1, dag_id: str = "live_webhooks", **conf: Any) -> Run:
        """Trigger a task with a submission of so many assets."""
        files = [self.bench.item(self.account, f"asset-{number}")["files"][0] for number in range(assets)]
        return self.bench.airflow.rest.trigger(
            dag_id, {"conn_id": self.account.conn_id, "files": files, **conf}
        )

    def until_followed(self, run: Run) -> None:
        """Wait until a triggerer has the task's trigger; one that starts after the event looks by itself."""
        run.until_task("deferred")
        until(
            lambda: re.search("trigger .* starting", self.bench.airflow.log_of(run.run_id)),
            "the trigger has started",
        )

    def submit(self, assets: int = 1) -> str:
        """Make a submission of so many assets that no task has made; its id."""
        blobs = []
        for _ in range(assets):
            spot = io.BytesIO(b"GlowTonic is the best.")
            blobs.append({"blobPath": self.hook.upload_direct("spot.txt", "text/plain", spot)["blobPath"]})
        return str(self.hook.create_submission(blobs)["submissionId"])

    def submissions(self) -> list[dict[str, Any]]:
        """What the vendor knows of the account's submissions."""
        return self.bench.judge.jobs("mediamagic", set(self.account.keys))

    def polls(self) -> list[int]:
        """Status requests made for each submission."""
        polls = self.bench.simulator.ledger()["polls"]
        return [polls.get(one["id"], {"count": 0})["count"] for one in self.submissions()]

    def deliveries(self) -> list[dict[str, Any]]:
        """What was sent to this account's subscription."""
        return [
            one
            for one in self.bench.simulator.ledger()["webhook_deliveries"]
            if one["subscription_id"] == self.subscription.get("id")
        ]


def tell(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """Show a figure, whatever the test's end."""
    with capsys.disabled():
        print(f"\n{line}")


def seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def test_an_event_wakes_the_task(bench: Bench, tmp_path: Path) -> None:
    waits = Waits(bench, tmp_path, webhooks=True)
    run = waits.start()
    waits.until_followed(run)
    bench.finish_jobs()
    run.until_task_ended()
    assert run.task_state() == "success", bench.airflow.log_of(run.run_id)
    assert waits.polls() == [1], "the final read and nothing else"
    assert [one["response_statuses"] for one in waits.deliveries()] == [[200]]
    log = bench.airflow.log_of(run.run_id)
    assert "woken" in log
    assert "was killed; submission" not in log


@pytest.mark.parametrize("assets", [3])
def test_a_submission_of_several_assets_wakes_its_task_once(
    bench: Bench, tmp_path: Path, assets: int
) -> None:
    waits = Waits(bench, tmp_path, webhooks=True)
    run = waits.start(assets=assets)
    run.until_task("deferred")
    bench.finish_jobs()
    run.until_task_ended()
    assert run.task_state() == "success", bench.airflow.log_of(run.run_id)
    assert len(waits.deliveries()) == assets
    assert sum(waits.polls()) <= 2


def test_a_lost_event_is_made_up_for_by_a_poll(bench: Bench, tmp_path: Path) -> None:
    waits = Waits(bench, tmp_path, webhooks=True)
    bench.simulator.webhooks(loss=1.0)
    run = waits.start(timeout=90)  # so that the first look is due after half a minute
    run.until_task("deferred")
    bench.finish_jobs()
    run.until_task_ended()
    assert run.task_state() == "success", bench.airflow.log_of(run.run_id)
    assert waits.polls() == [2]


def test_a_verified_event_starts_a_dag(bench: Bench, tmp_path: Path) -> None:
    """With no task that waits; every delivery comes twice, the Dag hears of the asset once."""
    waits = Waits(bench, tmp_path, webhooks=True, conn_id="live_assets")
    bench.simulator.webhooks(duplicate=1.0)
    waits.submit()
    bench.finish_jobs()
    rest = bench.airflow.rest

    def ended() -> list[dict[str, Any]]:
        runs = rest.call("GET", "/dags/live_on_reviewed/dagRuns")["dag_runs"]
        return [run for run in runs if run["state"] == "success"]

    until(ended, "the Dag has run")
    until(lambda: sum(one["attempts"] for one in waits.deliveries()) == 2, "both copies are sent")
    (submission,) = waits.submissions()
    (found,) = (Run(rest, "live_on_reviewed", run["dag_run_id"]).xcom(task_id="heard") for run in ended())
    assert [one["submission_id"] for one in found] == [submission["id"]]
    assert waits.polls() == [0]


REQUESTS = 10_000

WATCHED = ("asset_event", "dag_run", "task_instance", "trigger", "xcom", "log", "import_error")
"""Tables in which something of a request could end up."""


def test_a_flood_of_bad_requests_does_nothing(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Forged, stale, replayed, oversized and malformed, from 20 senders at once, beside a waiting task. The
    replay is of an event that was genuine, for an asset that the task does not wait for.
    """
    waits = Waits(bench, tmp_path, webhooks=True)
    run = waits.start()
    run.until_task("deferred")
    url = f"{bench.airflow.rest.url}/mediamagic/webhooks/{waits.account.conn_id}"
    secret = waits.subscription["secret"]
    (submission,) = waits.submissions()
    body = envelope(data={"submission_id": submission["id"], "asset_id": "a", "status": "complete"})
    genuine, headers = signed(body, secret=secret)
    stale = signed(body, secret=secret, age=400)
    kinds = [
        (url, signed(body, secret=OTHER_SECRET), 401),
        (url, stale, 401),
        (url, (genuine, headers | {"webhook-id": "evt_2"}), 401),
        (url, (b"x" * (MOST_BYTES + 1), headers), 413),
        (url, (genuine, headers | {"content-type": "text/plain"}), 415),
        (url, (genuine, {}), 401),
        (url + "_not_there", (genuine, headers), 401),
        (url, (genuine, headers), 200),
    ]
    rows = bench.airflow.database.rows(*WATCHED)
    before = asyncio.run(health(bench.airflow.rest.url, 50))
    elsewhere = [(f"{bench.airflow.rest.url}/mediamagic/nothing", (genuine, headers), 404)]
    _, baseline = asyncio.run(flood(bench.airflow.rest.url, elsewhere, REQUESTS // 5))
    statuses, during = asyncio.run(flood(bench.airflow.rest.url, kinds, REQUESTS))
    assert {wanted == answered for wanted, answered in statuses} == {True}, statuses
    assert statuses.total() == REQUESTS
    assert run.task_state() == "deferred"
    assert waits.polls() == [0]
    assert bench.airflow.database.rows(*WATCHED) == rows
    tell(
        capsys,
        f"health: {1000 * statistics.median(before):.0f} ms before, "
        f"{1000 * statistics.median(baseline):.0f} ms during as many requests for what does not exist, "
        f"{1000 * statistics.median(during):.0f} ms during the flood (medians)",
    )
    bench.finish_jobs()
    run.until_task_ended()
    assert run.task_state() == "success"


async def health(url: str, times: int) -> list[float]:
    """Seconds that the API server takes to say how it is."""
    took = []
    async with aiohttp.ClientSession() as session:
        for _ in range(times):
            begun = time.perf_counter()
            async with session.get(f"{url}/api/v2/monitor/health") as answer:
                await answer.read()
            took.append(time.perf_counter() - begun)
    return took


async def flood(url: str, kinds: list[Any], requests: int) -> tuple[Counter[tuple[int, int]], list[float]]:
    """Send all requests; wanted and real statuses, and how the API server felt meanwhile."""
    statuses: Counter[tuple[int, int]] = Counter()
    queue = iter([kinds[number % len(kinds)] for number in range(requests)])

    async def sender(session: aiohttp.ClientSession) -> None:
        for target, (body, headers), wanted in queue:
            async with session.post(target, data=body, headers=headers) as answer:
                await answer.read()
                statuses[wanted, answer.status] += 1

    async with aiohttp.ClientSession() as session:
        senders = asyncio.gather(*(sender(session) for _ in range(20)))
        took = []
        while not senders.done():
            took += await health(url, 5)
        await senders
    return statuses, took


EACH_WAY = 4


def test_side_by_side_with_polling(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both ways in one run: how soon after its end a submission is noticed, and at how many requests."""
    ways = {name: Waits(bench, tmp_path, webhooks=name == "webhooks") for name in ("webhooks", "polling")}
    bench.simulator.clear_scripts()
    bench.simulator.script("mediamagic", duration=90)
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(EACH_WAY):
        for name, waits in ways.items():
            runs[name].append(waits.start())
            # One after the other: a small machine starts no ten tasks at once in decent time.
            runs[name][-1].until_task("deferred")
    for name, waits in ways.items():
        for run in runs[name]:
            run.until_task_ended()
            assert run.task_state() == "success", bench.airflow.log_of(run.run_id)
        ends = {one["id"]: one["finished_at"] for one in waits.submissions()}
        noticed = [
            seconds(run.task()["scheduled_when"]) - ends[run.xcom()["submissionId"]] for run in runs[name]
        ]
        polls = waits.polls()
        tell(
            capsys,
            f"{name}: noticed in {statistics.median(noticed):.2f} s (median), {max(noticed):.2f} s (most), "
            f"{statistics.mean(polls):.1f} requests (mean), {max(polls)} (most); ",
        )
        if name == "webhooks":
            assert max(polls) <= 3
            assert [one["response_statuses"] for one in waits.deliveries()] == [[200]] * EACH_WAY
