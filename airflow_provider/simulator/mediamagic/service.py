"""MediaMagic as one service: authentication, plan, rate limit, then the endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from airflow_provider.simulator.calls import Call
from airflow_provider.simulator.keys import MEDIAMAGIC, Caller
from airflow_provider.simulator.mediamagic.errors import (
    default_error,
    domain_error,
    plan_gated,
    rate_limited,
    refuse,
)
from airflow_provider.simulator.mediamagic.results import Results
from airflow_provider.simulator.mediamagic.sandbox import Sandbox
from airflow_provider.simulator.mediamagic.submissions import Submissions
from airflow_provider.simulator.mediamagic.uploads import Uploads
from airflow_provider.simulator.mediamagic.webhooks import Webhooks
from airflow_provider.simulator.replies import Reply
from airflow_provider.simulator.routing import Route, Router
from airflow_provider.simulator.storage import Storage
from airflow_provider.simulator.world import World

Endpoint = Callable[[Call, Caller], Awaitable[Reply]]

_REFUSED_KEYS = {
    "expired": "This API key has expired",
    "revoked": "This API key has been revoked",
}
_SUBMISSIONS = "/api/integrations/submissions"
_SUBSCRIPTIONS = "/api/integrations/webhooks/subscriptions"
_SUBSCRIPTION = _SUBSCRIPTIONS + "/{subscription_id}"
_ASSET = _SUBMISSIONS + "/{submission_id}/assets/{asset_id}"


class MediaMagic:
    """The Integrations API."""

    def __init__(self, world: World, storage: Storage) -> None:
        self._world = world
        self.uploads = Uploads(world, storage)
        self.results = Results(world)
        self.submissions = Submissions(world, self.uploads, self.results)
        self.webhooks = Webhooks(world, self.submissions)
        self.sandbox = Sandbox(world, self.submissions, self.webhooks)
        subscriptions = self.webhooks.subscriptions
        self.router = Router()
        for method, template, bucket, endpoint in (
            ("POST", "/api/integrations/uploads/url", "upload", self.uploads.presign),
            ("POST", "/api/integrations/uploads/direct", "upload", self.uploads.direct),
            ("POST", _SUBMISSIONS, "submission_write", self.submissions.create),
            ("GET", _SUBMISSIONS + "/{submission_id}", "submission_read", self.submissions.status),
            ("GET", _ASSET, "submission_read", self._of_asset(self.results.asset)),
            ("GET", _ASSET + "/issues", "submission_read", self._of_asset(self.results.issues)),
            ("GET", _ASSET + "/topics", "submission_read", self._of_asset(self.results.topics)),
            ("POST", _ASSET + "/retry", "submission_write", self.submissions.retry),
            ("POST", _SUBSCRIPTIONS, "webhook_write", subscriptions.create),
            ("GET", _SUBSCRIPTIONS, "webhook_read", subscriptions.listed),
            ("GET", _SUBSCRIPTION, "webhook_read", subscriptions.read),
            ("PATCH", _SUBSCRIPTION, "webhook_write", subscriptions.update),
            ("DELETE", _SUBSCRIPTION, "webhook_write", subscriptions.delete),
            ("GET", _SUBSCRIPTION + "/deliveries", "webhook_read", self.webhooks.list_deliveries),
            ("POST", "/api/integrations/sandbox/events/fire", "sandbox", self.sandbox.fire),
        ):
            self.router.add(method, template, self._admitted(endpoint, bucket), bucket)

    def reset(self) -> None:
        """Forget everything."""
        self.uploads.reset()
        self.submissions.reset()
        self.webhooks.reset()

    async def close(self) -> None:
        """Let go of what is open."""
        await self.webhooks.close()

    def ledger(self) -> dict[str, list[dict[str, Any]]]:
        """What the ledger shows of this service."""
        return {
            "submissions": self.submissions.ledger(),
            "webhook_deliveries": self.webhooks.deliveries.ledger(),
        }

    async def answer(self, call: Call, route: Route | None, path_exists: bool) -> Reply:
        """Process a request."""
        if route is None:
            return self.error(call, 405 if path_exists else 404)
        return await route.handler(call)

    def error(self, call: Call, status: int) -> Reply:
        """An error as this vendor would word it."""
        route, _, _ = self.router.match(call.method, call.path)
        return default_error(status, route.bucket if route else "submission_read")

    def _of_asset(self, read: Callable[[Any, str], Awaitable[Reply]]) -> Endpoint:
        async def endpoint(call: Call, caller: Caller) -> Reply:
            return await read(self.submissions.find(call, caller), call.params[1])

        return endpoint

    def _admitted(self, endpoint: Endpoint, bucket: str) -> Callable[[Call], Awaitable[Reply]]:
        async def handler(call: Call) -> Reply:
            caller = self._caller(call)
            if caller.state == "no_plan":
                return plan_gated(bucket)
            if caller.state == "forbidden":
                return domain_error(403, "Forbidden")
            limits = self._world.settings.for_mediamagic(bucket, caller.limits)
            verdict = self._world.limiter.take(caller.key_hash, bucket, limits)
            if verdict is not None and not verdict.allowed:
                self._world.ledger.rate_limited[MEDIAMAGIC] += 1
                return rate_limited(bucket, verdict.wait)
            return await endpoint(call, caller)

        return handler

    def _caller(self, call: Call) -> Caller:
        key = call.header(b"x-api-key")
        if not key:
            raise refuse(401, "Missing X-API-Key header")
        caller = self._world.keys.find(MEDIAMAGIC, key)
        if caller is None:
            raise refuse(401, "Invalid API key")
        if caller.state in _REFUSED_KEYS:
            raise refuse(401, _REFUSED_KEYS[caller.state])
        return caller
