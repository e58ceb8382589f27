"""Pipelines on one key over two Celery workers with a disk each, whose budget is in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.core.budget.store import FILE_NAME
from airflow_provider.simulator import Simulator
from tests.live.conftest import BOOK
from tests.live.harness.airflow import Airflow
from tests.live.harness.bench import Bench
from tests.live.harness.redis import Redis
from tests.live.test_celery import celery  # noqa: F401
from tests.live.test_night import all_reports

BUDGET = "live_budget"


@pytest.fixture
def budget(tmp_path: Path, celery: Airflow) -> Iterator[Redis]:  # noqa: F811
    """A Redis beside the broker's, so that it alone can be lost."""
    redis = Redis(tmp_path / "budget")
    redis.start()
    celery.rest.set_connection(BUDGET, "redis", "127.0.0.1", "", port=redis.port)
    yield redis
    redis.server.stop()


@pytest.fixture
def night(celery: Airflow, vendors: Simulator, tmp_path: Path) -> Bench:  # noqa: F811
    """Everything runs, and the vendors know of nothing."""
    vendors.reset()
    celery.start()
    return Bench(celery, vendors, BOOK, tmp_path, "celery: pipelines on a tight key", endless=False)


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


EXTRA: dict[str, Any] = {"budget_conn_id": BUDGET}


def test_workers_with_separate_disks_share_a_budget(night: Bench, budget: Redis, tmp_path: Path) -> None:
    sent, refused = all_reports(night, _folder(tmp_path), "deferred", EXTRA)
    assert refused <= 1 + sent / 100
    assert not list(night.airflow.home.parent.glob(f"*/{FILE_NAME}"))


def test_nothing_is_lost_with_the_redis_of_the_budget(night: Bench, budget: Redis, tmp_path: Path) -> None:
    all_reports(night, _folder(tmp_path), "deferred", EXTRA, half_way=budget.server.kill)
