"""Land the issues of every asset as Parquet, and have another Dag run on them."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, Param, dag, literal, task

from airflow_provider.operators.mediamagic import (
    MediaMagicCreateSubmissionOperator,
    MediaMagicGetIssuesOperator,
)

ISSUES = Asset("mediamagic_issues")
FILES = Param(None, type=["null", "array"], description="Paths, globs or URLs, one per line")


def as_it_is(asset: dict[str, Any]) -> dict[str, Any]:
    """Keep Airflow from rendering what a task returned: ``expand_kwargs`` takes every text for a template."""
    return {name: literal(value) for name, value in asset.items()}


@dag(schedule=None, params={"files": FILES})
def issues_to_parquet(files: list[str] | None = None, output_dir: str = "s3://lake/issues") -> None:
    submission = MediaMagicCreateSubmissionOperator(
        task_id="submit", files=files, allow_partial=True, asset_retries=2, deferrable=True
    )

    @task
    def completed(submission: dict[str, Any], output_dir: str) -> list[dict[str, str]]:
        return [
            {
                "submission_id": submission["submissionId"],
                "asset_id": asset_id,
                "output_path": f"{output_dir}/{asset_id}.parquet",
            }
            for asset_id in submission["completedAssetIds"]
        ]

    MediaMagicGetIssuesOperator.partial(task_id="get_issues", outlets=[ISSUES]).expand_kwargs(
        completed(submission.output, output_dir).map(as_it_is)
    )


@dag(schedule=[ISSUES])
def read_issues() -> None:
    @task
    def landed(triggering_asset_events: Any = None) -> list[str]:
        return [
            manifest["path"]
            for events in triggering_asset_events.values()
            for event in events
            for manifest in event.extra["manifests"]
        ]

    landed()


issues_to_parquet()
read_issues()
