"""Uploads: presigned and direct (``/concepts/uploads``, ``/guides/file-upload``)."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from pathlib import Path
from typing import IO

from starlette.datastructures import UploadFile

from airflow_provider.simulator.calls import BadForm, Call, NotJson, file_part
from airflow_provider.simulator.clock import stamp
from airflow_provider.simulator.keys import Caller
from airflow_provider.simulator.mediamagic.errors import invalid, refuse
from airflow_provider.simulator.mediamagic.model import CATEGORY_OF, Upload
from airflow_provider.simulator.replies import Reply, json_reply
from airflow_provider.simulator.sniffing import detect, matches, type_by_name
from airflow_provider.simulator.storage import Storage, UploadTarget
from airflow_provider.simulator.world import World

DIRECT_LIMIT = 10 * 1024 * 1024
LINK_LIFETIME = 3600.0


class Uploads:
    """All blobs, by path."""

    def __init__(self, world: World, storage: Storage) -> None:
        self._world = world
        self._storage = storage
        self._uploads: dict[str, Upload] = {}
        storage.accept_uploads(self._target)

    def reset(self) -> None:
        """Forget all."""
        self._uploads.clear()

    def find(self, blob_path: str) -> Upload | None:
        """A blob whose bytes are there."""
        upload = self._uploads.get(blob_path)
        return upload if upload is not None and upload.size is not None else None

    async def presign(self, call: Call, caller: Caller) -> Reply:
        """``POST /api/integrations/uploads/url``."""
        try:
            data = await call.json()
        except NotJson:
            raise invalid("body", "Body is not JSON") from None
        if not isinstance(data, dict):
            raise invalid("body", "Body is not an object")
        filename, content_type = (_text(data, name) for name in ("filename", "contentType"))
        content_type = self._checked(filename, content_type)
        upload = self._reserve(caller, filename, content_type)
        url, expires = self._storage.upload_url(call.hostname, upload.blob_path, LINK_LIFETIME)
        return json_reply(200, {"uploadUrl": url, "blobPath": upload.blob_path, "expiresAt": stamp(expires)})

    async def direct(self, call: Call, caller: Caller) -> Reply:
        """``POST /api/integrations/uploads/direct``."""
        try:
            form = await call.form()
        except BadForm as error:
            raise invalid("body", str(error)) from None
        try:
            part = file_part(form, "file")
            if part is None:
                raise invalid("file", "Field required")
            upload, size = await self._received(part, caller)
        finally:
            await form.close()
        self._stored(upload, size, "direct", caller.key_hash)
        answer = {
            "blobPath": upload.blob_path,
            "filename": upload.filename,
            "contentType": upload.content_type,
            "size": size,
        }
        return json_reply(201, answer)

    async def _received(self, part: UploadFile, caller: Caller) -> tuple[Upload, int]:
        filename = part.filename or ""
        # The guide's own example sends a part without a content type.
        content_type = self._checked(filename, part.content_type or type_by_name(filename) or "")
        size = part.size or 0
        if size > DIRECT_LIMIT:
            raise refuse(
                413, "File exceeds the 10 MB limit for direct upload. Use the presigned upload flow."
            )
        upload = self._reserve(caller, filename, content_type)
        if size > 1024 * 1024:
            await asyncio.to_thread(_copy, part.file, upload.path)
        else:
            _copy(part.file, upload.path)
        if not matches(content_type, detect(upload.path)):
            upload.path.unlink()
            del self._uploads[upload.blob_path]
            raise refuse(415, f"File content does not match content type {content_type}")
        return upload, size

    def _target(self, blob_path: str) -> UploadTarget | None:
        upload = self._uploads.get(blob_path)
        if upload is None:
            return None
        return UploadTarget(upload.path, lambda size, kind, call: self._stored(upload, size, kind, None))

    def _stored(self, upload: Upload, size: int, kind: str, key_hash: str | None) -> None:
        upload.size = size
        self._world.ledger.uploads.append(
            {
                "service": "mediamagic",
                "kind": kind,
                "blob_path": upload.blob_path,
                "size": size,
                "at": self._world.clock.now(),
                "key_hash": key_hash,
            }
        )

    def _reserve(self, caller: Caller, filename: str, content_type: str) -> Upload:
        blob_path = f"{caller.workspace_id}/{filename}"
        stem, dot, extension = filename.rpartition(".")
        number = 1
        while blob_path in self._uploads:
            number += 1
            name = f"{stem}-{number}.{extension}" if dot and stem else f"{filename}-{number}"
            blob_path = f"{caller.workspace_id}/{name}"
        folder = self._world.data_dir / "blobs"
        folder.mkdir(exist_ok=True)
        upload = Upload(blob_path, folder / uuid.uuid4().hex, filename, content_type, caller.workspace_id)
        self._uploads[blob_path] = upload
        return upload

    @staticmethod
    def _checked(filename: str, content_type: str) -> str:
        bad = not filename.strip() or len(filename) > 255 or filename in (".", "..")
        if bad or any(character in "/\\" or ord(character) < 32 for character in filename):
            raise refuse(403, "Invalid filename")
        content_type = content_type.partition(";")[0].strip().lower()
        if content_type not in CATEGORY_OF:
            raise refuse(415, f"Unsupported content type: {content_type or 'none'}")
        return content_type


def _text(data: dict[str, object], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise invalid(name, "Field required" if value is None else "Input should be a string")
    return value


def _copy(source: IO[bytes], path: Path) -> None:
    source.seek(0)
    with path.open("wb") as out:
        shutil.copyfileobj(source, out, 1024 * 1024)
