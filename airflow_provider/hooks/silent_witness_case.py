"""
What a Silent Witness case may hold, checked before anything is sent. Pure: hook and operators share it.

Only what the vendor documents as a closed list is checked; vehicle types, injury codes and file states stay
open.
See https://docs.silentwitness.ai/api-reference/objects/occupant and
https://docs.silentwitness.ai/api-reference/cases/create
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, Final

from airflow_provider.core.arguments import as_bool, one_of, plain_json
from airflow_provider.exceptions import InvalidInputError

ANALYSIS_TYPES: Final = ("accident_only", "accident_injury", "delta_v_only", "biomechanics_only")
SIDES: Final = ("plaintiff", "defense")
CASE_STATUSES: Final = ("active", "archived")
VEHICLE_ROLES: Final = ("plaintiff", "defendant")
FILE_CATEGORIES: Final = ("vehicle_photo", "edr_document", "tcr_document")
AIRBAG_STATES: Final = ("yes", "no", "partial", "unknown")
GENDERS: Final = ("male", "female", "other")
POSITIONS: Final = ("driver", "front_passenger", "rear_left", "rear_center", "rear_right")
REPORT_TYPES: Final = ("technical_report",)
OCCUPANT_FIELDS: Final = (
    "name",
    "age",
    "gender",
    "height_inches",
    "weight_lbs",
    "position",
    "seatbelt_worn",
)
"""What every occupant needs; the API answers 400 ``occupant_field_required`` otherwise."""

DATE: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
TIME: Final = re.compile("[0-9]{2}:[0-9]{2}")
"""A date and a time of day, as a request has them."""


def needs_occupants(analysis_type: str) -> bool:
    """Whether a report of a case of this type needs occupants: the API answers 422 without."""
    return analysis_type in ("accident_injury", "biomechanics_only")


def check_file_role(category: str, vehicle_role: str | None) -> str | None:
    """
    Return the vehicle role to send with a file of this category.

    :param category: ``vehicle_photo``, ``edr_document`` or ``tcr_document``.
    :param vehicle_role: ``plaintiff`` (also when ``None``) or ``defendant``; a police report
        (``tcr_document``) belongs to the case and takes none.
    :raises InvalidInputError: names ``category`` or ``vehicle_role``.
    """
    one_of("category", category, FILE_CATEGORIES)
    if category == "tcr_document":
        if vehicle_role is not None:
            raise InvalidInputError(
                "vehicle_role must not be given for a tcr_document: a police report belongs to the case.",
                parameter="vehicle_role",
            )
        return None
    return one_of("vehicle_role", "plaintiff" if vehicle_role is None else vehicle_role, VEHICLE_ROLES)


_OLD_CATEGORIES: Final = {
    "crash_analysis_plaintiff": "plaintiff",
    "crash_analysis_defendant": "defendant",
}
"""Categories of the older pages that name a vehicle; how they map to today's is not documented."""


def may_be_of(file: Mapping[str, Any], category: str, role: str | None) -> bool:
    """
    Whether the record of a file may be of a category and vehicle.

    What it does not say, or says in words that are not documented, contradicts nothing.

    :param file: as :meth:`SilentWitnessHook.list_files` returns it.
    :param role: as :func:`check_file_role` returns it.
    """
    told = file.get("file_category")
    if told in FILE_CATEGORIES and told != category:
        return False
    index = file.get("vehicle_index")
    told_role = _OLD_CATEGORIES.get(str(told)) if index is None else dict(enumerate(VEHICLE_ROLES)).get(index)
    return role is None or told_role in (role, None)


