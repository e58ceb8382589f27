"""What the simulator does where the documentation of the vendors says nothing."""

from __future__ import annotations

ASSUMPTIONS: dict[str, list[str]] = {"both": [], "MediaMagic": [], "Silent Witness": []}
