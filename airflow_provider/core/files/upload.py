"""Azure Blob uploads through presigned links, streamed from the store in constant memory."""

from __future__ import annotations

import base64
import contextlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Unpack
from urllib.parse import quote, urlsplit

from airflow_provider.core.files.bodies import StreamBody
from airflow_provider.core.files.sent import DigestReader
from airflow_provider.core.files.sources import Source
from airflow_provider.core.files.storage_http import (
    LINK_REFUSED,
    MAX_REFUSALS,
    Broken,
    LinkError,
    Progress,
    Transfer,
    TransferOptions,
    refused,
    safe_url,
)
from airflow_provider.core.http.retry import TRANSIENT_STATUS, retry_after
from airflow_provider.exceptions import TransferError

if TYPE_CHECKING:
    from requests import Response, Session


SINGLE_PUT_LIMIT = 256 * 1024 * 1024
"""
Largest body of one Put Blob. Azure takes 5,000 MiB since service version 2019-12-12, 256 MiB since
2016-05-31. The version is chosen by whoever signs the link, so the smaller one is the safe default; and a
broken upload of more than this is cheaper to repeat in blocks.
"""

BLOCK_BYTES = 32 * 1024 * 1024
"""One Put Block: within every service version's limit (100 MiB since 2016), and 5 GB are 160 of them."""

MAX_BLOCKS = 50_000

# Azure answers 400 to wrong requests and wrong block lists, never to an expired signature.
_LINK_REFUSED = LINK_REFUSED - {400}


@dataclass(frozen=True)
class UploadLink:
    """
    A presigned link to one blob.

    :param url: signed; never logged.
    :param blob_path: what the API calls the blob; goes into the submission.
    :param expires_at: epoch seconds at which the link ends; ``None`` when not known.
    :param sha256: digest of the bytes that were sent through it; empty before they were.
    """

    url: str
    blob_path: str
    expires_at: float | None = None
    sha256: str = ""

    def __repr__(self) -> str:
        return f"UploadLink({safe_url(self.url)}, blob_path={self.blob_path!r})"