def check_accident(accident: Any) -> dict[str, Any]:
    """
    Return a copy of the accident: ``description``, ``date`` (YYYY-MM-DD), ``time`` (HH:MM), ``location``.

    :param accident: date and time may be objects, of which the rest is left out.
    :raises InvalidInputError: names the field.
    """
    checked = _object(accident, "accident")
    for name, kinds, notation in (("date", date, "%Y-%m-%d"), ("time", time | datetime, "%H:%M")):
        # pandas' NaT is a date, and equals nothing.
        if isinstance(value := checked.get(name), kinds) and value == value:
            checked[name] = value.strftime(notation)
    checked = dict(plain_json("accident", checked))
    _check_format(checked.get("date"), "accident.date", "a date as YYYY-MM-DD", DATE, date.fromisoformat)
    _check_format(checked.get("time"), "accident.time", "a time as HH:MM", TIME, time.fromisoformat)
    return checked


def check_vehicles(vehicles: Any) -> list[dict[str, Any]]:
    """
    Return a copy of the vehicles, each with a ``role`` and input names such as ``vehicle_maker``.

    :raises InvalidInputError: names the field.
    """
    checked = []
    for where, vehicle in _objects(vehicles, "vehicles"):
        one_of(f"{where}.role", vehicle.get("role"), VEHICLE_ROLES)
        if vehicle.get("airbag_deployed") is not None:
            one_of(f"{where}.airbag_deployed", vehicle["airbag_deployed"], AIRBAG_STATES)
        checked.append(vehicle)
    return checked


def check_occupants(occupants: Any, *, required: bool = False) -> list[dict[str, Any]]:
    """
    Return a copy of the occupants, each with the seven fields of :data:`OCCUPANT_FIELDS`.

    :param required: whether there must be at least one; see :func:`needs_occupants`.
    :raises InvalidInputError: names the field.
    """
    checked = []
    for where, occupant in _objects(occupants, "occupants"):
        for name in OCCUPANT_FIELDS:
            if occupant.get(name) in (None, ""):
                raise InvalidInputError(
                    f"{where}.{name} is missing; an occupant needs {', '.join(OCCUPANT_FIELDS)}.",
                    parameter=f"{where}.{name}",
                )
        for name in ("age", "height_inches", "weight_lbs"):
            occupant[name] = _count(f"{where}.{name}", occupant[name])
        worn = occupant["seatbelt_worn"]
        # Some databases have no booleans.
        occupant["seatbelt_worn"] = as_bool(f"{where}.seatbelt_worn", bool(worn) if worn in (0, 1) else worn)
        one_of(f"{where}.gender", occupant["gender"], GENDERS)
        one_of(f"{where}.position", occupant["position"], POSITIONS)
        if occupant.get("airbag_deployed") is not None:
            one_of(f"{where}.airbag_deployed", occupant["airbag_deployed"], AIRBAG_STATES)
        checked.append(occupant)
    if required and not checked:
        raise InvalidInputError(
            "occupants must name at least one person for an analysis with biomechanics.",
            parameter="occupants",
        )
    return checked


def _count(name: str, value: Any) -> int:
    """Return a whole number, which a template may have turned into text and a DataFrame into 34.0."""
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}(\.0)?", text) or not float(text):
        raise InvalidInputError(f"{name} must be a whole number above 0; got {value!r}.", parameter=name)
    return int(float(text))


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{name} must be an object; got {type(value).__name__}.", parameter=name)
    return dict(value)


def _objects(value: Any, name: str) -> list[tuple[str, dict[str, Any]]]:
    if value is None:
        return []
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise InvalidInputError(
            f"{name} must be a list of objects; got {type(value).__name__}.", parameter=name
        )
    rows = enumerate(plain_json(name, value))
    return [(f"{name}[{at}]", _object(item, f"{name}[{at}]")) for at, item in rows]


def _check_format(value: Any, name: str, expected: str, notation: re.Pattern[str], parse: Any) -> None:
    if value is None:
        return
    try:
        if not notation.fullmatch(value):
            raise ValueError
        parse(value)
    except (TypeError, ValueError):
        raise InvalidInputError(f"{name} must be {expected}; got {value!r}.", parameter=name) from None
