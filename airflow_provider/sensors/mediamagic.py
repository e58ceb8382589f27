"""Sensor for MediaMagic submissions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider.core.jobs.sensor import JobSensor
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.mediamagic_submission import SUBMISSION, awaited_assets
from airflow_provider.links import MediaMagicStatusLink
from airflow_provider.triggers.mediamagic import MediaMagicSubmissionTrigger


class MediaMagicSubmissionSensor(JobSensor[MediaMagicHook]):
    """
    Wait for a submission that something else made. Returns the vendor's submission.

    :param submission_id: the submission.
    :param mediamagic_conn_id: MediaMagic connection id, default ``mediamagic_default``.
    :param deferrable: wait in the triggerer. Default: ``[operators] default_deferrable``.
    :param poke_interval: first interval in seconds, or a timedelta; alone it is a fixed interval. Default
        2 s, growing to 30 s; deferred, the schedule that all waits on the key share.
    :param exponential_backoff: let a given ``poke_interval`` grow, by a factor of 1.5; default false.
    :param max_wait: longest interval in seconds, or a timedelta; default 30, or ``poke_interval`` where that
        is longer.
    :param timeout: seconds from the sensor's start, or a timedelta; default 600.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://northell-2444134e.mintlify.app/guides/poll-status
    """

    hook_class = MediaMagicHook
    trigger_class = MediaMagicSubmissionTrigger
    job = SUBMISSION
    template_fields: Sequence[str] = ("submission_id", "mediamagic_conn_id")
    ui_color = "#b8dcff"
    operator_extra_links = (MediaMagicStatusLink(),)

    def __init__(
        self,
        *,
        submission_id: str,
        mediamagic_conn_id: str = MediaMagicHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.submission_id = submission_id
        self.mediamagic_conn_id = mediamagic_conn_id

    def trigger_arguments(self, body: dict[str, Any] | None) -> dict[str, Any]:
        return {"awaited": awaited_assets(body) if body else None}
