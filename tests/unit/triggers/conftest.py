from __future__ import annotations

from tests.unit.triggers.virtual import fresh

__all__ = ["fresh"]
