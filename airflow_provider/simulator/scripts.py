"""Outcomes decided in advance for jobs to come."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from airflow_provider.simulator.keys import MEDIAMAGIC, SERVICES, SILENT_WITNESS

MATCHABLE = {
    MEDIAMAGIC: {"filename", "blob_path", "mime_type"},
    SILENT_WITNESS: {"case_id", "case_name", "plaintiff_name", "analysis_type"},
}
_OUTCOMES = {
    MEDIAMAGIC: {
        "duration",
        "asset_status",
        "error_message",
        "error_type",
        "is_retryable",
        "attempts_failing",
    },
    SILENT_WITNESS: {"duration", "status", "message"},
}


@dataclass(slots=True)
class Script:
    """One scripted outcome. A field that is ``None`` leaves the usual behaviour alone."""

    service: str
    match: dict[str, str] = field(default_factory=dict)
    #: how many jobs (assets) it is for; ``None`` is all
    times: int | None = None
    used: int = 0
    #: vendor seconds from creation to the terminal state
    duration: float | None = None
    #: Silent Witness: ``completed`` or ``failed``
    status: str | None = None
    #: Silent Witness: ``progress.message`` of the failure
    message: str | None = None
    #: MediaMagic: ``complete`` or ``failed``
    asset_status: str | None = None
    error_message: str | None = None
    error_type: str | None = None
    is_retryable: bool = True
    #: MediaMagic: how many attempts fail before one succeeds
    attempts_failing: int = 1


def parse_script(data: dict[str, Any]) -> Script:
    """A script as the control API writes it.

    :raises ValueError: it names something that does not exist.
    """
    service = data.get("service")
    if service not in SERVICES:
        raise ValueError(f"service is one of {', '.join(SERVICES)}")
    allowed = {"service", "match", "times"} | _OUTCOMES[service]
    unknown = set(data) - allowed
    if unknown:
        raise ValueError(
            f"unknown for {service}: {', '.join(sorted(unknown))}; known: {', '.join(sorted(allowed))}"
        )
    match = data.get("match") or {}
    unknown = set(match) - MATCHABLE[service]
    if unknown:
        raise ValueError(
            f"cannot match by {', '.join(sorted(unknown))}; by {', '.join(sorted(MATCHABLE[service]))}"
        )
    if data.get("status") not in (None, "completed", "failed"):
        raise ValueError("status is 'completed' or 'failed'")
    if data.get("asset_status") not in (None, "complete", "failed"):
        raise ValueError("asset_status is 'complete' or 'failed'")
    return Script(**{**data, "match": {name: str(glob) for name, glob in match.items()}})


class Scripts:
    """All scripts, oldest first; the first that fits a new job is used."""

    def __init__(self) -> None:
        self._scripts: list[Script] = []

    def add(self, script: Script) -> None:
        """Add one behind those that are there."""
        self._scripts.append(script)

    def clear(self) -> None:
        """Forget all."""
        self._scripts.clear()

    def pick(self, service: str, **facts: str) -> Script | None:
        """The outcome for a new job with these properties; counts as used."""
        for script in self._scripts:
            if script.service != service or (script.times is not None and script.used >= script.times):
                continue
            if all(fnmatchcase(facts[name], glob) for name, glob in script.match.items()):
                script.used += 1
                return script
        return None
