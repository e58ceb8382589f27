"""Endpoints that only sandbox keys may call (``/reference/sandbox``, ``/sandbox/fire-sandbox-event``)."""

from __future__ import annotations

from airflow_provider.simulator.calls import Call, NotJson
from airflow_provider.simulator.keys import Caller
from airflow_provider.simulator.mediamagic.errors import invalid, refuse
from airflow_provider.simulator.mediamagic.events import EVENT_TYPES, Event
from airflow_provider.simulator.mediamagic.submissions import Submissions
from airflow_provider.simulator.mediamagic.webhooks import Webhooks
from airflow_provider.simulator.replies import Reply, json_reply
from airflow_provider.simulator.world import World

DEFAULT_FAILURE = "Sandbox simulated failure"


class Sandbox:
    """Makes events happen that did not."""

    def __init__(self, world: World, submissions: Submissions, webhooks: Webhooks) -> None:
        self._world = world
        self._submissions = submissions
        self._webhooks = webhooks

    async def fire(self, call: Call, caller: Caller) -> Reply:
        """``POST /api/integrations/sandbox/events/fire``: one event for each asset of a submission."""
        if not caller.sandbox:
            raise refuse(403, "This endpoint is only available with sandbox API keys")
        try:
            data = await call.json()
        except NotJson:
            raise invalid("body", "Body is not JSON") from None
        if not isinstance(data, dict):
            raise invalid("body", "Body is not an object")
        kind, submission_id, message = (
            data.get(name) for name in ("eventType", "submissionId", "errorMessage")
        )
        if kind not in EVENT_TYPES:
            raise invalid("eventType", f"Input should be {' or '.join(EVENT_TYPES)}")
        if not isinstance(submission_id, str):
            raise invalid("submissionId", "Input should be a valid UUID")
        if message is not None and not isinstance(message, str):
            raise invalid("errorMessage", "Input should be a string")
        submission = self._submissions.named(submission_id, caller, "submissionId")
        now = self._world.clock.now()
        dispatched = 0
        for asset in submission.assets:
            event = Event(kind, submission.id, asset.id, now, message or DEFAULT_FAILURE)
            dispatched += self._webhooks.publish(event, submission.workspace_id)
        return json_reply(200, {"dispatched": dispatched})
