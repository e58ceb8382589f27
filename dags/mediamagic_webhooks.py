"""
Review files with webhooks instead of polling, for the length of one run.

The setup task subscribes this Airflow to MediaMagic's events and the teardown task deletes the subscription
again, however the review ends; one that was there before stays. In production one subscription serves all
Dags: make it once, and keep it.

Needs the connection ``mediamagic_default`` with the extra
``{"webhook_secret_variable": "mediamagic_webhook_secret"}``, and an API server that MediaMagic can reach. Run
it with the conf ``{"files": ["spot.mp4"], "airflow_url": "https://airflow.example.com"}``.
"""

from __future__ import annotations

from airflow.sdk import Param, dag

from airflow_provider.operators.mediamagic import (
    MediaMagicCreateSubmissionOperator,
    MediaMagicCreateSubscriptionOperator,
    MediaMagicDeleteSubscriptionOperator,
)

FILES = Param(None, type=["null", "array"], description="Paths, globs or URLs, one per line")


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params={"files": FILES},
    tags=["mediamagic", "example"],
)
def mediamagic_webhooks(
    files: list[str] | None = None, airflow_url: str = "https://airflow.example.com"
) -> None:
    subscribe = MediaMagicCreateSubscriptionOperator(
        task_id="subscribe", endpoint_url="{{ params.airflow_url }}/mediamagic/webhooks/mediamagic_default"
    )
    unsubscribe = MediaMagicDeleteSubscriptionOperator(
        task_id="unsubscribe",
        subscription_id=subscribe.output["subscription_id"],
        keep=subscribe.output["existed"],
    )
    submit = MediaMagicCreateSubmissionOperator(task_id="submit", files=files, deferrable=True)
    subscribe.as_setup() >> submit >> unsubscribe.as_teardown(setups=subscribe)


mediamagic_webhooks()
