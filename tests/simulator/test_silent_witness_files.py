"""Evidence: checked by content, linked to its vehicle."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from airflow_provider.simulator import Simulator
from tests.simulator.talk import SilentWitnessTalk, picture

PDF = b"%PDF-1.4\n%%EOF\n"


def test_a_photo_is_linked_to_its_vehicle(silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.case(vehicles=[{"role": "plaintiff"}, {"role": "defendant"}])
    answer = silent_witness.upload(case_id, file_category="vehicle_photo", vehicle_role="defendant")
    data = answer.json()["data"]
    assert answer.status_code == 201
    assert list(data) == ["file_id", "file_name", "status", "download_url", "url"]
    plaintiff, defendant = silent_witness.read_case(case_id)["vehicles"]
    assert (plaintiff["image_file_ids"], defendant["image_file_ids"]) == ([], [data["file_id"]])
    assert (defendant["files"][0]["name"], defendant["files"][0]["type"]) == ("front.jpg", "image/jpeg")


def test_names_of_the_older_generation(silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.case(vehicles=[{"role": "defendant"}])
    form = {"caseId": case_id, "fileCategory": "crash_analysis_defendant", "vehicleIndex": "1"}
    files = {"file": ("a.png", picture(kind="PNG"))}
    answer = silent_witness.send("POST", "/api/files/upload", data=form, files=files)
    assert answer.status_code == 201
    linked = silent_witness.read_case(case_id)["vehicles"][0]["image_file_ids"]
    assert linked == [answer.json()["data"]["file_id"]]


def test_an_edr_report_replaces_the_one_before(silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.case()
    ids = [
        silent_witness.upload(case_id, "edr.pdf", PDF, file_category="edr_document").json()["data"]["file_id"]
        for _ in range(2)
    ]
    case = silent_witness.read_case(case_id)
    assert (case["vehicles"][0]["edr_file_id"], case["has_edr"]) == (ids[1], True)


def test_a_file_waits_for_its_vehicle(silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.case(vehicles=[])
    file_id = silent_witness.upload(case_id).json()["data"]["file_id"]
    silent_witness.send("PUT", f"/api/cases/{case_id}", json={"vehicles": [{"role": "plaintiff"}]})
    assert silent_witness.read_case(case_id)["vehicles"][0]["image_file_ids"] == [file_id]


@pytest.mark.parametrize(
    ("name", "content", "form", "code"),
    [
        ("a.jpg", b"", {}, "file_empty"),
        ("a.jpg", b"x" * (50 * 1024 * 1024 + 1), {}, "file_too_large"),
        ("a.jpg", b"plain text in disguise", {}, "unsupported_file_type"),
        ("a.heic", b"\0\0\0\x18ftypheic" + bytes(12), {}, "unsupported_file_type"),
        ("a.pdf", PDF, {"file_category": "vehicle_photo"}, "unsupported_file_type"),
        ("a.jpg", picture(), {"file_category": "edr_document"}, "unsupported_file_type"),
        ("a.jpg", picture(), {"file_category": "poem"}, "file_category_invalid"),
        ("a.jpg", picture(), {"vehicle_role": "bystander"}, "vehicle_role_invalid"),
        (
            "a.pdf",
            PDF,
            {"file_category": "tcr_document", "vehicle_role": "plaintiff"},
            "vehicle_index_not_allowed",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused_uploads(
    silent_witness: SilentWitnessTalk, name: str, content: bytes, form: dict[str, str], code: str
) -> None:
    answer = silent_witness.upload(silent_witness.case(), name, content, **form)
    assert (answer.status_code, answer.json()["error_code"]) == (400, code)


def test_the_detected_type_is_named(silent_witness: SilentWitnessTalk) -> None:
    answer = silent_witness.upload(silent_witness.case(), "a.jpg", b"col1,col2\n1,2\n")
    assert "text/plain" in answer.json()["error"]


def test_the_type_that_the_client_states_is_ignored(silent_witness: SilentWitnessTalk) -> None:
    files = {"file": ("a.txt", picture(), "text/plain")}
    data = {"case_id": silent_witness.case()}
    assert silent_witness.send("POST", "/api/files/upload", data=data, files=files).status_code == 201


def test_what_a_form_must_have(silent_witness: SilentWitnessTalk) -> None:
    def code(**kwargs: Any) -> str:
        return str(silent_witness.send("POST", "/api/files/upload", **kwargs).json()["error_code"])

    assert code(files={"file": ("a.jpg", picture())}) == "case_id_missing"
    assert code(data={"case_id": "x"}, files={"other": ("a.jpg", picture())}) == "file_missing"
    assert code(data={"case_id": "x"}, files={"file": ("a.jpg", picture())}) == "case_not_found"


def test_listing_and_status(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.case()
    file_id = silent_witness.upload(case_id).json()["data"]["file_id"]
    (row,) = silent_witness.send("GET", f"/api/files?caseId={case_id}").json()["data"]
    assert (row["id"], row["file_type"], row["vehicle_index"], row["file_source"]) == (
        file_id, "image/jpeg", 0, "plaintiff",
    )  # fmt: skip
    assert silent_witness.send("GET", f"/api/files?case_id={case_id}").json()["data"][0]["id"] == file_id
    assert silent_witness.send("GET", "/api/files").json()["error_code"] == "case_id_missing"
    assert silent_witness.send("GET", f"/api/files/{file_id}/status").json()["data"]["status"] == "processing"
    sim.advance(3)
    assert silent_witness.send("GET", f"/api/files/{file_id}/status").json()["data"]["status"] == "ready"


def test_reading_back_what_was_sent(silent_witness: SilentWitnessTalk) -> None:
    content = picture((1, 2, 3))
    uploaded = silent_witness.upload(silent_witness.case(), "überblick.jpg", content).json()["data"]
    direct = silent_witness.send("GET", f"/api/files/{uploaded['file_id']}")
    assert (direct.content, direct.headers["Content-Type"]) == (content, "image/jpeg")
    assert direct.headers["Content-Disposition"].startswith("inline; filename=")
    assert requests.get(uploaded["url"], timeout=60).content == content
    headers = {"X-API-Key": silent_witness.key}
    assert requests.get(uploaded["download_url"], headers=headers, timeout=60).content == content


def test_deleting_a_file(silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.case()
    path = f"/api/files/{silent_witness.upload(case_id).json()['data']['file_id']}"
    assert silent_witness.send("DELETE", path, "sk-other").status_code == 403
    assert silent_witness.send("DELETE", path).json()["data"] == {"message": "File deleted successfully"}
    assert silent_witness.send("DELETE", path).status_code == 404
    assert silent_witness.read_case(case_id)["vehicles"][0]["image_file_ids"] == []
