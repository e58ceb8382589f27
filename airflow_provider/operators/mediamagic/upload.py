"""Upload media files to MediaMagic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from logging import Logger
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider.compat import AirflowSkipException
from airflow_provider.core.arguments import IF_NO_FILES, named_files, one_of, whole_number
from airflow_provider.core.budget.turn_queue import Priority
from airflow_provider.core.jobs.dry_run import DryRun
from airflow_provider.core.jobs.ledger import Entry, Ledger, request_mark
from airflow_provider.core.naming import names_of_files
from airflow_provider.core.operator import ServiceOperator, in_turn
from airflow_provider.core.polling.wait import epoch_seconds
from airflow_provider.core.text import clean
from airflow_provider.exceptions import InvalidInputError, TransferError
from airflow_provider.hooks.mediamagic import DIRECT_UPLOAD_MAX_BYTES, MediaMagicHook

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider.core.files.parallel import Parallel
    from airflow_provider.core.files.sources import Limits, Source
    from airflow_provider.core.files.upload import UploadLink

    Uploads: TypeAlias = Parallel[MediaMagicHook, tuple[Source, str], tuple[dict[str, Any], dict[str, Any]]]

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
    from airflow_provider.core.files.sources import Limits

    return Limits(
        max_bytes={media_type: size for size, types in _CATEGORIES.items() for media_type in types},
        service="MediaMagic",
    )


def checked_sources(files: Any, *, conn_id: str | None, if_none: str) -> list[tuple[Source, str]]:
    """
    Return the sources and the media type of each, all of them checked before anything is sent.

    :param if_none: ``fail`` or ``skip``, when there is no file.
    :raises InvalidInputError: a bare string, a missing or empty file, a type or size outside the limits.
    """
    from airflow_provider.core.files.sources import check_limits, resolve_sources

    limits = upload_limits()
    sources = resolve_sources(files, conn_id=conn_id, argument="files", if_none=if_none)
    return [(source, check_limits(source, limits, argument="files")) for source in sources]


def upload_requests(sources: Sequence[tuple[Source, str]]) -> dict[str, int]:
    """Return how many requests uploading takes, by method and path."""
    large = sum(source.size > DIRECT_UPLOAD_MAX_BYTES for source, _ in sources)
    requests = {
        "POST /api/integrations/uploads/direct": len(sources) - large,
        "POST /api/integrations/uploads/url": large,
        "PUT to blob storage, at least": large,
    }
    return {request: number for request, number in requests.items() if number}


def upload(
    hook: MediaMagicHook, source: Source, media_type: str, log: Logger
) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    Upload one file: through the API up to 10 MB, above that straight to blob storage.

    :return: ``blobPath``, ``filename``, ``contentType``, ``size`` (bytes); and what to record of its bytes.
    """
    from airflow_provider.core.files.sent import DigestReader, sent_file

    if source.size <= DIRECT_UPLOAD_MAX_BYTES:
        with DigestReader(source.open()) as stream, source.named_in_errors():
            answer = hook.upload_direct(source.name, media_type, stream)
        if answer.get("status") == "error":
            raise TransferError(
                f"MediaMagic did not take {source.name}: the upload was answered with status 'error'. A "
                "retry uploads it again."
            )
        blob_path, sha256 = answer["blobPath"], stream.sha256
    else:
        link = _upload_presigned(hook, source, media_type, log)
        blob_path, sha256 = link.blob_path, link.sha256
    log.info("Uploaded %s (%s, %d bytes) as %s", source.shown, media_type, source.size, clean(blob_path))
    uploaded = {
        "blobPath": blob_path,
        "filename": source.name,
        "contentType": media_type,
        "size": source.size,
    }
    return uploaded, sent_file(source, sha256)


def _upload_presigned(hook: MediaMagicHook, source: Source, media_type: str, log: Logger) -> UploadLink:
    from airflow_provider.core.files.storage_http import transfer_options
    from airflow_provider.core.files.upload import UploadLink, put_blob

    def link(refresh: bool) -> UploadLink:
        with source.named_in_errors():
            body = hook.create_upload_url(source.name, media_type)
        expires_at = epoch_seconds(body.get("expiresAt"))
        return UploadLink(
            url=body["uploadUrl"],
            blob_path=body["blobPath"],
            # On our own clock, which may be hours ahead of the service's.
            expires_at=None if expires_at is None else hook.local_time(expires_at),
        )

    return put_blob(hook.storage_session, link, source, **transfer_options(hook.settings, log=log))


