"""Submit media to MediaMagic for review, and retry failed assets."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider.compat import AirflowSkipException
from airflow_provider.core.arguments import (
    IF_NO_FILES,
    named_files,
    one_of,
    required_id,
    switch,
    whole_number,
)
from airflow_provider.core.budget.turn_queue import Priority
from airflow_provider.core.http.retry import may_have_started
from airflow_provider.core.jobs.dry_run import DryRun
from airflow_provider.core.jobs.ledger import Entry, Ledger, paid_requests
from airflow_provider.core.jobs.operator import JobOperator
from airflow_provider.core.jobs.pay_once import ARRIVES_WITHIN, PaidInVainError, PreparedInVainError
from airflow_provider.core.naming import names_of_files
from airflow_provider.core.polling.wait import JobState
from airflow_provider.exceptions import (
    ApiError,
    ConflictError,
    InvalidInputError,
    JobFailedError,
    JobInputError,
    LedgerError,
    ProviderError,
    SubmissionLostError,
    TransferError,
)
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.mediamagic_submission import (
    SUBMISSION,
    awaited_assets,
    check_simulation_delay,
    observe_submission,
)
from airflow_provider.links import MediaMagicStatusLink
from airflow_provider.operators.mediamagic.upload import checked_sources, upload_requests, uploads
from airflow_provider.triggers.mediamagic import MediaMagicSubmissionTrigger

if TYPE_CHECKING:
    from airflow_provider.core.files.sources import Source
    from airflow_provider.core.jobs.run import JobRun
    from airflow_provider.operators.mediamagic.upload import Uploads


SHOWN_WITHIN = 60.0
"""Seconds within which a submission may be shown as it was before a retry; how long is not documented."""

BLOB_REFUSED = (403, 404, 415)
"""Answers to a submission that may be about an uploaded file: unknown, gone, or not what its name says."""


def failed_assets(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the assets of a submission that carry an error."""
    return [
        asset for asset in body.get("assets") or [] if asset.get("errorMessage") or asset.get("errorType")
    ]


def retry_count(asset: Mapping[str, Any]) -> int:
    """Return how often an asset was retried."""
    return int(asset.get("retryCount") or 0)


class SubmissionOperator(JobOperator[MediaMagicHook]):
    """
    What operators that wait for a submission share.

    :param allow_partial: succeed when at least one asset completed; the result says which.
    :param asset_retries: how often each failed asset that says it can be retried is retried through the API.
    :param mediamagic_conn_id: MediaMagic connection id.
    :param deferrable: wait for turns in the triggerer. Default: ``[operators] default_deferrable``.
    :param max_turn_wait: seconds that one wait for a turn on the key may take; default the connection's.
    """

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
        running = [asset["assetId"] for asset in self._affordable(run) if self._retry(run, asset)]
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
        retried = details.get("retried", {})
        count, earlier = retry_count(asset) + 1, retried.get(asset_id, [0, 0])
        own = earlier[0] >= count
        if own and earlier[1] > 1:
            self.log.warning("Retries of asset %s were sent twice and none is shown.", asset_id)
            return False
        retried = {**retried, asset_id: [count, earlier[1] + 1 if own else 1]}
        run.record(details={**details, "retried": retried, "retried_at": time.time()})
        try:
            run.hook.retry_asset(run.entry.job_id, asset_id)
        except ConflictError as error:
            if not own:
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


