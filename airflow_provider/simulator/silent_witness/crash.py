"""Crash values, from the evidence: the same evidence gives the same values.

https://docs.staging.silentwitness.ai/api-reference/objects/crash-parameters
"""

from __future__ import annotations

import hashlib
from typing import Any

from airflow_provider.simulator.clock import stamp
from airflow_provider.simulator.silent_witness.model import Evidence, StoredFile

#: Demo data is the sample of the documentation.
_DEMO = {
    "delta_v_min": 8.5,
    "delta_v_max": 12.3,
    "delta_v_method": "ml",
    "pdof_degrees": 180,
    "crash_pulse_min_ms": 12,
    "crash_pulse_max_ms": 100,
}


def crash_parameters(evidence: Evidence, role: str, at: float) -> dict[str, Any] | None:
    """Delta-v, direction and pulse for the vehicle of one side; ``None`` without evidence on it."""
    if evidence.demo:
        return {**_DEMO, "calculated_at": stamp(at)}
    files = of_vehicle(evidence, role)
    if not files:
        return None
    edr = any(file.is_edr for file in files)
    photos = any(file.is_photo for file in files)
    digest = hashlib.sha256("".join(sorted(file.fingerprint for file in files)).encode()).digest()
    fastest = 5 + int.from_bytes(digest[:2], "big") % 400 / 10
    first = 8 + digest[2] % 20
    return {
        "delta_v_min": round(fastest * (0.55 + digest[3] % 30 / 100), 1),
        "delta_v_max": round(fastest, 1),
        "delta_v_method": "hybrid" if edr and photos else "edr" if edr else "ml",
        "pdof_degrees": int.from_bytes(digest[4:6], "big") % 360,
        "crash_pulse_min_ms": first,
        "crash_pulse_max_ms": first + 60 + digest[6] % 60,
        "calculated_at": stamp(at),
    }


def of_vehicle(evidence: Evidence, role: str) -> list[StoredFile]:
    """The files on one vehicle, as it was linked when the report was ordered."""
    vehicle = evidence.case.vehicle(role)
    if vehicle is None:
        return []
    linked = {*vehicle.image_file_ids, vehicle.edr_file_id}
    return [file for file in evidence.files if file.id in linked]


def direction(degrees: float) -> str:
    """A principal direction of force in words."""
    names = ("frontal", "right-side", "rear", "left-side")
    return names[int((degrees + 45) % 360 // 90)]
