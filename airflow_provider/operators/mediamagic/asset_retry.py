"""Retry a failed asset of a MediaMagic submission."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from airflow_provider.core.arguments import required_id
from airflow_provider.core.budget.turn_queue import Priority
from airflow_provider.core.http.responses import endpoint_of, malformed
from airflow_provider.core.jobs.dry_run import DryRun
from airflow_provider.core.jobs.ledger import Entry, Ledger
from airflow_provider.core.jobs.search import ARRIVES_WITHIN
from airflow_provider.exceptions import ConflictError, InvalidInputError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.mediamagic_submission import observe_submission, submission_path
from airflow_provider.operators.mediamagic.submission_operator import (
    SubmissionOperator,
    count_retry,
    failed_assets,
    retry_count,
)


class MediaMagicRetryAssetOperator(SubmissionOperator):
    """
    Retry one failed asset of a submission and wait for the submission to end again.

    Returns the submission as :class:`MediaMagicCreateSubmissionOperator` does.

    :param submission_id: the submission.
    :param asset_id: the asset; it must be failed and retryable.
    :param allow_partial: succeed when at least one asset completed; the result says which. Default false.
    :param asset_retries: how often each asset that fails again is retried once more, paid; default 0.
    :param mediamagic_conn_id: MediaMagic connection id, default ``mediamagic_default``.
    :param wait_for_completion: wait for the submission's end (default), or return as soon as the retry runs.
    :param deferrable: wait in the triggerer. Default: ``[operators] default_deferrable``.
    :param timeout: seconds from the retry, or a timedelta; default 600.
    :param poll_interval: first interval in seconds, or a timedelta; alone it is a fixed interval. Default 2
        s, growing to 30 s.
    :param exponential_backoff: let ``poll_interval`` grow, by a factor of 1.5 or the number given here.
        Default: only where there is no ``poll_interval``.
    :param max_wait: longest interval in seconds, or a timedelta; default 30, or ``poll_interval`` where that
        is longer.
    :param cancel_on_kill: no effect: MediaMagic cannot cancel. The log says that the submission goes on.
    :param cancel_on_timeout: no effect, for the same reason.
    :param reuse_completed: when a user clears the task after it succeeded, do not retry the asset again.
        Default false.
    :param on_clear: when a user clears the task: ``attach`` never retries the asset again, ``new`` does.
        Default: as :class:`MediaMagicCreateSubmissionOperator`.
    :param max_paid_requests: most retries of assets that this task sends; the next one is an error. Default:
        no limit.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://northell-2444134e.mintlify.app/submissions/retry-asset
    """

    arrives_within = ARRIVES_WITHIN
    conflict_may_be_own = False  # it reads the asset and tells
    turn_priority = Priority.CONTINUE
    template_fields: Sequence[str] = ("submission_id", "asset_id", "timeout", "mediamagic_conn_id")

    def __init__(self, *, submission_id: str, asset_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.submission_id = submission_id
        self.asset_id = asset_id

    def check(self) -> None:
        super().check()
        self.submission_id = required_id("submission_id", self.submission_id)
        self.asset_id = required_id("asset_id", self.asset_id)

    def item_name(self) -> str:
        return str(self.asset_id or "")

    def request(self) -> dict[str, Any]:
        return {"submission_id": self.submission_id, "asset_id": self.asset_id}

    def prepare(self, hook: MediaMagicHook, ledger: Ledger, entry: Entry) -> Entry:
        """Record how often the asset was retried before, to tell later whether this retry arrived."""
        asset = self._asset(hook.get_submission(self.submission_id))
        details = {
            **entry.details,
            "retry_count": retry_count(asset),
            "retried": {self.asset_id: count_retry(entry, asset)},
            "retried_before": "retried" in entry.details,
        }
        return ledger.amend(entry, details=details)

    def rehearse(self, hook: MediaMagicHook) -> DryRun:
        path = f"/api/integrations/submissions/{self.submission_id}/assets/{self.asset_id}/retry"
        found = DryRun(paid_requests={f"POST {path}": 1})
        body = hook.get_submission(self.submission_id)
        asset = self._asset(body)
        retryable = asset in failed_assets(body) and asset.get("isRetryable")
        found.require(retryable, "The asset has not failed, or says that it cannot be retried.")
        return found

    def submit(self, hook: MediaMagicHook, entry: Entry) -> dict[str, Any]:
        try:
            return hook.retry_asset(self.submission_id, self.asset_id)
        except ConflictError as error:
            body = hook.get_submission(self.submission_id)
            _, sent = entry.details["retried"][self.asset_id]
            ended = entry.details["retried_before"] and self._asset(body) not in failed_assets(body)
            if sent == 1 and not ended:
                raise
            self.log.info("The retry that an earlier attempt has sent is there: %s", error)
            return body

    def trigger_arguments(self, body: dict[str, Any] | None) -> dict[str, Any]:
        assets = (body or {}).get("assets") or []
        if any("issueCount" in asset for asset in assets):
            return super().trigger_arguments(body)
        # The answer to a retry lists all assets and does not say which of them have ended.
        return {"awaited": [self.asset_id]}

    def find_orphaned(
        self, hook: MediaMagicHook, entry: Entry, *, may_probe: bool, claimed: Collection[str]
    ) -> dict[str, Any] | None:
        body = hook.get_submission(self.submission_id)
        asset = self._asset(body)
        # The submission may run because of another of its assets.
        runs = not observe_submission(body).finished and asset not in failed_assets(body)
        return body if runs or retry_count(asset) > entry.details.get("retry_count", 0) else None

    def _asset(self, body: Mapping[str, Any]) -> dict[str, Any]:
        assets: list[dict[str, Any]] = body.get("assets") or []
        for asset in assets:
            if asset.get("assetId") == self.asset_id:
                return asset
        if not assets or any(asset.get("assetId") is None for asset in assets):
            endpoint = endpoint_of("GET", submission_path(self.submission_id))
            raise malformed(endpoint, "no assets, or some without `assetId`")
        raise InvalidInputError(
            f"asset_id {self.asset_id!r} is not an asset of submission {self.submission_id}.",
            parameter="asset_id",
        )
