"""MediaMagic: upload media, submit it for a content-compliance review, read issues and topics."""

from __future__ import annotations

from functools import partial
from logging import Logger
from typing import Any, BinaryIO, ClassVar, Final, cast
from urllib.parse import urlsplit

from airflow_provider.core.arguments import required_text
from airflow_provider.core.http.connection import is_secure_url
from airflow_provider.core.http.error_bodies import ErrorBody, Paid
from airflow_provider.core.http.responses import Body, plain_id
from airflow_provider.exceptions import InvalidInputError, TransferError
from airflow_provider.hooks.mediamagic_answers import read_asset, read_issues, read_topics
from airflow_provider.hooks.mediamagic_connection import API, MEDIAMAGIC
from airflow_provider.hooks.mediamagic_submission import (
    SUBMISSION_STATES,
    SubmissionEndpoints,
    observe_submission,
    read_started,
    submission_path,
)
from airflow_provider.hooks.mediamagic_webhooks import WebhookEndpoints

__all__ = ["DIRECT_UPLOAD_MAX_BYTES", "SUBMISSION_STATES", "MediaMagicHook", "observe_submission"]

DIRECT_UPLOAD_MAX_BYTES: Final = 10_000_000
"""
Largest file for :meth:`MediaMagicHook.upload_direct`. The vendor says 10 MB; whether that is decimal or
binary is not documented, so this is the smaller reading.
"""

_NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"


