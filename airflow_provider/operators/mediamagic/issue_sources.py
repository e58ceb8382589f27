"""Where the gate reads issues: XCom of upstream tasks, files that they have written, or the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

from airflow_provider.core.text import encodable, snippet
from airflow_provider.exceptions import (
    InvalidInputError,
    JobFailedError,
    MalformedResponseError,
    NotReadyError,
)
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.mediamagic.compliance import CompliancePolicy, Issue

Asset = tuple[str | None, str | None]
"""Asset id and file name, as far as known."""


@dataclass
class Gathered:
    """
    Issues, and the assets that they are of.

    :param issues: of all of them.
    :param assets: all, also those without issues.
    :param unread: those of ``assets`` whose issues were not fetched, because the policy leaves them out.
    :param fetched: what was fetched, with ``assetId``, ``filename`` and ``issues`` of each asset.
    """

    issues: list[Issue] = field(default_factory=list)
    assets: set[Asset] = field(default_factory=set)
    unread: set[Asset] = field(default_factory=set)
    fetched: list[dict[str, Any]] = field(default_factory=list)

    def add(self, found: Any, asset_id: str | None = None, filename: str | None = None) -> None:
        """
        Take the issues of one asset, as the vendor sends them, or issues that name their assets, as
        ``MediaMagicGetIssuesOperator`` returns them.
        """
        if isinstance(found, str | Mapping) or not isinstance(found, Iterable):
            raise _wrong(f"a list of issues was expected, not {_shown(found)}")
        issues = _all_of(found)
        if not issues:
            self.assets.add((asset_id, filename))
        for issue in issues:
            if not isinstance(issue, Mapping) or not {"id", "severity", "status"} <= issue.keys():
                raise _wrong(f"{_shown(issue)} is not an issue: it has no id, severity and status")
            asset = (_name(asset_id or issue.get("assetId")), _name(filename or issue.get("filename")))
            self.assets.add(asset)
            self.issues.append(Issue.of(issue, asset_id=asset[0], filename=asset[1]))

    def left_out(self, policy: CompliancePolicy) -> set[Asset]:
        """Assets that may have issues, none of which counts."""
        found = {(issue.asset_id, issue.filename) for issue in self.issues}
        return self.unread | {asset for asset in found if not policy.covers(*asset)}


def fetch_issues(
    hook: MediaMagicHook, submission_id: str, asset_ids: Sequence[str] | None, policy: CompliancePolicy
) -> Gathered:
    """
    Fetch issues: two requests per asset.

    :param asset_ids: default all assets of the submission.
    :param policy: whose ``assets`` say what need not be fetched.
    :raises NotReadyError: an asset is unfinished.
    :raises JobFailedError: the review of an asset failed, so that nothing is known about it.
    :raises MalformedResponseError: what the service says about an asset contradicts itself.
    """
    counts: dict[str, Any] = {}
    if asset_ids is None:
        listed = hook.get_submission(submission_id).get("assets") or []
        counts = {asset["assetId"]: asset.get("issueCount") for asset in listed}
        asset_ids = list(counts)
    if not asset_ids:
        raise InvalidInputError(
            f"asset_ids: there is no asset of submission {submission_id} to judge.", parameter="asset_ids"
        )
    hook.turns.expect(2 * len(asset_ids))
    gathered = Gathered()
    for asset_id in asset_ids:
        asset = hook.get_asset_result(submission_id, asset_id)
        filename = asset.get("filename")
        if not policy.covers(asset_id, filename):
            gathered.assets.add((asset_id, filename))
            gathered.unread.add((asset_id, filename))
            continue
        must_be_reviewed(asset)
        found = hook.get_issues(submission_id, asset_id)
        must_be_complete(asset, found)
        must_be_complete({**asset, "issueCount": counts.get(asset_id)}, found)
        gathered.add(found, asset_id, filename)
        gathered.fetched.append({"assetId": asset_id, "filename": filename, "issues": found})
    return gathered


def issues_given(issues: Any, asset_ids: Sequence[str] | None, conn_id: str | None) -> Gathered:
    """
    Take what upstream tasks returned: lists of issues, asset results, manifests or paths of files of issues,
    one or many.

    :param asset_ids: the asset of each item of ``issues``, which says nothing about it.
    :raises InvalidInputError: something else.
    """
    items = _items(issues)
    if asset_ids is not None and len(asset_ids) != len(items):
        raise InvalidInputError(
            f"asset_ids names {len(asset_ids)} assets and issues has the results of {len(items)}.",
            parameter="asset_ids",
        )
    gathered = Gathered()
    for item, asset_id in zip(items, asset_ids or repeat(None, len(items)), strict=True):
        if isinstance(item, str) or (isinstance(item, Mapping) and "path" in item):
            _add_file(gathered, item, asset_id, conn_id)
        elif isinstance(item, Mapping) and "issues" in item:
            must_be_reviewed(item)
            gathered.add(item["issues"], item.get("assetId") or asset_id, item.get("filename"))
            must_be_complete(item, item["issues"])
        else:
            gathered.add(item, asset_id)
    return gathered


def _items(issues: Any) -> list[Any]:
    """One entry per asset or file."""
    if isinstance(issues, str | Mapping):
        return [issues]
    if not isinstance(issues, Iterable):
        raise _wrong(f"{_shown(issues)} was given. Did the upstream task push its XCom?")
    items = _all_of(issues)
    flat = [isinstance(item, Mapping) and "severity" in item for item in items]
    if any(flat) and not all(flat):
        raise _wrong("issues are mixed with something else")
    return [items] if all(flat) else items


def _all_of(found: Iterable[Any]) -> list[Any]:
    """Return the items: a list is of one task and may be empty, another sequence is of a mapped one."""
    items = list(found)
    if not items and not isinstance(found, list):
        raise _wrong("no upstream task has returned anything")
    return items


def _add_file(gathered: Gathered, source: Any, asset_id: str | None, conn_id: str | None) -> None:
    from airflow_provider.operators.mediamagic.rows import issue_of_row, read_issue_rows

    manifest = source if isinstance(source, Mapping) else {}
    asset_id, filename = manifest.get("asset_id") or asset_id, manifest.get("filename")
    rows = 0
    for row in read_issue_rows(source, conn_id=conn_id):
        rows += 1
        gathered.add([issue_of_row(row)], row.get("asset_id") or asset_id, row.get("filename") or filename)
    if not rows:
        gathered.add([], asset_id, filename)


def must_be_reviewed(asset: Mapping[str, Any]) -> None:
    """
    Refuse an asset about which nothing is known.

    :raises JobFailedError: its review failed.
    :raises NotReadyError: its review has not ended.
    """
    name = f"Asset {asset.get('assetId')} ({asset.get('filename')})"
    status = asset.get("status")
    if status == "failed":
        raise JobFailedError(
            f"{name} was not reviewed: its review failed. Retry it, or name the assets to judge in "
            "asset_ids, such as the submission's completedAssetIds.",
            job_id=asset.get("submissionId"),
        )
    if status != "complete":
        raise NotReadyError(
            f"{name} is {status!r}: its review has not ended, so nothing can be said about it.",
            job_id=asset.get("submissionId"),
        )


def must_be_complete(asset: Mapping[str, Any], issues: Sequence[Mapping[str, Any]]) -> None:
    """
    Compare what an asset's result says about its issues with the issues.

    :param issues: as its ``/issues`` shows them.
    :raises MalformedResponseError: there are more, or others, than ``issues`` shows.
    """
    shown = {str(issue.get("id")): issue for issue in issues}
    problem = None
    count = asset.get("issueCount")
    if isinstance(count, int) and count > len(issues):
        problem = f"its issueCount is {count} and {len(issues)} issues are shown"
    for issue in asset.get("issues") or ():
        other = shown.get(str(issue.get("id"))) if isinstance(issue, Mapping) else None
        if other is None or issue.get("severity", other.get("severity")) != other.get("severity"):
            problem = f"its result lists {_shown(issue)}, which its list of issues does not show like that"
    if problem:
        raise MalformedResponseError(
            f"Asset {asset.get('assetId')} ({asset.get('filename')}): {problem}. What the service says about "
            "it contradicts itself, so nothing can be said about it.",
            job_id=asset.get("submissionId"),
        )


def _name(value: Any) -> str | None:
    return None if value is None else encodable(str(value))


def _shown(value: Any) -> str:
    return snippet(repr(value))


def _wrong(problem: str) -> InvalidInputError:
    return InvalidInputError(
        f"issues: {problem}. Give what MediaMagicGetIssuesOperator or MediaMagicGetAssetResultOperator "
        "returns, one or a list, or the files that it has written.",
        parameter="issues",
    )
