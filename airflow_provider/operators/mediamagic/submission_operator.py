"""What operators share that wait for a MediaMagic submission: its result, retries of failed assets."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider.compat import AirflowFailException
from airflow_provider.core.arguments import switch, whole_number
from airflow_provider.core.budget.turn_queue import Priority
from airflow_provider.core.http.retry import may_have_started
from airflow_provider.core.jobs.ledger import Entry, paid_requests
from airflow_provider.core.jobs.operator import JobOperator
from airflow_provider.core.polling.wait import JobState
from airflow_provider.exceptions import ConflictError, JobFailedError, JobInputError, ProviderError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.mediamagic_submission import SUBMISSION, awaited_assets, observe_submission
from airflow_provider.links import MediaMagicStatusLink
from airflow_provider.triggers.mediamagic import MediaMagicSubmissionTrigger

if TYPE_CHECKING:
    from airflow_provider.core.jobs.run import JobRun

SHOWN_WITHIN = 60.0
"""Seconds within which a submission may be shown as it was before a retry; how long is not documented."""


def failed_assets(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the assets of a submission that carry an error."""
    return [
        asset for asset in body.get("assets") or [] if asset.get("errorMessage") or asset.get("errorType")
    ]


def retry_count(asset: Mapping[str, Any]) -> int:
    return int(asset.get("retryCount") or 0)


def count_retry(entry: Entry, asset: Mapping[str, Any]) -> list[int]:
    """
    Return what is recorded of a retry of an asset before it is sent: its number, as the service will count
    it, and how often it has then been sent.
    """
    number = retry_count(asset) + 1
    recorded, sent = entry.details.get("retried", {}).get(asset["assetId"], (0, 0))
    return [number, sent + 1 if recorded >= number else 1]


