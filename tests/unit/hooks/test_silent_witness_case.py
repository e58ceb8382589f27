"""A case is checked before anything is sent, and only against what the vendor documents as closed."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pendulum
import pytest

from airflow_provider.exceptions import InvalidInputError
from airflow_provider.hooks.silent_witness_case import (
    OCCUPANT_FIELDS,
    check_accident,
    check_file_role,
    check_occupants,
    check_vehicles,
    needs_occupants,
)

OCCUPANT: dict[str, Any] = {
    "name": "Ann Smith",
    "age": 41,
    "gender": "female",
    "height_inches": 66,
    "weight_lbs": 140,
    "position": "driver",
    "seatbelt_worn": False,
}


def test_a_whole_occupant_passes_with_what_else_is_said_of_them() -> None:
    occupant = OCCUPANT | {"alleged_injuries": ["cervical_spine", "a_new_code"], "airbag_deployed": "yes"}

    assert check_occupants([occupant]) == [occupant]


@pytest.mark.parametrize("name", OCCUPANT_FIELDS)
@pytest.mark.parametrize("missing", ["absent", None, ""])
def test_each_required_field_of_an_occupant_is_named(name: str, missing: Any) -> None:
    occupant = {key: value for key, value in OCCUPANT.items() if key != name}
    if missing != "absent":
        occupant[name] = missing

    with pytest.raises(InvalidInputError) as caught:
        check_occupants([OCCUPANT, occupant])

    assert caught.value.parameter == f"occupants[1].{name}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("age", 0),
        ("age", "old"),
        ("age", "1e3"),
        ("age", True),
        ("height_inches", 66.5),
        ("weight_lbs", -1),
        ("gender", "f"),
        ("position", "trunk"),
        ("seatbelt_worn", "yes"),
        ("airbag_deployed", True),
    ],
)
def test_a_value_out_of_its_list_is_named(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_occupants([OCCUPANT | {name: value}])

    assert caught.value.parameter == f"occupants[0].{name}"
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(("age", "worn"), [(41.0, 0), (Decimal(41), "false"), ("41", False), ("41.0", 0.0)])
def test_an_occupant_may_come_from_a_template_or_a_table(age: Any, worn: Any) -> None:
    assert check_occupants([OCCUPANT | {"age": age, "seatbelt_worn": worn}]) == [OCCUPANT]


@pytest.mark.parametrize("occupants", [None, []])
def test_nobody_is_fine_unless_somebody_is_needed(occupants: Any) -> None:
    assert check_occupants(occupants) == []
    with pytest.raises(InvalidInputError, match="at least one"):
        check_occupants(occupants, required=True)


@pytest.mark.parametrize("occupants", [{}, "Ann", [None], 3])
def test_occupants_of_another_shape_are_refused(occupants: Any) -> None:
    with pytest.raises(InvalidInputError, match="occupants"):
        check_occupants(occupants)


@pytest.mark.parametrize(
    ("analysis_type", "needed"),
    [
        ("accident_only", False),
        ("accident_injury", True),
        ("delta_v_only", False),
        ("biomechanics_only", True),
    ],
)
def test_which_analysis_needs_occupants(analysis_type: str, needed: bool) -> None:
    assert needs_occupants(analysis_type) is needed


def test_a_vehicle_needs_a_role_and_its_type_is_open() -> None:
    vehicle = {"role": "plaintiff", "vehicle_type": "hovercraft", "airbag_deployed": "partial"}

    assert check_vehicles([vehicle]) == [vehicle]
    for broken in ({"vehicle_type": "suv"}, {"role": "witness"}, vehicle | {"airbag_deployed": "maybe"}):
        with pytest.raises(InvalidInputError, match=r"vehicles\[0\]"):
            check_vehicles([broken])


@pytest.mark.parametrize("accident", [{}, {"date": "2026-02-28", "time": "23:59", "location": "A1"}])
def test_an_accident_passes(accident: dict[str, Any]) -> None:
    assert check_accident(accident) == accident


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("date", "28.02.2026"),
        ("date", "2026-02-30"),
        ("date", "20260228"),
        ("date", 20260228),
        ("date", "2026-W09-6"),
        ("time", "24:00"),
        ("time", "9:5"),
        ("time", "T0905"),
        ("time", "0905Z"),
        ("time", "09+01"),
        ("time", "09:05:00"),
    ],
)
def test_a_date_or_time_of_another_form_is_named(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_accident({name: value})

    assert caught.value.parameter == f"accident.{name}"


@pytest.mark.parametrize(
    ("category", "role", "sent"),
    [
        ("vehicle_photo", None, "plaintiff"),
        ("vehicle_photo", "defendant", "defendant"),
        ("edr_document", None, "plaintiff"),
        ("tcr_document", None, None),
    ],
)
def test_the_role_that_goes_with_a_file(category: str, role: str | None, sent: str | None) -> None:
    assert check_file_role(category, role) == sent


@pytest.mark.parametrize(
    ("category", "role", "at_fault"),
    [
        ("tcr_document", "plaintiff", "vehicle_role"),
        ("vehicle_photo", "defense", "vehicle_role"),
        ("crash_analysis_plaintiff", None, "category"),
    ],
)
def test_a_role_that_does_not_go_with_a_file(category: str, role: str | None, at_fault: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_file_role(category, role)

    assert caught.value.parameter == at_fault


@pytest.mark.parametrize(
    ("accident", "checked"),
    [
        ({"date": date(2026, 1, 2), "time": time(3, 4)}, {"date": "2026-01-02", "time": "03:04"}),
        ({"date": datetime(2026, 1, 2)}, {"date": "2026-01-02"}),
        ({"date": pendulum.datetime(2026, 1, 2, 23, tz="Asia/Tokyo")}, {"date": "2026-01-02"}),
        ({"date": "2026-01-02", "time": "03:04"}, {"date": "2026-01-02", "time": "03:04"}),
    ],
)
def test_an_accident_may_come_from_a_database(accident: Any, checked: Any) -> None:
    assert check_accident(accident) == checked


def test_a_number_that_a_table_lacks_is_named() -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_vehicles([{"role": "plaintiff", "vehicle_year": float("nan")}])
    assert caught.value.parameter == "vehicles[0].vehicle_year"
