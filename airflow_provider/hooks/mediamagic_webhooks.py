"""The webhook endpoints of MediaMagic, and the sandbox's endpoint that fires one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from airflow_provider.core.arguments import as_bool, required_text, whole_number
from airflow_provider.core.http.client import ServiceHook
from airflow_provider.core.http.connection import is_secure_url
from airflow_provider.core.http.responses import plain_id
from airflow_provider.exceptions import InvalidInputError
from airflow_provider.hooks.mediamagic_answers import (
    read_deliveries,
    read_new_subscription,
    read_subscription,
    read_subscriptions,
)
from airflow_provider.hooks.mediamagic_connection import API

EVENT_TYPES: Final = ("asset.processing.completed", "asset.processing.failed")
"""Everything that MediaMagic sends; both are about one asset, none about a submission."""

_SUBSCRIPTIONS: Final = f"{API}/webhooks/subscriptions"
_LONGEST_URL: Final = 2083


class WebhookEndpoints(ServiceHook):
    """Part of :class:`~airflow_provider.hooks.mediamagic.MediaMagicHook`."""

    def create_subscription(
        self,
        endpoint_url: str,
        event_types: Sequence[str] = EVENT_TYPES,
        *,
        description: str | None = None,
    ) -> dict[str, Any]:
        """
        Subscribe an address to events of the workspace. Whoever calls this twice gets every event twice.

        :param endpoint_url: https, at most 2083 characters.
        :param event_types: one or both of :data:`EVENT_TYPES`.
        :param description: for people.
        :return: ``id``, ``endpointUrl``, ``eventTypes``, ``enabled`` and, only here and never again,
            ``secret``: do not log it or return it from a task.
        :raises InvalidInputError: an argument is wrong; nothing was sent.
        :raises InvalidRequestError: 422, the address is refused or the workspace has too many subscriptions.

        See https://docs.mediamagic-lite.northell.io/webhooks/create-subscription
        """
        payload: dict[str, Any] = {
            "endpointUrl": checked_endpoint(endpoint_url),
            "eventTypes": checked_event_types(event_types),
        }
        if description is not None:
            payload["description"] = required_text("description", description)
        return self.request("POST", _SUBSCRIPTIONS, json=payload, read=read_new_subscription)

    def list_subscriptions(self) -> list[dict[str, Any]]:
        """
        List the subscriptions of the workspace, without their secrets.

        Path and container are not documented: a bare list and an object that holds ``subscriptions``,
        ``items`` or ``data`` are understood.

        See https://docs.mediamagic-lite.northell.io/concepts/webhooks
        """
        return self.request("GET", _SUBSCRIPTIONS, read=read_subscriptions)

    def get_subscription(self, subscription_id: str) -> dict[str, Any]:
        """
        Read one subscription, without its secret.

        :raises PermissionDeniedError: 403, it belongs to another workspace.
        :raises NotFoundError: 404, unknown.

        See https://northell-2444134e.mintlify.app/webhooks/get-subscription
        """
        return self.request("GET", _path(subscription_id), read=read_subscription)

    def set_subscription_enabled(self, subscription_id: str, enabled: bool) -> dict[str, Any]:
        """
        Switch a subscription on or off: the only change that the API allows.

        :raises PermissionDeniedError: 403, it belongs to another workspace.
        :raises NotFoundError: 404, unknown.

        See https://docs.mediamagic-lite.northell.io/api-reference/webhooks/update-subscription
        """
        return self.request(
            "PATCH",
            _path(subscription_id),
            json={"enabled": as_bool("enabled", enabled)},
            read=read_subscription,
        )

    def delete_subscription(self, subscription_id: str) -> None:
        """
        Delete a subscription.

        :raises PermissionDeniedError: 403, it belongs to another workspace.
        :raises NotFoundError: 404, unknown, or deleted already.

        See https://docs.mediamagic-lite.northell.io/reference/error-codes
        """
        self.request("DELETE", _path(subscription_id), read=lambda _: None)

    def list_deliveries(
        self, subscription_id: str, *, status_filter: str | None = None, limit: int = 50
    ) -> list[dict[str, Any]]:
        """
        List what was sent to a subscription lately, to find out why nothing comes.

        :param subscription_id: the subscription.
        :param status_filter: as the vendor names it; the values are not published.
        :param limit: 1 to 200.
        :return: attempts with ``id``, ``status``, ``createdAt``, ``responseStatus`` and ``eventId``.

        See https://docs.mediamagic-lite.northell.io/api-reference/webhooks/list-subscription-deliveries
        """
        if whole_number("limit", limit) not in range(1, 201):
            raise InvalidInputError(f"limit must be 1 to 200; got {limit!r}.", parameter="limit")
        return self.request(
            "GET",
            f"{_path(subscription_id)}/deliveries",
            params={"status_filter": status_filter, "limit": str(limit)},
            read=read_deliveries,
        )

    def fire_sandbox_event(
        self, submission_id: str, event_type: str = EVENT_TYPES[0], *, error_message: str | None = None
    ) -> int:
        """
        Let the sandbox send an event for each asset of a submission, without any review. Sandbox keys only.

        :param submission_id: must exist in the workspace.
        :param event_type: one of :data:`EVENT_TYPES`.
        :param error_message: for a failure.
        :return: how many subscriptions were notified, summed over the assets.
        :raises PermissionDeniedError: 403, the key is a live one.
        :raises NotFoundError: 404, the submission is not in the workspace.

        See https://docs.mediamagic-lite.northell.io/sandbox/fire-sandbox-event
        """
        payload = {
            "eventType": checked_event_types([event_type])[0],
            "submissionId": plain_id("submission_id", submission_id),
        }
        if error_message is not None:
            payload["errorMessage"] = error_message
        return self.request(
            "POST",
            f"{API}/sandbox/events/fire",
            json=payload,
            read=lambda body: int(body.require("dispatched", int)),
        )


def checked_endpoint(url: str) -> str:
    """
    Return an address that MediaMagic can deliver to.

    :raises InvalidInputError: no https address, or too long. Plain http is for a local server only.
    """
    text = required_text("endpoint_url", url).strip()
    if not is_secure_url(text) or not text.isprintable() or len(text) > _LONGEST_URL:
        raise InvalidInputError(
            f"endpoint_url must be an https address of at most {_LONGEST_URL} characters.",
            parameter="endpoint_url",
        )
    return text


def checked_event_types(event_types: Sequence[str]) -> list[str]:
    """
    Return the event types, each once.

    :raises InvalidInputError: none, or one that does not exist.
    """
    given: object = event_types
    named = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else []
    if not named or not all(one in EVENT_TYPES for one in named):
        raise InvalidInputError(
            f"event_types must be a list of {' or '.join(EVENT_TYPES)}; got {event_types!r}.",
            parameter="event_types",
        )
    return list(dict.fromkeys(named))


def _path(subscription_id: str) -> str:
    return f"{_SUBSCRIPTIONS}/{plain_id('subscription_id', subscription_id)}"