class MediaMagicCreateSubmissionOperator(SubmissionOperator):
    """
    Submit media for content-compliance review and wait for the review to end. **Billed**, once per task
    instance.

    Give ``files`` to upload and submit, or ``blob_paths`` of files uploaded before. Returns the vendor's
    submission (``submissionId``, ``status``, ``assets``, ...) with ``completedAssetIds`` and
    ``failedAssetIds`` added; with ``wait_for_completion=False`` the answer to its creation. XCom
    ``submission_id`` is set as soon as it is known.

    Retries of the task find the submission again (Airflow 3.3). The API cannot list submissions: when an
    answer was lost, the next attempt sends the same blob paths again as a probe, and a 409 then means that
    the first request landed and its id is lost. That a second request is refused with 409 is not documented
    in full.

    :param files: paths, globs or object-storage URLs, as a list.
    :param blob_paths: ``blobPath`` values of uploaded files, as a list.
    :param submission_id: a submission that exists already, to be taken instead: nothing is uploaded,
        submitted or paid for. For one whose id was lost, or that was made by hand; ``files`` may stay.
    :param sidekick_ids: UUIDs of the sidekicks to review with, as a list; default none.
    :param metadata: free-form object for the submission.
    :param previous_submission_id: makes each asset the next version of the asset of that submission.
    :param source_conn_id: connection for object-storage URLs that name none.
    :param if_no_files: ``fail`` (default) or ``skip`` the task when ``files`` is empty or its globs match
        nothing, and there is no submission of an earlier attempt.
    :param max_parallel: how many files are uploaded at a time, default 4.
    :param allow_partial: succeed when at least one asset completed; the result says which.
    :param asset_retries: how often each failed asset that says it can be retried is retried through the API.
    :param on_lost_submission: what to do when a submission was made and its id is lost: ``fail`` (default),
        or ``resubmit`` to upload the files anew and pay for a second submission.
    :param simulation_delay_seconds: 0 to 30, with sandbox keys only.
    :param mediamagic_conn_id: MediaMagic connection id.
    :param wait_for_completion: wait for the review's end (default), or return as soon as it is submitted.
    :param deferrable: wait in the triggerer. Default: ``[operators] default_deferrable``.
    :param timeout: seconds from submission, or a timedelta; default 600.
    :param poll_interval: first interval in seconds; default 2 s, growing to 30 s.
    :param exponential_backoff: let the interval grow; a number is the factor.
    :param max_wait: longest interval in seconds.
    :param cancel_on_kill: no effect: MediaMagic cannot cancel. The log says that the submission goes on.
    :param cancel_on_timeout: no effect, for the same reason.
    :param reuse_completed: when a user clears the task after it succeeded, return the same submission again.
    :param on_clear: when a user clears the task: ``attach`` takes the submission that was paid for, running
        or complete; ``new`` pays for another one, and one that runs goes on. Default: a running submission
        is taken; one that was returned is replaced, one that never was is taken.
    :param max_paid_requests: most submissions and retries of assets that this task sends, over retries,
        clears and ``asset_retries``; the next one is an error. Default: no limit.
    :param max_turn_wait: seconds that one wait for a turn on the key may take; default the connection's.

    See https://docs.mediamagic-lite.northell.io/guides/submit-assets
    """

    template_fields: Sequence[str] = (
        "files",
        "blob_paths",
        "submission_id",
        "sidekick_ids",
        "metadata",
        "previous_submission_id",
        "source_conn_id",
        "timeout",
        "mediamagic_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"metadata": "json"}

    def __init__(
        self,
        *,
        files: Sequence[Any] | None = None,
        blob_paths: Sequence[str] | None = None,
        submission_id: str | None = None,
        sidekick_ids: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        previous_submission_id: str | None = None,
        source_conn_id: str | None = None,
        if_no_files: str = "fail",
        max_parallel: int = 4,
        on_lost_submission: str = "fail",
        simulation_delay_seconds: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.files = files
        self.blob_paths = blob_paths
        self.submission_id = submission_id
        self.sidekick_ids = sidekick_ids
        self.metadata = metadata
        self.previous_submission_id = previous_submission_id
        self.source_conn_id = source_conn_id
        self.if_no_files = if_no_files
        self.max_parallel = max_parallel
        self.on_lost_submission = on_lost_submission
        self.simulation_delay_seconds = simulation_delay_seconds
        self._uploads: Uploads | None = None
        self._reused = False

    def check(self) -> None:

        super().check()
        if self.submission_id is not None:
            self.submission_id = required_id("submission_id", self.submission_id)
        elif (self.files is None) == (self.blob_paths is None):
            raise InvalidInputError("Give either files or blob_paths.", parameter="files")
        one_of("if_no_files", self.if_no_files, IF_NO_FILES)
        one_of("on_lost_submission", self.on_lost_submission, ("fail", "resubmit"))
        for argument in ("blob_paths", "sidekick_ids"):
            value = getattr(self, argument)
            if value is None:
                continue
            if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
                raise InvalidInputError(f"{argument} must be a list; got {value!r}.", parameter=argument)
            setattr(self, argument, [required_id(argument, item) for item in value])
        if self.blob_paths is not None and not self.blob_paths:
            raise InvalidInputError(
                "blob_paths is empty: there is nothing to submit.", parameter="blob_paths"
            )
        if self.metadata is not None and not isinstance(self.metadata, Mapping):
            raise InvalidInputError("metadata must be an object.", parameter="metadata")
        if self.previous_submission_id is not None:
            self.previous_submission_id = required_id("previous_submission_id", self.previous_submission_id)
        whole_number("max_parallel", self.max_parallel, least=1)
        check_simulation_delay(self.simulation_delay_seconds)

    @property
    def adopts(self) -> str | None:
        return self.submission_id

    def item_name(self) -> str:
        return names_of_files(self.files or self.blob_paths) or str(self.submission_id or "")

    def lineage_inputs(self) -> Sequence[str]:
        """The files of the record: a task that was deferred has not resolved them itself."""
        entry = self._run.summary.entry if self._run else None
        return [*entry.details.get("blobs", ())] if entry else super().lineage_inputs()

    def request(self) -> dict[str, Any]:
        return {
            "files": named_files(self.files),
            "blob_paths": list(self.blob_paths or ()),
            "sidekick_ids": list(self.sidekick_ids or ()),
            "metadata": dict(self.metadata or {}),
            "previous_submission_id": self.previous_submission_id,
        }

    def prepare(self, hook: MediaMagicHook, ledger: Ledger, entry: Entry) -> Entry:
        """Upload the files, recording each, so that a retry does not upload it again unless it changed."""
        if self.files is None:
            return entry
        from airflow_provider.core.files.sent import is_unchanged

        sources = checked_sources(self.files, conn_id=self.source_conn_id, if_none=self.if_no_files)
        recorded, sent = entry.details.get("blobs", {}), dict(entry.details.get("sent", {}))
        blobs = {
            source.path: recorded[source.path]
            for source, _ in sources
            if source.path in recorded and is_unchanged(source, sent.get(source.path))
        }
        self._reused = bool(blobs)
        details = {**entry.details, "sizes": {source.path: source.size for source, _ in sources}}

        def arrived(source: Source, uploaded: dict[str, Any], bytes_sent: dict[str, Any]) -> None:
            nonlocal entry
            blobs[source.path], sent[source.path] = uploaded["blobPath"], bytes_sent
            entry = ledger.amend(entry, details={**details, "blobs": dict(blobs), "sent": dict(sent)})

        left = [item for item in sources if item[0].path not in blobs]
        if blobs:
            self.log.info("%d files were uploaded by an earlier attempt", len(blobs))
        self._uploads = uploads(self.hook, arrived=arrived, max_parallel=self.max_parallel, log=self.task_log)
        self.turns.expect(len(left))
        self._uploads.run(left)
        in_order = {source.path: blobs[source.path] for source, _ in sources}
        return replace(entry, details={**details, "blobs": in_order, "sent": sent})

    def rehearse(self, hook: MediaMagicHook) -> DryRun:
        found = DryRun(paid_requests={"POST /api/integrations/submissions": 1})
        if self.files is not None:
            try:
                sources = checked_sources(self.files, conn_id=self.source_conn_id, if_none=self.if_no_files)
            except AirflowSkipException as skipped:
                return DryRun(notes=[f"The task would be skipped: {skipped}"])
            found.add_files(sources)
            found.other_requests = upload_requests(sources)
        if self.asset_retries:
            found.notes.append(f"Each asset that fails is retried up to {self.asset_retries} times, paid.")
        found.check_connection(hook)
        return found

    def on_kill(self) -> None:
        """As for every job; uploads under way are left."""
        super().on_kill()
        if self._uploads is not None:
            self._uploads.stop()

    def submit(self, hook: MediaMagicHook, entry: Entry) -> dict[str, Any]:
        paths = self.blob_paths or list(entry.details["blobs"].values())
        previous = (
            {"previousSubmissionId": self.previous_submission_id} if self.previous_submission_id else {}
        )
        try:
            return hook.create_submission(
                [{"blobPath": path, **previous} for path in paths],
                sidekick_ids=self.sidekick_ids,
                metadata=self.metadata,
                simulation_delay_seconds=self.simulation_delay_seconds,
            )
        except ApiError as error:
            if self.files is None or error.http_status not in BLOB_REFUSED:
                raise
            kept = {name: value for name, value in entry.details.items() if name not in ("blobs", "sent")}
            raise PreparedInVainError(error, kept, again=self._reused) from error

    def find_orphaned(
        self, hook: MediaMagicHook, entry: Entry, *, may_probe: bool, claimed: Collection[str]
    ) -> dict[str, Any] | None:
        """
        Send the same blob paths again, once the first request is over, for the API cannot list: accepted
        means that the first never arrived, 409 that it did.
        """
        if not may_probe:
            return None
        resubmits = self.on_lost_submission == "resubmit" and self.files is not None
        if changed := self._changed(entry):
            if resubmits:
                self.log.warning(
                    "An earlier submission may exist, of other bytes of %s; uploading and submitting anew "
                    "(on_lost_submission='resubmit'). It may be paid for a second time.",
                    changed,
                )
                raise PaidInVainError
            raise LedgerError(
                f"An earlier attempt sent a submission and recorded no answer, and {changed} has changed "
                "since it was uploaded. Nothing was sent: what was uploaded would be reviewed, and to submit "
                "the new bytes may be to pay twice. If the submission is in the MediaMagic app, name it "
                "(submission_id='...' takes it and pays nothing); else set on_lost_submission='resubmit' to "
                "submit the new bytes, or put the old file back."
            )
        try:
            return self.submit(hook, entry)
        except PreparedInVainError as refused:
            if resubmits:
                raise PaidInVainError from refused.error
            raise
        except ConflictError as error:
            if resubmits:
                self.log.warning(
                    "A submission of this task exists and its id is lost; uploading and submitting anew "
                    "(on_lost_submission='resubmit'). It is paid for a second time."
                )
                raise PaidInVainError from error
            raise SubmissionLostError(
                "An earlier attempt's submission arrived and its id was lost with the answer; MediaMagic "
                "cannot list submissions, so it cannot be found again. Nothing was submitted a second time. "
                "Look it up in the MediaMagic app and name it (submission_id='...' takes it and pays "
                "nothing), or set on_lost_submission='resubmit' with files to pay for another one."
            ) from error

    def _changed(self, entry: Entry) -> str:
        """Name a file that is there and has other bytes than were uploaded; empty when there is none."""
        from airflow_provider.core.files.sent import is_unchanged
        from airflow_provider.core.files.sources import resolve_sources

        path: str
        for path, sent in entry.details.get("sent", {}).items():
            try:
                (source,) = resolve_sources([{"path": path}], conn_id=self.source_conn_id)
                changed = not is_unchanged(source, sent)
            except (InvalidInputError, TransferError):
                continue  # gone, or out of reach: what was uploaded is what is left of it
            if changed:
                return path
        return ""


class MediaMagicRetryAssetOperator(SubmissionOperator):
    """
    Retry one failed asset of a submission and wait for the submission to end again.

    Returns the submission as :class:`MediaMagicCreateSubmissionOperator` does.

    :param submission_id: the submission.
    :param asset_id: the asset; it must be failed and retryable.
    :param allow_partial: succeed when at least one asset completed; the result says which.
    :param asset_retries: how often each asset that fails again is retried once more.
    :param mediamagic_conn_id: MediaMagic connection id.
    :param wait_for_completion: wait for the submission's end (default), or return as soon as the retry runs.
    :param deferrable: wait in the triggerer. Default: ``[operators] default_deferrable``.
    :param timeout: seconds from the retry, or a timedelta; default 600.
    :param poll_interval: first interval in seconds; default 2 s, growing to 30 s.
    :param exponential_backoff: let the interval grow; a number is the factor.
    :param max_wait: longest interval in seconds.
    :param cancel_on_kill: no effect: MediaMagic cannot cancel. The log says that the submission goes on.
    :param cancel_on_timeout: no effect, for the same reason.
    :param reuse_completed: when a user clears the task after it succeeded, do not retry the asset again.
    :param on_clear: when a user clears the task: ``attach`` never retries the asset again, ``new`` does.
        Default: as :class:`MediaMagicCreateSubmissionOperator`.
    :param max_paid_requests: most retries of assets that this task sends; the next one is an error. Default:
        no limit.
    :param max_turn_wait: seconds that one wait for a turn on the key may take; default the connection's.

    See https://northell-2444134e.mintlify.app/submissions/retry-asset
    """

    arrives_within = ARRIVES_WITHIN
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
        """Record how often the asset was retried before, to tell later whether this retry landed."""
        count = retry_count(self._asset(hook.get_submission(self.submission_id)))
        earlier = entry.details.get("retried", {}).get(self.asset_id, [0, 0])
        sent = [count + 1, earlier[1] + 1 if earlier[0] > count else 1]
        details = {
            **entry.details,
            "retry_count": count,
            "retried": {self.asset_id: sent},
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
            unshown = entry.details["retried"][self.asset_id][1] > 1
            ended = entry.details["retried_before"] and self._asset(body) not in failed_assets(body)
            if not (unshown or ended):
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
        # That the submission runs may be for another asset of it.
        runs = not observe_submission(body).finished and asset not in failed_assets(body)
        return body if runs or retry_count(asset) > entry.details.get("retry_count", 0) else None

    def _asset(self, body: Mapping[str, Any]) -> dict[str, Any]:
        for asset in body.get("assets") or []:
            if asset.get("assetId") == self.asset_id:
                found: dict[str, Any] = asset
                return found
        raise InvalidInputError(
            f"asset_id {self.asset_id!r} is not an asset of submission {self.submission_id}.",
            parameter="asset_id",
        )
