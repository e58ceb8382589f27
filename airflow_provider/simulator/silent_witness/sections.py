"""The structured report: sections of Markdown and data (``api-reference/reports/get``)."""

from __future__ import annotations

from typing import Any

from airflow_provider.simulator.clock import stamp
from airflow_provider.simulator.silent_witness.case_input import BIOMECHANICS
from airflow_provider.simulator.silent_witness.crash import crash_parameters, direction
from airflow_provider.simulator.silent_witness.model import Report, StoredFile, Vehicle

SCHEMA_VERSION = "1.0"


def build_sections(report: Report) -> list[dict[str, Any]]:
    """All sections of a completed report."""
    case = report.evidence.case
    sections = [
        _section("header", case.name, _header(report)),
        _section("assignment", "Assignment", _assignment(report)),
        _section("accident", "Accident", _accident(report)),
        _section("evidence", "Evidence", _evidence(report.evidence.files)),
        _section(
            "vehicles", "Vehicles", "\n".join(f"- {describe_vehicle(vehicle)}" for vehicle in case.vehicles)
        ),
    ]
    crash = {vehicle.role: values for vehicle in case.vehicles if (values := _crash(report, vehicle.role))}
    if crash:
        sections.append(_section("crash_analysis", "Crash analysis", _crash_text(crash), crash))
    if case.analysis_type in BIOMECHANICS:
        sections.append(
            _section("biomechanics", "Biomechanics", _occupants(report), {"charts": _charts(report)})
        )
    sections.append(
        _section("opinions", "Opinions", "\n".join(f"{n}. {o}" for n, o in enumerate(opinions(report), 1)))
    )
    return sections


def opinions(report: Report) -> list[str]:
    """What the report concludes."""
    case = report.evidence.case
    said = []
    values = _crash(report, "plaintiff")
    if values and case.analysis_type != "biomechanics_only":
        said.append(
            f"The plaintiff vehicle underwent a {direction(values['pdof_degrees'])} impact with a delta-v of "
            f"{values['delta_v_min']} to {values['delta_v_max']} mph (PDOF {values['pdof_degrees']} degrees)."
        )
    if case.analysis_type in BIOMECHANICS:
        for occupant in case.occupants:
            injuries = ", ".join(occupant["alleged_injuries"]) or "no alleged injuries"
            belt = "belted" if occupant["seatbelt_worn"] else "unbelted"
            said.append(
                f"{occupant['name']} ({occupant['position']}, {belt}) was exposed to a neck load of "
                f"{_load(report, occupant)} N; alleged: {injuries}."
            )
    said.append(f"These opinions rest on {len(report.evidence.files)} file(s) of evidence.")
    return said


def describe_vehicle(vehicle: Vehicle) -> str:
    """One line on a vehicle."""
    facts = vehicle.facts
    name = (
        " ".join(str(facts[part]) for part in ("year", "make", "model") if facts.get(part))
        or "unknown vehicle"
    )
    vin = f", VIN {facts['vin']}" if facts.get("vin") else ""
    return f"{vehicle.role.capitalize()}: {name} ({facts.get('type') or 'type unknown'}{vin})"


def size_in_words(size: int) -> str:
    """``12,345 bytes``."""
    return f"{size:,} bytes"


def _section(kind: str, title: str, markdown: str, data: Any = None) -> dict[str, Any]:
    section = {"id": f"sec_{kind}", "type": kind, "title": title, "markdown": markdown}
    return section if data is None else {**section, "data": data}


def _header(report: Report) -> str:
    case = report.evidence.case
    return (
        f"# {case.name}\n\nPlaintiff: {case.plaintiff_name}  \nDefendant: {case.defendant_name}  \n"
        f"Attorney: {case.attorney_name}  \nReport: {report.id}  \nDate: {stamp(report.ends_at)}"
    )


def _assignment(report: Report) -> str:
    case = report.evidence.case
    demo = " The values are synthetic demo data." if report.evidence.demo else ""
    side = f"on behalf of the {case.side}"
    return f"Prepared for {case.attorney_name} {side}; analysis: {case.analysis_type}.{demo}"


def _accident(report: Report) -> str:
    accident = report.evidence.case.accident
    known = [name for name in ("date", "time", "location") if accident.get(name)]
    lines = [f"{name.capitalize()}: {accident[name]}" for name in known]
    tcr = [file.name for file in report.evidence.files if file.category == "tcr_document"]
    if tcr:
        lines.append(f"Traffic collision report: {', '.join(tcr)}")
    return "\n\n".join([*lines, accident.get("description") or "No description was given."])


def _evidence(files: list[StoredFile]) -> str:
    if not files:
        return "No evidence was uploaded."
    return "\n".join(f"- {file.name} ({file.category}, {size_in_words(file.size)})" for file in files)


def _crash(report: Report, role: str) -> dict[str, Any] | None:
    return crash_parameters(report.evidence, role, report.ends_at)


def _crash_text(crash: dict[str, dict[str, Any]]) -> str:
    return "\n".join(
        f"- {role.capitalize()}: delta-v {values['delta_v_min']} to {values['delta_v_max']} mph, "
        f"PDOF {values['pdof_degrees']} degrees, pulse {values['crash_pulse_min_ms']} to "
        f"{values['crash_pulse_max_ms']} ms (method: {values['delta_v_method']})"
        for role, values in crash.items()
    )


def _occupants(report: Report) -> str:
    return "\n".join(
        f"- {one['name']}, {one['age']}, {one['gender']}, {one['height_inches']} in, {one['weight_lbs']} lb, "
        f"{one['position']}, {'belted' if one['seatbelt_worn'] else 'unbelted'}"
        for one in report.evidence.case.occupants
    )


def _load(report: Report, occupant: dict[str, Any]) -> int:
    values = _crash(report, "plaintiff")
    speed: float = values["delta_v_max"] if values else 10.0
    weight: int = occupant["weight_lbs"]
    return round(speed * weight * (0.30 if occupant["seatbelt_worn"] else 0.45))


def _charts(report: Report) -> list[dict[str, Any]]:
    occupants = report.evidence.case.occupants
    return [
        {
            "chartType": "CERVICAL_COMPRESSION",
            "title": "Cervical compression",
            "labels": [one["name"] for one in occupants],
            "values": [_load(report, one) for one in occupants],
            "unit": "N",
        }
    ]
