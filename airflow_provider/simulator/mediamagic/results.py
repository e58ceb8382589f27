"""What a review found: asset result, issues, topics (``/concepts/assets``)."""

from __future__ import annotations

import asyncio
from typing import Any

from airflow_provider.simulator.clock import stamp
from airflow_provider.simulator.mediamagic.errors import refuse
from airflow_provider.simulator.mediamagic.findings import Finding, enriched, issue, review, topics
from airflow_provider.simulator.mediamagic.model import CATEGORY_OF, Asset, Submission
from airflow_provider.simulator.replies import Reply, json_reply
from airflow_provider.simulator.world import World

#: Files up to this size are looked into on the event loop; it is quicker than a thread.
_SMALL = 64 * 1024


class Results:
    """Reviews a file when its result is asked for the first time, and remembers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._reviewed: dict[tuple[str, str, str], list[Finding]] = {}

    async def findings(self, asset: Asset) -> list[Finding]:
        """Findings of an asset that is complete."""
        if asset.findings is None:
            upload = asset.upload
            key = (asset.fingerprint, upload.filename, upload.content_type)
            found = self._reviewed.get(key)
            if found is None:
                arguments = (*key[1:], CATEGORY_OF[upload.content_type], asset.fingerprint)
                if (upload.size or 0) <= _SMALL:
                    found = review(upload.path, *arguments)
                else:
                    found = await asyncio.to_thread(review, upload.path, *arguments)
                self._reviewed[key] = found
            asset.findings = found
        return asset.findings

    async def asset(self, submission: Submission, asset_id: str) -> Reply:
        """``GET .../assets/{asset_id}``; answers at any time."""
        asset = _asset(submission, asset_id)
        status = asset.status(self._world.clock.now())
        issues = await self._issues(submission, asset) if status == "complete" else []
        return json_reply(
            200,
            {
                "assetId": asset.id,
                "submissionId": submission.id,
                "filename": asset.upload.filename,
                "mimeType": asset.upload.content_type,
                "status": status,
                "issueCount": len(issues) if status == "complete" else None,
                "versionNumber": asset.version_number,
                "versionGroupId": asset.version_group_id,
                "issues": issues,
            },
        )

    async def issues(self, submission: Submission, asset_id: str) -> Reply:
        """``GET .../assets/{asset_id}/issues``."""
        asset = self._finished(submission, asset_id)
        issues = await self._issues(submission, asset)
        rows = [enriched(*pair) for pair in zip(issues, await self.findings(asset), strict=True)]
        if self._world.settings.issues_container == "object":
            return json_reply(200, {"assetId": asset.id, "issues": rows})
        return json_reply(200, rows)

    async def topics(self, submission: Submission, asset_id: str) -> Reply:
        """``GET .../assets/{asset_id}/topics``."""
        asset = self._finished(submission, asset_id)
        issues = await self._issues(submission, asset)
        clustered, alone = topics(issues, await self.findings(asset))
        metadata = {
            "issueCount": len(issues),
            "topicCount": len(clustered),
            "orphanIssueCount": len(alone),
            "generatedAt": stamp(asset.ends_at),
        }
        body = {"assetId": asset.id, "topics": clustered, "orphanIssues": alone, "metadata": metadata}
        return json_reply(200, body)

    async def _issues(self, submission: Submission, asset: Asset) -> list[dict[str, Any]]:
        at = stamp(asset.ends_at)
        found = await self.findings(asset)
        return [
            issue(finding, number, asset.id, submission.sidekick_ids, at)
            for number, finding in enumerate(found, 1)
        ]

    def _finished(self, submission: Submission, asset_id: str) -> Asset:
        asset = _asset(submission, asset_id)
        status = asset.status(self._world.clock.now())
        if status == "processing":
            raise refuse(404, "Asset processing is still pending")
        if status == "failed":
            raise refuse(404, "Asset has no results: processing failed")
        return asset


def _asset(submission: Submission, asset_id: str) -> Asset:
    asset = submission.asset(asset_id)
    if asset is None:
        raise refuse(404, "Asset not found")
    return asset
