"""What is installed for development is pinned, and runs nothing while it is installed."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_nothing_is_installed_by_npm_but_the_lock_file_without_scripts() -> None:
    found = []
    for path in _tracked():
        if path == Path(__file__) or path.suffix in (".md", ".png", ".json"):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += re.findall(r"(?m)^\s*(?:npx|npm (?:i|install|ci|exec)) .*$", text)
        assert "unsafe-best-match" not in text, path
    assert [line.split()[:2] for line in found] == [["npm", "ci"]]
    assert all("--ignore-scripts" in line for line in found)


def test_every_locked_package_has_its_hash_and_no_address() -> None:
    lock = json.loads((ROOT / "tests/service/files/azurite/package-lock.json").read_text())
    for name, package in lock["packages"].items():
        if name:
            assert package["integrity"].startswith("sha512-"), name
            assert "resolved" not in package, name