class SubmissionOperator(JobOperator[MediaMagicHook]):
    """What operators that wait for a submission share."""

    hook_class = MediaMagicHook
    shown_within = SHOWN_WITHIN
    turn_priority = Priority.START
    trigger_class = MediaMagicSubmissionTrigger
    job = SUBMISSION
    ui_color = "#b8dcff"
    operator_extra_links = (MediaMagicStatusLink(),)

    def __init__(
        self,
        *,
        allow_partial: bool = False,
        asset_retries: int = 0,
        mediamagic_conn_id: str = MediaMagicHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mediamagic_conn_id = mediamagic_conn_id
        self.allow_partial = allow_partial
        self.asset_retries = asset_retries

    def check(self) -> None:
        switch("allow_partial", self.allow_partial)
        whole_number("asset_retries", self.asset_retries)

    def trigger_arguments(self, body: dict[str, Any] | None) -> dict[str, Any]:
        return {"awaited": awaited_assets(body) if body else None}

    def result(self, hook: MediaMagicHook, body: dict[str, Any]) -> dict[str, Any]:
        observation = observe_submission(body)
        if not observation.finished:
            return body
        completed, failed = self._completed_and_failed(hook, body)
        return {**body, "completedAssetIds": completed, "failedAssetIds": failed}

    def failed(self, hook: MediaMagicHook, body: dict[str, Any]) -> dict[str, Any]:
        observation = observe_submission(body)
        completed, failed = self._completed_and_failed(hook, body)
        if self.allow_partial and completed:
            self.log.warning(
                "Submission %s failed in part: %d assets completed, %d failed. %s",
                observation.job_id,
                len(completed),
                len(failed),
                observation.message,
            )
            return {**body, "completedAssetIds": completed, "failedAssetIds": failed}
        retryable = any(asset.get("isRetryable") for asset in failed_assets(body))
        kind = JobFailedError if retryable or not failed_assets(body) else JobInputError
        raise kind(
            f"Submission {observation.job_id} failed: {len(failed)} of {len(failed) + len(completed)} "
            f"assets. {observation.message} "
            + ("allow_partial=True accepts the completed ones. " if completed else "")
            + ("asset_retries=N retries assets that allow it." if retryable else "No asset can be retried."),
            job_id=observation.job_id,
        )

    def repair(self, run: JobRun) -> bool:
        """Retry failed assets through the API; the submission goes back to processing."""
        running: list[str] = []
        for asset in self._affordable(run):
            try:
                if self._retry(run, asset):
                    running.append(asset["assetId"])
            except AirflowFailException as error:
                if not running and not self._serves_in_part(run.body):
                    raise
                self.log.warning("Asset %s is not retried: %s", asset["assetId"], error)
        if not running:
            return False
        run.record(deadline=time.time() + run.wait_limit())
        # As a status request would show them now: the wait that follows is for these.
        shown = {"issueCount": None, "errorMessage": None, "errorType": None}
        assets = [{**one, **(shown if one["assetId"] in running else {})} for one in run.body["assets"]]
        run.body = {**run.body, "status": "processing", "assets": assets}
        return True

    def _retry(self, run: JobRun, asset: dict[str, Any]) -> bool:
        """Retry one asset, on record before it is sent; return whether a retry of it runs, or may run."""
        asset_id, details = asset["assetId"], run.entry.details
        number, sent = count_retry(run.entry, asset)
        if sent > 2:
            self.log.warning("Retries of asset %s were sent twice and none is shown.", asset_id)
            return False
        retried = {**details.get("retried", {}), asset_id: [number, sent]}
        run.record(details={**details, "retried": retried, "retried_at": time.time()})
        try:
            run.hook.retry_asset(run.entry.job_id, asset_id)
        except ConflictError as error:
            if sent == 1:
                self.log.warning("Asset %s cannot be retried now: %s", asset_id, error)
                run.record(details=details)
                return False
            self.log.info("An earlier retry of asset %s is under way: %s", asset_id, error)
            return True
        except ProviderError as error:
            if not may_have_started(error):
                run.record(details=details)
                raise
            self.log.warning("The answer to the retry of asset %s was lost: %s", asset_id, error)
        self.log.info("Retrying asset %s: %s", asset_id, asset.get("errorMessage"))
        run.record(details={**run.entry.details, "paid": paid_requests(run.entry) + 1})
        return True

    def is_stale(self, entry: Entry, body: dict[str, Any]) -> bool:
        """Whether a failed asset was retried a moment ago, and the service has not counted that yet."""
        since = max(entry.details.get("retried_at", 0.0), entry.submitted_at)
        if observe_submission(body).state is not JobState.FAILED or time.time() > since + self.shown_within:
            return False
        retried = entry.details.get("retried", {})
        return any(
            retry_count(asset) < retried.get(asset["assetId"], [0])[0] for asset in failed_assets(body)
        )

    def repairable(self, body: dict[str, Any]) -> bool:
        if observe_submission(body).state is not JobState.FAILED:
            return False
        return bool(self._to_retry(body)) or self._serves_in_part(body)

    def _serves_in_part(self, body: Mapping[str, Any]) -> bool:
        return self.allow_partial and len(failed_assets(body)) < len(body.get("assets") or [])

    def _to_retry(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            asset
            for asset in failed_assets(body)
            if asset.get("isRetryable") and retry_count(asset) < self.asset_retries
        ]

    def _affordable(self, run: JobRun) -> list[dict[str, Any]]:
        """Return the assets to retry that ``max_paid_requests`` allows."""
        wanted = self._to_retry(run.body)
        if wanted and not self._serves_in_part(run.body):
            message = observe_submission(run.body).message
            run.paying.require_allowance(run.entry, f"Submission {run.entry.job_id} failed: {message}")
        return wanted[: run.paying.allowance(run.entry)]

    def _completed_and_failed(
        self, hook: MediaMagicHook, body: dict[str, Any]
    ) -> tuple[list[str], list[str]]:
        completed, failed = [], []
        troubled = {asset["assetId"] for asset in failed_assets(body)}
        whole = observe_submission(body).state is JobState.SUCCEEDED
        for asset in body.get("assets") or []:
            asset_id = asset["assetId"]
            if asset_id in troubled:
                failed.append(asset_id)
            elif whole or asset.get("issueCount") is not None:
                completed.append(asset_id)
            else:
                status = hook.get_asset_result(body["submissionId"], asset_id)["status"]
                (completed if status == "complete" else failed).append(asset_id)
        return completed, failed
