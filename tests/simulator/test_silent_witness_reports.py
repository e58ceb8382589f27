"""Reports: prerequisites, progress, cancel, failure, documents."""

from __future__ import annotations

import io
from typing import Any

import docx
import pypdf
import pytest
import requests

from airflow_provider.simulator import Simulator
from tests.simulator.talk import LONG, OCCUPANT, SilentWitnessTalk, picture

PDF = b"%PDF-1.4\n%%EOF\n"


def test_an_ordered_report_is_pending(silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.ready_case()
    answer = silent_witness.order(case_id)
    report = answer.json()["data"]
    assert answer.status_code == 200
    assert report["id"].startswith("rpt_")
    assert (report["case_id"], report["type"], report["status"], report["output"]) == (
        case_id, "technical_report", "pending", None,
    )  # fmt: skip
    assert report["progress"]["message"] == "Starting analysis..."


def test_progress_from_first_to_last(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.ready_case(analysis_type="accident_injury", occupants=[OCCUPANT])
    report_id = silent_witness.order(case_id).json()["data"]["id"]
    seen: list[dict[str, Any]] = []
    for _ in range(62):
        report = silent_witness.report(report_id)
        step = {"status": report["status"], **report["progress"]}
        if step not in seen:
            seen.append(step)
        sim.advance(5)
    steps = ["delta_v_calculation", "biomechanics_analysis", "report_generation"]
    assert [(one["status"], one["message"], one["current_step"], one["steps_completed"]) for one in seen] == [
        ("pending", "Starting analysis...", steps[0], []),
        ("processing", "Starting analysis...", steps[0], []),
        ("processing", "Calculating delta-v from damage photos...", steps[0], []),
        ("processing", "Running biomechanics analysis...", steps[1], steps[:1]),
        ("processing", "Analysis complete. Building report documents...", steps[2], steps[:2]),
        ("completed", "Report generation complete", None, steps),
    ]


def test_durations_are_of_the_case_and_shorter_for_demo_data(
    sim: Simulator, silent_witness: SilentWitnessTalk
) -> None:
    case_id = silent_witness.ready_case()
    for options in ({}, {}, {"use_demo_data": True}):
        silent_witness.order(case_id, **options)
    lengths = [round(job["finished_at"] - job["created_at"], 3) for job in sim.ledger()["reports"]]
    assert lengths[0] == lengths[1]
    assert 120 <= lengths[0] <= 300
    assert 30 <= lengths[2] <= 60


@pytest.mark.parametrize(
    ("fields", "photo", "param"),
    [
        ({"vehicles": []}, True, "vehicles"),
        ({}, False, "vehicles"),
        ({"analysis_type": "accident_injury"}, True, "occupants"),
        ({"analysis_type": "biomechanics_only"}, True, "occupants"),
        ({"accident": {}}, True, "accident.date"),
    ],
)
def test_unmet_prerequisites(
    silent_witness: SilentWitnessTalk, fields: dict[str, Any], photo: bool, param: str
) -> None:
    case_id = silent_witness.case(**fields)
    if photo:
        silent_witness.upload(case_id)
    answer = silent_witness.order(case_id)
    assert (answer.status_code, answer.json()["error_param"]) == (422, param)


def test_evidence_on_the_other_vehicle_does_not_count(silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.case(vehicles=[{"role": "plaintiff"}, {"role": "defendant"}])
    silent_witness.upload(case_id, vehicle_role="defendant")
    assert silent_witness.order(case_id).status_code == 422


def test_an_edr_report_and_a_police_report_will_do(silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.case(accident={})
    silent_witness.upload(case_id, "edr.pdf", PDF, file_category="edr_document")
    silent_witness.upload(case_id, "police.pdf", PDF, file_category="tcr_document")
    assert silent_witness.order(case_id).status_code == 200


def test_prerequisites_that_can_be_switched(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    biomechanics = silent_witness.case(analysis_type="biomechanics_only", occupants=[OCCUPANT])
    demo = silent_witness.case()
    assert (
        silent_witness.order(biomechanics).status_code
        == silent_witness.order(demo, use_demo_data=True).status_code
    )
    sim.settings(biomechanics_only_needs_evidence=False, demo_without_evidence=True)
    assert silent_witness.order(biomechanics).status_code == 200
    assert silent_witness.order(demo, use_demo_data=True).status_code == 200
    assert silent_witness.order(demo).status_code == 422


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"type": "technical_report"}, 400, "case_id_missing"),
        ({"case_id": "case_x"}, 400, "report_type_missing"),
        ({"case_id": "case_x", "type": "demand_letter"}, 400, "report_type_invalid"),
        ({"case_id": "case_x", "type": "technical_report"}, 404, "case_not_found"),
        ({"case_id": "case_x", "type": "technical_report", "options": 1}, 400, "report_options_invalid"),
    ],
)
def test_refused_orders(
    silent_witness: SilentWitnessTalk, body: dict[str, Any], status: int, code: str
) -> None:
    answer = silent_witness.send("POST", "/api/reports", json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)


def test_an_unknown_report_is_null_and_not_404(silent_witness: SilentWitnessTalk) -> None:
    known = silent_witness.order(silent_witness.ready_case()).json()["data"]["id"]
    unknown = silent_witness.send("GET", "/api/reports/rpt_none")
    foreign = silent_witness.send("GET", f"/api/reports/{known}", "sk-other")
    for answer in (unknown, foreign):
        assert (answer.status_code, answer.json()) == (200, {"success": True, "data": None})


def test_a_case_id_gives_its_newest_report(silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.ready_case()
    assert silent_witness.send("GET", f"/api/reports/{case_id}").json()["data"] is None
    ids = [silent_witness.order(case_id).json()["data"]["id"] for _ in range(2)]
    assert silent_witness.report(case_id)["id"] == ids[1]


def test_list_of_reports(silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.ready_case()
    ids = [silent_witness.order(case_id).json()["data"]["id"] for _ in range(2)]
    data = silent_witness.send("GET", f"/api/reports?case_id={case_id}").json()["data"]
    assert ([row["id"] for row in data["reports"]], data["total"]) == (ids[::-1], 2)
    assert list(data["reports"][0]) == ["id", "case_id", "type", "status", "created_at"]
    missing = silent_witness.send("GET", "/api/reports")
    assert (missing.status_code, missing.json()["error_code"]) == (400, "case_id_missing")


def test_cancelling(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    report_id = silent_witness.order(silent_witness.ready_case()).json()["data"]["id"]
    sim.advance(50)
    foreign = silent_witness.send("DELETE", f"/api/reports/{report_id}", "sk-other")
    assert foreign.status_code == 404
    answer = silent_witness.send("DELETE", f"/api/reports/{report_id}")
    message = "Report generation cancelled"
    assert answer.json()["data"] == {"id": report_id, "status": "cancelled", "message": message}
    sim.advance(LONG)
    report = silent_witness.report(report_id)
    assert (report["status"], report["output"]) == ("cancelled", None)
    assert silent_witness.send("DELETE", f"/api/reports/{report_id}").status_code == 400


def test_what_cannot_be_cancelled(silent_witness: SilentWitnessTalk) -> None:
    report_id = silent_witness.completed()["id"]
    completed = silent_witness.send("DELETE", f"/api/reports/{report_id}")
    assert (completed.status_code, completed.json()["error"]) == (400, "Cannot cancel a completed report")
    unknown = silent_witness.send("DELETE", "/api/reports/rpt_none")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "Report not found")


def test_a_scripted_failure(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    message = "Biomechanics analysis failed"
    sim.script(
        "silent_witness",
        match={"case_name": "Doomed*"},
        status="failed",
        message=message,
        duration=900,
        times=1,
    )
    case_id = silent_witness.ready_case(name="Doomed v. World")
    failed, fine = (silent_witness.order(case_id).json()["data"]["id"] for _ in range(2))
    sim.advance(899)
    assert silent_witness.report(failed)["status"] == "processing"
    sim.advance(2)
    report = silent_witness.report(failed)
    assert (report["status"], report["progress"]["message"], report["output"]) == ("failed", message, None)
    assert silent_witness.report(fine)["status"] == "completed"


def test_blurry_photos_cannot_be_analysed(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.case()
    silent_witness.upload(case_id, "blurry_1.jpg")
    blurry = silent_witness.order(case_id).json()["data"]["id"]
    silent_witness.upload(case_id, "sharp.jpg")
    sharp = silent_witness.order(case_id).json()["data"]["id"]
    sim.advance(LONG)
    failed = silent_witness.report(blurry)
    assert failed["progress"]["message"] == "Delta-V calculation failed: insufficient image quality"
    assert silent_witness.report(sharp)["status"] == "completed"


def test_the_structured_report(silent_witness: SilentWitnessTalk) -> None:
    fields = {"analysis_type": "accident_injury", "occupants": [OCCUPANT]}
    output = silent_witness.completed(**fields)["output"]
    assert list(output) == ["pdf_url", "docx_url", "report"]
    assert output["report"]["schema_version"] == "1.0"
    sections = {section["id"]: section for section in output["report"]["sections"]}
    assert {"sec_header", "sec_assignment", "sec_opinions", "sec_biomechanics"} <= set(sections)
    assert all({"id", "type", "title", "markdown"} <= set(section) for section in sections.values())
    (chart,) = sections["sec_biomechanics"]["data"]["charts"]
    assert (chart["chartType"], chart["labels"]) == ("CERVICAL_COMPRESSION", ["Ann Smith"])


def test_crash_values_depend_on_the_evidence(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    def values(color: tuple[int, int, int]) -> dict[str, Any]:
        case_id = silent_witness.case()
        silent_witness.upload(case_id, content=picture(color))
        silent_witness.order(case_id)
        sim.advance(LONG)
        found = dict(silent_witness.read_case(case_id)["vehicles"][0]["crash_parameters"])
        found.pop("calculated_at")
        return found

    red = values((200, 0, 0))
    assert red == values((200, 0, 0))
    assert red != values((0, 200, 0))
    assert red["delta_v_min"] < red["delta_v_max"]
    assert red["delta_v_method"] == "ml"


def test_the_documents_are_about_this_case(silent_witness: SilentWitnessTalk) -> None:
    report = silent_witness.completed(name="Müller v. Jones")
    pdf, word = (requests.get(report["output"][f"{kind}_url"], timeout=60) for kind in ("pdf", "docx"))
    assert pdf.headers["Content-Type"] == "application/pdf"
    pdf_text = "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf.content)).pages)
    word_text = "\n".join(paragraph.text for paragraph in docx.Document(io.BytesIO(word.content)).paragraphs)
    for text in (pdf_text, word_text):
        flat = " ".join(text.split())
        for expected in (
            "Müller v. Jones", "Ann Smith", "Bob Jones", "Cleo Park", "2026-01-31", "Rear-ended at a light",
            "Main and 3rd", "Toyota", "front.jpg", "delta-v", "PDOF", report["id"],
        ):  # fmt: skip
            assert expected in flat, expected


def test_a_report_is_about_the_case_as_it_was_when_ordered(silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.ready_case(name="Then")
    report_id = silent_witness.order(case_id).json()["data"]["id"]
    silent_witness.send("PUT", f"/api/cases/{case_id}", json={"name": "Now"})
    silent_witness.sim.advance(LONG)
    sections = silent_witness.report(report_id)["output"]["report"]["sections"]
    assert sections[0]["title"] == "Then"


def test_documents_survive_odd_text(silent_witness: SilentWitnessTalk) -> None:
    odd = "Ж" * 300 + "\x07\x00 \U0001f697"
    accident = {"date": "2026-01-31", "description": odd}
    report = silent_witness.completed(name=odd, attorney_name="- # <&>", accident=accident)
    pdf, word = (requests.get(report["output"][f"{kind}_url"], timeout=60) for kind in ("pdf", "docx"))
    assert len(pypdf.PdfReader(io.BytesIO(pdf.content)).pages) >= 1
    assert "Ж" * 300 in "".join(one.text for one in docx.Document(io.BytesIO(word.content)).paragraphs)


def test_links_are_new_at_each_get_and_the_bytes_are_not(silent_witness: SilentWitnessTalk) -> None:
    first = silent_witness.completed()
    second = silent_witness.report(first["id"])
    urls = [report["output"]["pdf_url"] for report in (first, second)]
    assert urls[0] != urls[1]
    assert len({requests.get(url, timeout=60).content for url in urls}) == 1


def test_the_case_shows_a_summary_of_its_report(silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.ready_case()
    report_id = silent_witness.order(case_id).json()["data"]["id"]
    pending = silent_witness.read_case(case_id)["report"]
    assert (pending["id"], pending["status"], pending["pdf_url"]) == (report_id, "pending", None)
    silent_witness.sim.advance(LONG)
    done = silent_witness.read_case(case_id)["report"]
    assert list(done) == ["id", "status", "type", "pdf_url", "docx_url", "created_at"]
    assert requests.get(done["docx_url"], timeout=60).content[:2] == b"PK"
