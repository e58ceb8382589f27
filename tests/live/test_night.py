"""Many pipelines on one key, whose limit and not Airflow is what is scarce."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.live.harness.bench import MODES, Account, Bench, take_photos
from tests.live.harness.judge import ID
from tests.live.harness.night import PIPELINES, SUBMISSIONS
from tests.live.harness.patience import until
from tests.live.harness.rest import Run

A_MINUTE = {"silent_witness": 30, "mediamagic": 20}
HALF_WAY = PIPELINES // 2


class Night:
    """
    Many jobs at once on a key of few requests a minute.

    :param bench: of the row.
    :param folder: an empty directory.
    :param extra: of the connection.
    """

    def __init__(self, bench: Bench, folder: Path, service: str, **extra: Any) -> None:
        self.bench = bench
        self.folder = folder
        bench.simulator.clear_scripts()
        bench.simulator.script(service, duration=5.0)
        a_minute = A_MINUTE[service]
        self.account: Account = bench.account(service)
        key, workspace = self.account.key, self.account.conn_id.rpartition("_")[2]
        bench.simulator.keys({"key": key, "workspace": workspace, "rate_limit": f"{a_minute}/60"})
        limits = {"requests_per_minute": a_minute, "requests_per_hour": 0}
        bench.airflow.rest.set_connection(
            self.account.conn_id, service, bench.simulator.url, key, **(limits | extra)
        )
        self._before = bench.simulator.ledger()

    def run(self, dag_id: str, *, half_way: Callable[[], None] = lambda: None) -> Run:
        """
        Run the Dag to its end.

        :param half_way: called once half of the pipelines have their case.
        """
        conf = {"conn_id": self.account.conn_id, "folder": str(self.folder)}
        run = self.bench.airflow.rest.trigger(dag_id, conf)
        if self.account.service == "silent_witness":
            until(lambda: self.made("cases") >= HALF_WAY, "half of the cases are made", seconds=600)
        half_way()
        state = run.until_ended(seconds=1200.0)
        failed = [task["task_id"] for task in run.tasks(None) if task["state"] == "failed"]
        logs = [self.bench.airflow.log_of(run.run_id, task_id=name)[-3000:] for name in failed]
        assert state == "success", "\n".join(logs)
        return run

    def made(self, what: str) -> int:
        """How many ``cases``, ``reports`` or ``submissions`` this night has made."""
        return len(self.bench.simulator.ledger()[what]) - len(self._before[what])

    def close(self) -> tuple[int, int]:
        """How many requests were sent to the API, and how many of them refused."""
        after = self.bench.simulator.ledger()
        refused = after["rate_limited"]["total"] - self._before["rate_limited"]["total"]
        sent = _to_api(after) - _to_api(self._before)
        print(f"{self.bench.tally.row}: {sent} requests, {refused} refused")
        return sent, refused


def _to_api(ledger: dict[str, Any]) -> int:
    return sum(count for route, count in ledger["requests"].items() if " /api/" in route)


def all_reports(
    bench: Bench, folder: Path, mode: str, extra: dict[str, Any], **hooks: Any
) -> tuple[int, int]:
    """Make all reports; how many requests were sent and refused."""
    take_photos(folder)
    night = Night(bench, folder, "silent_witness", **extra)
    run = night.run(f"live_night_{mode}", **hooks)
    assert night.made("reports") == PIPELINES
    assert night.made("cases") == PIPELINES
    assert len(list((folder / run.run_id).iterdir())) == 2 * PIPELINES
    return night.close()


@pytest.mark.parametrize("told", [True, False], ids=["limit known", "limit unknown"])
@pytest.mark.parametrize("mode", MODES)
def test_no_task_is_lost_to_a_rate_limit(bench: Bench, tmp_path: Path, mode: str, told: bool) -> None:
    """Case, two photos, report and download, twelve times at once on thirty requests a minute."""
    sent, refused = all_reports(bench, tmp_path, mode, {} if told else {"requests_per_minute": 0})
    # Nobody learns of an untold limit but by refusals, and this service does not say how long to wait: what
    # eight slots have under way is refused at once, and then whoever asks after each of a few pauses.
    assert refused <= (1 if told else sent / 6)
    assert not told or sent - refused <= 7.5 * PIPELINES


def test_no_task_is_lost_where_no_process_knows_of_another(bench: Bench, tmp_path: Path) -> None:
    all_reports(bench, tmp_path, "deferred", {"shared_budget": False})


@pytest.mark.parametrize("mode", MODES)
def test_no_submission_is_lost_to_a_limit_that_nobody_told(bench: Bench, tmp_path: Path, mode: str) -> None:
    """Twenty submissions of three files on twenty requests a minute."""
    for number in range(SUBMISSIONS):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in "abc":
            (folder / f"{name}.txt").write_text(f"{number} {name}: a bottle of GlowTonic costs $19.99.\n")
    night = Night(bench, tmp_path, "mediamagic", requests_per_minute=0)
    run = night.run(f"live_night_submissions_{mode}")
    results = [run.xcom(task_id=f"submission_{number}") for number in range(SUBMISSIONS)]
    assert len({result[ID["mediamagic"]] for result in results}) == night.made("submissions") == SUBMISSIONS
    sent, refused = night.close()
    assert refused <= sent / 10
