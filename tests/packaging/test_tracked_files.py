"""What is committed works on any machine: it names no package index and no directory of somebody's own."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

# Put together from pieces, so that this file does not find itself.
INDEX_HOST = re.compile(
    "|".join(["py" + r"pi\.org", "python" + r"hosted\.org", r"--(?:extra-)?index" + "-url"])
)
OWN_DIRECTORY = re.compile(
    r"(?<![\w.:/-])/(?:" + "|".join(["home", "root", "Users", "work", "workspace"]) + r")/\w"
)


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """The content of every tracked text file, by path."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = {}
    for name in filter(None, listed.stdout.split("\0")):
        path = REPOSITORY / name
        if path.is_file():
            content = path.read_bytes()
            if b"\0" not in content:
                found[name] = content.decode("utf-8")
    return found


@pytest.mark.parametrize("pattern", [INDEX_HOST, OWN_DIRECTORY], ids=["package index", "own directory"])
def test_no_tracked_file_depends_on_a_place(texts: dict[str, str], pattern: re.Pattern[str]) -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_constraints_hold_names_and_versions_only(texts: dict[str, str]) -> None:
    line = re.compile(r"#.*|[a-z0-9._-]+==[\w.!+]+( ; .+)?", re.IGNORECASE)
    files = {name: text for name, text in texts.items() if name.startswith("constraints/")}
    assert len(files) >= 3
    for name, text in files.items():
        assert [each for each in text.splitlines() if not line.fullmatch(each)] == [], name
