"""Two tasks, one target: each ends with the whole file or a clear error, and nothing is left over."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from airflow_provider.core.files.download import download
from airflow_provider.exceptions import TransferError
from tests.service.files.origin import Fault, Origin

BODY = bytes(range(256)) * 8192


def run(origin: Origin, target: Path, names: list[str], *, overwrite: bool) -> list[str]:
    """Download all at once, each holding half of its body before any may go on."""
    meet = threading.Barrier(len(names))

    def gate(sent: int) -> None:
        if sent == 1024 * 1024:
            meet.wait(60)

    origin.faults = [Fault(gate=gate) for _ in names]

    def one(name: str) -> str:
        try:
            download(
                requests.Session(), lambda: origin.link(name), target, expected_type=None, overwrite=overwrite
            )
        except TransferError as error:
            return str(error)
        return "done"

    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(one, names))


def test_the_same_file_twice_at_once(origin: Origin, tmp_path: Path) -> None:
    origin.put("a", BODY)
    assert run(origin, tmp_path / "r", ["a", "a", "a"], overwrite=False) == ["done"] * 3
    assert (tmp_path / "r").read_bytes() == BODY
    assert os.listdir(tmp_path) == ["r"]


def test_two_files_for_one_target_with_overwrite(origin: Origin, tmp_path: Path) -> None:
    origin.put("a", BODY)
    origin.put("b", BODY[::-1])
    assert run(origin, tmp_path / "r", ["a", "b"], overwrite=True) == ["done"] * 2
    assert (tmp_path / "r").read_bytes() in (BODY, BODY[::-1])
    assert os.listdir(tmp_path) == ["r"]


def test_two_files_for_one_target_without_overwrite(origin: Origin, tmp_path: Path) -> None:
    origin.put("a", BODY)
    origin.put("b", BODY[::-1])
    first, second = sorted(run(origin, tmp_path / "r", ["a", "b"], overwrite=False), key=len)
    assert first == "done"
    assert "holds other content" in second
    assert (tmp_path / "r").read_bytes() in (BODY, BODY[::-1])
    assert os.listdir(tmp_path) == ["r"]
