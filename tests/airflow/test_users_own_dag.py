"""A user's tests of a Dag of their own, as the documentation shows them: nothing but the testing kit."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk import dag

from airflow_provider.operators.mediamagic import MediaMagicCreateSubmissionOperator
from airflow_provider.operators.silent_witness import SilentWitnessCreateReportOperator
from airflow_provider.testing.services import SimulatedServices


@dag(schedule=None)
def nightly_review() -> None:
    """The user's Dag."""
    MediaMagicCreateSubmissionOperator(
        task_id="review", files=["{{ dag_run.conf['folder'] }}/*.txt"], deferrable=True, asset_retries=1
    )


@dag(schedule=None)
def nightly_report() -> None:
    """Another one; without a timeout of its own it waits for five minutes, as the vendor advises."""
    SilentWitnessCreateReportOperator(
        task_id="report",
        case_id="{{ dag_run.conf['case_id'] }}",
        analysis_type="accident_only",
        deferrable=True,
    )


@pytest.fixture
def media(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "claims.txt").write_text("A guaranteed cure.")
    return {"folder": str(tmp_path)}


def test_a_failed_asset_is_retried_and_paid_for_once(
    simulated_services: SimulatedServices, media: dict[str, str]
) -> None:
    simulated_services.asset_fails("*.txt", retryable=True)
    assert simulated_services.run(nightly_review(), media).state == "success"
    assert len(simulated_services.submissions) == 1


def test_an_asset_that_cannot_be_retried_fails_the_run(
    simulated_services: SimulatedServices, media: dict[str, str]
) -> None:
    simulated_services.asset_fails("*.txt", retryable=False)
    assert simulated_services.run(nightly_review(), media).state == "failed"


def test_files_of_another_name_are_reviewed_as_ever(
    simulated_services: SimulatedServices, media: dict[str, str]
) -> None:
    simulated_services.asset_fails("*.mp4", retryable=False)
    assert simulated_services.run(nightly_review(), media).state == "success"


@pytest.mark.parametrize(("minutes", "state"), [(4, "success"), (30, "failed")])
def test_a_report_has_five_minutes(simulated_services: SimulatedServices, minutes: int, state: str) -> None:
    simulated_services.report_takes(timedelta(minutes=minutes))
    run = simulated_services.run(nightly_report(), {"case_id": simulated_services.ready_case()})
    assert run.state == state
    assert simulated_services.reports[0]["status"] == {"success": "completed", "failed": "cancelled"}[state]
