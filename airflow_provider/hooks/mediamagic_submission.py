"""
MediaMagic submissions: their endpoints, what may go in, how an answer is read, what a status means.

See https://docs.mediamagic-lite.northell.io/concepts/submissions
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from airflow_provider.core.arguments import plain_json, required_text
from airflow_provider.core.http.client import ServiceHook
from airflow_provider.core.http.error_bodies import Paid
from airflow_provider.core.http.responses import Body, Id, Kind, Name, Word, fields, plain_id
from airflow_provider.core.jobs.kind import JobKind
from airflow_provider.core.polling.schedule import Backoff
from airflow_provider.core.polling.wait import LONGEST_MESSAGE, JobState, Observation, epoch_seconds
from airflow_provider.core.text import clean, public, redact
from airflow_provider.exceptions import InvalidInputError
from airflow_provider.hooks.mediamagic_connection import API

if TYPE_CHECKING:
    import aiohttp

SUBMISSION_STATES: Final[Mapping[str, JobState]] = {
    "uploading": JobState.ACTIVE,
    "submitted": JobState.ACTIVE,
    "processing": JobState.ACTIVE,
    "complete": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
}
"""What the status words of a submission mean. There is none for cancelled: the API cannot cancel."""

TIMES: Final = fields(datetime, "createdAt", "updatedAt", "completedAt")

_SUBMISSION: Final[Mapping[str, Kind]] = {
    **TIMES,
    "submissionId": Id,
    **fields(str, "workflowId", "workspaceId", "ablyChannel", "errorMessage"),
    "status": Word,
    "progressPercent": float,
    "isRetryable": bool,
    "assets": [
        {
            # A submission ends, and was paid for, whatever its assets are called.
            "assetId": Name,
            **fields(str, "versionGroupId", "errorMessage", "errorType"),
            **fields(int, "versionNumber", "issueCount", "retryCount"),
            "isRetryable": bool,
        }
    ],
}


def observe_submission(body: Mapping[str, Any]) -> Observation:
    """
    Tell what a submission's status means.

    :param body: as returned by :meth:`MediaMagicHook.get_submission`.
    :return: a status word that nobody knows is active. For a failed submission ``message`` names each failed
        asset with its reason.
    """
    raw_status = clean(body["status"])
    state = SUBMISSION_STATES.get(raw_status.lower())
    percent = body.get("progressPercent")
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not -1e9 < percent < 1e9:
        percent = None
    return Observation(
        job_id=clean(body["submissionId"]),
        raw_status=raw_status,
        state=state or JobState.ACTIVE,
        known=state is not None,
        progress="" if percent is None else f"{percent:g}%",
        fraction=None if percent is None else min(1.0, max(0.0, percent / 100)),
        message=_failure_message(body) if state is JobState.FAILED else "",
        finished_at=None if state in (None, JobState.ACTIVE) else epoch_seconds(body.get("completedAt")),
    )


def check_simulation_delay(seconds: Any) -> float | None:
    """
    Return the delay that a sandbox is asked for.

    :raises InvalidInputError: it is neither ``None`` nor a number from 0 to 30.
    """
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 30:
        raise InvalidInputError(
            f"simulation_delay_seconds must be a number from 0 to 30; got {seconds!r}.",
            parameter="simulation_delay_seconds",
        )
    return seconds


def awaited_assets(body: Mapping[str, Any]) -> list[str] | None:
    """
    Return the ids of the assets that have not ended; ``None`` when the answer does not list its assets.

    :param body: of a submission, or the answer to its creation. An asset has no status there: one that has
        ended has a number of issues or an error.
    """
    assets = body.get("assets")
    if not isinstance(assets, list) or not assets:
        return None
    ended = ("issueCount", "errorMessage", "errorType")
    try:
        return [str(asset["assetId"]) for asset in assets if all(asset.get(name) is None for name in ended)]
    except (KeyError, TypeError, AttributeError):
        return None


def _failure_message(body: Mapping[str, Any]) -> str:
    listed = body.get("assets")
    reasons = []
    for asset in listed if isinstance(listed, list) else []:
        if not isinstance(asset, dict):
            continue
        why, kind = _text(asset.get("errorMessage")), _text(asset.get("errorType"))
        if why or kind:
            notes = [kind] if kind else []
            notes.append("retryable" if asset.get("isRetryable") is True else "not retryable")
            name = _text(asset.get("assetId")) or "?"
            reasons.append(f"asset {name}: {why or 'no reason given'} ({', '.join(notes)})")
    if why := _text(body.get("errorMessage")):
        reasons.append(why)
    return clean(redact("; ".join(reasons)), LONGEST_MESSAGE)


def _text(value: Any) -> str:
    return clean(value) if isinstance(value, str) else ""


def check_assets(assets: Any) -> list[dict[str, Any]]:
    """
    Return a copy of the assets to submit: ``blobPath`` and, for a new version, ``previousSubmissionId``.

    :raises InvalidInputError: names the asset.
    """
    if isinstance(assets, str | Mapping) or not isinstance(assets, Sequence) or not assets:
        raise InvalidInputError(
            "assets must be a list of one or more objects with `blobPath`.", parameter="assets"
        )
    checked = []
    for number, asset in enumerate(assets):
        where = f"assets[{number}]"
        if not isinstance(asset, Mapping):
            raise InvalidInputError(f"{where} must be an object with `blobPath`.", parameter="assets")
        unknown = set(asset) - {"blobPath", "previousSubmissionId"}
        if unknown:
            raise InvalidInputError(
                f"{where} has the unknown field {sorted(map(str, unknown))[0]!r}; an asset has `blobPath` "
                "and, for a new version, `previousSubmissionId`.",
                parameter="assets",
            )
        item = {"blobPath": required_text(f"{where}.blobPath", asset.get("blobPath"))}
        if asset.get("previousSubmissionId") is not None:
            item["previousSubmissionId"] = plain_id(
                f"{where}.previousSubmissionId", asset["previousSubmissionId"]
            )
        checked.append(item)
    return checked


def read_started(status: str, body: Body, *, submission_id: str | None = None) -> dict[str, Any]:
    """
    Read what a paid call has started.

    :param submission_id: the submission in which it was; ``None`` for a new one.
    :param status: what the API documents right after the call; an answer that leaves it out is read as if it
        had said so, because the id in it is paid for.
    """
    found = body.object("submissionId", kinds=_SUBMISSION)
    if submission_id is not None:
        body.check_asked("submission", submission_id.lower(), found["submissionId"].lower())
    found["status"] = found.get("status") or status
    return found


def read_submission(submission_id: str, body: Body) -> dict[str, Any]:
    """Read a submission. The assets of a finished one are read one by one, so they must have ids."""
    found = body.object("submissionId", "status", kinds=_SUBMISSION)
    body.check_asked("submission", submission_id.lower(), found["submissionId"].lower())
    if SUBMISSION_STATES.get(found["status"], JobState.ACTIVE) is not JobState.ACTIVE:
        assets = body.part(found)
        body.part(assets.require("assets", list)).rows("assets", "assetId")
    return found


class SubmissionEndpoints(ServiceHook):
    """Part of :class:`~airflow_provider.hooks.mediamagic.MediaMagicHook`."""

    def create_submission(
        self,
        assets: Sequence[Mapping[str, Any]],
        *,
        sidekick_ids: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        simulation_delay_seconds: float | None = None,
    ) -> dict[str, Any]:
        """
        Submit uploaded assets for review. **Billed**, and not protected against duplicates: the API documents
        no idempotency key and no endpoint that lists submissions.

        :param assets: one or more of ``{"blobPath": ..., "previousSubmissionId": ...}``; the second field
            makes the asset a new version of the asset of that submission.
        :param sidekick_ids: UUIDs of the sidekicks to review with; default none.
        :param metadata: free-form object; whether it is returned anywhere is not documented.
        :param simulation_delay_seconds: sandbox keys only, 0 to 30; a live key answers 400.
        :return: ``submissionId``, ``workflowId``, ``ablyChannel``, ``status``, ``assets``.
        :raises SubmitOutcomeUnknownError: the request was sent and its answer was lost. It is not sent again.
        :raises InvalidInputError: an argument is wrong; nothing was sent.
        :raises InvalidRequestError: 400, 413 (file above its category's limit), 415 (content does not match
            its type), 422.
        :raises PermissionDeniedError: 403, invalid blob path.
        :raises NotFoundError: 404, the previous submission is unknown.
        :raises ConflictError: 409, asset already submitted.

        See https://northell-2444134e.mintlify.app/api-reference/submissions/create-submission
        """
        payload: dict[str, Any] = {"assets": check_assets(assets)}
        if sidekick_ids is not None:
            if isinstance(sidekick_ids, str | Mapping) or not isinstance(sidekick_ids, Sequence):
                raise InvalidInputError("sidekick_ids must be a list of ids.", parameter="sidekick_ids")
            payload["sidekickIds"] = [required_text("sidekick_ids", item) for item in sidekick_ids]
        if metadata is not None:
            if not isinstance(metadata, Mapping):
                raise InvalidInputError("metadata must be an object.", parameter="metadata")
            payload["metadata"] = plain_json("metadata", metadata)
        params: dict[str, Any] = {}
        if (delay := check_simulation_delay(simulation_delay_seconds)) is not None:
            params["simulationDelaySeconds"] = f"{delay:g}"
        paid = Paid(
            "the submission",
            "The API has no endpoint that lists submissions: look in the MediaMagic app, or ask the vendor, "
            "before submitting these assets again.",
        )
        return self.request(
            "POST",
            f"{API}/submissions",
            json=payload,
            params=params,
            paid=paid,
            read=partial(read_started, "submitted"),
        )

    def get_submission(self, submission_id: str) -> dict[str, Any]:
        """
        Read the status of a submission.

        :param submission_id: UUID from :meth:`create_submission`.
        :return: ``submissionId``, ``status``, ``progressPercent``, ``createdAt``, ``completedAt``,
            ``errorMessage``, ``isRetryable``, ``assets`` with each asset's ``issueCount`` and error fields.
        :raises NotFoundError: 404, unknown or in another workspace.

        See https://docs.mediamagic-lite.northell.io/api-reference/submissions/get-submission-status
        """
        return self.request(
            "GET", submission_path(submission_id), read=partial(read_submission, submission_id)
        )

    async def aget_submission(self, client: aiohttp.ClientSession, submission_id: str) -> dict[str, Any]:
        """Read as :meth:`get_submission`, by :meth:`arequest`."""
        return await self.arequest(
            client, "GET", submission_path(submission_id), read=partial(read_submission, submission_id)
        )


def submission_path(submission_id: str) -> str:
    return f"{API}/submissions/{plain_id('submission_id', submission_id)}"


SUBMISSION: Final = JobKind(
    noun="submission",
    id_key="submission_id",
    get=lambda hook, submission_id: hook.get_submission(submission_id),
    aget=lambda hook, client, submission_id: hook.aget_submission(client, submission_id),
    observe=observe_submission,
    id_of=lambda body: str(body["submissionId"]),
    public=public,
    backoff=Backoff(first=2.0, factor=1.5, cap=30.0),
    typical={"": (2.0, 300.0)},
    limits={"": 600.0},
)
"""
Submissions, after the status-polling guide: 2 s, times 1.5, at most 30 s; give up after 600 s. Usual
durations are not documented; the guide's shorter limit stands in for the longest. The API cannot cancel.
"""
