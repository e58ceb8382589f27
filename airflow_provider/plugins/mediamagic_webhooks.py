"""
Airflow plugin that mounts the receiver of MediaMagic webhooks in the API server.

Every task process loads plugins, so nothing heavy is imported before the first request comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

URL_PREFIX = "/mediamagic"
"""Where the API server mounts the receiver; an event goes to ``/mediamagic/webhooks/{conn_id}``."""


class ReceiverApp:
    """The receiver as an ASGI application that is made when it is first asked for anything."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            from airflow_provider.plugins.receiver import make_app

            self._app = make_app()
        await self._app(scope, receive, send)


class MediaMagicWebhooksPlugin(AirflowPlugin):
    """
    Registered by the entry point ``airflow.plugins`` alone.

    Airflow reads the ``plugins`` of a provider's description only when providers are not discovered lazily,
    and then reports a plugin that it has met already as an import error.
    """

    name = "mediamagic_webhooks"
    fastapi_apps = [{"app": ReceiverApp(), "url_prefix": URL_PREFIX, "name": "MediaMagic webhooks"}]
