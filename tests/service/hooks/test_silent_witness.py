"""Every Silent Witness endpoint, against the simulated service."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider.core.polling.wait import JobState
from airflow_provider.exceptions import (
    InvalidInputError,
    InvalidRequestError,
    MalformedResponseError,
    NotFoundError,
    SubmitOutcomeUnknownError,
)
from airflow_provider.hooks.silent_witness import SilentWitnessHook, observe_report
from airflow_provider.hooks.silent_witness_answers import read_listed_quickly
from airflow_provider.simulator import Simulator
from tests.service.hooks.conftest import Ask, HookMaker
from tests.service.hooks.odd_server import OddServer, answer

HOUR = 3600.0
"""Simulated seconds that a job is told to take, so that a slow test machine cannot see it end too early."""
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 64
PDF = b"%PDF-1.4\n" + b"\x00" * 64
ORGANIZATION = {
    "name": "Doe & Partners",
    "phone_number": "+1 555 0100",
    "street_address": "1 Main St",
    "city": "Springfield",
    "state": "IL",
    "zip_code": "62701",
    "country": "USA",
}
OCCUPANT = {
    "name": "Ann Smith",
    "age": 41,
    "gender": "female",
    "height_inches": 66,
    "weight_lbs": 140,
    "position": "driver",
    "seatbelt_worn": True,
    "alleged_injuries": ["cervical_spine"],
}


@pytest.fixture
def hook(simulator: Simulator, make_hook: HookMaker) -> SilentWitnessHook:
    return make_hook(SilentWitnessHook, simulator.url, api_key="sk-" + "0" * 61)


def create_case(hook: SilentWitnessHook, **fields: Any) -> str:
    fields = {
        "plaintiff_name": "Ann Smith",
        "defendant_name": "Bob Johnson",
        "attorney_name": "Eve Law",
        "accident": {"date": "2026-02-28", "time": "17:45"},
        "vehicles": [{"role": "plaintiff", "vehicle_maker": "Honda"}, {"role": "defendant"}],
    } | fields
    case_id: str = hook.create_case(**fields)["case"]["id"]
    return case_id


def case_with_photo(hook: SilentWitnessHook, **fields: Any) -> str:
    case_id = create_case(hook, **fields)
    hook.upload_file(
        case_id, "front.png", io.BytesIO(PNG), category="vehicle_photo", content_type="image/png"
    )
    return case_id


def test_an_organization_from_birth_to_death(hook: SilentWitnessHook) -> None:
    created = hook.create_organization(**ORGANIZATION)
    organization_id = created["id"]

    assert {name: created[name] for name in ORGANIZATION} == ORGANIZATION
    assert hook.get_organization(organization_id) == created
    assert [found["id"] for found in hook.list_organizations(search="doe")] == [organization_id]
    assert hook.list_organizations(search="nobody") == []
    assert hook.list_organizations(offset=1) == []
    assert hook.update_organization(organization_id, city="Peoria")["city"] == "Peoria"
    hook.delete_organization(organization_id)
    with pytest.raises(NotFoundError):
        hook.get_organization(organization_id)


def test_a_case_is_created_with_its_invoice_read_listed_and_changed(hook: SilentWitnessHook) -> None:
    created = hook.create_case(
        plaintiff_name="Ann Smith",
        defendant_name="Bob Johnson",
        attorney_name="Eve Law",
        side="defense",
        analysis_type="accident_injury",
        accident={"date": "2026-02-28"},
        vehicles=[{"role": "plaintiff", "vehicle_maker": "Honda", "vehicle_type": "suv"}],
        occupants=[OCCUPANT],
    )
    case_id = created["case"]["id"]

    assert created["invoice"]["id"].startswith("inv_")
    case = hook.get_case(case_id)
    assert (case["side"], case["vehicles"][0]["make"]) == ("defense", "Honda")
    assert case["occupants"][0]["name"] == "Ann Smith"
    assert [found["id"] for found in hook.list_cases(status="active", limit=5)] == [case_id]
    assert hook.list_cases(offset=1) == []
    hook.update_case(case_id, status="archived", attorney_name="Max Law")
    assert hook.get_case(case_id)["attorney_name"] == "Max Law"
    assert hook.list_cases(status="active") == []


def test_the_list_of_cases_is_one_that_is_read_quickly(hook: SilentWitnessHook, simulator: Simulator) -> None:
    case_id = create_case(hook)
    key = {"X-API-Key": hook.settings.api_key}
    content = hook.get_conn().get(f"{simulator.url}/api/cases", headers=key, timeout=5).content
    assert [row["id"] for row in read_listed_quickly(content)] == [case_id]


def test_an_unknown_case_is_not_found(hook: SilentWitnessHook) -> None:
    with pytest.raises(NotFoundError):
        hook.get_case("case_nope")


def test_evidence_is_uploaded_linked_read_and_deleted(hook: SilentWitnessHook) -> None:
    case_id = create_case(hook)
    photo = hook.upload_file(
        case_id,
        "Frönt 'view'.png",
        io.BytesIO(PNG),
        category="vehicle_photo",
        vehicle_role="defendant",
        content_type="image/png",
    )
    hook.upload_file(
        case_id, "police.pdf", io.BytesIO(PDF), category="tcr_document", content_type="application/pdf"
    )

    file_id = photo["file_id"]
    by_role = {vehicle["role"]: vehicle for vehicle in hook.get_case(case_id)["vehicles"]}
    assert by_role["defendant"]["image_file_ids"] == [file_id]
    listed = {row["id"]: row for row in hook.list_files(case_id)}
    assert listed[file_id]["file_name"] == "Frönt 'view'.png"
    assert len(listed) == 2
    assert hook.get_file_status(file_id)["id"] == file_id
    assert b"".join(hook.get_file(file_id)) == PNG
    hook.delete_file(file_id)
    with pytest.raises(NotFoundError):
        hook.get_file(file_id)


def test_what_the_service_does_not_take_has_a_code(hook: SilentWitnessHook) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        hook.upload_file(
            create_case(hook),
            "a.zip",
            io.BytesIO(b"PK\x03\x04 zip"),
            category="vehicle_photo",
            content_type="image/png",
        )

    assert caught.value.code == "unsupported_file_type"


def test_a_report_from_start_to_links(hook: SilentWitnessHook, simulator: Simulator, ask: Ask) -> None:
    simulator.script("silent_witness", duration=HOUR)
    case_id = case_with_photo(hook)
    created = hook.create_report(case_id)
    report_id = created["id"]

    before = observe_report(ask(hook, "get_report", report_id))
    simulator.advance(2 * HOUR)
    body = ask(hook, "get_report", report_id)

    assert (created["status"], before.state, before.job_id) == ("pending", JobState.ACTIVE, report_id)
    assert observe_report(body).state is JobState.SUCCEEDED
    assert [row["id"] for row in hook.list_reports(case_id)] == [report_id]
    link = hook.storage_session.get(body["output"]["pdf_url"])
    assert link.content.startswith(b"%PDF")
    assert simulator.ledger()["api_key_at_storage"] == 0


def test_a_failed_report_says_why(hook: SilentWitnessHook, simulator: Simulator, ask: Ask) -> None:
    simulator.script("silent_witness", status="failed", message="Biomechanics analysis failed")
    report_id = hook.create_report(case_with_photo(hook))["id"]
    simulator.advance(2 * HOUR)

    seen = observe_report(ask(hook, "get_report", report_id))

    assert (seen.state, seen.message) == (JobState.FAILED, "Biomechanics analysis failed")


def test_a_report_is_cancelled(hook: SilentWitnessHook, simulator: Simulator, ask: Ask) -> None:
    simulator.script("silent_witness", duration=HOUR)
    report_id = hook.create_report(case_with_photo(hook))["id"]

    assert ask(hook, "cancel_report", report_id)["status"] == "cancelled"
    assert observe_report(hook.get_report(report_id)).state is JobState.CANCELLED


def test_a_finished_report_cannot_be_cancelled(
    hook: SilentWitnessHook, simulator: Simulator, ask: Ask
) -> None:
    report_id = hook.create_report(case_with_photo(hook))["id"]
    simulator.advance(2 * HOUR)

    with pytest.raises(InvalidRequestError, match="completed"):
        ask(hook, "cancel_report", report_id)


@pytest.mark.parametrize(("method", "status"), [("get_report", 200), ("cancel_report", 404)])
def test_an_unknown_report_is_not_found(hook: SilentWitnessHook, ask: Ask, method: str, status: int) -> None:
    with pytest.raises(NotFoundError) as caught:
        ask(hook, method, "rpt_nope")

    assert caught.value.http_status == status


def test_a_case_that_lacks_something_starts_no_report(hook: SilentWitnessHook) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        hook.create_report(create_case(hook))

    assert caught.value.http_status == 422


@pytest.mark.parametrize(("path", "kind"), [("/api/cases", "cases"), ("/api/reports", "reports")])
def test_what_was_paid_for_with_a_lost_answer_exists_once(
    hook: SilentWitnessHook, simulator: Simulator, path: str, kind: str
) -> None:
    if kind == "reports":
        case_id = case_with_photo(hook)
    simulator.fault("lost_answer", path=path, method="POST")

    with pytest.raises(SubmitOutcomeUnknownError):
        create_case(hook) if kind == "cases" else hook.create_report(case_id)

    found = hook.list_cases() if kind == "cases" else hook.list_reports(case_id)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("call", "parameter"),
    [
        (lambda hook: create_case(hook, plaintiff_name=""), "plaintiff_name"),
        (lambda hook: create_case(hook, side="left"), "side"),
        (lambda hook: create_case(hook, analysis_type="all"), "analysis_type"),
        (lambda hook: create_case(hook, occupants=[{"name": "x"}]), "occupants[0].age"),
        (lambda hook: create_case(hook, vehicles=[{}]), "vehicles[0].role"),
        (lambda hook: create_case(hook, accident={"date": "soon"}), "accident.date"),
        (lambda hook: hook.update_case("case_1"), "fields"),
        (lambda hook: hook.update_case("case_1", status="deleted"), "status"),
        (lambda hook: hook.list_cases(status="deleted"), "status"),
        (lambda hook: hook.update_organization("org_1"), "fields"),
        (lambda hook: hook.update_organization("org_1", zip="1"), "field"),
        (lambda hook: hook.create_organization(**ORGANIZATION | {"country": ""}), "country"),
        (lambda hook: hook.create_report("case_1", report_type="demand_letter"), "report_type"),
        (lambda hook: hook.create_report(""), "case_id"),
        (lambda hook: hook.get_file("file_1", chunk_size=0), "chunk_size"),
        (
            lambda hook: hook.upload_file(
                "case_1", "a", io.BytesIO(b"x"), category="photo", content_type="image/png"
            ),
            "category",
        ),
    ],
)
def test_what_cannot_be_right_is_not_sent(
    make_hook: HookMaker, call: Callable[[SilentWitnessHook], Any], parameter: str
) -> None:
    with OddServer() as server:
        with pytest.raises(InvalidInputError) as caught:
            call(make_hook(SilentWitnessHook, server.url))

        assert server.requests == []
    assert caught.value.parameter == parameter


# -- both generations of the documentation -------------------------------------------------------------------


ROW = {"id": "x_1"}


@pytest.mark.parametrize(
    ("call", "key"),
    [
        (lambda hook: hook.list_organizations(), "organizations"),
        (lambda hook: hook.list_cases(), "cases"),
        (lambda hook: hook.list_files("case_1"), "files"),
        (lambda hook: hook.list_reports("case_1"), "reports"),
    ],
)
def test_a_list_may_be_bare_or_under_its_name(
    make_hook: HookMaker, call: Callable[[SilentWitnessHook], Any], key: str
) -> None:
    bodies: list[Any] = [[ROW], {key: [ROW], "total": 1}, [], {key: [], "total": 0}, {key: None, "total": 0}]
    with OddServer(*[answer(200, {"success": True, "data": body}) for body in bodies]) as server:
        hook = make_hook(SilentWitnessHook, server.url)

        assert [call(hook) for _ in bodies] == [[ROW], [ROW], [], [], []]


@pytest.mark.parametrize("place", [{"offset": 20}, {"page": 2}])
def test_null_is_a_page_after_the_last_one_and_not_the_first(
    make_hook: HookMaker, place: dict[str, Any]
) -> None:
    with OddServer(*[answer(200, {"success": True, "data": None})] * 2) as server:
        hook = make_hook(SilentWitnessHook, server.url)

        assert hook.list_cases(**place) == []
        with pytest.raises(MalformedResponseError):
            hook.list_cases(page=1)


@pytest.mark.parametrize("data", [None, {}, "text", [1], {"reports": None}])
def test_a_list_that_is_none_is_not_an_empty_one(make_hook: HookMaker, data: Any) -> None:
    with OddServer(answer(200, {"data": data})) as server, pytest.raises(MalformedResponseError):
        make_hook(SilentWitnessHook, server.url).list_reports("case_1")


def test_an_upload_is_read_in_both_spellings(make_hook: HookMaker) -> None:
    old = {"fileId": "f1", "fileName": "a.png", "downloadUrl": "https://x", "status": "ready"}
    with OddServer(answer(201, {"data": old})) as server:
        found = make_hook(SilentWitnessHook, server.url).upload_file(
            "case_1", "a.png", io.BytesIO(PNG), category="vehicle_photo", content_type="image/png"
        )

    assert found == {"file_id": "f1", "file_name": "a.png", "download_url": "https://x", "status": "ready"}


def test_an_upload_sends_the_newest_names(make_hook: HookMaker) -> None:
    with OddServer(answer(201, {"data": {"file_id": "f1"}})) as server:
        make_hook(SilentWitnessHook, server.url).upload_file(
            "case_1", "a.png", io.BytesIO(PNG), category="vehicle_photo", content_type="image/png"
        )

        body = server.requests[0].body
    for name in (b'name="case_id"', b'name="file_category"', b'name="vehicle_role"', b'name="file"'):
        assert name in body
    assert b"Content-Type: image/png" in body


@pytest.mark.parametrize("data", [{"case": {"id": "case_1"}}, {"id": "case_1"}])
def test_a_created_case_may_come_without_invoice_and_bare(make_hook: HookMaker, data: Any) -> None:
    with OddServer(answer(201, {"data": data})) as server:
        created = make_hook(SilentWitnessHook, server.url).create_case(
            plaintiff_name="A", defendant_name="B", attorney_name="C"
        )

    assert created == {"case": {"id": "case_1"}, "invoice": None}


def test_options_are_sent_only_when_asked_for(make_hook: HookMaker) -> None:
    done = answer(200, {"data": {"id": "rpt_1", "status": "pending"}})
    with OddServer(done, done) as server:
        hook = make_hook(SilentWitnessHook, server.url)
        hook.create_report("case_1", use_demo_data="false")  # type: ignore[arg-type]
        hook.create_report("case_1", use_demo_data=True)

        assert [seen.body for seen in server.requests] == [
            b'{"case_id": "case_1", "type": "technical_report"}',
            b'{"case_id": "case_1", "type": "technical_report", "options": {"use_demo_data": true}}',
        ]
