"""MediaMagic operators: upload media, submit it for review, read what the review found."""

from __future__ import annotations

from airflow_provider.operators.mediamagic.results import (
    MediaMagicGetAssetResultOperator,
    MediaMagicGetIssuesOperator,
    MediaMagicGetTopicsOperator,
)
from airflow_provider.operators.mediamagic.submission import (
    MediaMagicCreateSubmissionOperator,
    MediaMagicRetryAssetOperator,
)
from airflow_provider.operators.mediamagic.upload import MediaMagicUploadFilesOperator

__all__ = [
    "MediaMagicCreateSubmissionOperator",
    "MediaMagicGetAssetResultOperator",
    "MediaMagicGetIssuesOperator",
    "MediaMagicGetTopicsOperator",
    "MediaMagicRetryAssetOperator",
    "MediaMagicUploadFilesOperator",
]
