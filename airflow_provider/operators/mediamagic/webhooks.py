"""Create, delete, enable and list MediaMagic webhook subscriptions."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from airflow_provider.core.arguments import as_bool, required_id
from airflow_provider.core.operator import ServiceOperator, in_turn
from airflow_provider.core.text import public
from airflow_provider.exceptions import ConfigurationError, InvalidInputError, NotFoundError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.mediamagic_connection import MOST_SUBSCRIPTIONS, read_secrets
from airflow_provider.hooks.mediamagic_webhooks import EVENT_TYPES, checked_endpoint, checked_event_types

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

_NO_ID: Final = "(no id) "
"""Begins the name of a secret whose subscription is not known; MediaMagic's ids are UUIDs."""


class WebhookOperator(ServiceOperator[MediaMagicHook]):
    """What operators for subscriptions share."""

    hook_class = MediaMagicHook
    template_fields: Sequence[str] = ("mediamagic_conn_id",)
    ui_color = "#b8dcff"

    def __init__(self, *, mediamagic_conn_id: str = MediaMagicHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mediamagic_conn_id = mediamagic_conn_id


class MediaMagicCreateSubscriptionOperator(WebhookOperator):
    """
    Have MediaMagic send its events to an address, most often that of this Airflow:
    ``https://airflow.example.com/mediamagic/webhooks/{conn_id}``.

    The secret that signs the events is returned only once, and a task cannot write connections: it goes into
    an Airflow Variable, never into XCom or a log. Running the task again finds the subscription by its
    address and event types and enables it; when its secret is no longer in the Variable, it is replaced by a
    new one. Secrets that the Variable holds already stay, be they one, a list or an object by subscription.
    It holds 50 at most: a full one loses those whose subscription is gone; where none is gone, the task fails
    and creates nothing.

    Returns the subscription without its secret. XCom ``subscription_id`` is what the other operators take.
    XCom ``existed`` says whether there was such a subscription before this attempt, also one that was
    replaced: a teardown keeps it.

    :param endpoint_url: https address.
    :param event_types: ``asset.processing.completed``, ``asset.processing.failed``; default both.
    :param secret_variable: name of the Variable; default what the connection's extra
        ``webhook_secret_variable`` names. It must hold ``secret`` in its name, so that Airflow masks it.
    :param description: of the subscription, for people; default none.
    :param mediamagic_conn_id: MediaMagic connection id, default ``mediamagic_default``.
    :param deferrable: wait for the rate limit in the triggerer. Default ``[operators] default_deferrable``.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://docs.mediamagic-lite.northell.io/webhooks/create-subscription
    """

    template_fields: Sequence[str] = (
        "endpoint_url",
        "event_types",
        "secret_variable",
        "description",
        "mediamagic_conn_id",
    )

    def __init__(
        self,
        *,
        endpoint_url: str,
        event_types: Sequence[str] = EVENT_TYPES,
        secret_variable: str | None = None,
        description: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint_url = endpoint_url
        self.event_types = event_types
        self.secret_variable = secret_variable
        self.description = description

    @in_turn
    def execute(self, context: Context) -> dict[str, Any]:
        endpoint = checked_endpoint(self.endpoint_url)
        wanted = checked_event_types(self.event_types)
        with self.hook() as hook:
            named = hook.settings.webhook_secret_variable
            keeper = SecretVariable(self.secret_variable or named)
            if keeper.name != named:
                self.log.warning(
                    "Connection %s does not name the Variable %r in its extra `webhook_secret_variable`: its "
                    "webhooks are refused until it does.",
                    self.conn_id,
                    keeper.name,
                )
            listed = hook.list_subscriptions()
            same = [
                one
                for one in listed
                if one["endpointUrl"] == endpoint and set(one["eventTypes"]) == set(wanted)
            ]
            ids = {one["id"] for one in listed}
            subscription = self._existing(hook, same, ids, keeper)
            if subscription is None:
                subscription = self._create(hook, endpoint, wanted, ids, keeper)
        if self.do_xcom_push:
            context["ti"].xcom_push(key="subscription_id", value=subscription["id"])
            context["ti"].xcom_push(key="existed", value=bool(same))
        return _shown(subscription)

    def _existing(
        self, hook: MediaMagicHook, same: list[dict[str, Any]], ids: Collection[str], keeper: SecretVariable
    ) -> dict[str, Any] | None:
        """
        Return the subscription whose secret is known, switched on.

        :param same: subscriptions to the address and the event types.
        :param ids: of all subscriptions there are.
        :raises ConfigurationError: there is none, and no room for the secret of another; nothing was changed.
        """
        secrets = keeper.read()
        if not any(found["id"] in secrets for found in same):
            keeper.with_room(ids)
        for found in same:
            if found["id"] not in secrets:
                self.log.warning("The secret of subscription %s is lost; replacing it.", found["id"])
                hook.delete_subscription(found["id"])
                continue
            self.log.info("Subscription %s exists.", found["id"])
            return found if found.get("enabled") else hook.set_subscription_enabled(found["id"], True)
        return None

    def _create(
        self,
        hook: MediaMagicHook,
        endpoint: str,
        event_types: list[str],
        ids: Collection[str],
        keeper: SecretVariable,
    ) -> dict[str, Any]:
        from airflow.sdk.log import mask_secret

        subscription = hook.create_subscription(endpoint, event_types, description=self.description)
        secret = subscription.pop("secret")
        mask_secret(secret)
        try:
            keeper.add(subscription["id"], secret, ids)
        except Exception as error:
            # Without its secret its events could not be verified.
            hook.delete_subscription(subscription["id"])
            why = error if isinstance(error, ConfigurationError) else type(error).__name__
            raise ConfigurationError(
                f"The webhook secret could not be stored in the Airflow Variable {keeper.name!r} ({why}); "
                "the subscription was deleted again."
            ) from None
        self.log.info(
            "Subscription %s to %s; its secret is in %r.", subscription["id"], endpoint, keeper.name
        )
        return subscription


class MediaMagicDeleteSubscriptionOperator(WebhookOperator):
    """
    Delete a subscription and its secret; made for the teardown of
    :class:`MediaMagicCreateSubscriptionOperator`. One that is gone already is no error.

    :param subscription_id: the XCom ``subscription_id`` of creating.
    :param secret_variable: as there; default what the connection names. Without either no secret is deleted.
    :param keep: leave the subscription and its secret as they are, default false. In a teardown the XCom
        ``existed`` of creating, so that only what this run has made is deleted.
    :param mediamagic_conn_id: MediaMagic connection id, default ``mediamagic_default``.
    :param deferrable: wait for the rate limit in the triggerer. Default ``[operators] default_deferrable``.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://docs.mediamagic-lite.northell.io/reference/error-codes
    """

    template_fields: Sequence[str] = ("subscription_id", "secret_variable", "keep", "mediamagic_conn_id")

    def __init__(
        self,
        *,
        subscription_id: str,
        secret_variable: str | None = None,
        keep: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.subscription_id = subscription_id
        self.secret_variable = secret_variable
        self.keep = keep

    @in_turn
    def execute(self, context: Context) -> None:
        subscription_id = required_id("subscription_id", self.subscription_id)
        if as_bool("keep", self.keep):
            self.log.info("Subscription %s is kept.", subscription_id)
            return
        with self.hook() as hook:
            try:
                hook.delete_subscription(subscription_id)
            except NotFoundError:
                self.log.info("Subscription %s is gone already.", subscription_id)
            name = self.secret_variable or hook.settings.webhook_secret_variable
        if name:
            SecretVariable(name).remove(subscription_id)


class MediaMagicSetSubscriptionEnabledOperator(WebhookOperator):
    """
    Switch a subscription on or off. Returns the subscription.

    :param subscription_id: the subscription.
    :param enabled: true or false.
    :param mediamagic_conn_id: MediaMagic connection id, default ``mediamagic_default``.
    :param deferrable: wait for the rate limit in the triggerer. Default ``[operators] default_deferrable``.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://docs.mediamagic-lite.northell.io/api-reference/webhooks/update-subscription
    """

    template_fields: Sequence[str] = ("subscription_id", "enabled", "mediamagic_conn_id")

    def __init__(self, *, subscription_id: str, enabled: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.subscription_id = subscription_id
        self.enabled = enabled

    @in_turn
    def execute(self, context: Context) -> dict[str, Any]:
        subscription_id = required_id("subscription_id", self.subscription_id)
        enabled = as_bool("enabled", self.enabled)
        with self.hook() as hook:
            return _shown(hook.set_subscription_enabled(subscription_id, enabled))


class MediaMagicListSubscriptionsOperator(WebhookOperator):
    """
    List the workspace's subscriptions, without their secrets.

    :param mediamagic_conn_id: MediaMagic connection id, default ``mediamagic_default``.
    :param deferrable: wait for the rate limit in the triggerer. Default ``[operators] default_deferrable``.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://docs.mediamagic-lite.northell.io/concepts/webhooks
    """

    @in_turn
    def execute(self, context: Context) -> list[dict[str, Any]]:
        with self.hook() as hook:
            return [_shown(one) for one in hook.list_subscriptions()]


class MediaMagicListDeliveriesOperator(WebhookOperator):
    """
    List what was sent to a subscription lately, to find out why nothing comes.

    :param subscription_id: the subscription.
    :param status_filter: as the vendor names it; the values are not published.
    :param limit: 1 to 200, default 50.
    :param mediamagic_conn_id: MediaMagic connection id, default ``mediamagic_default``.
    :param deferrable: wait for the rate limit in the triggerer. Default ``[operators] default_deferrable``.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://docs.mediamagic-lite.northell.io/api-reference/webhooks/list-subscription-deliveries
    """

    template_fields: Sequence[str] = ("subscription_id", "status_filter", "mediamagic_conn_id")

    def __init__(
        self, *, subscription_id: str, status_filter: str | None = None, limit: int = 50, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.subscription_id = subscription_id
        self.status_filter = status_filter
        self.limit = limit

    @in_turn
    def execute(self, context: Context) -> list[dict[str, Any]]:
        subscription_id = required_id("subscription_id", self.subscription_id)
        with self.hook() as hook:
            found = hook.list_deliveries(subscription_id, status_filter=self.status_filter, limit=self.limit)
            return [_shown(one) for one in found]


def _shown(body: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = public(body, keep=("endpointUrl",))
    return shown


class SecretVariable:
    """
    The Airflow Variable that holds the secrets of subscriptions, as a JSON object by subscription id.

    People may have put one secret or a list there. It is read as an object, too, under names that are no ids.

    :param name: of the Variable.
    :raises InvalidInputError: no name, or one that Airflow would show unmasked.
    """

    def __init__(self, name: str | None) -> None:
        if not isinstance(name, str) or "secret" not in name.lower():
            raise InvalidInputError(
                "secret_variable, or the connection's extra `webhook_secret_variable`, must be the name of "
                f"an Airflow Variable with `secret` in it, so that Airflow masks it; got {name!r}.",
                parameter="secret_variable",
            )
        self.name = name

    def read(self) -> dict[str, str]:
        """
        Return the secrets by subscription id.

        :raises ConfigurationError: the Variable holds something else, which is not to be written over.
        """
        from airflow.sdk import Variable

        text = (Variable.get(self.name, default=None) or "").strip()
        if text.startswith("{"):
            with contextlib.suppress(ValueError):
                return dict(json.loads(text))
        elif text in ("", "[]"):
            return {}
        try:
            secrets = read_secrets(text)
        except ValueError as error:
            raise ConfigurationError(
                f"The Airflow Variable {self.name!r} must be empty or hold {error}.",
                parameter="secret_variable",
            ) from None
        return {f"{_NO_ID}{number}": secret for number, secret in enumerate(secrets, 1)}

    def with_room(self, ids: Collection[str]) -> dict[str, str]:
        """
        Return the secrets, with room for one more: of a full Variable without those of no subscription.

        Only of a full one, for connections of several workspaces may name the same Variable.

        :param ids: of the subscriptions there are.
        :raises ConfigurationError: it is full of those that count.
        """
        secrets = self.read()
        if len(secrets) < MOST_SUBSCRIPTIONS:
            return secrets
        kept = {name: secret for name, secret in secrets.items() if name in ids or name.startswith(_NO_ID)}
        if len(kept) >= MOST_SUBSCRIPTIONS:
            raise ConfigurationError(
                f"The Airflow Variable {self.name!r} holds {len(kept)} webhook secrets, and no more than "
                f"{MOST_SUBSCRIPTIONS} are read: delete subscriptions, or name another Variable.",
                parameter="secret_variable",
            )
        log.warning(
            "%r is full: the secrets of subscriptions that the workspace does not have are dropped: %s.",
            self.name,
            ", ".join(sorted(secrets.keys() - kept.keys())),
        )
        return kept

    def add(self, subscription_id: str, secret: str, ids: Collection[str]) -> None:
        """
        Store one more secret; ``ids`` as for :meth:`with_room`.

        :raises ConfigurationError: what was stored is not what is read.
        """
        self._write(self.with_room(ids) | {subscription_id: secret})
        if self.read().get(subscription_id) != secret:
            raise ConfigurationError(
                "an environment variable or a secrets backend defines it too, and comes first",
                parameter="secret_variable",
            )

    def remove(self, subscription_id: str) -> None:
        try:
            secrets = self.read()
        except ConfigurationError:
            return  # nothing that was added here
        if secrets.pop(subscription_id, None) is not None:
            self._write(secrets)

    def _write(self, secrets: dict[str, str]) -> None:
        from airflow.sdk import Variable

        Variable.set(self.name, json.dumps(secrets), description="Secrets of MediaMagic webhooks")
