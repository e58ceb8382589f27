"""
Review media files for content compliance with MediaMagic.

Files are uploaded and submitted, the review is waited for in the triggerer, and the issues and topics of
every asset are fetched side by side. Needs the connection ``mediamagic_default``.

Run it with ``airflow dags test mediamagic_review --conf '{"files": ["spot.mp4"], "output_dir": "out"}'``.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from airflow.sdk import ObjectStoragePath, Param, dag, literal, task

from airflow_provider.operators.mediamagic import (
    MediaMagicCreateSubmissionOperator,
    MediaMagicGetAssetResultOperator,
    MediaMagicGetIssuesOperator,
    MediaMagicGetTopicsOperator,
)

FILES = Param(None, type=["null", "array"], description="Paths, globs or URLs, one per line")


def as_it_is(asset: dict[str, Any]) -> dict[str, Any]:
    """Keep Airflow from rendering what a task returned: ``expand_kwargs`` takes every text for a template."""
    return {name: literal(value) for name, value in asset.items()}


@dag(schedule=None, catchup=False, params={"files": FILES}, tags=["mediamagic", "example"])
def mediamagic_review(files: list[str] | None = None, output_dir: str = "mediamagic-review") -> None:
    submission = MediaMagicCreateSubmissionOperator(
        task_id="submit",
        files=files,
        metadata={"dag_run": "{{ run_id }}"},
        allow_partial=True,
        deferrable=True,
    )

    @task
    def completed_assets(submission: dict[str, Any]) -> list[dict[str, str]]:
        return [
            {"submission_id": submission["submissionId"], "asset_id": asset_id}
            for asset_id in submission["completedAssetIds"]
        ]

    assets = completed_assets(submission.output).map(as_it_is)
    results = MediaMagicGetAssetResultOperator.partial(task_id="get_result").expand_kwargs(assets)
    issues = MediaMagicGetIssuesOperator.partial(task_id="get_issues").expand_kwargs(assets)
    topics = MediaMagicGetTopicsOperator.partial(task_id="get_topics").expand_kwargs(assets)

    @task
    def summarize(
        submission: dict[str, Any],
        results: list[dict[str, Any]],
        issues: list[list[dict[str, Any]]],
        topics: list[dict[str, Any]],
        output_dir: str,
    ) -> str:
        severities = Counter(issue["severity"] for found in issues for issue in found)
        summary = {
            "submission_id": submission["submissionId"],
            "status": submission["status"],
            "assets": [{key: result[key] for key in ("filename", "issueCount")} for result in results],
            "failed_assets": submission["failedAssetIds"],
            "issues_by_severity": severities,
            "topics": [topic for found in topics for topic in found["topics"]],
        }
        target = ObjectStoragePath(output_dir) / "summary.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(summary, indent=2))
        return str(target)

    summarize(submission.output, results.output, issues.output, topics.output, output_dir)


mediamagic_review()
