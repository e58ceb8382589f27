"""
Reading Silent Witness answers: the envelope, the spellings of two generations of documentation, and the
documented types of the fields.

See https://docs.staging.silentwitness.ai/api-reference/overview
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from airflow_provider.core.http.body import Body, Kind, Reader, Word
from airflow_provider.exceptions import NotFoundError

_TIMES: Final[Mapping[str, Kind]] = {"created_at": datetime, "updated_at": datetime}

REPORT: Final[Mapping[str, Kind]] = {
    **_TIMES,
    "case_id": str,
    "type": str,
    "status": Word,
    "progress": {"message": str, "current_step": str, "steps_completed": list},
    "output": {"pdf_url": str, "docx_url": str, "report": dict},
}

_STATUS: Final[Mapping[str, Kind]] = {"status": Word}

CASE: Final[Mapping[str, Kind]] = {
    **_TIMES,
    "name": str,
    "plaintiff_name": str,
    "defendant_name": str,
    "attorney_name": str,
    "side": str,
    "has_edr": bool,
    "account_id": str,
    "organization_id": str,
    "analysis_type": str,
    "status": Word,
    "accident": {"description": str, "date": str, "time": str, "location": str},
    "vehicles": [{"id": str, "role": str, "image_file_ids": list, "edr_file_id": str}],
    "occupants": [{"id": str, "name": str}],
    "report": {
        "id": str,
        "status": Word,
        "type": str,
        "pdf_url": str,
        "docx_url": str,
        "created_at": datetime,
    },
    "analysis_status": {
        "accident_reconstruction": _STATUS,
        "biomechanics_analysis": _STATUS,
        "technical_report": _STATUS,
    },
}

FILE: Final[Mapping[str, Kind]] = {
    **_TIMES,
    "case_id": str,
    "file_name": str,
    "file_size": int,
    "file_type": str,
    "status": Word,
    "file_source": str,
    "file_category": str,
    "vehicle_index": int,
    "url": str,
    "download_url": str,
}

ORGANIZATION: Final[Mapping[str, Kind]] = {
    **_TIMES,
    "account_id": str,
    "name": str,
    "phone_number": str,
    "street_address": str,
    "city": str,
    "state": str,
    "zip_code": str,
    "country": str,
}


def read_data(body: Body) -> Body:
    """Unwrap ``{"success": true, "data": ...}``."""
    envelope = body.object()
    if envelope.get("data") is None:
        found = "null" if "data" in envelope else "nothing"
        raise body.malformed(f"{found} in the field `data`")
    return body.part(envelope["data"])


def read_object(
    key: str | None = None, *texts: str, fields: Mapping[str, Kind] | None = None
) -> Reader[dict[str, Any]]:
    """
    Return a reader of an object, bare or under its name.

    :param key: the name.
    :param texts: fields that must be there.
    :param fields: documented types of the others.
    """

    def read(body: Body) -> dict[str, Any]:
        found = read_data(body)
        return found.part(inner(found.data, key) if key else found.data).object(*texts, fields=fields)

    return read


def read_deleted(body: Body) -> dict[str, Any]:
    """Read the answer to a DELETE; the error pages also list 204, without a body."""
    return {} if body.data is None else read_object(fields={"status": Word, "message": str})(body)


def inner(data: Any, key: str) -> Any:
    """Return the object under its name, or the data itself when that is the object already."""
    if isinstance(data, dict) and "id" not in data and isinstance(data.get(key), dict):
        return data[key]
    return data


def read_rows(key: str, fields: Mapping[str, Kind]) -> Reader[list[dict[str, Any]]]:
    """Return a reader of a list of things with an ``id``: bare, as older pages show it, or under its name."""

    def read(body: Body) -> list[dict[str, Any]]:
        found = read_data(body)
        rows = found.data.get(key) if isinstance(found.data, dict) else found.data
        if rows is None and isinstance(found.data, dict) and found.data.get("total") == 0:
            return []
        return found.part(rows).rows(key, "id", fields=fields)

    return read


def read_new_case(body: Body) -> dict[str, Any]:
    """Read a created case and its invoice, which may be missing."""
    data = read_data(body)
    case = data.part(inner(data.data, "case")).object("id", fields=CASE)
    invoice = data.data.get("invoice")
    return {"case": case, "invoice": invoice if isinstance(invoice, dict) else None}


def read_uploaded_file(body: Body) -> dict[str, Any]:
    """Read the record of an uploaded file, in the spelling of either generation."""
    data = read_data(body)
    found = data.object()
    for new, old in (("file_id", "fileId"), ("file_name", "fileName"), ("download_url", "downloadUrl")):
        if found.get(new) is None and old in found:
            found[new] = found.pop(old)
    return data.part(found).object("file_id", fields=FILE)


def read_new_report(body: Body) -> dict[str, Any]:
    """
    Read a report that was just ordered.

    Without a ``status`` it is read as ``pending``, which is what the API documents: the id is paid for.
    """
    report = read_object("report", "id", fields=REPORT)(body)
    report["status"] = report.get("status") or "pending"
    return report


def read_report(report_id: str) -> Reader[dict[str, Any]]:
    """Return a reader of a report; ``"data": null`` is how the API says that it knows none."""

    def read(body: Body) -> dict[str, Any]:
        envelope = body.object()
        if "data" in envelope and envelope["data"] is None:
            raise NotFoundError(
                f"{body.endpoint}: Silent Witness knows no report {report_id!r} (it answers 200 with `data` "
                "null). Check the id, and that the key belongs to the account that owns the report.",
                http_status=200,
                job_id=report_id,
                endpoint=body.endpoint,
            )
        return read_object("report", "id", "status", fields=REPORT)(body)

    return read
