"""Judge a submission that something else made, and go one way or the other."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider.operators.mediamagic import MediaMagicComplianceGateOperator


@dag(schedule=None)
def gate_by_id(submission_id: str = "") -> None:
    gate = MediaMagicComplianceGateOperator(
        task_id="gate",
        submission_id=submission_id,
        policy={"block_at": "CRITICAL"},
        on_blocked="branch",
        blocked_task_ids="withdraw",
    )

    @task
    def publish() -> None:
        """When the gate passes."""

    @task
    def withdraw() -> None:
        """When it blocks."""

    gate >> [publish(), withdraw()]


gate_by_id()
