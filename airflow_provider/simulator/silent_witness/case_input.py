"""Checks of what is sent about a case: people, accident, vehicles, occupants."""

from __future__ import annotations

from datetime import date
from typing import Any

from airflow_provider.simulator.silent_witness.errors import Problem

SIDES = ("plaintiff", "defense")
ROLES = ("plaintiff", "defendant")
ANALYSIS_TYPES = ("accident_only", "accident_injury", "delta_v_only", "biomechanics_only")
BIOMECHANICS = ("accident_injury", "biomechanics_only")
STATUSES = ("active", "archived")
VEHICLE_TYPES = ("sedan", "suv", "truck", "van", "coupe", "compact", "motorcycle", "other")
AIRBAG_STATES = ("yes", "no", "partial", "unknown")
POSITIONS = ("driver", "front_passenger", "rear_left", "rear_center", "rear_right")
INJURIES = (
    "head_brain", "cervical_spine", "thoracic_spine", "lumbar_spine", "shoulder", "hip", "knee", "foot_ankle",
)  # fmt: skip
MAX_OCCUPANTS = 10

#: Input name to output name of the plain vehicle fields.
_VEHICLE_NAMES = {
    "vehicle_maker": "make",
    "vehicle_model": "model",
    "vehicle_year": "year",
    "vehicle_vin": "vin",
    "vehicle_type": "type",
}
_ACCIDENT = ("description", "date", "time", "location")


def text(data: dict[str, Any], name: str, required: bool = False) -> str | None:
    """A text field of a case."""
    value = data.get(name)
    if value is None or (required and value == ""):
        if required:
            raise Problem(400, "case_field_required", f"{name} is required", name)
        return None
    if not isinstance(value, str):
        raise _invalid(name, "must be a string")
    return value


def choice(data: dict[str, Any], name: str, allowed: tuple[str, ...]) -> str | None:
    """An enum field of a case."""
    value = text(data, name)
    if value is not None and value not in allowed:
        raise _invalid(name, f"must be one of {', '.join(allowed)}")
    return value


def accident(data: dict[str, Any]) -> dict[str, str]:
    """What is sent about the accident, nested or flat; only what is sent."""
    nested = data.get("accident")
    if nested is not None and not isinstance(nested, dict):
        raise _invalid("accident", "must be an object")
    sent: dict[str, str] = {}
    for name in _ACCIDENT:
        value = (nested or {}).get(name, data.get(f"accident_{name}"))
        if value is None:
            continue
        if not isinstance(value, str):
            raise _invalid(f"accident.{name}", "must be a string")
        sent[name] = value
    if sent.get("date"):
        try:
            date.fromisoformat(sent["date"])
        except ValueError:
            raise _invalid("accident.date", "must be a date, YYYY-MM-DD") from None
    return sent


def vehicles(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Vehicles in output names; only what is sent."""
    checked = []
    for sent in _objects(data, "vehicles"):
        role = sent.get("role")
        if role not in ROLES:
            raise Problem(400, "vehicle_role_invalid", f"role must be one of {', '.join(ROLES)}", "vehicles")
        vehicle: dict[str, Any] = {"role": role}
        for name, output in _VEHICLE_NAMES.items():
            if sent.get(name) is not None:
                vehicle[output] = str(sent[name])
        if vehicle.get("type", "other") not in VEHICLE_TYPES:
            raise _invalid("vehicles", f"vehicle_type must be one of {', '.join(VEHICLE_TYPES)}")
        if sent.get("deployed_airbags") is not None:
            vehicle["deployed_airbags"] = _texts(sent["deployed_airbags"], "vehicles", "deployed_airbags")
            vehicle["airbag_deployed"] = "yes" if vehicle["deployed_airbags"] else "no"
        if sent.get("airbag_deployed") is not None:
            if sent["airbag_deployed"] not in AIRBAG_STATES:
                raise _invalid("vehicles", f"airbag_deployed must be one of {', '.join(AIRBAG_STATES)}")
            vehicle["airbag_deployed"] = sent["airbag_deployed"]
        if "edr_file_id" in sent:
            vehicle["edr_file_id"] = sent["edr_file_id"]
        if sent.get("image_file_ids") is not None:
            vehicle["image_file_ids"] = _texts(sent["image_file_ids"], "vehicles", "image_file_ids")
        checked.append(vehicle)
    return checked


def occupants(data: dict[str, Any], strict_gender: bool) -> list[dict[str, Any]]:
    """Occupants, complete.

    :raises Problem: 400 ``occupant_field_required`` for a missing one of the seven fields.
    """
    sent = _objects(data, "occupants")
    if len(sent) > MAX_OCCUPANTS:
        raise Problem(
            400, "too_many_occupants", f"At most {MAX_OCCUPANTS} occupants are allowed", "occupants"
        )
    return [_occupant(one, strict_gender) for one in sent]


def _occupant(sent: dict[str, Any], strict_gender: bool) -> dict[str, Any]:
    genders = ("male", "female") if strict_gender else ("male", "female", "other")
    for name in ("name", "age", "gender", "height_inches", "weight_lbs", "position", "seatbelt_worn"):
        if sent.get(name) in (None, ""):
            raise Problem(400, "occupant_field_required", f"Occupant {name} is required", "occupants")
    for name in ("age", "height_inches", "weight_lbs"):
        value = sent[name]
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise _bad_occupant(f"{name} must be an integer above 0")
    for name, allowed in (("gender", genders), ("position", POSITIONS)):
        if sent[name] not in allowed:
            raise _bad_occupant(f"{name} must be one of {', '.join(allowed)}")
    if not isinstance(sent["seatbelt_worn"], bool):
        raise _bad_occupant("seatbelt_worn must be a boolean")
    injuries = sent.get("alleged_injuries") or []
    if not isinstance(injuries, list) or any(injury not in INJURIES for injury in injuries):
        raise _bad_occupant(f"alleged_injuries must be a list of {', '.join(INJURIES)}")
    airbag = sent.get("airbag_deployed")
    if airbag is not None and airbag not in AIRBAG_STATES:
        raise _bad_occupant(f"airbag_deployed must be one of {', '.join(AIRBAG_STATES)}")
    names = ("name", "age", "gender", "height_inches", "weight_lbs", "position", "seatbelt_worn")
    return {
        **{name: sent[name] for name in names},
        "alleged_injuries": injuries,
        "airbag_deployed": airbag,
        "pre_existing_conditions": sent.get("pre_existing_conditions"),
    }


def _objects(data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = data.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _invalid(name, "must be a list of objects")
    return value


def _texts(value: Any, param: str, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _invalid(param, f"{name} must be a list of strings")
    return list(value)


def _invalid(name: str, what: str) -> Problem:
    return Problem(400, "case_field_invalid", f"{name} {what}", name)


def _bad_occupant(what: str) -> Problem:
    return Problem(400, "occupant_field_invalid", f"Occupant {what}", "occupants")
