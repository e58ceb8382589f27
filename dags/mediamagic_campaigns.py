"""
Review a bucket or folder of spots, one review per campaign, and write what was found as one table.

Every folder in ``spots`` is a campaign. The table is ``findings.jsonl``, one finding per line with
submission, file and severity; ``findings.html`` shows the same to people. Needs the connection
``mediamagic_default``. Every run pays for a submission per campaign: on a schedule, give ``spots`` the
folder of the day.

Try it: ``airflow dags test mediamagic_campaigns --conf '{"spots": "spots", "output_dir": "out"}'``.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import ObjectStoragePath, dag, task, task_group

from airflow_provider.operators.mediamagic import MediaMagicReviewDocumentOperator
from airflow_provider.task_groups.mediamagic import MediaMagicReviewTaskGroup


@dag(schedule=None, catchup=False, tags=["mediamagic", "example"])
def mediamagic_campaigns(spots: str = "s3://spots", output_dir: str = "mediamagic-campaigns") -> None:
    @task
    def campaigns(spots: str) -> list[list[str]]:
        within = list(ObjectStoragePath(spots).iterdir())
        found = [[path for path in within if path.is_file()]]
        found += [list(path.iterdir()) for path in within if path.is_dir()]
        # A file:// URL would have to be percent-encoded.
        return [sorted(str(path).removeprefix("file://") for path in files) for files in found if files]

    @task_group
    def campaign(files: list[str]) -> Any:
        review = MediaMagicReviewTaskGroup(files=files, output_path="{{ params.output_dir }}/campaigns")
        return review.issues

    @task
    def table(findings: Any, output_dir: str) -> str:
        # Airflow 3.2 and 3.3 pass on the result of a single instance without a list (apache/airflow#69036).
        manifests = [findings] if isinstance(findings, dict) else findings
        target = ObjectStoragePath(output_dir) / "findings.jsonl"
        target.write_text("".join(ObjectStoragePath(one["path"]).read_text() for one in manifests))
        return str(target)

    findings = campaign.expand(files=campaigns(spots))
    table(findings, output_dir)
    MediaMagicReviewDocumentOperator(
        task_id="document",
        title="Spots",
        issues=findings,
        output_path="{{ params.output_dir }}/findings.html",
    )


mediamagic_campaigns()
