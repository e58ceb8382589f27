"""From the end of an asset to a delivery for each subscription (``/concepts/webhooks``).

Submissions know their state only when asked. Somebody has to ask at the right moment as soon as there is a
subscription, and nobody does without one.
"""

from __future__ import annotations

from functools import partial

from airflow_provider.simulator.agenda import Agenda
from airflow_provider.simulator.calls import Call
from airflow_provider.simulator.keys import Caller
from airflow_provider.simulator.mediamagic.deliveries import Deliveries
from airflow_provider.simulator.mediamagic.dispatch import Dispatcher
from airflow_provider.simulator.mediamagic.events import COMPLETED, FAILED, Event
from airflow_provider.simulator.mediamagic.model import Asset, Attempt, Submission
from airflow_provider.simulator.mediamagic.submissions import Submissions
from airflow_provider.simulator.mediamagic.subscriptions import Subscriptions
from airflow_provider.simulator.replies import Reply
from airflow_provider.simulator.world import World


class Webhooks:
    """Subscriptions, and everything that is sent to them."""

    def __init__(self, world: World, submissions: Submissions) -> None:
        self._world = world
        self._submissions = submissions
        self._agenda = Agenda(world.clock)
        self.subscriptions = Subscriptions(world, self._opened, self._agenda.clear)
        self.deliveries = Deliveries()
        self._dispatcher = Dispatcher(world, self._agenda, self.deliveries)
        submissions.on_start(self._watch)

    def reset(self) -> None:
        """Forget everything."""
        self._agenda.clear()
        self.subscriptions.reset()
        self.deliveries.reset()
        self._dispatcher.reset()

    async def close(self) -> None:
        """Let go of all connections."""
        await self._dispatcher.close()

    async def list_deliveries(self, call: Call, caller: Caller) -> Reply:
        """``GET .../subscriptions/{subscription_id}/deliveries``."""
        return await self.deliveries.listed(call, self.subscriptions.find(call, caller))

    def publish(self, event: Event, workspace_id: str) -> int:
        """Send an event to everybody who wants it.

        :return: to how many.
        """
        listening = self.subscriptions.listening(workspace_id, event.type)
        for subscription in listening:
            self._dispatcher.dispatch(event, subscription)
        return len(listening)

    def _watch(self, submission: Submission, asset: Asset) -> None:
        if self.subscriptions:
            self._agenda.at(asset.ends_at, partial(self._ended, submission, asset, asset.attempts[-1]))

    def _opened(self) -> None:
        self._dispatcher.open()
        for submission in self._submissions.running():
            for asset in submission.assets:
                if asset.ends_at > self._world.clock.now():
                    self._watch(submission, asset)

    def _ended(self, submission: Submission, asset: Asset, attempt: Attempt) -> None:
        event = Event(
            type=FAILED if attempt.fails else COMPLETED,
            submission_id=submission.id,
            asset_id=asset.id,
            happened_at=attempt.ends_at,
            error_message=asset.error_message,
        )
        self.publish(event, submission.workspace_id)
