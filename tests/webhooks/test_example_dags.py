"""The example Dags are what their first lines say."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from airflow_provider.mediamagic.assets import mediamagic_reviewed


@pytest.fixture
def dag(request: pytest.FixtureRequest) -> Any:
    from airflow.sdk import DAG

    module = importlib.import_module(f"dags.{request.param}")
    made = getattr(module, request.param)()
    assert isinstance(made, DAG)
    return made


@pytest.mark.parametrize("dag", ["mediamagic_on_reviewed"], indirect=True)
def test_the_dag_runs_when_an_asset_was_reviewed(dag: Any) -> None:
    assert list(dag.timetable.asset_condition.objects) == [mediamagic_reviewed()]


@pytest.mark.parametrize("dag", ["mediamagic_webhooks"], indirect=True)
def test_the_subscription_is_set_up_and_torn_down(dag: Any) -> None:
    assert dag.get_task("subscribe").is_setup
    assert dag.get_task("unsubscribe").is_teardown
    assert dag.get_task("submit").upstream_task_ids == {"subscribe"}
    assert dag.max_active_runs == 1, "or one run takes away what another waits for"
    assert dag.params["airflow_url"].startswith("https://")
    assert "params.airflow_url" in dag.get_task("subscribe").endpoint_url
