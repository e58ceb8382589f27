"""Webhooks under a real API server, scheduler and triggerer, with deliveries of the simulated vendor."""

from __future__ import annotations

import statistics
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.hooks.connection import MEDIAMAGIC, ConnectionSettings
from airflow_provider.hooks.mediamagic import MediaMagicHook
from tests.live.harness.bench import Account, Bench
from tests.live.harness.rest import Run


class Waits:
    """Submissions that tasks wait for, on one account.

    :param webhooks: whether the account has a subscription and its connection the secret.
    """

    def __init__(self, bench: Bench, directory: Path, *, webhooks: bool) -> None:
        self.bench = bench
        self.directory = directory
        self.account: Account = bench.account("mediamagic")
        self.hook = MediaMagicHook(
            self.account.conn_id,
            settings=ConnectionSettings(self.account.conn_id, bench.simulator.url, self.account.key),
        )
        self.subscription: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        if webhooks:
            self.subscription = self.hook.create_subscription(
                f"{bench.airflow.rest.url}/mediamagic/webhooks/{self.account.conn_id}"
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


def seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def test_an_event_wakes_the_task(bench: Bench, tmp_path: Path) -> None:
    waits = Waits(bench, tmp_path, webhooks=True)
    run = waits.start()
    run.until_task("deferred")
    bench.finish_jobs()
    run.until_task_ended(seconds=60)
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
    run.until_task_ended(seconds=60)
    assert run.task_state() == "success", bench.airflow.log_of(run.run_id)
    assert len(waits.deliveries()) == assets
    assert sum(waits.polls()) <= 2


EACH_WAY = 6


def test_side_by_side_with_polling(bench: Bench, tmp_path: Path) -> None:
    """Both ways in one run: how soon after its end a submission is noticed, and at how many requests."""
    ways = {name: Waits(bench, tmp_path, webhooks=name == "webhooks") for name in ("webhooks", "polling")}
    bench.simulator.script("mediamagic", duration=90)
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(EACH_WAY):
        for name, waits in ways.items():
            runs[name].append(waits.start())
            # One after the other: a small machine starts no ten tasks at once in decent time.
            runs[name][-1].until_task("deferred")
    for name, waits in ways.items():
        for run in runs[name]:
            run.until_task_ended(seconds=240)
            assert run.task_state() == "success", bench.airflow.log_of(run.run_id)
        ends = {one["id"]: one["finished_at"] for one in waits.submissions()}
        noticed = [
            seconds(run.task()["scheduled_when"]) - ends[run.xcom()["submissionId"]] for run in runs[name]
        ]
        polls = waits.polls()
        bench.tally.note += (
            f"{name}: noticed in {statistics.median(noticed):.2f} s (median), {max(noticed):.2f} s (most), "
            f"{statistics.mean(polls):.1f} requests (mean), {max(polls)} (most); "
        )
        if name == "webhooks":
            assert max(polls) <= 3
            assert [one["response_statuses"] for one in waits.deliveries()] == [[200]] * EACH_WAY
