"""The made-up service, with a connection to it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.airflow.third_vendor.server import RenderFarm, running


@pytest.fixture
def farm(monkeypatch: pytest.MonkeyPatch) -> Iterator[RenderFarm]:
    """The service on loopback."""
    with running() as farm:
        connection = {"conn_type": "render_farm", "host": farm.url, "password": farm.key}
        monkeypatch.setenv("AIRFLOW_CONN_RENDER_FARM_DEFAULT", json.dumps(connection))
        yield farm
