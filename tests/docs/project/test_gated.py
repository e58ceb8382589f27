"""A user's test of their own Dag, as the documentation's first steps show it."""

from __future__ import annotations

from pathlib import Path

import pytest
from gated import gated

from airflow_provider.testing.services import SimulatedServices


@pytest.mark.parametrize(("text", "state"), [("A miracle cure.", "failed"), ("A nice drink.", "success")])
def test_claims_are_held_back(
    simulated_services: SimulatedServices, tmp_path: Path, text: str, state: str
) -> None:
    (tmp_path / "ad.txt").write_text(text)
    run = simulated_services.run(gated(), {"files": [str(tmp_path / "*.txt")]})
    assert run.state == state
