"""The first Dag of the README for MediaMagic."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider.task_groups.mediamagic import MediaMagicReviewTaskGroup

with DAG("review_spots", schedule="@daily", catchup=False):
    MediaMagicReviewTaskGroup(files=["/data/spots/*.mp4"], policy={"block_at": "CRITICAL"})
