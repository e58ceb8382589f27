"""Trigger for MediaMagic submissions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider.hooks.mediamagic import MediaMagicHook, observe_submission
from airflow_provider.triggers.base import JobTrigger
from airflow_provider.waiting.profile import SUBMISSION

if TYPE_CHECKING:
    import aiohttp

    from airflow_provider.waiting.decision import Observation


class MediaMagicSubmissionTrigger(JobTrigger):
    """
    Wait for a submission to be ``complete`` or ``failed``.

    Parameters as in :class:`~airflow_provider.triggers.base.JobTrigger`. MediaMagic cannot cancel a
    submission.

    See https://northell-2444134e.mintlify.app/guides/poll-status
    """

    hook_class = MediaMagicHook
    profile = SUBMISSION

    async def look(self, hook: MediaMagicHook, client: aiohttp.ClientSession) -> Observation:
        return observe_submission(await hook.aget_submission(client, self.job_id))

    async def on_kill(self) -> None:
        self.log.warning("The task was killed; submission %s goes on: MediaMagic cannot cancel.", self.job_id)
