"""Both shipped Dags, deferred under a real scheduler and triggerer."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider.simulator import Simulator
from demo.inputs import Inputs
from tests.conftest import MEDIAMAGIC_KEY, SILENT_WITNESS_KEY
from tests.live.conftest import BOOK
from tests.live.harness.airflow import Airflow
from tests.live.harness.bench import Bench

SECONDS = 8.0
"""How long a job takes: long enough to be deferred."""


@pytest.fixture
def examples(deployment: Airflow, vendors: Simulator, tmp_path: Path) -> Bench:
    """A bench whose jobs end by themselves, and the two default connections."""
    vendors.reset()
    deployment.start()
    for service, key in (("mediamagic", MEDIAMAGIC_KEY), ("silent_witness", SILENT_WITNESS_KEY)):
        vendors.script(service, duration=SECONDS)
        deployment.rest.set_connection(f"{service}_default", service, vendors.url, key)
    return Bench(deployment, vendors, BOOK, tmp_path, "shipped Dags", endless=False)


def test_both_shipped_dags(examples: Bench, media_files: Inputs, tmp_path: Path) -> None:
    rest = examples.airflow.rest
    runs = [
        rest.trigger(
            "mediamagic_review",
            {"files": [str(path) for path in media_files.media], "output_dir": str(tmp_path / "review")},
        ),
        rest.trigger(
            "silent_witness_report",
            {
                "photos": [str(path) for path in media_files.photos],
                "edr_reports": [str(path) for path in media_files.edr_reports],
                "output_dir": str(tmp_path / "report"),
            },
        ),
    ]
    for run in runs:
        assert run.until_ended(seconds=300) == "success"
    ledger = examples.simulator.ledger()
    examples.tally.tasks = 2
    examples.tally.jobs = len(ledger["submissions"]) + len(ledger["reports"])
    assert [len(ledger[jobs]) for jobs in ("submissions", "cases", "reports")] == [1, 1, 1]
    examples.count_orphans()
    for run, task_id in zip(runs, ("submit", "create_report"), strict=True):
        logs = examples.airflow.log_of(run.run_id, task_id=task_id)
        assert "Pausing task as DEFERRED" in logs
    assert (tmp_path / "review" / "summary.json").exists()
    assert {path.suffix for path in (tmp_path / "report").iterdir()} == {".pdf", ".docx"}