class UploadBatch:
    """
    The uploads of one task. A file that an earlier attempt has uploaded is not uploaded again, unless its
    bytes have changed.

    ``done`` is what :func:`upload` returned for each file, and ``sent`` what is known of its bytes, by path.

    :param task: the operator, with ``max_parallel``.
    :param sources: checked files, with their media types.
    :param done: of earlier attempts, by the task's record.
    :param sent: of earlier attempts, by the task's record.
    """

    def __init__(
        self,
        task: Any,
        sources: Sequence[tuple[Source, str]],
        done: Mapping[str, dict[str, Any]],
        sent: Mapping[str, dict[str, Any]],
    ) -> None:
        from airflow_provider.core.files.parallel import Parallel
        from airflow_provider.core.files.sent import is_unchanged

        self._task = task
        self._sources = sources
        self.sent = dict(sent)
        self.done = {
            source.path: done[source.path]
            for source, _ in sources
            if source.path in done and is_unchanged(source, sent.get(source.path))
        }
        self._record: Callable[[], object] = lambda: None
        self._uploads: Uploads = Parallel(
            task.hook,
            lambda hook, item: upload(hook, *item, task.task_log),
            arrived=self._arrived,
            max_parallel=task.max_parallel,
        )

    @property
    def blob_paths(self) -> dict[str, str]:
        """Where each file is kept that was uploaded, by its path, in the order of the sources."""
        paths = (source.path for source, _ in self._sources)
        return {path: self.done[path]["blobPath"] for path in paths if path in self.done}

    def run(self, record: Callable[[], object], forget: Callable[[], object]) -> None:
        """
        Upload what is left, and check that no file has replaced another one: how the service makes paths of
        names is not documented.

        :param record: called after each file; puts ``done`` and ``sent`` on record.
        :param forget: takes the uploads out of the task's record.
        :raises InvalidInputError: two files with different bytes are kept under one path.
        """
        self._record = record
        if self.done:
            self._task.log.info("%d files were uploaded by an earlier attempt", len(self.done))
        left = [item for item in self._sources if item[0].path not in self.done]
        self._task.turns.expect(len(left))
        self._uploads.run(left)
        first_at: dict[str, str] = {}
        for path, blob_path in self.blob_paths.items():
            first = first_at.setdefault(blob_path, path)
            if self.sent[first]["sha256"] != self.sent[path]["sha256"]:
                forget()
                raise InvalidInputError(
                    f"files: MediaMagic keeps {path} in the place of {first}, as {clean(blob_path)}. Rename "
                    "one of them. Nothing was submitted or paid for.",
                    parameter="files",
                )

    def stop(self) -> None:
        """Begin no further upload, and end."""
        self._uploads.stop()

    def _arrived(self, item: tuple[Source, str], uploaded: tuple[dict[str, Any], dict[str, Any]]) -> None:
        self.done[item[0].path], self.sent[item[0].path] = uploaded
        self._record()
        self._task.turns.recorded()


class MediaMagicUploadFilesOperator(ServiceOperator[MediaMagicHook]):
    """
    Upload media files, for submissions to be made of them later.

    Returns ``[{"blobPath", "filename", "contentType", "size"}, ...]`` in the order of ``files``. Uploading is
    not billed; a submission is. A retry does not upload again what has arrived, unless its bytes have changed
    (Airflow 3.3); a clear does.

    :param files: paths, globs or object-storage URLs, as a list.
    :param source_conn_id: connection for object-storage URLs that name none.
    :param if_no_files: ``fail`` (default) or ``skip`` the task when ``files`` is empty or its globs match
        nothing.
    :param max_parallel: how many files are uploaded at a time, default 4.
    :param mediamagic_conn_id: MediaMagic connection id, default ``mediamagic_default``.
    :param deferrable: wait for the rate limit in the triggerer. Default ``[operators] default_deferrable``.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://docs.mediamagic-lite.northell.io/guides/file-upload
    """

    hook_class = MediaMagicHook
    turn_priority = Priority.START
    template_fields: Sequence[str] = ("files", "source_conn_id", "mediamagic_conn_id")
    ui_color = "#d9ecff"

    def __init__(
        self,
        *,
        files: Sequence[Any] | XComArg,
        source_conn_id: str | None = None,
        if_no_files: str = "fail",
        max_parallel: int = 4,
        mediamagic_conn_id: str = MediaMagicHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mediamagic_conn_id = mediamagic_conn_id
        self.files = files
        self.source_conn_id = source_conn_id
        self.if_no_files = if_no_files
        self.max_parallel = max_parallel
        self._uploads: UploadBatch | None = None

    def item_name(self) -> str:
        return names_of_files(self.files)

    @in_turn
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Check every file, then upload those that no earlier attempt has uploaded as they are now."""
        sources = self._sources()
        self.files_read = [source.path for source, _ in sources]
        ledger = self.ledger(context, self._asked)
        entry = self._entry(ledger)
        details = entry.details
        batch = UploadBatch(self, sources, details.get("uploaded", {}), details.get("sent", {}))
        self._uploads = batch
        batch.run(
            record=lambda: ledger.amend(entry, details={"uploaded": batch.done, "sent": batch.sent}),
            forget=lambda: ledger.amend(entry, details={}),
        )
        return [batch.done[source.path] for source, _ in sources]

    def dry_run(self) -> dict[str, Any]:  # type: ignore[override]
        """Say what a first attempt would send; upload nothing. See :meth:`.JobOperator.dry_run`."""
        found = DryRun()
        try:
            sources = self._sources()
        except AirflowSkipException as skipped:
            found.notes.append(f"The task would be skipped: {skipped}")
        else:
            found.add_files(sources)
            found.other_requests = upload_requests(sources)
        with self.hook_of_dry_run() as hook:
            found.check_connection(hook)
        return found.report(self.task_log)

    def _sources(self) -> list[tuple[Source, str]]:
        """Return the checked files, after the other arguments."""
        whole_number("max_parallel", self.max_parallel, least=1)
        if_none = one_of("if_no_files", self.if_no_files, IF_NO_FILES)
        return checked_sources(self.files, conn_id=self.source_conn_id, if_none=if_none)

    def on_kill(self) -> None:
        """Begin no further upload, and end."""
        if self._uploads is not None:
            self._uploads.stop()

    def _asked(self) -> dict[str, Any]:
        return {"files": named_files(self.files)}

    def _entry(self, ledger: Ledger) -> Entry:
        mark = request_mark(self.hook(), self._asked())
        entry = ledger.read()
        if entry is None or entry.fingerprint != mark or ledger.cleared(entry):
            return ledger.prepare(mark, {})
        return entry
