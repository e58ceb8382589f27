"""Uploads, assets, submissions: what is stored, and what state a moment finds it in.

States are computed from the clock when somebody asks; nothing runs in the background.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider.simulator.mediamagic.findings import Finding

#: Content types and the largest size of each category (``/concepts/uploads``), in binary units.
CATEGORIES: dict[str, tuple[int, tuple[str, ...]]] = {
    "video": (5 * 1024**3, ("video/mp4", "video/quicktime", "video/x-msvideo", "video/x-matroska")),
    "audio": (500 * 1024**2, ("audio/mpeg", "audio/wav", "audio/x-wav", "audio/aac", "audio/ogg")),
    "image": (50 * 1024**2, ("image/jpeg", "image/png", "image/gif", "image/webp", "image/svg+xml")),
    "document": (
        100 * 1024**2,
        (
            "application/pdf",
            "application/msword",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "text/plain",
        ),
    ),
}
CATEGORY_OF = {kind: name for name, (_, kinds) in CATEGORIES.items() for kind in kinds}


@dataclass(slots=True)
class Upload:
    """A blob, from the moment its path is given out."""

    blob_path: str
    path: Path
    filename: str
    content_type: str
    workspace_id: str
    #: ``None`` until the bytes are there
    size: int | None = None
    submitted: bool = False


@dataclass(slots=True)
class Attempt:
    """One run over an asset."""

    started_at: float
    ends_at: float
    fails: bool


@dataclass(slots=True)
class Asset:
    """One file of a submission."""

    id: str
    version_group_id: str
    version_number: int
    upload: Upload
    fingerprint: str
    attempts: list[Attempt]
    attempts_failing: int = 0
    error_message: str = "Asset processing failed"
    error_type: str = "processing_error"
    retryable: bool = True
    findings: list[Finding] | None = None

    @property
    def retry_count(self) -> int:
        """How often it was retried."""
        return len(self.attempts) - 1

    @property
    def ends_at(self) -> float:
        """When the latest attempt is over."""
        return self.attempts[-1].ends_at

    def status(self, now: float) -> str:
        """``processing``, ``complete`` or ``failed``."""
        if now < self.ends_at:
            return "processing"
        return "failed" if self.attempts[-1].fails else "complete"


@dataclass(slots=True)
class Submission:
    """A set of assets under review."""

    id: str
    workflow_id: str
    workspace_id: str
    key_hash: str
    sandbox: bool
    created_at: float
    #: until then it is ``submitted``
    queued_until: float
    assets: list[Asset]
    sidekick_ids: list[str]
    metadata: dict[str, object]
    #: the answer once nothing changes any more
    final: bytes | None = field(default=None, repr=False)
    #: what it is shown as until a moment, whatever it is
    stale: tuple[bytes, float] = field(default=(b"", 0.0), repr=False)

    @property
    def ends_at(self) -> float:
        """When its last asset is over."""
        return max(asset.ends_at for asset in self.assets)

    def status(self, now: float) -> str:
        """``submitted``, ``processing``, ``complete`` or ``failed``."""
        if now < self.ends_at:
            return "submitted" if now < self.queued_until else "processing"
        return "failed" if any(asset.attempts[-1].fails for asset in self.assets) else "complete"

    def progress(self, now: float) -> int:
        """Percent, rising; 100 only when it is over."""
        ends_at = self.ends_at
        if now >= ends_at:
            return 100
        if now < self.queued_until:
            return 0
        started = max(self.queued_until, max(asset.attempts[-1].started_at for asset in self.assets))
        return 5 + int(90 * (now - started) / max(ends_at - started, 1e-9))

    def asset(self, asset_id: str) -> Asset | None:
        """One of its assets."""
        return next((asset for asset in self.assets if asset.id == asset_id), None)
