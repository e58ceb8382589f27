"""Many pipelines on one key, whose limit and not Airflow is what is scarce."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.dags.live_night import PIPELINES
from tests.live.harness.bench import MODES, Bench
from tests.simulator.talk import picture

A_MINUTE = 20


@pytest.mark.parametrize("told", [True, False], ids=["limit known", "limit unknown"])
@pytest.mark.parametrize("mode", MODES)
def test_no_task_is_lost_to_a_rate_limit(bench: Bench, tmp_path: Path, mode: str, told: bool) -> None:
    """Case, two photos, report and download, twelve times at once on twenty requests a minute."""
    for name, color in {"a": (200, 0, 0), "b": (0, 0, 200)}.items():
        (tmp_path / f"{name}.jpg").write_bytes(picture(color))
    bench.simulator.clear_scripts()
    bench.simulator.script("silent_witness", duration=5.0)
    account = bench.account("silent_witness")
    bench.simulator.keys({"key": account.key, "workspace": account.conn_id, "rate_limit": f"{A_MINUTE}/60"})
    bench.airflow.rest.set_connection(
        account.conn_id,
        account.service,
        bench.simulator.url,
        account.key,
        requests_per_minute=A_MINUTE if told else 0,
        requests_per_hour=0,
    )
    before = bench.simulator.ledger()
    run = bench.airflow.rest.trigger(
        f"live_night_{mode}", {"conn_id": account.conn_id, "folder": str(tmp_path)}
    )
    assert run.until_ended(seconds=1200.0) == "success"
    after = bench.simulator.ledger()
    assert len(after["reports"]) - len(before["reports"]) == PIPELINES
    assert len(after["cases"]) - len(before["cases"]) == PIPELINES
    assert len(list((tmp_path / run.run_id).iterdir())) == 2 * PIPELINES
    refused = after["rate_limited"]["total"] - before["rate_limited"]["total"]
    sent = sum(after["requests"].values()) - sum(before["requests"].values())
    print(f"{mode}, told {told}: {sent} requests with those to the storage, {refused} refused")
    assert refused <= (1 if told else sent / 10)
