"""Every operator for webhook subscriptions, as the page shows them."""

from __future__ import annotations

from airflow.sdk import chain, dag

from airflow_provider.operators.mediamagic import (
    MediaMagicCreateSubscriptionOperator,
    MediaMagicDeleteSubscriptionOperator,
    MediaMagicListDeliveriesOperator,
    MediaMagicListSubscriptionsOperator,
    MediaMagicSetSubscriptionEnabledOperator,
)


@dag(schedule=None)
def mediamagic_subscriptions() -> None:
    subscribe = MediaMagicCreateSubscriptionOperator(
        task_id="subscribe",
        endpoint_url="https://airflow.example.com/mediamagic/webhooks/mediamagic_default",
    )

    subscription_id = subscribe.output["subscription_id"]

    list_all = MediaMagicListSubscriptionsOperator(task_id="list")

    deliveries = MediaMagicListDeliveriesOperator(
        task_id="deliveries",
        subscription_id=subscription_id,
        limit=10,
    )

    switch_off = MediaMagicSetSubscriptionEnabledOperator(
        task_id="switch_off", subscription_id=subscription_id, enabled=False
    )

    delete = MediaMagicDeleteSubscriptionOperator(task_id="delete", subscription_id=subscription_id)

    chain(subscribe, list_all, deliveries, switch_off, delete)


mediamagic_subscriptions()
