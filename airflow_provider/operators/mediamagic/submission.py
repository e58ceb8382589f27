"""Submit media to MediaMagic for review."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider.compat import AirflowSkipException
from airflow_provider.core.arguments import (
    IF_NO_FILES,
    named_files,
    one_of,
    plain_json,
    required_id,
    whole_number,
)
from airflow_provider.core.http.responses import plain_id
from airflow_provider.core.jobs.dry_run import DryRun
from airflow_provider.core.jobs.ledger import Entry, Ledger
from airflow_provider.core.jobs.paid_request import PaidInVainError, PreparedInVainError
from airflow_provider.core.jobs.pay_once import resend_refused
from airflow_provider.core.naming import names_of_files
from airflow_provider.exceptions import (
    ApiError,
    ConflictError,
    InvalidInputError,
    LedgerError,
    SubmissionLostError,
    TransferError,
)
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.mediamagic_submission import check_simulation_delay
from airflow_provider.operators.mediamagic.submission_operator import SubmissionOperator
from airflow_provider.operators.mediamagic.upload import UploadBatch, checked_sources, upload_requests

if TYPE_CHECKING:
    from airflow.sdk import XComArg

BLOB_UNKNOWN = (403, 404)
"""Answers to a submission that may be about an uploaded file that is not there: gone, or not seen yet."""

BLOB_REFUSED = (*BLOB_UNKNOWN, 415)
"""The same, or about one whose bytes are not what its name says."""


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
    the first request arrived and its id is lost. That a second request is refused with 409 is not documented
    in full.

    :param files: paths, globs or object-storage URLs, as a list.
    :param blob_paths: ``blobPath`` values of uploaded files, as a list.
    :param submission_id: a submission that exists already, to be taken instead: nothing is uploaded,
        submitted or paid for. For one whose id was lost, or that was made by hand; ``files`` may stay.
    :param sidekick_ids: UUIDs of the sidekicks to review with, as a list; default none.
    :param metadata: free-form object that goes with the submission; default none.
    :param previous_submission_id: makes each asset the next version of the asset of that submission; default
        none.
    :param source_conn_id: connection for object-storage URLs that name none.
    :param if_no_files: ``fail`` (default) or ``skip`` the task when ``files`` is empty or its globs match
        nothing, and there is no submission of an earlier attempt.
    :param max_parallel: how many files are uploaded at a time, default 4.
    :param allow_partial: succeed when at least one asset completed; the result says which. Default false.
    :param asset_retries: how often each failed asset is retried, paid, where the service says that it can be;
        default 0.
    :param on_lost_submission: what to do when a submission was made and its id is lost: ``fail`` (default),
        or ``resubmit`` to upload the files anew and pay for a second submission.
    :param simulation_delay_seconds: 0 to 30, with sandbox keys only; default none.
    :param mediamagic_conn_id: MediaMagic connection id, default ``mediamagic_default``.
    :param wait_for_completion: wait for the review's end (default), or return as soon as it is submitted.
    :param deferrable: wait in the triggerer. Default: ``[operators] default_deferrable``.
    :param timeout: seconds from submission, or a timedelta; default 600.
    :param poll_interval: first interval in seconds, or a timedelta; alone it is a fixed interval. Default 2
        s, growing to 30 s.
    :param exponential_backoff: let ``poll_interval`` grow, by a factor of 1.5 or the number given here.
        Default: only where there is no ``poll_interval``.
    :param max_wait: longest interval in seconds, or a timedelta; default 30, or ``poll_interval`` where that
        is longer.
    :param cancel_on_kill: no effect: MediaMagic cannot cancel. The log says that the submission goes on.
    :param cancel_on_timeout: no effect, for the same reason.
    :param reuse_completed: when a user clears the task after it succeeded, return the same submission again.
        Default false.
    :param on_clear: when a user clears the task: ``attach`` takes the submission that was paid for, running
        or complete; ``new`` pays for another one, and one that runs goes on. Default: a running submission
        is taken; one that was returned is replaced, one that never was is taken.
    :param max_paid_requests: most submissions and retries of assets that this task sends, over retries,
        clears and ``asset_retries``; the next one is an error. Default: no limit.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

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
        files: Sequence[Any] | XComArg | None = None,
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
        self._uploads: UploadBatch | None = None
        self._reused = False

    def check(self) -> None:
        super().check()
        if self.submission_id is not None:
            self.submission_id = required_id("submission_id", self.submission_id)
        elif (self.files is None) == (self.blob_paths is None):
            neither = (
                "; both are None. Did the upstream task return something?" if self.files is None else "."
            )
            raise InvalidInputError(f"Give either files or blob_paths{neither}", parameter="files")
        elif self.files is not None:
            from airflow_provider.core.files.sources import list_of_files

            list_of_files("files", self.files)
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
        if self.metadata is not None:
            if not isinstance(self.metadata, Mapping):
                raise InvalidInputError("metadata must be an object.", parameter="metadata")
            self.metadata = plain_json("metadata", self.metadata)
        if self.previous_submission_id is not None:
            self.previous_submission_id = plain_id(
                "previous_submission_id", required_id("previous_submission_id", self.previous_submission_id)
            )
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

    def older_request(self) -> dict[str, Any]:
        """The first version took what ``files`` had found, with sizes, and not what they name."""
        files: list[list[Any]] = []
        if self.files is not None:
            try:
                sources = checked_sources(self.files, conn_id=self.source_conn_id, if_none="fail")
            except InvalidInputError:  # What was found then is not there now; no record fits that.
                return self.request()
            files = [[source.path, source.size] for source, _ in sources]
        return {**self.request(), "files": files}

    def prepare(self, hook: MediaMagicHook, ledger: Ledger, entry: Entry) -> Entry:
        """Upload the files, recording each, so that a retry does not upload it again unless it changed."""
        if self.files is None:
            return entry
        sources = checked_sources(self.files, conn_id=self.source_conn_id, if_none=self.if_no_files)
        details = {**entry.details, "sizes": {source.path: source.size for source, _ in sources}}
        uploaded = {path: {"blobPath": blob_path} for path, blob_path in details.get("blobs", {}).items()}
        batch = self._uploads = UploadBatch(self, sources, uploaded, details.get("sent", {}))
        self._reused = bool(batch.done)

        def record() -> None:
            nonlocal entry
            known = {"blobs": batch.blob_paths, "sent": dict(batch.sent)}
            entry = ledger.amend(entry, details={**details, **known})

        batch.run(record, forget=lambda: ledger.amend(entry, details=_not_uploaded(entry)))
        return replace(entry, details={**details, "blobs": batch.blob_paths, "sent": batch.sent})

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
        # Files with the same bytes may be kept as one.
        paths = self.blob_paths or [*dict.fromkeys(entry.details["blobs"].values())]
        previous = (
            {"previousSubmissionId": self.previous_submission_id} if self.previous_submission_id else {}
        )
        run = self._run
        assert run is not None
        try:
            return resend_refused(
                lambda: hook.create_submission(
                    [{"blobPath": path, **previous} for path in paths],
                    sidekick_ids=self.sidekick_ids,
                    metadata=self.metadata,
                    simulation_delay_seconds=self.simulation_delay_seconds,
                ),
                may_pass=lambda error: error.http_status in BLOB_UNKNOWN,
                hook=hook,
                log=self.task_log,
                pause=run.pause,
            )
        except ApiError as error:
            if self.files is None or error.http_status not in BLOB_REFUSED:
                raise
            raise PreparedInVainError(error, _not_uploaded(entry), again=self._reused) from error

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
                "A submission of these files exists, and its id was lost with an earlier attempt's answer; "
                "MediaMagic cannot list submissions, so it cannot be found. Nothing was submitted again. "
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


def _not_uploaded(entry: Entry) -> dict[str, Any]:
    """Return the details of an entry without what was uploaded."""
    return {name: value for name, value in entry.details.items() if name not in ("blobs", "sent")}
