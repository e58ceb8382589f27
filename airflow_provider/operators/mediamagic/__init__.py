"""MediaMagic operators: upload media, submit it for review, read and judge what the review found."""

from __future__ import annotations

from airflow_provider.operators.mediamagic.asset_retry import MediaMagicRetryAssetOperator
from airflow_provider.operators.mediamagic.document import MediaMagicReviewDocumentOperator
from airflow_provider.operators.mediamagic.gate import MediaMagicComplianceGateOperator
from airflow_provider.operators.mediamagic.results import (
    MediaMagicGetAssetResultOperator,
    MediaMagicGetIssuesOperator,
    MediaMagicGetTopicsOperator,
)
from airflow_provider.operators.mediamagic.submission import MediaMagicCreateSubmissionOperator
from airflow_provider.operators.mediamagic.upload import MediaMagicUploadFilesOperator
from airflow_provider.operators.mediamagic.webhooks import (
    MediaMagicCreateSubscriptionOperator,
    MediaMagicDeleteSubscriptionOperator,
    MediaMagicListDeliveriesOperator,
    MediaMagicListSubscriptionsOperator,
    MediaMagicSetSubscriptionEnabledOperator,
)

__all__ = [
    "MediaMagicComplianceGateOperator",
    "MediaMagicCreateSubmissionOperator",
    "MediaMagicCreateSubscriptionOperator",
    "MediaMagicDeleteSubscriptionOperator",
    "MediaMagicGetAssetResultOperator",
    "MediaMagicGetIssuesOperator",
    "MediaMagicGetTopicsOperator",
    "MediaMagicListDeliveriesOperator",
    "MediaMagicListSubscriptionsOperator",
    "MediaMagicRetryAssetOperator",
    "MediaMagicReviewDocumentOperator",
    "MediaMagicSetSubscriptionEnabledOperator",
    "MediaMagicUploadFilesOperator",
]
