"""Trigger for Silent Witness reports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from airflow_provider.core.jobs.task_state import task_state
from airflow_provider.core.jobs.trigger import JobTrigger
from airflow_provider.core.polling.shared_clients import SharedClients
from airflow_provider.exceptions import ProviderError
from airflow_provider.hooks.silent_witness import SilentWitnessHook, observe_report
from airflow_provider.hooks.silent_witness_report import REPORT

if TYPE_CHECKING:
    import aiohttp

    from airflow_provider.core.polling.key_state import KeyState
    from airflow_provider.core.polling.wait import Observation

STATE_PATIENCE = 8.0
"""Seconds to wait for Airflow to say what state the task is in."""


class SilentWitnessReportTrigger(JobTrigger):
    """
    Wait for a report to be ``completed``, ``failed`` or ``cancelled``.

    Parameters as in :class:`~airflow_provider.core.jobs.trigger.JobTrigger`; ``kind`` is the case's analysis
    type, or ``demo_data``.

    See https://docs.silentwitness.ai/guides/polling-best-practices
    """

    hook_class = SilentWitnessHook
    job = REPORT

    async def look(self, hook: SilentWitnessHook, client: aiohttp.ClientSession) -> Observation:
        return observe_report(await hook.aget_report(client, self.job_id))

    async def _still_wanted(self) -> bool:
        """
        Return whether the task waits on for the report, so that nobody has killed it.

        A task that a user cleared may be deferred again in its next attempt; that attempt has cancelled this
        report itself before it submitted another.
        """
        ti = self.task_instance
        if ti is None:
            return False
        state = await asyncio.to_thread(task_state, ti, patience=STATE_PATIENCE)
        if state == "deferred":
            self.log.info("Another triggerer has taken over; report %s goes on.", self.job_id)
        elif state is None:
            # An Airflow that has just taken a kill answers; after an outage the wait may go on elsewhere.
            self.log.warning("Airflow did not say who killed the task; report %s goes on.", self.job_id)
        return state in ("deferred", None)

    async def _cancel(self, lane: KeyState) -> None:
        hook = cast("SilentWitnessHook", lane.hook)
        observation = await self.look(hook, lane.client)
        if observation.finished:
            self.log.info("The task was killed; report %s is %s.", self.job_id, observation.raw_status)
            return
        await hook.acancel_report(lane.client, self.job_id)
        self.log.warning("The task was killed; report %s was cancelled.", self.job_id)

    async def on_kill(self) -> None:
        """
        Cancel the report when a user kills the deferred task (Airflow 3.3).

        Looks first and leaves a finished report alone: Airflow may call this for a trigger that another
        triggerer has taken over. Never raises; done well within the 30 s that Airflow gives it.
        """
        if not self.cancel_on_kill:
            self.log.warning("The task was killed; report %s goes on (cancel_on_kill=False).", self.job_id)
            return
        if await self._still_wanted():
            return
        try:
            async with SharedClients.current().seat(self.hook_class, self.conn_id) as seat:
                await seat.on_lane(self._cancel)
        except ProviderError as error:
            self.log.error(
                "The task was killed; report %s could not be cancelled, it may still be running: %s",
                self.job_id,
                error,
            )
