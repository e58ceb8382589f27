"""Cases, files, reports: what is stored, and what state a moment finds a report in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STARTING = "Starting analysis..."
_MESSAGES = {
    "delta_v_calculation": "Calculating delta-v from damage photos...",
    "biomechanics_analysis": "Running biomechanics analysis...",
    "report_generation": "Analysis complete. Building report documents...",
}
#: The share of the time after which the documents are built.
_BUILDING = 0.75


@dataclass(slots=True)
class StoredFile:
    """An uploaded piece of evidence."""

    id: str
    case_id: str
    account_id: str
    name: str
    size: int
    type: str
    category: str
    #: ``None`` for what belongs to the case as a whole
    role: str | None
    path: Path
    fingerprint: str
    created_at: float
    ready_at: float

    def status(self, now: float) -> str:
        """``processing`` or ``ready``."""
        return "ready" if now >= self.ready_at else "processing"

    @property
    def is_photo(self) -> bool:
        """Whether it shows damage."""
        return self.type.startswith("image/") and self.role is not None

    @property
    def is_edr(self) -> bool:
        """Whether it is a vehicle's EDR report."""
        return self.type == "application/pdf" and self.role is not None


@dataclass(slots=True)
class Vehicle:
    """A vehicle; ``facts`` are the plain output fields that were sent."""

    id: str
    role: str
    facts: dict[str, Any] = field(default_factory=dict)
    edr_file_id: str | None = None
    image_file_ids: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Case:
    """A case."""

    id: str
    account_id: str
    key_hash: str
    name: str
    plaintiff_name: str
    defendant_name: str
    attorney_name: str
    side: str
    analysis_type: str
    organization_id: str | None
    created_at: float
    updated_at: float
    accident: dict[str, str]
    status: str = "active"
    vehicles: list[Vehicle] = field(default_factory=list)
    occupants: list[dict[str, Any]] = field(default_factory=list)
    file_ids: list[str] = field(default_factory=list)
    report_ids: list[str] = field(default_factory=list)

    def vehicle(self, role: str) -> Vehicle | None:
        """The vehicle of one side."""
        return next((vehicle for vehicle in self.vehicles if vehicle.role == role), None)


@dataclass(slots=True)
class Evidence:
    """The case as it was when a report was ordered."""

    case: Case
    files: list[StoredFile]
    demo: bool


@dataclass(slots=True)
class Report:
    """A report in the making."""

    id: str
    case_id: str
    account_id: str
    created_at: float
    pending_until: float
    ends_at: float
    steps: tuple[str, ...]
    evidence: Evidence
    #: why it will fail, if it will
    failure: str | None = None
    cancelled_at: float | None = None
    #: built when first asked for
    sections: list[dict[str, Any]] | None = None

    @property
    def finished_at(self) -> float:
        """When it is or will be over."""
        return self.ends_at if self.cancelled_at is None else self.cancelled_at

    def status(self, now: float) -> str:
        """``pending``, ``processing``, ``completed``, ``failed`` or ``cancelled``."""
        if self.cancelled_at is not None:
            return "cancelled"
        if now < self.pending_until:
            return "pending"
        if now < self.ends_at:
            return "processing"
        return "failed" if self.failure else "completed"

    def progress(self, now: float, status: str) -> dict[str, Any]:
        """Message and steps (https://docs.silentwitness.ai/guides/polling-best-practices)."""
        if status == "cancelled":
            return {"message": "Report generation cancelled", "current_step": None, "steps_completed": []}
        if status == "completed":
            return {
                "message": "Report generation complete",
                "current_step": None,
                "steps_completed": [*self.steps],
            }
        if status == "failed":
            return {"message": self.failure, "current_step": None, "steps_completed": []}
        if status == "pending":
            return {"message": STARTING, "current_step": self.steps[0], "steps_completed": []}
        done = (now - self.pending_until) / max(self.ends_at - self.pending_until, 1e-9)
        analyses = len(self.steps) - 1
        position = analyses if done >= _BUILDING else int(done / _BUILDING * analyses)
        step = self.steps[position]
        # The first message is seen in `processing` too.
        message = STARTING if done < _BUILDING / analyses / 2 else _MESSAGES[step]
        return {"message": message, "current_step": step, "steps_completed": [*self.steps[:position]]}