class MediaMagicHook(SubmissionEndpoints, WebhookEndpoints):
    """
    One method per endpoint of the MediaMagic Lite integrations API; arguments and results carry the vendor's
    field names. See https://docs.mediamagic-lite.northell.io/introduction

    Of :mod:`airflow_provider.exceptions` every method raises ``AuthenticationError`` (401), ``PlanError``
    (402, names the bucket), ``RateLimitedError`` (429), ``ServerError`` (5xx), ``TransportError`` and
    ``MalformedResponseError``; what else it raises is named with it.

    :param conn_id: Airflow connection of type ``mediamagic``, default ``mediamagic_default``.
    :param mediamagic_conn_id: the same, by the name that Airflow passes it under.
    :param settings: a checked connection to use; default the one of ``conn_id``, looked up when needed.
    :param max_turn_wait: seconds, or a timedelta, that a request may wait, here, for the key's rate limit to
        have room for it. Default 0: requests are counted and not held back, and a 429 is retried like other
        trouble.
    """

    service = MEDIAMAGIC
    conn_name_attr: ClassVar[str] = "mediamagic_conn_id"
    default_conn_name: ClassVar[str] = "mediamagic_default"
    conn_type: ClassVar[str] = "mediamagic"
    hook_name: ClassVar[str] = "MediaMagic"

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the connection form for Airflow 3.1, which looks for this in each hook class itself."""
        from airflow_provider.get_provider_info import field_behaviour

        return field_behaviour(cls.conn_type)

    # -- uploads ---------------------------------------------------------------------------------------------

    def create_upload_url(self, filename: str, content_type: str) -> dict[str, Any]:
        """
        Ask for a presigned address to upload one file to. Valid for 1 hour.

        :param filename: name of the file; what makes one invalid is not documented.
        :param content_type: one of the documented media types, such as ``video/mp4``.
        :return: ``uploadUrl`` (signed: do not log or store it), ``blobPath``, ``expiresAt``.
        :raises PermissionDeniedError: 403, the filename is invalid.
        :raises InvalidRequestError: 415, the content type is not allowed; 422.

        See https://northell-2444134e.mintlify.app/uploads/generate-upload-url
        """
        payload = {
            "filename": required_text("filename", filename),
            "contentType": required_text("content_type", content_type),
        }

        def read(body: Body) -> dict[str, Any]:
            found = _read_blob(body, "uploadUrl")
            if not is_secure_url(found["uploadUrl"]):
                raise body.malformed("an uploadUrl that is not https")
            return found

        return self.request("POST", f"{API}/uploads/url", json=payload, read=read)

    def put_upload(self, upload_url: str, file: Any, *, conn_id: str | None = None) -> None:
        """
        Send a file to a presigned address, in constant memory and without the API key; above 256 MiB in
        blocks. Trouble on the way is answered by sending it, or its block, again.

        :param upload_url: ``uploadUrl`` of :meth:`create_upload_url`.
        :param file: local path, or URL of any store (``s3://conn@bucket/key``).
        :param conn_id: Airflow connection for a URL that names none.
        :raises InvalidInputError: the address is not https, or the file is missing or empty.
        :raises TransferError: the storage refused the file (most often because the address expired), could
            not be reached, or the file changed on the way. Nothing was submitted.

        See https://docs.mediamagic-lite.northell.io/guides/file-upload
        """
        from airflow_provider.core.files.sources import resolve_sources
        from airflow_provider.core.files.storage_http import transfer_options
        from airflow_provider.core.files.upload import UploadLink, put_blob

        if not is_secure_url(required_text("upload_url", upload_url)):
            raise InvalidInputError(
                "upload_url must be the https address that create_upload_url returned.",
                parameter="upload_url",
            )
        (source,) = resolve_sources([file], conn_id=conn_id, argument="file")
        link = UploadLink(upload_url, urlsplit(upload_url).path.lstrip("/"))
        try:
            options = transfer_options(self.settings, log=cast("Logger", self.log), sleep=self._sleep)
            put_blob(self.storage_session, link, source, **options)
        except TransferError as error:
            if error.http_status not in (401, 403, 404, 410):
                raise
            raise TransferError(
                f"{error} An upload address is refused when it has expired, an hour after it was made: ask "
                "for a new one. Nothing was submitted.",
                http_status=error.http_status,
            ) from None

    def upload_direct(self, filename: str, content_type: str, body: BinaryIO) -> dict[str, Any]:
        """
        Upload one file of at most 10 MB through the API itself.

        :param filename: name of the file.
        :param content_type: media type of the file part; the API answers 415 when it is missing or does not
            match.
        :param body: seekable binary stream, sent from its current position to its end.
        :return: ``blobPath`` and what else the API says about the file, which is not documented.
        :raises PermissionDeniedError: 403, the filename is invalid.
        :raises InvalidRequestError: 413, larger than 10 MB; 415; 422.

        See https://northell-2444134e.mintlify.app/api-reference/uploads/direct-upload
        """
        from airflow_provider.core.files.bodies import MultipartBody

        part = MultipartBody(
            {},
            filename=required_text("filename", filename),
            content_type=required_text("content_type", content_type),
            stream=body,
            log=cast("Logger", self.log),
        )

        return self.request("POST", f"{API}/uploads/direct", body=part, read=_read_blob)

    # -- results ---------------------------------------------------------------------------------------------

    def get_asset_result(self, submission_id: str, asset_id: str) -> dict[str, Any]:
        """
        Read the result of one asset. What is answered before the asset has finished is not documented.

        :param submission_id: UUID of the submission.
        :param asset_id: opaque id from the submission's ``assets``.
        :return: ``assetId``, ``filename``, ``mimeType``, ``status`` (``complete`` or ``failed`` at the end),
            ``issueCount``, ``issues``, version fields.
        :raises NotFoundError: 404, unknown or in another workspace.

        See https://docs.mediamagic-lite.northell.io/concepts/assets
        """
        return self.request("GET", _asset_path(submission_id, asset_id), read=partial(read_asset, asset_id))

    def get_issues(self, submission_id: str, asset_id: str) -> list[dict[str, Any]]:
        """
        Read the flat, enriched list of an asset's issues.

        The container is not documented: a bare array and an object holding ``issues``, ``items`` or ``data``
        are understood.

        :raises MalformedResponseError: also when there are more issues than the answer holds.
        :raises NotReadyError: 404, the asset has not finished, or is unknown; the answer does not tell which.
        :raises ServerError: 502, the stored issues could not be loaded.

        See https://docs.mediamagic-lite.northell.io/concepts/assets
        """
        path = f"{_asset_path(submission_id, asset_id)}/issues"
        return self.request("GET", path, pending=True, read=read_issues)

    def get_topics(self, submission_id: str, asset_id: str) -> dict[str, Any]:
        """
        Read an asset's issues as topics, clustered by root cause or physical anchor.

        :return: ``assetId``, ``topics``, ``orphanIssues`` (in no topic: normal), ``metadata``. What is inside
            a topic and inside the metadata is not documented.
        :raises NotReadyError: 404, the asset has not finished, or is unknown; the answer does not tell which.
        :raises ServerError: 502, the stored topics could not be loaded.

        See https://docs.mediamagic-lite.northell.io/api-reference/submissions/get-asset-topics
        """
        path = f"{_asset_path(submission_id, asset_id)}/topics"
        return self.request("GET", path, pending=True, read=partial(read_topics, asset_id))

    def retry_asset(self, submission_id: str, asset_id: str) -> dict[str, Any]:
        """
        Run a failed, retryable asset again; the submission goes back to ``processing``. Whether a retry is
        billed is not documented, so it is treated as paid.

        :return: the same fields as :meth:`create_submission`.
        :raises ConflictError: 409, the asset is not failed or not retryable, its retries are used up, or one
            is in flight.
        :raises SubmitOutcomeUnknownError: the request was sent and its answer was lost. It is not sent again.

        See https://northell-2444134e.mintlify.app/submissions/retry-asset
        """
        path = f"{_asset_path(submission_id, asset_id)}/retry"
        paid = Paid(
            "the retry",
            f"Read submission {submission_id}: status 'processing' means that the retry runs, and a second "
            "one is refused with 409 while it does.",
        )
        read = partial(read_started, "processing", submission_id=submission_id)
        return self.request("POST", path, paid=paid, read=read)

    def _probe(self) -> str:
        path = submission_path(_NIL_UUID)
        answer = self._answer(self._new_request("GET", path), self.service.bucket("GET", path))
        # What is not the API may answer 404 too, but not in the API's words.
        if answer.status != 404 or "detail" not in ErrorBody.read(answer.body).names:
            self._result(answer, lambda body: body.data)
        return f"Connected to {self.settings.base_url}; the API key is accepted."


def _read_blob(body: Body, *needed: str) -> dict[str, Any]:
    """Read where a file is kept. It goes into records and XCom as it is, so it must be no signed link."""
    found = body.object("blobPath", *needed)
    if "://" in found["blobPath"] and "?" in found["blobPath"]:
        raise body.malformed("a signed link in the field `blobPath`")
    return found


def _asset_path(submission_id: str, asset_id: str) -> str:
    return f"{submission_path(submission_id)}/assets/{plain_id('asset_id', asset_id)}"
