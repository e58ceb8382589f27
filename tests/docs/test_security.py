"""Every promise in SECURITY.md names tests that hold it, and they exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def _section(title: str) -> str:
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


SENDERS = [line for line in _section("Who can send what").splitlines() if line.startswith("| ")][1:]
PROMISES = _section("What the package promises").split("\n- ")[1:]


@pytest.mark.parametrize("claim", [*SENDERS, *PROMISES], ids=lambda claim: claim[:40].strip("| "))
def test_every_claim_is_held_by_tests_that_exist(claim: str) -> None:
    named = NAMED.findall(claim)
    assert named
    for path, name in named:
        assert re.search(rf"(?m)^ *(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8")), name


def test_both_lists_are_found() -> None:
    assert len(SENDERS) >= 6
    assert len(PROMISES) >= 10
