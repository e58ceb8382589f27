"""Files (https://docs.silentwitness.ai/api-reference/files/overview)."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from starlette.datastructures import FormData

from airflow_provider.simulator.calls import BadForm, Call, file_part, text_part
from airflow_provider.simulator.clock import stamp
from airflow_provider.simulator.keys import Caller
from airflow_provider.simulator.replies import FileSlice, Reply
from airflow_provider.simulator.silent_witness.answers import new_id, success
from airflow_provider.simulator.silent_witness.cases import Cases
from airflow_provider.simulator.silent_witness.errors import Problem, case_not_found
from airflow_provider.simulator.silent_witness.model import Case, StoredFile
from airflow_provider.simulator.sniffing import detect
from airflow_provider.simulator.storage import Document, Storage
from airflow_provider.simulator.world import World

MAX_SIZE = 50 * 1024 * 1024
MAX_PHOTOS = 20
LINK_LIFETIME = 3600.0
#: Vendor seconds in ``processing``.
PROCESSING = 2.0
IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
PDF = "application/pdf"
ROLES = ("plaintiff", "defendant")

#: Category of the older generation to the role that it implies (``None``: the case as a whole).
_OLD_CATEGORIES = {
    "crash_analysis_plaintiff": "plaintiff",
    "crash_analysis_defendant": "defendant",
    "research_scrutinizer_plaintiff": None,
    "research_scrutinizer_defense": None,
}
_ACCEPTED = {"vehicle_photo": IMAGES, "edr_document": (PDF,), "tcr_document": (PDF,)}


class Files:
    """All files, by id."""

    def __init__(self, world: World, cases: Cases, storage: Storage) -> None:
        self._world = world
        self._cases = cases
        self._storage = storage
        self._all: dict[str, StoredFile] = {}
        cases.file_of = self._all.get
        cases.file_shown = self._in_vehicle
        storage.serve("files", self._document)

    def reset(self) -> None:
        """Forget all."""
        self._all.clear()

    def of_case(self, case: Case) -> list[StoredFile]:
        """The files of a case, oldest first."""
        return [self._all[file_id] for file_id in case.file_ids]

    async def upload(self, call: Call, caller: Caller) -> Reply:
        """``POST /api/files/upload``: checked by content, linked to its vehicle."""
        try:
            form = await call.form()
        except BadForm:
            raise Problem(400, "file_missing", "file is required", "file") from None
        try:
            file = await self._received(form, caller)
        finally:
            await form.close()
        case = self._cases.get(file.case_id, caller)
        assert case is not None
        self._all[file.id] = file
        case.file_ids.append(file.id)
        self._cases.link(case, file)
        self._world.ledger.uploads.append(
            {
                "service": "silent_witness",
                "kind": file.category,
                "file_id": file.id,
                "case_id": case.id,
                "file_name": file.name,
                "size": file.size,
                "at": file.created_at,
                "key_hash": caller.key_hash,
            }
        )
        host = call.header(b"host") or call.hostname
        answer = {
            "file_id": file.id,
            "file_name": file.name,
            "status": "processing",
            "download_url": f"http://{host}/api/files/{file.id}/download",
            "url": self._url(call, file),
        }
        return success(answer, 201)

    async def index(self, call: Call, caller: Caller) -> Reply:
        """``GET /api/files?caseId=``."""
        case_id = call.query.get("caseId") or call.query.get("case_id")
        if not case_id:
            raise Problem(400, "case_id_missing", "caseId query parameter is required", "caseId")
        case = self._cases.get(case_id, caller)
        rows = [self._row(call, file) for file in self.of_case(case)] if case else []
        return success(None if self._world.settings.null_lists and not rows else rows)

    async def content(self, call: Call, caller: Caller) -> Reply:
        """``GET /api/files/:fileId`` and ``.../download``: the bytes."""
        file = self._find(call, caller)
        where = "attachment" if call.path.endswith("/download") else "inline"
        plain = file.name.encode("ascii", "replace").decode().replace('"', "'")
        disposition = f'{where}; filename="{plain}"'
        if plain != file.name:
            disposition += f"; filename*=UTF-8''{quote(file.name)}"
        reply = Reply(200, content_type=file.type, headers=[("Content-Disposition", disposition)])
        reply.file = FileSlice(file.path, 0, file.size)
        return reply

    async def status(self, call: Call, caller: Caller) -> Reply:
        """``GET /api/files/:fileId/status``."""
        row = self._row(call, self._find(call, caller))
        names = ("id", "file_name", "file_size", "file_type", "status", "created_at", "updated_at")
        return success({name: row[name] for name in names})

    async def delete(self, call: Call, caller: Caller) -> Reply:
        """``DELETE /api/files/:fileId``."""
        file = self._find(call, caller)
        del self._all[file.id]
        self._cases.unlink(file)
        file.path.unlink(missing_ok=True)
        return success({"message": "File deleted successfully"})

    async def _received(self, form: FormData, caller: Caller) -> StoredFile:
        case_id = text_part(form, "case_id", "caseId")
        if not case_id:
            raise Problem(400, "case_id_missing", "case_id is required", "case_id")
        part = file_part(form, "file")
        if part is None:
            raise Problem(400, "file_missing", "file is required", "file")
        size = part.size or 0
        if size == 0:
            raise Problem(400, "file_empty", "File is empty", "file")
        if size > MAX_SIZE:
            raise Problem(400, "file_too_large", "File exceeds the maximum size of 50MB", "file")
        case = self._cases.get(case_id, caller)
        if case is None:
            raise case_not_found("case_id")
        category = text_part(form, "file_category", "fileCategory")
        role = _role(form)
        file_id = new_id("file")
        folder = self._world.data_dir / "evidence"
        folder.mkdir(exist_ok=True)
        path = folder / file_id
        fingerprint = await asyncio.to_thread(_save, part.file, path)
        try:
            kind = detect(path)
            category, role = _classified(category, role, kind)
            if category == "vehicle_photo" and self._photos(case, role) >= MAX_PHOTOS:
                raise Problem(
                    400, "photo_limit_reached", f"A vehicle has at most {MAX_PHOTOS} photos", "file"
                )
        except Problem:
            path.unlink()
            raise
        now = self._world.clock.now()
        ready_at = now + self._world.clock.real(PROCESSING)
        name = part.filename or file_id
        return StoredFile(
            file_id,
            case.id,
            case.account_id,
            name,
            size,
            kind,
            category,
            role,
            path,
            fingerprint,
            now,
            ready_at,
        )

    def _photos(self, case: Case, role: str | None) -> int:
        return sum(1 for file in self.of_case(case) if file.is_photo and file.role == role)

    def _find(self, call: Call, caller: Caller) -> StoredFile:
        file = self._all.get(call.params[0])
        if file is None:
            raise Problem(404, "file_not_found", "File not found", "id")
        if file.account_id != caller.account_id:
            raise Problem(403, "file_access_denied", "File belongs to another account", "id")
        return file

    async def _document(self, rest: str) -> Document | None:
        file = self._all.get(rest.partition("/")[0])
        return Document(file.path, file.type) if file else None

    def _url(self, call: Call, file: StoredFile) -> str:
        return self._storage.download_url(call.hostname, f"/files/{file.id}/{file.name}", LINK_LIFETIME)

    def _in_vehicle(self, call: Call, file: StoredFile) -> dict[str, Any]:
        return {
            "id": file.id,
            "name": file.name,
            "size": file.size,
            "type": file.type,
            "category": file.category,
            "url": self._url(call, file),
            "uploaded_at": stamp(file.created_at),
        }

    def _row(self, call: Call, file: StoredFile) -> dict[str, Any]:
        now = self._world.clock.now()
        updated = file.ready_at if now >= file.ready_at else file.created_at
        row = {
            "id": file.id,
            "case_id": file.case_id,
            "file_name": file.name,
            "file_size": file.size,
            "file_type": file.type,
            "status": file.status(now),
            "file_source": "defense" if file.role == "defendant" else "plaintiff",
            "file_category": file.category,
            "vehicle_index": ROLES.index(file.role) if file.role else None,
            "url": self._url(call, file),
            "created_at": stamp(file.created_at),
            "updated_at": stamp(updated),
        }
        return _older(row) if self._world.settings.older_file_list else row


def _older(row: dict[str, Any]) -> dict[str, Any]:
    """A file as the older pages name its category and vehicle."""
    role = ROLES[row.pop("vehicle_index") or 0]
    return {**row, "file_category": f"crash_analysis_{role}", "vehicle_role": role}


def _role(form: FormData) -> str | None:
    """The vehicle that a form names, in either generation's way."""
    role = text_part(form, "vehicle_role")
    if role is not None:
        if role not in ROLES:
            raise Problem(
                400, "vehicle_role_invalid", f"vehicle_role must be one of {', '.join(ROLES)}", "vehicle_role"
            )
        return role
    index = text_part(form, "vehicleIndex")
    if index is None:
        return None
    if index not in ("0", "1"):
        raise Problem(400, "vehicle_role_invalid", "vehicleIndex must be 0 or 1", "vehicleIndex")
    return ROLES[int(index)]


