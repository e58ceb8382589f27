"""Cases, vehicles, occupants, organizations."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.simulator import Simulator
from tests.simulator.talk import OCCUPANT, SilentWitnessTalk

ORGANIZATION = {
    "name": "Park & Partners", "phone_number": "1", "street_address": "2", "city": "3", "state": "4",
    "zip_code": "5", "country": "6",
}  # fmt: skip


def test_creating_a_case_raises_an_invoice(silent_witness: SilentWitnessTalk) -> None:
    people = {"plaintiff_name": "Ann B. Smith", "defendant_name": "Bob Jones", "attorney_name": "Cleo Park"}
    answer = silent_witness.send("POST", "/api/cases", json=people)
    data = answer.json()["data"]
    assert (answer.status_code, data["case"]["name"]) == (201, "Smith v. Jones")
    assert list(data["invoice"]) == ["id", "amount", "status"]
    assert (data["invoice"]["amount"], data["invoice"]["status"]) == (299.0, "pending")


@pytest.mark.parametrize("name", ["plaintiff_name", "defendant_name", "attorney_name"])
def test_three_names_are_required(silent_witness: SilentWitnessTalk, name: str) -> None:
    people = {"plaintiff_name": "A", "defendant_name": "B", "attorney_name": "C"}
    del people[name]
    answer = silent_witness.send("POST", "/api/cases", json=people)
    assert (answer.status_code, answer.json()["error_param"]) == (400, name)


@pytest.mark.parametrize(
    "fields",
    [
        {"analysis_type": "magic"},
        {"side": "judge"},
        {"accident": {"date": "01/31/2026"}},
        {"vehicles": [{"role": "bystander"}]},
        {"vehicles": [{"role": "plaintiff", "vehicle_type": "boat"}]},
        {"occupants": [{**OCCUPANT, "position": "roof"}]},
        {"occupants": [{**OCCUPANT, "alleged_injuries": ["pride"]}]},
        {"occupants": [OCCUPANT] * 11},
    ],
)
def test_values_that_are_not_allowed(silent_witness: SilentWitnessTalk, fields: dict[str, Any]) -> None:
    people = {"plaintiff_name": "A", "defendant_name": "B", "attorney_name": "C"}
    assert silent_witness.send("POST", "/api/cases", json={**people, **fields}).status_code == 400


@pytest.mark.parametrize(
    "name", ["name", "age", "gender", "height_inches", "weight_lbs", "position", "seatbelt_worn"]
)
def test_an_occupant_has_seven_required_fields(silent_witness: SilentWitnessTalk, name: str) -> None:
    occupant = {key: value for key, value in OCCUPANT.items() if key != name}
    case_id = silent_witness.case()
    answer = silent_witness.send("PUT", f"/api/cases/{case_id}", json={"occupants": [occupant]})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "occupant_field_required")


def test_gender_other_unless_strict(sim: Simulator, silent_witness: SilentWitnessTalk) -> None:
    path, body = f"/api/cases/{silent_witness.case()}", {"occupants": [{**OCCUPANT, "gender": "other"}]}
    assert silent_witness.send("PUT", path, json=body).status_code == 200
    sim.settings(strict_gender=True)
    assert silent_witness.send("PUT", path, json=body).status_code == 400


def test_a_case_reads_back_in_output_names(silent_witness: SilentWitnessTalk) -> None:
    vehicle = {
        "role": "plaintiff", "vehicle_maker": "Toyota", "vehicle_model": "Camry", "vehicle_year": "2020",
        "vehicle_type": "sedan", "deployed_airbags": ["driver_frontal"],
    }  # fmt: skip
    case = silent_witness.read_case(silent_witness.case(vehicles=[vehicle], occupants=[OCCUPANT]))
    (seen,) = case["vehicles"]
    assert [seen[name] for name in ("make", "model", "year", "type")] == ["Toyota", "Camry", "2020", "sedan"]
    assert "vin" not in seen
    assert seen["airbag_deployed"] == "yes"
    assert seen["crash_parameters"] is None
    assert case["occupants"][0]["id"].startswith("occ_")
    assert (case["status"], case["has_edr"], case["organization_id"], case["report"]) == (
        "active",
        False,
        None,
        None,
    )
    assert case["accident"]["time"] is None


def test_flat_accident_fields_are_understood(silent_witness: SilentWitnessTalk) -> None:
    case = silent_witness.read_case(silent_witness.case(accident=None, accident_date="2026-02-01"))
    assert case["accident"]["date"] == "2026-02-01"


def test_an_update_changes_what_is_sent(silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.case(occupants=[OCCUPANT])
    before = silent_witness.read_case(case_id)
    body = {
        "attorney_name": "Dora West",
        "accident": {"time": "14:30"},
        "vehicles": [{"role": "plaintiff", "vehicle_model": "Camry"}, {"role": "defendant"}],
    }
    after = silent_witness.send("PUT", f"/api/cases/{case_id}", json=body).json()["data"]["case"]
    assert (after["attorney_name"], after["plaintiff_name"]) == ("Dora West", before["plaintiff_name"])
    assert after["accident"] == {**before["accident"], "time": "14:30"}
    assert [vehicle["role"] for vehicle in after["vehicles"]] == ["plaintiff", "defendant"]
    assert after["vehicles"][0] == {**before["vehicles"][0], "model": "Camry"}
    assert after["occupants"] == before["occupants"]


def test_unknown_and_foreign_cases(silent_witness: SilentWitnessTalk) -> None:
    case_id = silent_witness.case()
    assert silent_witness.send("GET", "/api/cases/case_none").json()["error_code"] == "case_not_found"
    assert silent_witness.send("GET", f"/api/cases/{case_id}", "sk-other").status_code == 404
    assert silent_witness.send("GET", "/api/cases", "sk-other").json()["data"] == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["E", "D", "C", "B", "A"]),
        ("?limit=2", ["E", "D"]),
        ("?limit=2&offset=3", ["B", "A"]),
        ("?offset=9", []),
        ("?page=2&limit=3", ["B", "A"]),
        ("?status=archived", ["C"]),
        ("?status=active&limit=2", ["E", "D"]),
    ],
)
def test_pages_of_both_generations(
    silent_witness: SilentWitnessTalk, query: str, expected: list[str]
) -> None:
    ids = {name: silent_witness.case(name=name) for name in "ABCDE"}
    silent_witness.send("PUT", f"/api/cases/{ids['C']}", json={"status": "archived"})
    rows = silent_witness.send("GET", f"/api/cases{query}").json()["data"]
    assert [row["name"] for row in rows] == expected


def test_a_list_row_knows_the_state_of_the_analyses(
    sim: Simulator, silent_witness: SilentWitnessTalk
) -> None:
    silent_witness.order(silent_witness.ready_case())

    def statuses() -> list[str]:
        (row,) = silent_witness.send("GET", "/api/cases").json()["data"]
        return [one["status"] for one in row["analysis_status"].values()]

    assert statuses() == ["processing", "none", "processing"]
    sim.advance(600)
    assert statuses() == ["completed", "none", "completed"]


def test_life_of_an_organization(silent_witness: SilentWitnessTalk) -> None:
    created = silent_witness.send("POST", "/api/organizations", json=ORGANIZATION)
    organization = created.json()["data"]
    assert created.status_code == 201
    assert organization["account_id"].startswith("acc_")
    path = f"/api/organizations/{organization['id']}"
    changed = silent_witness.send("PUT", path, json={"city": "Reno"}).json()["data"]
    assert changed == {**organization, "city": "Reno", "updated_at": changed["updated_at"]}
    case_id = silent_witness.case(organization_id=organization["id"])

    listed = silent_witness.send("GET", "/api/organizations?search=PARK").json()["data"]
    assert (listed["organizations"], listed["total"]) == ([changed], 1)
    assert silent_witness.send("GET", "/api/organizations?search=zzz").json()["data"]["total"] == 0
    assert silent_witness.send("GET", path, "sk-other").json()["error_code"] == "org_access_denied"

    deleted = silent_witness.send("DELETE", path)
    assert deleted.json()["data"] == {"message": "Organization deleted successfully"}
    assert silent_witness.send("GET", path).json()["error_code"] == "org_not_found"
    assert silent_witness.read_case(case_id)["organization_id"] is None


def test_organization_input_is_checked(silent_witness: SilentWitnessTalk) -> None:
    missing = silent_witness.send("POST", "/api/organizations", json={"name": "x"}).json()
    assert (missing["error_code"], missing["error_param"]) == ("org_field_required", "phone_number")
    broken = silent_witness.send("POST", "/api/organizations", data="{")
    assert (broken.status_code, broken.json()["error_code"]) == (400, "org_invalid_body")
