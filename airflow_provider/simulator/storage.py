"""The storage origin: presigned uploads the Azure way, signed downloads the S3 way.

Its own port makes it another origin, as with both vendors: an API key has no business here.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

from airflow_provider.simulator.calls import Call, ClientGone
from airflow_provider.simulator.clock import stamp
from airflow_provider.simulator.replies import FileSlice, Refusal, Reply
from airflow_provider.simulator.routing import Route, Router
from airflow_provider.simulator.signing import Check, new_nonce
from airflow_provider.simulator.world import World

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
_XML = "application/xml"


@dataclass(slots=True)
class Document:
    """Something that can be downloaded."""

    path: Path
    content_type: str


@dataclass(slots=True)
class UploadTarget:
    """Where the bytes of a presigned upload go."""

    path: Path
    stored: Callable[[int, str, Call], None]


Resolver = Callable[[str], Awaitable[Document | None]]


class Storage:
    """Serves what the two services have signed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._documents: dict[str, Resolver] = {}
        self._target: Callable[[str], UploadTarget | None] = lambda path: None
        self.router = Router()
        self.router.add("PUT", "/assets/{path...}", self._put)
        for method in ("GET", "HEAD"):
            self.router.add(method, "/reports/{path...}", self._get)
            self.router.add(method, "/files/{path...}", self._get)

    def serve(self, prefix: str, resolver: Resolver) -> None:
        """Let a service answer for the paths below ``/prefix/``."""
        self._documents[prefix] = resolver

    def accept_uploads(self, target: Callable[[str], UploadTarget | None]) -> None:
        """Let a service say where uploads below ``/assets/`` go."""
        self._target = target

    # Links

    def upload_url(self, hostname: str, blob_path: str, lifetime: float) -> tuple[str, float]:
        """A presigned URL.

        :param lifetime: vendor seconds.
        :return: the URL and the moment it expires.
        """
        signer = self._world.signer
        path = f"/assets/{blob_path}"
        expires, nonce = signer.expiry(lifetime), new_nonce()
        # `se` is for people; `si` carries the exact moment, which a time scale makes shorter than a second.
        query = {
            "sv": "2024-11-04",
            "sr": "b",
            "sp": "cw",
            "se": stamp(float(expires)),
            "si": f"{expires}.{nonce}",
            "sig": signer.sign("cw", path, expires, nonce),
        }
        return f"{self._world.storage_url(hostname)}{quote(path)}?{urlencode(query)}", float(expires)

    def download_url(self, hostname: str, path: str, lifetime: float) -> str:
        """A signed link, different at every call."""
        signer = self._world.signer
        expires, nonce = signer.expiry(lifetime), new_nonce()
        signature = signer.sign("r", path, expires, nonce)
        query = urlencode({"Expires": expires, "Key-Pair-Id": nonce, "Signature": signature})
        return f"{self._world.storage_url(hostname)}{quote(path)}?{query}"

    # Requests

    async def answer(self, call: Call, route: Route | None, path_exists: bool) -> Reply:
        """Process a request, and note one that carries an API key where none belongs."""
        if call.header(b"x-api-key") is not None:
            self._world.ledger.api_key_at_storage += 1
        if route is None:
            return self.error(call, 405 if path_exists else 404)
        return await route.handler(call)

    def error(self, call: Call, status: int) -> Reply:
        """A storage error, for faults."""
        code = {403: "AccessDenied", 404: "NoSuchKey", 405: "MethodNotAllowed", 503: "SlowDown"}
        return _xml(status, code.get(status, "InternalError"), "The storage service cannot do this.")

    async def _put(self, call: Call) -> Reply:
        self._check_upload(call)
        target = self._target(call.params[0])
        if target is None:
            return _xml(404, "ResourceNotFound", "The specified resource does not exist.")
        operation = call.query.get("comp")
        if operation == "blocklist":
            return await self._put_block_list(call, target)
        if call.header(b"content-length") is None:
            return _xml(411, "MissingContentLengthHeader", "The Content-Length header is required.")
        if operation == "block":
            return await self._put_block(call, target)
        if operation is not None:
            return _xml(400, "InvalidQueryParameterValue", f"comp={operation} is not supported.")
        if call.header(b"x-ms-blob-type") != "BlockBlob":
            return _xml(400, "MissingRequiredHeader", "The header x-ms-blob-type: BlockBlob is required.")
        size = await _store(call, target.path)
        target.stored(size, "presigned", call)
        return _created()

    def _check_upload(self, call: Call) -> None:
        expires, _, nonce = call.query.get("si", "").rpartition(".")
        try:
            float(expires)
        except ValueError:
            raise Refusal(_authentication_failed("Signature fields not well formed.")) from None
        check = self._world.signer.check("cw", call.path, expires, nonce, call.query.get("sig", ""))
        if check is Check.EXPIRED:
            raise Refusal(_authentication_failed("Signature not valid in the specified time frame."))
        if check is Check.INVALID:
            raise Refusal(_authentication_failed("Signature did not match."))

    async def _put_block(self, call: Call, target: UploadTarget) -> Reply:
        block = _block_path(target.path, call.query.get("blockid", ""))
        if block is None:
            return _xml(400, "InvalidQueryParameterValue", "blockid is not valid Base64.")
        await _store(call, block)
        return _created()

    async def _put_block_list(self, call: Call, target: UploadTarget) -> Reply:
        text = (await call.body()).decode("utf-8", "replace")
        ids = re.findall(r"<(?:Latest|Uncommitted|Committed)>([^<]*)</", text)
        blocks = [_block_path(target.path, one.strip()) for one in ids]
        if not all(block is not None and block.exists() for block in blocks):
            return _xml(400, "InvalidBlockList", "The specified block list is invalid.")
        size = await asyncio.to_thread(_join, [block for block in blocks if block], target.path)
        target.stored(size, "blocks", call)
        return _created()

    async def _get(self, call: Call) -> Reply:
        expires, nonce = call.query.get("Expires", ""), call.query.get("Key-Pair-Id", "")
        try:
            float(expires)
        except ValueError:
            return _xml(403, "AccessDenied", "Access Denied")
        check = self._world.signer.check("r", call.path, expires, nonce, call.query.get("Signature", ""))
        if check is Check.EXPIRED:
            return _xml(403, "AccessDenied", "Request has expired")
        if check is Check.INVALID:
            return _xml(403, "SignatureDoesNotMatch", "The signature does not match the request.")
        prefix, _, rest = call.path[1:].partition("/")
        resolver = self._documents.get(prefix)
        document = await resolver(rest) if resolver else None
        if document is None or not document.path.exists():
            return _xml(404, "NoSuchKey", "The specified key does not exist.")
        return serve_file(call, document)


