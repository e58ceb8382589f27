"""Trigger for MediaMagic submissions."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider.core.jobs.trigger import JobTrigger
from airflow_provider.core.polling.hints import LATE, HintFallback, HintHealth, Hints
from airflow_provider.exceptions import ProviderError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.mediamagic_submission import SUBMISSION

if TYPE_CHECKING:
    from airflow_provider.core.polling.schedule import Schedule
    from airflow_provider.core.polling.shared_clients import Lease
    from airflow_provider.core.polling.wait import Observation, Wait


class MediaMagicSubmissionTrigger(JobTrigger):
    """
    Wait for a submission to be ``complete`` or ``failed``.

    When the connection names a webhook secret, an event is to end the wait: the API server then resumes the
    task itself, and this trigger polls every few minutes, for the events that get lost. MediaMagic cannot
    cancel a submission.

    :param awaited: ids of the assets that had not ended when the task was deferred; ``None`` when unknown.
        The API server takes off those whose events have come.
    :param kwargs: as in :class:`~airflow_provider.core.jobs.trigger.JobTrigger`.

    See https://northell-2444134e.mintlify.app/guides/poll-status
    """

    hook_class = MediaMagicHook
    job = SUBMISSION

    def __init__(
        self,
        conn_id: str,
        job_id: str,
        submitted_at: float,
        deadline: float,
        awaited: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(conn_id, job_id, submitted_at, deadline, **kwargs)
        self.awaited = awaited
        self._health: HintHealth | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        classpath, kwargs = super().serialize()
        return classpath, kwargs | {"awaited": self.awaited}

    async def on_kill(self) -> None:
        """Say that the submission goes on. Airflow also calls this when an event has woken the task."""
        if self._health is not None:
            self.log.info(
                "No longer waiting for submission %s: an event came, or the task was killed.", self.job_id
            )
            return
        await super().on_kill()

    async def _schedule(self, lease: Lease) -> Schedule:
        usual = await super()._schedule(lease)
        # Without a row in Airflow's database, as in `dag.test()`, no event can reach this wait.
        if self.has_own_interval or self.trigger_id is None:
            return usual
        try:
            state = await lease.key_state()
            settings = await lease.settings()
        except ProviderError:
            return usual
        if not settings.receives_webhooks:
            return usual
        if self.awaited == []:
            # Every asset has ended, so that no event follows, and the submission is about to.
            return replace(self.job.backoff, start=time.time() - self.submitted_at)
        self._health = state.webhook_health
        return HintFallback(self.deadline - self.submitted_at, usual, Hints(self._health), self.job.backoff)

    async def _next_poll(self, lease: Lease, wait: Wait) -> Observation | None:
        try:
            observation = await super()._next_poll(lease, wait)
        except asyncio.CancelledError:
            # Most likely an event has woken the task; to count a kill or a shutdown as one does no harm.
            if self._health is not None:
                self._health.on_hint()
            raise
        if self._health is not None and observation is not None and observation.finished:
            late = lease.clients.clock() - (observation.finished_at or wait.seen_at)
            if late > LATE and self._health.on_missed():
                self.log.warning(
                    "The last %d submissions of connection %s ended and no webhook said so; asking at the "
                    "usual pace until one does. Does the subscription exist, and does it reach this Airflow?",
                    self._health.patience,
                    self.conn_id,
                )
        return observation