def put_blob(
    session: Session,
    link: UploadLink | Callable[[bool], UploadLink],
    source: Source,
    **options: Unpack[TransferOptions],
) -> UploadLink:
    """
    Upload ``source`` to Azure Blob Storage through a presigned link.

    Up to 256 MiB with one Put Blob (``x-ms-blob-type: BlockBlob``), above it with Put Block
    and Put Block List through the same link. The blob appears when the last request is answered, whole. A
    broken request is sent again; a link that is refused (401, 403, 404, 410) or has ended is replaced
    by asking for a fresh one, at most twice in a row. When the fresh link names another blob, the upload
    starts over there.

    :param session: see :class:`storage_http.Transfer`.
    :param link: called with ``False`` for the first link and ``True`` for a fresh one; or the one link
        there is.
    :param options: see :class:`TransferOptions`.
    :returns: the link that was used last: its ``blob_path`` is the one that holds the file, and its
        ``sha256`` says which bytes.
    :raises TransferError: the upload did not get through, or the source changed meanwhile. Names blob, host
        and file, never the signature.
    """
    upload = _BlobUpload(
        session=session,
        ask=None if isinstance(link, UploadLink) else link,
        link=link if isinstance(link, UploadLink) else link(False),
        source=source,
        **options,
    )
    with DigestReader(source.open()) as stream:
        if source.size <= SINGLE_PUT_LIMIT:
            upload.put_single(stream)
        else:
            upload.put_blocks(stream, max(BLOCK_BYTES, -(-source.size // MAX_BLOCKS)))
    upload.progress.finish()
    return replace(upload.link, sha256=stream.sha256)


class _BlobMoved(Exception):
    """A fresh link names another blob: the blocks of the old one do not count."""


@dataclass(kw_only=True)
class _BlobUpload(Transfer):
    ask: Callable[[bool], UploadLink] | None
    link: UploadLink
    source: Source

    def __post_init__(self) -> None:
        self.progress = Progress(f"Upload of {self.source.shown}", self.source.size, self.log)

    def put_single(self, stream: BinaryIO) -> None:
        self._put("", self._body(stream, 0, self.source.size), {"x-ms-blob-type": "BlockBlob"})

    def put_blocks(self, stream: BinaryIO, block_size: int) -> None:
        for _ in range(3):
            try:
                self._put_all_blocks(stream, block_size)
                return
            except _BlobMoved:
                self.log.warning("A fresh link names %s; the upload starts over there.", self.link.blob_path)
        raise self._failed("every fresh link named another blob")

    def _put_all_blocks(self, stream: BinaryIO, block_size: int) -> None:
        # A random prefix keeps two uploads to one blob from mixing their blocks; ids of one blob must have
        # one length.
        prefix = uuid.uuid4().hex[:12]
        ids = []
        self.progress.reset(0)
        for index, start in enumerate(range(0, self.source.size, block_size)):
            ids.append(base64.b64encode(f"{prefix}-{index:06d}".encode()).decode())
            length = min(block_size, self.source.size - start)
            body = self._body(stream, start, length)
            self._put(f"&comp=block&blockid={quote(ids[-1], safe='')}", body, {}, may_move=False)
        blocks = "".join(f"<Latest>{block_id}</Latest>" for block_id in ids)
        document = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{blocks}</BlockList>'
        self._put("&comp=blocklist", document.encode(), {"Content-Type": "application/xml"}, may_move=False)

    def _body(self, stream: BinaryIO, start: int, length: int) -> StreamBody:
        return StreamBody(
            stream,
            length,
            name=self.source.path,
            start=start,
            last=start + length == self.source.size,
            progress=self.progress,
        )

    def _put(
        self, query: str, body: StreamBody | bytes, headers: Mapping[str, str], *, may_move: bool = True
    ) -> None:
        failures = refusals = 0
        done = self.progress.done
        if self.ask and self.link.expires_at is not None and self.now() >= self.link.expires_at:
            self._refresh(self.ask, may_move)
        while True:
            self.progress.reset(done)
            status, asked = None, None
            try:
                response = self._send(query, body, headers)
            except Broken as broken:
                trouble = broken.reason
            else:
                status, asked = response.status_code, retry_after(response.headers)
                trouble = f"the storage host answered {status}"
                # Not ``response.ok``: a redirect, which no storage host answers to a PUT, stores nothing.
                if 200 <= status < 300:
                    return
                if status in _LINK_REFUSED and self.ask and refusals < MAX_REFUSALS:
                    refusals += 1
                    self.log.warning(
                        "Upload of %s: the link was refused with %d; asking for a fresh one.",
                        self.source.shown,
                        status,
                    )
                    self._refresh(self.ask, may_move)
                    continue
                if status not in TRANSIENT_STATUS:
                    doing = f"cannot upload {self.source.path} to blob {self.link.blob_path} at"
                    raise refused(doing, self.link.url, response)
            pause = self.retries.next_pause(failures, asked=asked)
            failures += 1
            if pause is None:
                raise self._failed(f"{trouble}; {failures} attempts were made")
            to = safe_url(self.link.url)
            self.wait(pause, failures, f"Upload of {self.source.shown} to {to}: {trouble}")
            # A host that refuses a link early often just closes the connection on the rest of the body.
            if status is None and self.ask and failures >= 2:
                self._refresh(self.ask, may_move)

    def _send(self, query: str, body: StreamBody | bytes, headers: Mapping[str, str]) -> Response:
        try:
            response = self.send("PUT", self.link.url + query, headers, data=body)
        except LinkError as error:
            raise self._failed(f"the link cannot be used: {error}") from None
        # The short answer is read, so that its connection can be used again.
        with response, contextlib.suppress(Exception):
            response.raw.read(64 * 1024, decode_content=False)
        return response

    def _refresh(self, ask: Callable[[bool], UploadLink], may_move: bool) -> None:
        old = self.link
        self.link = ask(True)
        if self.link.expires_at is not None and self.now() >= self.link.expires_at:
            # Two clocks, or the service, are wrong about it; a refusal says when it has ended.
            self.link = replace(self.link, expires_at=None)
        if not may_move and _blob(old.url) != _blob(self.link.url):
            raise _BlobMoved

    def _failed(self, trouble: str) -> TransferError:
        blob = f"blob {self.link.blob_path} at {safe_url(self.link.url)}"
        return TransferError(f"cannot upload {self.source.path} to {blob}: {trouble}.")


def _blob(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.netloc, parts.path
