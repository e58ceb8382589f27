"""Publish what a review finds nothing grave in."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, task

from airflow_provider.mediamagic.compliance import CompliancePolicy
from airflow_provider.task_groups.mediamagic import MediaMagicReviewTaskGroup

POLICY = CompliancePolicy(block_at="MAJOR", allowed={"MINOR": 5}, ignore_rules=["CAP_8.*"])
FILES = Param(None, type=["null", "array"], description="Paths, globs or URLs, one per line")


@dag(schedule=None, params={"files": FILES})
def gated(files: list[str] | None = None) -> None:
    review = MediaMagicReviewTaskGroup(files=files, policy=POLICY)

    @task
    def publish(verdict: dict[str, Any]) -> str:
        return str(verdict["message"])

    publish(review.verdict)


gated()
