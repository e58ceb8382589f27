"""Read the results, issues and topics of reviewed MediaMagic assets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider.core.arguments import required_id
from airflow_provider.core.operator import ServiceOperator
from airflow_provider.core.outlets import tell_outlets
from airflow_provider.exceptions import InvalidInputError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.links import FileLink, MediaMagicStatusLink

if TYPE_CHECKING:
    from airflow.sdk import Context


class AssetOperator(ServiceOperator[MediaMagicHook]):
    """
    Read something about one asset of a submission.

    The events of ``outlets`` carry the manifest of the file: ``extra={"manifests": [...]}``.

    :param submission_id: the submission.
    :param asset_id: the asset.
    :param output_path: write the result to this file (local path or object-storage URL) and return a
        manifest. Required when the result is larger than 32 KB of JSON.
    :param output_conn_id: connection for an object-storage URL that names none.
    :param mediamagic_conn_id: MediaMagic connection id.
    """

    hook_class = MediaMagicHook
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
        asset_id: str,
        output_path: str | None = None,
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

    def execute(self, context: Context) -> Any:
        """Read, then return or write the result."""
        from airflow_provider.core.files.locations import path_text

        self.submission_id = required_id("submission_id", self.submission_id)
        self.asset_id = required_id("asset_id", self.asset_id)
        if self.output_path:
            self.output_path = path_text("output_path", self.output_path)
        with self.hook() as hook:
            found = self.read(hook)
            if not self.output_path:
                return self._small(found)
            manifest = self.land(hook, found, context)
        self.files_written = [manifest["path"]]
        tell_outlets(self.outlets, context, [manifest])
        return manifest

    def lineage_job(self, task_instance: Any) -> dict[str, Any]:
        return {"kind": "submission", "jobId": self.submission_id}

    @abstractmethod
    def read(self, hook: MediaMagicHook) -> Any:
        """Make the request."""

    def land(self, hook: MediaMagicHook, found: Any, context: Context) -> dict[str, Any]:
        """Write the result to ``output_path``; return its manifest."""
        from airflow_provider.core.files.tables import write_json

        return {
            **write_json(found, self.output_path, conn_id=self.output_conn_id),
            "submission_id": self.submission_id,
            "asset_id": self.asset_id,
        }

    def _small(self, found: Any) -> Any:
        from airflow_provider.core.files.manifest import XCOM_LIMIT_BYTES, fits_xcom, xcom_size

        if not fits_xcom(found):
            raise InvalidInputError(
                f"The result for asset {self.asset_id} is {xcom_size(found)} bytes of JSON, and XCom takes "
                f"{XCOM_LIMIT_BYTES}. Give output_path, a file to write it to.",
                parameter="output_path",
            )
        return found


class MediaMagicGetAssetResultOperator(AssetOperator):
    """
    Read the result of one asset: ``assetId``, ``filename``, ``mimeType``, ``status``, ``issueCount``,
    ``issues``.

    :param submission_id: the submission.
    :param asset_id: the asset.
    :param output_path: write the result to this JSON file and return a manifest.
    :param output_conn_id: connection for an object-storage URL that names none.
    :param mediamagic_conn_id: MediaMagic connection id.

    See https://docs.mediamagic-lite.northell.io/concepts/assets
    """

    def read(self, hook: MediaMagicHook) -> dict[str, Any]:
        return hook.get_asset_result(self.submission_id, self.asset_id)


class MediaMagicGetIssuesOperator(AssetOperator):
    """
    Read the issues of one asset, as a flat list.

    With ``output_path`` they are written one row per issue, as JSON Lines, CSV or Parquet by the file's
    suffix, for a warehouse to load as they are; XCom and the events of ``outlets`` then hold the manifest.
    Fails, retryable, while the asset is unfinished.

    :param submission_id: the submission.
    :param asset_id: the asset.
    :param output_path: ``.jsonl``, ``.csv`` or ``.parquet`` file to write.
    :param output_conn_id: connection for an object-storage URL that names none.
    :param mediamagic_conn_id: MediaMagic connection id.

    See https://docs.mediamagic-lite.northell.io/concepts/assets
    """

    def read(self, hook: MediaMagicHook) -> list[dict[str, Any]]:
        return hook.get_issues(self.submission_id, self.asset_id)

    def land(self, hook: MediaMagicHook, found: Any, context: Context) -> dict[str, Any]:
        from airflow_provider.operators.mediamagic.issue_sources import must_be_complete
        from airflow_provider.operators.mediamagic.rows import land_issues

        asset = hook.get_asset_result(self.submission_id, self.asset_id)
        must_be_complete(asset, found)
        return land_issues(
            found,
            asset,
            run_id=context["run_id"],
            target=self.output_path,
            conn_id=self.output_conn_id,
        )


class MediaMagicGetTopicsOperator(AssetOperator):
    """
    Read the issues of one asset as AI-clustered topics.

    Returns ``assetId``, ``topics``, ``orphanIssues`` (in no topic: normal) and ``metadata``. Fails,
    retryable, while the asset is unfinished.

    :param submission_id: the submission.
    :param asset_id: the asset.
    :param output_path: write the result to this JSON file and return a manifest.
    :param output_conn_id: connection for an object-storage URL that names none.
    :param mediamagic_conn_id: MediaMagic connection id.

    See https://docs.mediamagic-lite.northell.io/api-reference/submissions/get-asset-topics
    """

    def read(self, hook: MediaMagicHook) -> dict[str, Any]:
        return hook.get_topics(self.submission_id, self.asset_id)
