"""Compliance gate: fail, skip or branch on a policy."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider.compat import BranchMixIn
from airflow_provider.core.arguments import one_of, required_id
from airflow_provider.core.jobs.waiting import read_patiently
from airflow_provider.core.operator import ServiceOperator, in_turn
from airflow_provider.core.text import public
from airflow_provider.exceptions import ComplianceError, InvalidInputError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.links import FileLink, MediaMagicStatusLink
from airflow_provider.mediamagic.compliance import CompliancePolicy, Verdict
from airflow_provider.mediamagic.issue_table import table
from airflow_provider.operators.mediamagic.document import write_document
from airflow_provider.operators.mediamagic.issue_sources import Asset, Gathered, fetch_issues, issues_given

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.arguments import PathArgument

ON_BLOCKED = ("fail", "skip", "branch")


class MediaMagicComplianceGateOperator(ServiceOperator[MediaMagicHook], BranchMixIn):
    """
    Judge the issues of a review by a policy, and fail, skip or branch when they are too many or too grave.

    Give ``issues`` as upstream tasks return them, or a ``submission_id`` to fetch them. Blocking issues are
    listed in the log as a table: worst severity first, then by asset, then by the vendor's reference
    number (a field for where in the media an issue is, is not documented). XCom gets the verdict before
    anything fails: ``passed``, ``judged``, ``counts`` by severity, ``reasons``, ``blockingCount``,
    ``blocking`` (the first 50, with ids) and ``message``. With ``document_path`` it has ``document`` too, the
    manifest of the document, as XCom ``document`` does; message and error say where that is.

    The gate fails with ``ComplianceError``, which stops Airflow's retries: the same issues give the same
    verdict. An asset whose review is unfinished or has failed is an error and never a pass.

    :param policy: a ``CompliancePolicy``, or a mapping with its fields, which may be templates. Default: no
        unsettled ``CRITICAL`` or ``MAJOR`` issue, and none that awaits a person.
    :param issues: what ``MediaMagicGetIssuesOperator`` or ``MediaMagicGetAssetResultOperator`` returns, of
        one task or of a mapped one (``.output``): lists or manifests; or the paths of files of issues. A
        mapped task's ``.output`` holds nothing of instances that were skipped or have failed, which a gate
        with a trigger rule such as ``all_done`` cannot see: give ``asset_ids`` there.
    :param submission_id: instead of ``issues``: the submission to fetch them of.
    :param asset_ids: with ``submission_id`` the assets to judge, default all; with ``issues`` the asset of
        each item, in the same order, where issues do not name their own. That there are as many items as
        assets is checked, so that an absent one is an error.
    :param on_blocked: ``fail`` (default); ``skip`` to skip what is directly downstream, as
        ``ShortCircuitOperator`` does when it respects trigger rules; or ``branch`` to follow
        ``blocked_task_ids``. A gate that is itself mapped can only fail.
    :param blocked_task_ids: with ``branch``: tasks or task groups directly downstream that run when the gate
        blocks; when it passes, all the others do.
    :param document_path: write the judged issues and the verdict as one HTML file, as
        ``MediaMagicReviewDocumentOperator`` does: local path or object-storage URL. An older one is replaced.
    :param topics: what ``MediaMagicGetTopicsOperator`` returns, for the document.
    :param source_conn_id: connection for object-storage URLs in ``issues`` that name none.
    :param output_conn_id: connection for a ``document_path`` that names none.
    :param mediamagic_conn_id: MediaMagic connection id; used with ``submission_id`` only.
    :param deferrable: wait for the rate limit in the triggerer. Default ``[operators] default_deferrable``.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://docs.mediamagic-lite.northell.io/concepts/assets
    """

    hook_class = MediaMagicHook
    inherits_from_skipmixin = True
    template_fields: Sequence[str] = (
        "policy",
        "issues",
        "submission_id",
        "asset_ids",
        "on_blocked",
        "blocked_task_ids",
        "document_path",
        "topics",
        "source_conn_id",
        "output_conn_id",
        "mediamagic_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"policy": "json"}
    ui_color = "#ffe2d9"
    operator_extra_links = (MediaMagicStatusLink(), FileLink())

    def __init__(
        self,
        *,
        policy: CompliancePolicy | Mapping[str, Any] = CompliancePolicy(),  # noqa: B008 -- immutable
        issues: Any = None,
        submission_id: str | None = None,
        asset_ids: Sequence[str] | None = None,
        on_blocked: str = "fail",
        blocked_task_ids: str | Sequence[str] | None = None,
        document_path: PathArgument | None = None,
        topics: Any = None,
        source_conn_id: str | None = None,
        output_conn_id: str | None = None,
        mediamagic_conn_id: str = MediaMagicHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mediamagic_conn_id = mediamagic_conn_id
        self.policy = policy
        self.issues = issues
        self.submission_id = submission_id
        self.asset_ids = asset_ids
        self.on_blocked = on_blocked
        self.blocked_task_ids = blocked_task_ids
        self.document_path = document_path
        self.topics = topics
        self.source_conn_id = source_conn_id
        self.output_conn_id = output_conn_id

    @in_turn
    def execute(self, context: Context) -> dict[str, Any]:
        """Check the arguments, gather and judge the issues; then pass, fail, skip or branch."""
        from airflow_provider.core.files.atomic import check_target

        policy = CompliancePolicy.of(self.policy)
        one_of("on_blocked", self.on_blocked, ON_BLOCKED)
        if self.document_path is not None:
            check_target(self.document_path, conn_id=self.output_conn_id, argument="document_path")
        branches = self._branches(context)
        gathered = self._gather(policy)
        verdict = policy.judge(gathered.issues)
        _assets_are_known(policy, gathered)
        result: dict[str, Any] = public(verdict.to_xcom())
        headline = verdict.headline()
        if self.document_path is not None:
            document = self._write_document(context, gathered, result)
            whole = f"The whole review: {document.get('link') or document['path']}"
            headline = f"{headline} {whole}"
            result |= {"document": document, "message": f"{result['message']}\n\n{whole}"}
        # Pushed before anything is raised: skipping and failing return nothing.
        self.push_result(context, result)
        if verdict.passed:
            self.log.info("%s", result["message"])
            if self.on_blocked == "branch":
                self.do_branch(context, [other for other in self._direct() if other not in branches] or None)
        else:
            self._hold_back(context, verdict, headline)
        return result

    def _write_document(
        self, context: Context, gathered: Gathered, verdict: Mapping[str, Any]
    ) -> dict[str, Any]:
        manifest = write_document(
            gathered.fetched if self.issues is None else self.issues,
            self.document_path,
            topics=self.topics,
            verdict=verdict,
            source_conn_id=self.source_conn_id,
            output_conn_id=self.output_conn_id,
            argument="document_path",
        )
        self.push_early(context, "document", manifest)
        self.record_files(context, [manifest])
        return manifest

    def _hold_back(self, context: Context, verdict: Verdict, headline: str) -> None:
        if self.on_blocked == "fail":
            self.log.error("%s\n%s", headline, table(verdict.blocking))
            raise ComplianceError(headline, job_id=self.submission_id)
        self.log.warning("%s\n%s", headline, table(verdict.blocking))
        if self.on_blocked == "branch":
            self.do_branch(context, self._blocked())
        else:
            direct = [task for task in self.get_direct_relatives() if not task.is_teardown]
            self.skip(context["ti"], direct)

    def _gather(self, policy: CompliancePolicy) -> Gathered:
        asset_ids = self._asset_ids()
        if (self.issues is None) == (self.submission_id is None):
            raise InvalidInputError(
                "Give either issues or submission_id. Did the upstream task push its XCom?",
                parameter="issues",
            )
        if self.submission_id is None:
            return issues_given(self.issues, asset_ids, self.source_conn_id)
        self.submission_id = required_id("submission_id", self.submission_id)
        with self.hook() as hook:
            fetch = partial(fetch_issues, hook, self.submission_id, asset_ids, policy)
            return read_patiently(fetch, pause=time.sleep, log=self.task_log)

    def _asset_ids(self) -> list[str] | None:
        if self.asset_ids is None:
            return None
        if isinstance(self.asset_ids, str | Mapping) or not isinstance(self.asset_ids, Iterable):
            raise InvalidInputError(
                f"asset_ids must be a list; got {self.asset_ids!r}.", parameter="asset_ids"
            )
        return [required_id("asset_ids", asset_id) for asset_id in self.asset_ids]

    def _direct(self) -> list[str]:
        return sorted(self.downstream_task_ids)

    def _blocked(self) -> list[str]:
        named = self.blocked_task_ids or ()
        return [named] if isinstance(named, str) else list(named)

    def _branches(self, context: Context) -> list[str]:
        """The tasks of ``blocked_task_ids``, groups expanded; checked before anything is fetched."""
        map_index = context["ti"].map_index
        if self.on_blocked != "fail" and map_index is not None and map_index >= 0:
            raise InvalidInputError(
                f"on_blocked={self.on_blocked!r}: a mapped gate can only fail, because Airflow does not skip "
                "tasks for one of several instances. Give the issues of all assets to one gate.",
                parameter="on_blocked",
            )
        if (self.on_blocked == "branch") != bool(self.blocked_task_ids):
            raise InvalidInputError(
                "blocked_task_ids and on_blocked='branch' go together.", parameter="blocked_task_ids"
            )
        if self.on_blocked != "branch":
            return []
        branches = list(self._expand_task_group_roots(context["ti"], self._blocked()))
        for task_id in branches:
            if task_id not in self.downstream_task_ids:
                raise InvalidInputError(
                    f"blocked_task_ids: {task_id!r} is not directly downstream of {self.task_id}; those are "
                    f"{', '.join(self._direct()) or 'none'}.",
                    parameter="blocked_task_ids",
                )
        return branches


def _assets_are_known(policy: CompliancePolicy, gathered: Gathered) -> None:
    """
    Refuse a policy whose ``assets`` name one that was not judged, or one that cannot be told from others: it
    would let everything pass.
    """
    left_out = gathered.left_out(policy)
    # A file without rows does not say which asset it is of. That matters only where something is left out.
    if not left_out and (None, None) in gathered.assets:
        return
    for pattern in policy.assets or ():
        only = CompliancePolicy(assets=[pattern])
        by_id = any(only.covers(asset_id, None) for asset_id, _ in gathered.assets)
        by_name = any(only.covers(None, filename) for _, filename in gathered.assets)
        if not (by_id or by_name):
            names = ", ".join(sorted(map(_named, gathered.assets)))
            raise InvalidInputError(
                f"policy: assets names {pattern!r}, which is none of the assets judged: {names}.",
                parameter="policy.assets",
            )
        for asset in left_out:
            asset_id, filename = asset
            if (by_name and not filename) or (by_id and not asset_id):
                raise InvalidInputError(
                    f"policy: assets names {pattern!r}, and nothing says whether that is also "
                    f"{_named(asset)}. Name the assets by what is known of all of them.",
                    parameter="policy.assets",
                )


def _named(asset: Asset) -> str:
    asset_id, filename = asset
    return f"{filename or 'file name unknown'} ({asset_id or 'id unknown'})"