def serve_file(call: Call, document: Document) -> Reply:
    """A file with what a resuming client needs: ``ETag``, ``Range``, ``If-Range``."""
    facts = document.path.stat()
    state = f"{document.path}{facts.st_size}{facts.st_mtime_ns}".encode()
    etag = f'"{hashlib.md5(state, usedforsecurity=False).hexdigest()}"'
    modified = formatdate(facts.st_mtime, usegmt=True)
    headers = [("ETag", etag), ("Accept-Ranges", "bytes"), ("Last-Modified", modified)]
    start, length, status = 0, facts.st_size, 200
    wanted = _RANGE.match(call.header(b"range") or "")
    condition = call.header(b"if-range")
    if wanted and wanted.group() != "bytes=-" and condition in (None, etag, modified):
        first, last = wanted.groups()
        if first:
            start = int(first)
            end = min(int(last), facts.st_size - 1) if last else facts.st_size - 1
        else:
            start, end = max(0, facts.st_size - int(last)), facts.st_size - 1
        if start > end:
            refused = _xml(416, "InvalidRange", "The requested range is not satisfiable")
            refused.headers.append(("Content-Range", f"bytes */{facts.st_size}"))
            return refused
        length, status = end - start + 1, 206
        headers.append(("Content-Range", f"bytes {start}-{end}/{facts.st_size}"))
    reply = Reply(status, content_type=document.content_type, headers=headers)
    if call.method == "HEAD":
        reply.stated_length = length
    else:
        reply.file = FileSlice(document.path, start, length)
    return reply


async def _store(call: Call, path: Path) -> int:
    """Stream a body to disk; the file appears only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    size = 0
    try:
        with partial.open("wb") as stream:
            while not call.body_done:
                chunk = (await call.receive()).get("body", b"")
                stream.write(chunk)
                size += len(chunk)
    except ClientGone:
        partial.unlink()
        raise
    os.replace(partial, path)
    return size


def _join(blocks: list[Path], path: Path) -> int:
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    with partial.open("wb") as out:
        for block in blocks:
            with block.open("rb") as part:
                shutil.copyfileobj(part, out, 1024 * 1024)
    for block in set(blocks):
        block.unlink()
    os.replace(partial, path)
    return path.stat().st_size


def _block_path(blob: Path, block_id: str) -> Path | None:
    try:
        raw = base64.b64decode(block_id, validate=True)
    except (binascii.Error, ValueError):
        return None
    return blob.with_name(f"{blob.name}.blocks") / hashlib.sha256(raw).hexdigest() if raw else None


def _created() -> Reply:
    headers = [("ETag", f'"0x{uuid.uuid4().hex[:15].upper()}"'), ("x-ms-request-id", str(uuid.uuid4()))]
    return Reply(201, b"", None, headers)


def _authentication_failed(detail: str) -> Reply:
    return _xml(403, "AuthenticationFailed", "Server failed to authenticate the request.", detail)


def _xml(status: int, code: str, message: str, detail: str | None = None) -> Reply:
    extra = f"<AuthenticationErrorDetail>{escape(detail)}</AuthenticationErrorDetail>" if detail else ""
    body = (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message>{extra}</Error>"
    )
    return Reply(status, body.encode(), _XML)
