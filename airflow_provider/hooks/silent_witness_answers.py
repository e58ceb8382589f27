"""
Reading Silent Witness answers: the envelope, the spellings of two generations of documentation, and the
documented types of the fields.

See https://docs.staging.silentwitness.ai/api-reference/overview
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final, NotRequired, TypedDict

from airflow_provider.core.http.responses import Body, Id, Kind, Reader, Word, fields, is_plain_id

TIMES: Final = fields(datetime, "created_at", "updated_at")
STATUS: Final = fields(Word, "status")

CASE: Final[Mapping[str, Kind]] = {
    **TIMES,
    **STATUS,
    "id": Id,
    **fields(str, "name", "plaintiff_name", "defendant_name", "attorney_name", "side"),
    **fields(str, "account_id", "organization_id", "analysis_type"),
    "has_edr": bool,
    "accident": fields(str, "description", "date", "time", "location"),
    "vehicles": [{**fields(str, "id", "role", "edr_file_id"), "image_file_ids": list}],
    "occupants": [fields(str, "id", "name")],
    "report": {**TIMES, **STATUS, **fields(str, "id", "type", "pdf_url", "docx_url")},
    "analysis_status": fields(STATUS, "accident_reconstruction", "biomechanics_analysis", "technical_report"),
}

FILE: Final[Mapping[str, Kind]] = {
    **TIMES,
    **STATUS,
    **fields(Id, "id", "file_id", "case_id"),
    **fields(str, "file_name", "file_type", "file_source", "file_category", "url", "download_url"),
    **fields(int, "file_size", "vehicle_index"),
}

ORGANIZATION: Final[Mapping[str, Kind]] = {
    **TIMES,
    "id": Id,
    **fields(str, "account_id", "name", "phone_number", "street_address", "city", "state"),
    **fields(str, "zip_code", "country"),
}


def read_object(
    key: str | None = None, *needed: str, kinds: Mapping[str, Kind] | None = None
) -> Reader[dict[str, Any]]:
    """Return a reader of an object, bare or under its name."""

    def read(body: Body) -> dict[str, Any]:
        found = body.within("data")
        return (found.named(key) if key else found).object(*needed, kinds=kinds)

    return read


def read_deleted(body: Body) -> dict[str, Any]:
    """Read the answer to a DELETE; the error pages also list 204, without a body."""
    return {} if body.data is None else read_object(kinds={**STATUS, "message": str})(body)


class Listed(list[dict[str, Any]]):
    """Rows of a list. ``total`` is how many it says that there are; 0 where it says nothing."""

    total: int = 0


def read_rows(key: str, kinds: Mapping[str, Kind], *, null_is_empty: bool = False) -> Reader[Listed]:
    """
    Return a reader of a list of things with an ``id``: bare, as older pages show it, or under its name.

    :param null_is_empty: whether null stands for an empty list: where nothing is paid for because of it.
    """

    def read(body: Body) -> Listed:
        if null_is_empty and body.object().get("data") is None:
            return Listed()
        found = body.within("data")
        rows = found.data.get(key) if isinstance(found.data, dict) else found.data
        if rows is None and isinstance(found.data, dict) and found.data.get("total") == 0:
            return Listed()
        listed = Listed(found.part(rows).rows(key, "id", kinds=kinds))
        listed.total = max(body.total(), found.total())
        if not (listed or null_is_empty) and (said := body.left_out(0) or found.left_out(0)):
            raise body.malformed(f"{said} {key}")
        return listed

    return read


class _Status(TypedDict, total=False):
    status: str | None


class _Analysis(TypedDict, total=False):
    technical_report: _Status | None


class _ListedCase(TypedDict):
    id: str
    analysis_status: NotRequired[_Analysis | None]


class _ListedCases(TypedDict):
    cases: list[_ListedCase]


class _ListOfCases(TypedDict):
    success: bool
    data: list[_ListedCase] | _ListedCases


def read_listed_quickly(content: bytes) -> list[dict[str, Any]]:
    """
    Read of a list of cases ``id`` and ``analysis_status``, some twenty times as fast as with a reader.

    :raises ValueError: it is not exactly as documented, or an empty list.
    """
    import msgspec  # with Airflow's task SDK; Dag files need it not

    try:
        listed: Any = _list_of_cases().decode(content)
    except (RecursionError, msgspec.MsgspecError):  # its older versions raise no ValueError
        raise ValueError("no list of cases as documented") from None
    data = listed["data"]
    rows = data["cases"] if isinstance(data, dict) else data
    if not (listed["success"] and rows and all(is_plain_id(row["id"]) for row in rows)):
        raise ValueError("no cases, or ids that are none")
    return list(rows)


@cache
def _list_of_cases() -> Any:
    import msgspec

    return msgspec.json.Decoder(_ListOfCases)


_ROLES: Final = {"plaintiff": 0, "defendant": 1, "0": 0, "1": 1}
_FILE_NAMES: Final = {
    "id": ("file_id", "fileId"),
    "case_id": ("caseId",),
    "file_name": ("fileName",),
    "file_size": ("fileSize",),
    "file_type": ("fileType",),
    "file_category": ("fileCategory",),
    "vehicle_index": ("vehicleIndex", "vehicle_role", "vehicleRole"),
}
"""Fields of a file's record with their names in older pages and in answers to uploads."""


def read_files(case_id: str, body: Body) -> list[dict[str, Any]]:
    """
    Read the records of a case's files, in the spelling of either generation, without those of others.

    Without a list a case counts as having no files: nothing is paid for because of that, and a file that is
    there after all is sent again.
    """
    envelope = body.object()
    data = envelope.get("data")
    if isinstance(data, dict):
        listed = next((data[key] for key in ("files", "items", "data") if key in data), None)
        data = [data] if listed is None and any(data.get(name) for name in ("id", "file_id")) else listed
    files = body.part([] if data is None else data).rows("files")
    files = body.part([_newer_spelling(file) for file in files]).rows("files", "id", kinds=FILE)
    return [file for file in files if file.get("case_id") in (None, case_id)]


def _newer_spelling(file: dict[str, Any]) -> dict[str, Any]:
    named = dict(file)
    for new, older in _FILE_NAMES.items():
        for old in older:
            if named.get(new) is None and named.get(old) is not None:
                named[new] = named[old]
    if isinstance(index := named.get("vehicle_index"), str):
        named["vehicle_index"] = _ROLES.get(index.strip().lower())
    return named


def read_new_case(body: Body) -> dict[str, Any]:
    """Read a created case and its invoice, which may be missing."""
    data = body.within("data")
    case = data.named("case").object("id", kinds=CASE)
    invoice = data.data.get("invoice")
    return {"case": case, "invoice": invoice if isinstance(invoice, dict) else None}


def read_uploaded_file(body: Body) -> dict[str, Any]:
    """Read the record of an uploaded file, in the spelling of either generation."""
    data = body.within("data")
    found = data.object()
    for new, old in (("file_id", "fileId"), ("file_name", "fileName"), ("download_url", "downloadUrl")):
        if found.get(new) is None and old in found:
            found[new] = found.pop(old)
    return data.part(found).object("file_id", kinds=FILE)


def read_case(case_id: str, body: Body) -> dict[str, Any]:
    case = read_object("case", "id", kinds=CASE)(body)
    body.check_asked("case", case_id, case["id"])
    return case