def _classified(category: str | None, role: str | None, kind: str) -> tuple[str, str | None]:
    """Category and role of a file whose content is known."""
    if kind not in (*IMAGES, PDF):
        raise Problem(400, "unsupported_file_type", f"Unsupported file type: {kind}", "file")
    if category in _OLD_CATEGORIES:
        return category, role or _OLD_CATEGORIES[category]
    if category is None:
        category = "edr_document" if kind == PDF else "vehicle_photo"
    if category not in _ACCEPTED:
        raise Problem(400, "file_category_invalid", f"Unknown file_category: {category}", "file_category")
    if category == "tcr_document" and role is not None:
        raise Problem(
            400, "vehicle_index_not_allowed", "vehicle_role is not allowed for tcr_document", "vehicle_role"
        )
    if kind not in _ACCEPTED[category]:
        raise Problem(400, "unsupported_file_type", f"Unsupported file type for {category}: {kind}", "file")
    return category, None if category == "tcr_document" else role or "plaintiff"


def _save(source: IO[bytes], path: Path) -> str:
    """Copy to disk.

    :return: a hash of the content.
    """
    source.seek(0)
    with path.open("wb") as out:
        shutil.copyfileobj(source, out, 1024 * 1024)
    with path.open("rb") as stored:
        return hashlib.file_digest(stored, "sha256").hexdigest()
