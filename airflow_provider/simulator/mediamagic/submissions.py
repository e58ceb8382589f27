"""Submissions: create, status, retry of an asset (``/concepts/submissions``, ``/guides/submit-assets``)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from airflow_provider.simulator.calls import Call, NotJson
from airflow_provider.simulator.clock import stamp, stamp_or_none
from airflow_provider.simulator.keys import MEDIAMAGIC, Caller
from airflow_provider.simulator.mediamagic.errors import DOCS_ASSETS, invalid, refuse
from airflow_provider.simulator.mediamagic.findings import fingerprint
from airflow_provider.simulator.mediamagic.model import (
    CATEGORIES,
    CATEGORY_OF,
    Asset,
    Attempt,
    Submission,
    Upload,
)
from airflow_provider.simulator.mediamagic.results import Results
from airflow_provider.simulator.mediamagic.uploads import Uploads
from airflow_provider.simulator.replies import Poll, Reply, json_body, json_reply
from airflow_provider.simulator.sniffing import detect, matches
from airflow_provider.simulator.world import World

#: Vendor seconds that one asset takes, before what its content adds.
BASE_DURATION = {"document": 20.0, "image": 22.0, "audio": 28.0, "video": 36.0}
#: What is added for the content (by hash), for each further asset, and the most that comes out.
CONTENT_DURATION, FURTHER_ASSET, LONGEST = 14, 2.0, 60.0
#: Vendor seconds in ``submitted``.
QUEUE_DURATION = 2.0
MAX_SIMULATION_DELAY = 30


class Submissions:
    """All submissions, by id."""

    def __init__(self, world: World, uploads: Uploads, results: Results) -> None:
        self._world = world
        self._uploads = uploads
        self._results = results
        self._all: dict[str, Submission] = {}
        self._started: Callable[[Submission, Asset], None] = lambda submission, asset: None

    def reset(self) -> None:
        """Forget all."""
        self._all.clear()

    def on_start(self, started: Callable[[Submission, Asset], None]) -> None:
        """Call somebody whenever a run over an asset starts: its end is known then."""
        self._started = started

    def running(self) -> list[Submission]:
        """Those that are not over."""
        now = self._world.clock.now()
        return [one for one in self._all.values() if now < one.ends_at]

    def find(self, call: Call, caller: Caller) -> Submission:
        """The submission that the path names.

        :raises Refusal: 422 for what is no UUID, 404 for what is not in the caller's workspace.
        """
        return self.named(call.params[0], caller, "submission_id")

    def named(self, submission_id: str, caller: Caller, field: str) -> Submission:
        """The submission with an id that the request has in this field; refuses as :meth:`find` does."""
        submission = self._all.get(submission_id)
        if submission is None:
            if not _is_uuid(submission_id):
                raise invalid(field, "Input should be a valid UUID")
            raise refuse(404, "Submission not found")
        if submission.workspace_id != caller.workspace_id:
            raise refuse(404, "Submission not found")
        return submission

    async def create(self, call: Call, caller: Caller) -> Reply:
        """``POST /api/integrations/submissions``."""
        try:
            data = await call.json()
        except NotJson:
            raise invalid("body", "Body is not JSON") from None
        delay = self._simulation_delay(call, caller)
        items, sidekicks, metadata = _validated(data)
        uploads = self._claimed(items, caller)
        earlier = [
            self._earlier_asset(item, upload, caller) for item, upload in zip(items, uploads, strict=True)
        ]
        now = self._world.clock.now()
        assets = [
            self._new_asset(upload, previous, now, len(items), caller.sandbox, delay)
            for upload, previous in zip(uploads, earlier, strict=True)
        ]
        submission = Submission(
            id=str(uuid.uuid4()),
            workflow_id=f"asset-processing-{uuid.uuid4()}",
            workspace_id=caller.workspace_id,
            key_hash=caller.key_hash,
            sandbox=caller.sandbox,
            created_at=now,
            queued_until=now + self._world.clock.real(QUEUE_DURATION),
            assets=assets,
            sidekick_ids=sidekicks,
            metadata=metadata,
        )
        for upload in uploads:
            upload.submitted = True
        self._all[submission.id] = submission
        for asset in assets:
            self._started(submission, asset)
        return json_reply(201, _accepted(submission, "submitted"))

    async def status(self, call: Call, caller: Caller) -> Reply:
        """``GET /api/integrations/submissions/{submission_id}``."""
        submission = self.find(call, caller)
        if self._world.too_new(submission.created_at):
            raise refuse(404, "Submission not found")
        now = self._world.clock.now()
        if now < submission.stale[1]:
            return Reply(200, submission.stale[0], poll=Poll(submission.id, False))
        if submission.final is not None:
            return Reply(200, submission.final, poll=Poll(submission.id, True))
        body = await self._shown(submission, now)
        terminal = now >= submission.ends_at
        if terminal:
            submission.final = body
        return Reply(200, body, poll=Poll(submission.id, terminal))

    async def _shown(self, submission: Submission, now: float) -> bytes:
        status = submission.status(now)
        terminal = status in ("complete", "failed")
        failed = [asset for asset in submission.assets if asset.status(now) == "failed"]
        assets = [await self._asset_status(asset, now) for asset in submission.assets]
        message = f"{len(failed)} of {len(assets)} assets failed" if status == "failed" else None
        return json_body(
            {
                "submissionId": submission.id,
                "workflowId": None if status == "submitted" else submission.workflow_id,
                "workspaceId": submission.workspace_id,
                "status": status,
                "progressPercent": submission.progress(now),
                "createdAt": stamp(submission.created_at),
                "completedAt": stamp_or_none(submission.ends_at if terminal else None),
                "errorMessage": message,
                "assets": assets,
                "isRetryable": any(asset["isRetryable"] for asset in assets),
            }
        )

    async def retry(self, call: Call, caller: Caller) -> Reply:
        """``POST .../assets/{asset_id}/retry`` (``/submissions/retry-asset``)."""
        submission = self.find(call, caller)
        asset = submission.asset(call.params[1])
        if asset is None:
            raise refuse(404, "Asset not found")
        now = self._world.clock.now()
        status = asset.status(now)
        if status == "processing":
            raise refuse(
                409,
                "Asset retry already in progress" if asset.retry_count else "Asset is not in failed state",
            )
        if status != "failed":
            raise refuse(409, "Asset is not in failed state")
        if not self._retryable(asset):
            raise refuse(409, "Asset is not retryable")
        if lag := self._world.settings.stale_status:
            shown = await self._shown(submission, now)
            submission.stale = (shown, now + self._world.clock.real(lag))
        first = asset.attempts[0]
        # What succeeded is reused, so a retry is shorter.
        length = (first.ends_at - first.started_at) / 2
        asset.attempts.append(Attempt(now, now + length, len(asset.attempts) < asset.attempts_failing))
        submission.final = None
        self._started(submission, asset)
        self._world.ledger.reopen(submission.id)
        self._world.ledger.asset_retries.append(
            {"submission_id": submission.id, "asset_id": asset.id, "at": now}
        )
        return json_reply(202, _accepted(submission, "processing"))

    def ledger(self) -> list[dict[str, Any]]:
        """All, as the ledger lists them."""
        now = self._world.clock.now()
        return [
            {
                "id": one.id,
                "created_at": one.created_at,
                "key_hash": one.key_hash,
                "workspace_id": one.workspace_id,
                "blob_paths": [asset.upload.blob_path for asset in one.assets],
                "filenames": [asset.upload.filename for asset in one.assets],
                "asset_ids": [asset.id for asset in one.assets],
                "sidekick_ids": one.sidekick_ids,
                "metadata": one.metadata,
                "status": one.status(now),
                "terminal": now >= one.ends_at,
                "finished_at": one.ends_at,
            }
            for one in self._all.values()
        ]

    def _simulation_delay(self, call: Call, caller: Caller) -> float:
        text = call.query.get("simulationDelaySeconds")
        if text is None:
            return 0.0
        try:
            delay = float(text)
        except ValueError:
            delay = -1.0
        if not 0 <= delay <= MAX_SIMULATION_DELAY:
            raise invalid("simulationDelaySeconds", f"Input should be from 0 to {MAX_SIMULATION_DELAY}")
        if not caller.sandbox:
            raise refuse(400, "simulationDelaySeconds is only available with sandbox API keys")
        return delay

    def _claimed(self, items: list[dict[str, Any]], caller: Caller) -> list[Upload]:
        uploads: list[Upload] = []
        for item in items:
            upload = self._uploads.find(item["blobPath"])
            if upload is None or upload.workspace_id != caller.workspace_id:
                raise refuse(403, "Invalid blob path")
            if upload.submitted or any(upload is other for other in uploads):
                raise refuse(409, "Asset already submitted", DOCS_ASSETS)
            category = CATEGORY_OF[upload.content_type]
            if (upload.size or 0) > CATEGORIES[category][0]:
                raise refuse(413, f"File exceeds the maximum size for {category} files")
            if not matches(upload.content_type, detect(upload.path)):
                raise refuse(415, f"File content does not match content type {upload.content_type}")
            uploads.append(upload)
        return uploads

    def _earlier_asset(self, item: dict[str, Any], upload: Upload, caller: Caller) -> Asset | None:
        previous_id = item.get("previousSubmissionId")
        if previous_id is None:
            return None
        previous = self._all.get(str(uuid.UUID(previous_id)))
        if previous is None or previous.workspace_id != caller.workspace_id:
            raise refuse(404, "Previous submission not found")
        same_name = (asset for asset in previous.assets if asset.upload.filename == upload.filename)
        return next(same_name, previous.assets[0])

    def _new_asset(
        self, upload: Upload, previous: Asset | None, now: float, count: int, sandbox: bool, delay: float
    ) -> Asset:
        content = fingerprint(upload.path)
        category = CATEGORY_OF[upload.content_type]
        seconds = (
            BASE_DURATION[category] + int(content[-6:], 16) % CONTENT_DURATION + FURTHER_ASSET * (count - 1)
        )
        seconds = delay if sandbox else min(seconds, LONGEST)
        group, version = str(uuid.uuid4()), 1
        if previous is not None:
            group = previous.version_group_id
            version = 1 + max(
                asset.version_number
                for one in self._all.values()
                for asset in one.assets
                if asset.version_group_id == group
            )
        asset = Asset(str(uuid.uuid4()), group, version, upload, content, [])
        script = self._world.scripts.pick(
            MEDIAMAGIC, filename=upload.filename, blob_path=upload.blob_path, mime_type=upload.content_type
        )
        if script is not None:
            seconds = seconds if script.duration is None else script.duration
            if script.asset_status == "failed":
                asset.attempts_failing = script.attempts_failing
                asset.error_message = script.error_message or asset.error_message
                asset.error_type = script.error_type or asset.error_type
                asset.retryable = script.is_retryable
        fails = asset.attempts_failing > 0
        asset.attempts.append(Attempt(now, now + self._world.clock.real(seconds), fails))
        return asset

    def _retryable(self, asset: Asset) -> bool:
        return asset.retryable and asset.retry_count < self._world.settings.max_asset_retries

    async def _asset_status(self, asset: Asset, now: float) -> dict[str, Any]:
        status = asset.status(now)
        failed = status == "failed"
        return {
            "assetId": asset.id,
            "versionGroupId": asset.version_group_id,
            "versionNumber": asset.version_number,
            "issueCount": len(await self._results.findings(asset)) if status == "complete" else None,
            "errorMessage": asset.error_message if failed else None,
            "errorType": asset.error_type if failed else None,
            "isRetryable": failed and self._retryable(asset),
            "retryCount": asset.retry_count,
        }


def _accepted(submission: Submission, status: str) -> dict[str, Any]:
    return {
        "submissionId": submission.id,
        "workflowId": submission.workflow_id,
        "ablyChannel": f"submission:{submission.id}",
        "status": status,
        "assets": [
            {
                "assetId": asset.id,
                "versionGroupId": asset.version_group_id,
                "versionNumber": asset.version_number,
            }
            for asset in submission.assets
        ],
    }


def _validated(data: Any) -> tuple[list[dict[str, Any]], list[str], dict[str, object]]:
    if not isinstance(data, dict):
        raise invalid("body", "Body is not an object")
    items = data.get("assets")
    if not isinstance(items, list) or not items:
        raise invalid("assets", "Field required" if items is None else "At least one asset is required")
    for position, item in enumerate(items):
        where = f"assets.{position}"
        if not isinstance(item, dict):
            raise invalid(where, "Input should be an object")
        if not isinstance(item.get("blobPath"), str):
            raise invalid(
                f"{where}.blobPath", "Field required" if "blobPath" not in item else "Should be a string"
            )
        for name in set(item) - {"blobPath", "previousSubmissionId"}:
            raise invalid(f"{where}.{name}", "Extra inputs are not permitted")
        previous = item.get("previousSubmissionId")
        if previous is not None and not _is_uuid(previous):
            raise invalid(f"{where}.previousSubmissionId", "Input should be a valid UUID")
    sidekicks = data.get("sidekickIds")
    sidekicks = [] if sidekicks is None else sidekicks
    if not isinstance(sidekicks, list) or not all(_is_uuid(one) for one in sidekicks):
        raise invalid("sidekickIds", "Input should be a list of UUIDs")
    metadata = data.get("metadata")
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict):
        raise invalid("metadata", "Input should be an object")
    return items, sidekicks, metadata


def _is_uuid(value: object) -> bool:
    try:
        uuid.UUID(value)  # type: ignore[arg-type]
    except (ValueError, TypeError, AttributeError):
        return False
    return True
