"""Names that moved between Airflow versions are the running version's own."""

from __future__ import annotations

import airflow.exceptions
import pytest

from airflow_provider import compat


@pytest.mark.parametrize("name", compat.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(compat, name) is not None


@pytest.mark.parametrize(
    "name",
    ["AirflowFailException", "AirflowSensorTimeout", "AirflowSkipException", "TaskDeferralTimeout"],
)
@pytest.mark.filterwarnings("ignore")
def test_an_exception_is_the_one_that_airflow_catches(name: str) -> None:
    assert getattr(compat, name) is getattr(airflow.exceptions, name)


def test_settings_are_read() -> None:
    assert compat.conf.getboolean("operators", "default_deferrable", fallback=False) in (True, False)


def test_metrics_can_be_counted() -> None:
    compat.airflow_stats().incr("airflow_provider.test")
