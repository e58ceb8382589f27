"""Upload media files to MediaMagic."""

from __future__ import annotations

from collections.abc import Sequence
from logging import Logger
from typing import TYPE_CHECKING, Any

from airflow_provider.hooks.mediamagic import DIRECT_UPLOAD_MAX_BYTES, MediaMagicHook
from airflow_provider.operators.base import ServiceOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.files.sources import Limits, Source

MEGABYTE = 1_000_000
"""Whether the vendor's MB are decimal or binary is not documented; the smaller reading is safe in both."""

_CATEGORIES: dict[int, tuple[str, ...]] = {
    5_000 * MEGABYTE: ("video/mp4", "video/quicktime", "video/x-msvideo", "video/x-matroska"),
    500 * MEGABYTE: ("audio/mpeg", "audio/wav", "audio/x-wav", "audio/aac", "audio/ogg"),
    50 * MEGABYTE: ("image/jpeg", "image/png", "image/gif", "image/webp", "image/svg+xml"),
    100 * MEGABYTE: (
        "application/pdf",
        "application/msword",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "text/plain",
    ),
}


def upload_limits() -> Limits:
    """
    Return the media types and sizes MediaMagic accepts.

    See https://docs.mediamagic-lite.northell.io/concepts/uploads
    """
    from airflow_provider.files.sources import Limits

    return Limits(
        max_bytes={media_type: size for size, types in _CATEGORIES.items() for media_type in types},
        service="MediaMagic",
    )


def checked_sources(files: Any, *, conn_id: str | None) -> list[tuple[Source, str]]:
    """
    Return the sources and the media type of each, all of them checked before anything is sent.

    :raises InvalidInputError: a bare string, a missing or empty file, a type or size outside the limits.
    """
    from airflow_provider.files.sources import check_limits, resolve_sources

    limits = upload_limits()
    sources = resolve_sources(files, conn_id=conn_id, argument="files")
    return [(source, check_limits(source, limits, argument="files")) for source in sources]


def upload(hook: MediaMagicHook, source: Source, media_type: str, log: Logger) -> dict[str, Any]:
    """
    Upload one file: through the API up to 10 MB, above that straight to blob storage.

    :return: ``blobPath``, ``filename``, ``contentType``, ``size`` (bytes).
    """
    if source.size <= DIRECT_UPLOAD_MAX_BYTES:
        with source.open() as stream:
            blob_path = hook.upload_direct(source.name, media_type, stream)["blobPath"]
    else:
        blob_path = _upload_presigned(hook, source, media_type, log)
    log.info("Uploaded %s (%s, %d bytes) as %s", source.name, media_type, source.size, blob_path)
    return {
        "blobPath": blob_path,
        "filename": source.name,
        "contentType": media_type,
        "size": source.size,
    }


def _upload_presigned(hook: MediaMagicHook, source: Source, media_type: str, log: Logger) -> str:
    import pendulum

    from airflow_provider.files.upload import UploadLink, put_blob

    def link(refresh: bool) -> UploadLink:
        body = hook.create_upload_url(source.name, media_type)
        expires = body.get("expiresAt")
        return UploadLink(
            url=body["uploadUrl"],
            blob_path=body["blobPath"],
            expires_at=pendulum.parse(expires).timestamp() if expires else None,  # type: ignore[union-attr]
        )

    settings = hook.settings
    return put_blob(
        hook.storage_session,
        link,
        source,
        timeout=(settings.connect_timeout, settings.read_timeout),
        log=log,
    ).blob_path


class MediaMagicUploadFilesOperator(ServiceOperator[MediaMagicHook]):
    """
    Upload media files, for submissions to be made of them later.

    Returns ``[{"blobPath", "filename", "contentType", "size"}, ...]`` in the order of ``files``. Uploading is
    not billed; a submission is.

    :param files: paths, globs or object-storage URLs, as a list.
    :param source_conn_id: connection for object-storage URLs that name none.
    :param conn_id: MediaMagic connection id.

    See https://docs.mediamagic-lite.northell.io/guides/file-upload
    """

    hook_class = MediaMagicHook
    template_fields: Sequence[str] = ("files", "source_conn_id", "conn_id")
    ui_color = "#d9ecff"

    def __init__(
        self,
        *,
        files: Sequence[Any],
        source_conn_id: str | None = None,
        conn_id: str = MediaMagicHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(conn_id=conn_id, **kwargs)
        self.files = files
        self.source_conn_id = source_conn_id

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Check every file, then upload them."""
        sources = checked_sources(self.files, conn_id=self.source_conn_id)
        with self.hook() as hook:
            return [upload(hook, source, media_type, self.task_log) for source, media_type in sources]
