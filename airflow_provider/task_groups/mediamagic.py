"""Task group for a MediaMagic review: submit, wait, fetch issues and topics, judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import TaskGroup, literal, task

from airflow_provider.core.arguments import path_as_template
from airflow_provider.core.http.responses import plain_id
from airflow_provider.exceptions import InvalidInputError
from airflow_provider.operators.mediamagic import (
    MediaMagicComplianceGateOperator,
    MediaMagicCreateSubmissionOperator,
    MediaMagicGetIssuesOperator,
    MediaMagicGetTopicsOperator,
    MediaMagicReviewDocumentOperator,
)
from airflow_provider.task_groups.given import deferred, given

if TYPE_CHECKING:
    from airflow.sdk import XComArg

    from airflow_provider.core.arguments import PathArgument
    from airflow_provider.mediamagic.compliance import CompliancePolicy

ISSUES_SUFFIX = ".issues.jsonl"


class MediaMagicReviewTaskGroup(TaskGroup):
    """
    Review these files: upload and submit them, wait, fetch the issues of every asset, and judge them.

    The tasks are ``submit``, ``assets``, ``issues`` (one per asset) and, where asked for, ``topics`` (one per
    asset) and ``gate`` or ``document``, which come last. In a mapped task group, one review per campaign,
    ``issues`` and ``topics`` are one task for all assets of a submission, for Airflow cannot map there again.
    Chain on the group as a whole, or on what it holds::

        review = MediaMagicReviewTaskGroup("review", files=["s3://media/{{ ds }}/*.mp4"], policy={})
        review >> publish()
        load(review.issues)

    - ``submission``: the submission, with ``completedAssetIds`` and ``failedAssetIds``.
    - ``assets``: ``[{"submission_id", "asset_id"}, ...]`` of the completed assets, for tasks and for
      ``expand_kwargs``: an id that Airflow could read as a template is an error.
    - ``issues``, ``topics``: the results or, with ``output_path``, the manifests of all assets; in a mapped
      task group the issues of all assets as one list, or as one file.
    - ``verdict``: what the gate says (see ``MediaMagicComplianceGateOperator``); ``None`` without ``policy``.
    - ``document``: the manifest of the document; ``None`` without ``document_path``.

    Everything that a template can be in the operators can be one here.

    :param group_id: of the group, default ``review``.
    :param files: paths, globs or object-storage URLs, as a list.
    :param sidekick_ids: UUIDs of the sidekicks to review with, as a list; default none.
    :param metadata: free-form object that goes with the submission; default none.
    :param allow_partial: go on with the assets that completed when others failed; those are in
        ``submission["failedAssetIds"]`` and are not judged.
    :param timeout: seconds that the review may take, or a timedelta; default 600.
    :param topics: fetch the topics of every asset too; default false.
    :param output_path: folder, local or an object-storage URL, to write ``<asset id>.issues.jsonl`` and
        ``<asset id>.topics.json`` to; in a mapped task group ``<submission id>.issues.jsonl`` and
        ``<submission id>.topics.json``. Needed when the result of one task is more than 32 KB of JSON.
    :param document_path: write the review as one HTML file for people, local or an object-storage URL; with
        ``policy`` the gate writes it, with what blocks. In a mapped task group each instance needs a file of
        its own: ``s3://legal/{{ ds }}/{{ ti.map_index }}.html``.
    :param policy: judge the issues by this ``CompliancePolicy`` or mapping with its fields. Default: no gate.
    :param on_blocked: of the gate: ``fail`` (default), ``skip`` or ``branch``.
    :param blocked_task_ids: of the gate, with ``branch``.
    :param deferrable: wait in the triggerer (default).
    :param on_clear: of the submission, when a user clears its task: ``attach`` takes the one that was paid
        for, ``new`` pays for another one.
    :param max_paid_requests: most submissions that the group pays for, over retries and clears; the next one
        is an error. Default: no limit.
    :param if_no_files: ``fail`` (default), or ``skip`` the group when there is no file.
    :param source_conn_id: connection for object-storage URLs in ``files`` that name none.
    :param output_conn_id: connection for an ``output_path`` or ``document_path`` that names none.
    :param mediamagic_conn_id: MediaMagic connection id, default ``mediamagic_default``.
    :param group: other arguments of ``TaskGroup``, such as ``default_args`` or ``tooltip``. ``default_args``
        of the group or the Dag count for what is not given here.
    """

    def __init__(
        self,
        group_id: str = "review",
        *,
        files: Sequence[Any] | XComArg,
        sidekick_ids: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        allow_partial: bool | None = None,
        timeout: float | timedelta | None = None,
        topics: bool = False,
        output_path: PathArgument | None = None,
        document_path: PathArgument | None = None,
        policy: CompliancePolicy | Mapping[str, Any] | None = None,
        on_blocked: str = "fail",
        blocked_task_ids: str | Sequence[str] | None = None,
        deferrable: bool | None = None,
        on_clear: str | None = None,
        max_paid_requests: int | None = None,
        if_no_files: str | None = None,
        source_conn_id: str | None = None,
        output_conn_id: str | None = None,
        mediamagic_conn_id: str | None = None,
        **group: Any,
    ) -> None:
        if policy is None and (on_blocked, blocked_task_ids) != ("fail", None):
            raise InvalidInputError(
                "on_blocked and blocked_task_ids are for the gate, which takes a policy.", parameter="policy"
            )
        super().__init__(group_id=group_id, **group)
        output_path = path_as_template(output_path)  # for a task that is Airflow's own
        conn_id = given(mediamagic_conn_id=mediamagic_conn_id)
        conn_ids = {**conn_id, **given(output_conn_id=output_conn_id)}
        with self.dag, self:  # the Dag may be an argument, and no context
            submit = MediaMagicCreateSubmissionOperator(
                task_id="submit",
                files=files,
                **deferred(self, deferrable),
                **given(
                    sidekick_ids=sidekick_ids,
                    metadata=metadata,
                    allow_partial=allow_partial,
                    timeout=timeout,
                    on_clear=on_clear,
                    max_paid_requests=max_paid_requests,
                    if_no_files=if_no_files,
                    source_conn_id=source_conn_id,
                ),
                **conn_id,
            )
            submission: Any = submit.output
            mapped = any(True for _ in self.iter_mapped_task_groups())
            if mapped and on_blocked != "fail":
                raise InvalidInputError(
                    "on_blocked: in a mapped task group the gate can only fail.", parameter="on_blocked"
                )
            read = _read_all if mapped else _read_each
            targets, issues_of, topics_of = read(submission, output_path, topics, conn_ids)
            verdict: Any = None
            document: Any = None
            topics_found: Any = topics_of.output if topics_of is not None else None
            if policy is not None:
                judged: dict[str, Any]
                if output_path and not mapped:
                    judged = {"issues": issues_of.output}
                else:
                    # By its id an asset is fetched with its name, which lists of issues do not have.
                    asset_ids = targets["asset_ids"] if mapped else targets.map(_asset_id)
                    judged = {"submission_id": submission["submission_id"], "asset_ids": asset_ids}
                gate = MediaMagicComplianceGateOperator(
                    task_id="gate",
                    policy=policy,
                    on_blocked=on_blocked,
                    blocked_task_ids=blocked_task_ids,
                    document_path=document_path,
                    topics=topics_found if document_path else None,
                    **conn_ids,
                    **judged,
                )
                [issues_of, topics_of or issues_of] >> gate
                verdict = gate.output
                document = verdict["document"] if document_path is not None else None
            elif document_path is not None:
                document = MediaMagicReviewDocumentOperator(
                    task_id="document",
                    issues=issues_of.output,
                    output_path=document_path,
                    topics=topics_found,
                    **conn_ids,
                ).output
        self.submission = submission
        self.assets: Any = targets["assets"] if mapped else targets.map(_ids)
        self.issues: Any = issues_of.output
        self.topics = topics_found
        self.verdict = verdict
        self.document = document


def _read_each(submission: Any, output_path: Any, topics: bool, conn_ids: dict[str, Any]) -> tuple[Any, ...]:
    """Make the tasks that read one asset each."""
    # By name, or Airflow binds what default_args call the same.
    targets: Any = assets(submission=submission, output_path=output_path)
    issues_of = MediaMagicGetIssuesOperator.partial(task_id="issues", **conn_ids).expand_kwargs(
        targets.map(_as_it_is)
    )
    topics_of = None
    if topics:
        topics_of = MediaMagicGetTopicsOperator.partial(task_id="topics", **conn_ids).expand_kwargs(
            targets.map(_topics_target)
        )
    return targets, issues_of, topics_of


def _read_all(submission: Any, output_path: Any, topics: bool, conn_ids: dict[str, Any]) -> tuple[Any, ...]:
    """Make the tasks that read all assets."""
    targets: Any = all_assets(submission=submission, output_path=output_path)
    ids = {"submission_id": targets["submission_id"], "asset_id": targets["asset_ids"]}

    def path(of: str) -> Any:
        return targets[f"{of}_path"] if output_path else None

    issues_of = MediaMagicGetIssuesOperator(task_id="issues", output_path=path("issues"), **ids, **conn_ids)
    topics_of = None
    if topics:
        topics_of = MediaMagicGetTopicsOperator(
            task_id="topics", output_path=path("topics"), **ids, **conn_ids
        )
    return targets, issues_of, topics_of


@task(task_id="assets", multiple_outputs=True)
def all_assets(submission: dict[str, Any], output_path: str | None) -> dict[str, Any]:
    """What to fetch of all assets at once, and where to."""
    targets = _targets(submission, output_path)
    submission_id = plain_id("submission_id", submission["submissionId"])
    found = {
        "submission_id": submission_id,
        "asset_ids": [target["asset_id"] for target in targets],
        "assets": [_ids(target) for target in targets],
    }
    if output_path:
        folder = targets[0]["output_path"].rpartition("/")[0]
        found["issues_path"] = f"{folder}/{submission_id}{ISSUES_SUFFIX}"
        found["topics_path"] = f"{folder}/{submission_id}.topics.json"
    return found


@task
def assets(submission: dict[str, Any], output_path: str | None) -> list[dict[str, Any]]:
    """What to fetch of which assets, and where to."""
    return _targets(submission, output_path)


def _targets(submission: dict[str, Any], output_path: str | None) -> list[dict[str, Any]]:
    from airflow_provider.core.files.locations import path_text

    targets = []
    folder = path_text("output_path", output_path) if output_path else ""
    submission_id = plain_id("submission_id", submission["submissionId"])
    for asset_id in submission["completedAssetIds"]:
        path = f"{folder.rstrip('/')}/{quote(asset_id, safe='')}{ISSUES_SUFFIX}" if folder else None
        targets.append(
            {
                "submission_id": submission_id,
                "asset_id": plain_id("asset_id", asset_id),
                "output_path": path,  # also None, or one of default_args would take all assets
            }
        )
    return targets


def _as_it_is(target: dict[str, Any]) -> dict[str, Any]:
    """Airflow renders what ``expand_kwargs`` takes from a task as templates (apache/airflow#38745)."""
    return {name: literal(value) for name, value in target.items()}


def _topics_target(target: dict[str, Any]) -> dict[str, Any]:
    if target["output_path"]:
        path = f"{target['output_path'].removesuffix(ISSUES_SUFFIX)}.topics.json"
        target = {**target, "output_path": path}
    return _as_it_is(target)


def _ids(target: dict[str, str]) -> dict[str, str]:
    return {name: target[name] for name in ("submission_id", "asset_id")}


def _asset_id(target: dict[str, str]) -> str:
    return target["asset_id"]
