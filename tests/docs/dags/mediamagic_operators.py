"""Every operator for media and their reviews, as the pages show them."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider.operators.mediamagic import (
    MediaMagicComplianceGateOperator,
    MediaMagicCreateSubmissionOperator,
    MediaMagicGetAssetResultOperator,
    MediaMagicGetIssuesOperator,
    MediaMagicGetTopicsOperator,
    MediaMagicRetryAssetOperator,
    MediaMagicReviewDocumentOperator,
    MediaMagicUploadFilesOperator,
)


@dag(schedule=None)
def mediamagic_operators() -> None:
    upload = MediaMagicUploadFilesOperator(task_id="upload", files=["/data/spots/*"])

    @task
    def blob_paths(files: list[dict[str, str]]) -> list[str]:
        return [file["blobPath"] for file in files]

    submit = MediaMagicCreateSubmissionOperator(
        task_id="submit", blob_paths=blob_paths(upload.output), deferrable=True
    )

    submission_id = submit.output["submission_id"]

    issues = MediaMagicGetIssuesOperator(
        task_id="issues", submission_id=submission_id, output_path="/data/out/issues.csv"
    )
    topics = MediaMagicGetTopicsOperator(task_id="topics", submission_id=submission_id)
    MediaMagicGetAssetResultOperator(task_id="results", submission_id=submission_id)

    gate = MediaMagicComplianceGateOperator(
        task_id="gate",
        issues=issues.output,
        policy={"block_at": "CRITICAL"},
    )

    MediaMagicReviewDocumentOperator(
        task_id="document",
        issues=issues.output,
        topics=topics.output,
        verdict=gate.output,
        output_path="/data/out/review.html",
    )


@dag(schedule=None)
def retry_one_asset(submission_id: str = "", asset_id: str = "") -> None:
    MediaMagicRetryAssetOperator(
        task_id="retry",
        submission_id=submission_id,
        asset_id=asset_id,
        deferrable=True,
    )


mediamagic_operators()
retry_one_asset()
