"""Read the results, issues and topics of reviewed MediaMagic assets."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider.core.arguments import required_id
from airflow_provider.core.files.manifest import XCOM_LIMIT_BYTES
from airflow_provider.core.jobs.waiting import read_patiently
from airflow_provider.core.naming import names_of_files, show_name
from airflow_provider.core.operator import ServiceOperator, in_turn
from airflow_provider.core.text import public
from airflow_provider.exceptions import InvalidInputError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.links import FileLink, MediaMagicStatusLink
from airflow_provider.operators.mediamagic.issue_sources import must_be_complete, must_be_reviewed

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.arguments import PathArgument
    from airflow_provider.core.files.locations import Location


class AssetOperator(ServiceOperator[MediaMagicHook]):
    """
    Read something about one asset of a submission, or about several.

    The events of ``outlets`` carry the manifest of the file: ``extra={"manifests": [...]}``. A result of more
    than 32 KB of JSON needs ``output_path``. The arguments are those of the classes below.
    """

    hook_class = MediaMagicHook
    requests_per_asset: ClassVar[int] = 2
    template_fields: Sequence[str] = (
        "submission_id",
        "asset_id",
        "output_path",
        "output_conn_id",
        "mediamagic_conn_id",
    )
    ui_color = "#d9ecff"
    operator_extra_links = (MediaMagicStatusLink(), FileLink())

    def __init__(
        self,
        *,
        submission_id: str,
        asset_id: str | Sequence[str] | None = None,
        output_path: PathArgument | None = None,
        output_conn_id: str | None = None,
        mediamagic_conn_id: str = MediaMagicHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mediamagic_conn_id = mediamagic_conn_id
        self.submission_id = submission_id
        self.asset_id = asset_id
        self.output_path = output_path
        self.output_conn_id = output_conn_id
        # An argument that its template or task leaves empty is an error, and does not mean all assets.
        self._takes_all = asset_id is None

    def item_name(self) -> str:
        return str(self.asset_id if self.reads_one else self.submission_id)

    @in_turn
    def execute(self, context: Context) -> Any:
        """Read, then return or write the result."""
        from airflow_provider.core.files.atomic import check_target
        from airflow_provider.core.files.locations import path_text

        self.submission_id = required_id("submission_id", self.submission_id)
        asset_ids = self._checked_ids()
        if self.output_path is not None:
            self.output_path = path_text("output_path", self.output_path)
            target = check_target(self.output_path, conn_id=self.output_conn_id, argument="output_path")
            self.check_format(target)
        with self.hook() as hook:
            if asset_ids is None:
                asset_ids = read_patiently(
                    partial(assets_of, hook, self.submission_id), pause=time.sleep, log=self.task_log
                )
            self.turns.expect(self.requests_per_asset * len(asset_ids))
            found = [
                read_patiently(partial(self.read, hook, asset_id), pause=time.sleep, log=self.task_log)
                for asset_id in asset_ids
            ]
        show_name(context, names_of_files([asset.get("filename") for asset, _ in found]))
        if self.output_path is None:
            # The `url` of a precedent is the address of a ruling; a signed link loses its query all the same.
            return self._small(public(self.result(found), keep=("url",), longest=XCOM_LIMIT_BYTES))
        manifest = {
            **self.write(found, context),
            "submission_id": self.submission_id,
            **({"asset_id": self.asset_id} if self.reads_one else {}),
        }
        self.record_files(context, [manifest])
        return manifest

    def lineage_job(self, task_instance: Any) -> dict[str, Any]:
        return {"kind": "submission", "jobId": self.submission_id}

    def check_format(self, target: Location) -> None:
        """Check that the result can be written to what ``output_path`` names, before anything is sent."""

    @abstractmethod
    def read(self, hook: MediaMagicHook, asset_id: str) -> Review:
        """Make the requests for one asset."""

    @property
    def reads_one(self) -> bool:
        """Whether one asset is asked for by its id, and not all of them or a list."""
        return isinstance(self.asset_id, str)

    def result(self, found: Sequence[Review]) -> Any:
        """Return what goes to XCom; ``found`` is of every asset, in order."""
        return found[0][1] if self.reads_one else [body for _, body in found]

    def write(self, found: Sequence[Review], context: Context) -> dict[str, Any]:
        """Write the result to ``output_path``; return its manifest."""
        from airflow_provider.core.files.tables import write_json

        return write_json(self.result(found), self.output_path, conn_id=self.output_conn_id)

    def _checked_ids(self) -> list[str] | None:
        if self._takes_all:
            return None
        given = self.asset_id
        if isinstance(given, Sequence) and not isinstance(given, str):
            if not given:
                raise InvalidInputError("asset_id is an empty list.", parameter="asset_id")
            return [required_id("asset_id", asset_id) for asset_id in given]
        self.asset_id = required_id("asset_id", given)
        return [self.asset_id]

    def _small(self, found: Any) -> Any:
        from airflow_provider.core.files.manifest import fits_xcom, xcom_size

        if not fits_xcom(found):
            of = f"asset {self.asset_id}" if self.reads_one else "these assets"
            raise InvalidInputError(
                f"The result for {of} is {xcom_size(found)} bytes of JSON, and XCom takes "
                f"{XCOM_LIMIT_BYTES}. Give output_path, a file to write it to.",
                parameter="output_path",
            )
        return found


Review = tuple[Mapping[str, Any], Any]
"""The result of an asset, which names it, and what was asked for about it."""


def assets_of(hook: MediaMagicHook, submission_id: str) -> list[str]:
    """
    Return the ids of all assets of a submission.

    :raises InvalidInputError: it has none.
    """
    listed = hook.get_submission(submission_id).get("assets") or []
    asset_ids = list(dict.fromkeys(asset["assetId"] for asset in listed))
    if not asset_ids:
        raise InvalidInputError(f"Submission {submission_id} has no assets.", parameter="submission_id")
    return asset_ids


class MediaMagicGetAssetResultOperator(AssetOperator):
    """
    Read the result of one asset: ``assetId``, ``filename``, ``mimeType``, ``status``, ``issueCount``,
    ``issues``. Of several assets: a list of such results.

    :param submission_id: the submission.
    :param asset_id: the asset, or a list of assets; default all assets of the submission.
    :param output_path: write the result to this JSON file and return a manifest.
    :param output_conn_id: connection for an object-storage URL that names none.
    :param mediamagic_conn_id: MediaMagic connection id, default ``mediamagic_default``.
    :param deferrable: wait for the rate limit in the triggerer. Default ``[operators] default_deferrable``.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://docs.mediamagic-lite.northell.io/concepts/assets
    """

    requests_per_asset = 1

    def read(self, hook: MediaMagicHook, asset_id: str) -> Review:
        asset = hook.get_asset_result(self.submission_id, asset_id)
        return asset, asset


class MediaMagicGetIssuesOperator(AssetOperator):
    """
    Read the issues of one asset, or of several, as a flat list. Each issue names its asset: ``assetId`` and
    ``filename``.

    With ``output_path`` they are written one row per issue, as JSON Lines, CSV or Parquet by the file's
    suffix, for a warehouse to load as they are; XCom and the events of ``outlets`` then hold the manifest.
    Fails, retryable, while an asset is unfinished.

    :param submission_id: the submission.
    :param asset_id: the asset, or a list of assets; default all assets of the submission, none of which may
        have failed then.
    :param output_path: ``.jsonl``, ``.csv`` or ``.parquet`` file to write.
    :param output_conn_id: connection for an object-storage URL that names none.
    :param mediamagic_conn_id: MediaMagic connection id, default ``mediamagic_default``.
    :param deferrable: wait for the rate limit in the triggerer. Default ``[operators] default_deferrable``.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://docs.mediamagic-lite.northell.io/concepts/assets
    """

    def read(self, hook: MediaMagicHook, asset_id: str) -> Review:
        if self.reads_one:
            issues = hook.get_issues(self.submission_id, asset_id)
            asset = hook.get_asset_result(self.submission_id, asset_id)
        else:
            asset = hook.get_asset_result(self.submission_id, asset_id)
            must_be_reviewed(asset)
            issues = hook.get_issues(self.submission_id, asset_id)
        must_be_complete(asset, issues)
        return asset, issues

    def check_format(self, target: Location) -> None:
        from airflow_provider.core.files.tables import format_of

        format_of(target, argument="output_path")

    def result(self, found: Sequence[Review]) -> list[dict[str, Any]]:
        return [{**issue, **_asset_of(asset)} for asset, issues in found for issue in issues]

    def write(self, found: Sequence[Review], context: Context) -> dict[str, Any]:
        from airflow_provider.operators.mediamagic.rows import write_issues

        return write_issues(
            found, run_id=context["run_id"], target=self.output_path, conn_id=self.output_conn_id
        )


class MediaMagicGetTopicsOperator(AssetOperator):
    """
    Read the issues of one asset as AI-clustered topics.

    Returns ``assetId``, ``filename``, ``topics``, ``orphanIssues`` (in no topic: normal) and ``metadata``; of
    several assets a list of these. Fails, retryable, while an asset is unfinished.

    :param submission_id: the submission.
    :param asset_id: the asset, or a list of assets; default all assets of the submission.
    :param output_path: write the result to this JSON file and return a manifest.
    :param output_conn_id: connection for an object-storage URL that names none.
    :param mediamagic_conn_id: MediaMagic connection id, default ``mediamagic_default``.
    :param deferrable: wait for the rate limit in the triggerer. Default ``[operators] default_deferrable``.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://docs.mediamagic-lite.northell.io/api-reference/submissions/get-asset-topics
    """

    def read(self, hook: MediaMagicHook, asset_id: str) -> Review:
        topics = hook.get_topics(self.submission_id, asset_id)
        asset = hook.get_asset_result(self.submission_id, asset_id)
        return asset, {**topics, **_asset_of(asset)}


def _asset_of(asset: Mapping[str, Any]) -> dict[str, Any]:
    return {"assetId": asset.get("assetId"), "filename": asset.get("filename")}
