from __future__ import annotations

import os
from pathlib import Path

import pytest
from airflow.sdk import ObjectStoragePath
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airflow_provider.core.files.locations import (
    MAX_NAME_BYTES,
    path_text,
    probe_writable,
    safe_name,
    target_path,
)
from airflow_provider.exceptions import InvalidInputError


@pytest.mark.parametrize(
    "name",
    [
        "../x.pdf",
        "..",
        "a/../../x.pdf",
        "..\\x.pdf",
        "a\\..\\x",
        "/etc/passwd",
        "\\\\host\\share",
        "C:evil.pdf",
        "c:\\evil.pdf",
        "a\0b.pdf",
        "",
        ".",
        "...",
        "   ",
        "  .pdf",
        "\u3000.pdf",
    ],
)
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    for folder in (str(tmp_path), "memory://out"):
        with pytest.raises(InvalidInputError, match="filename:"):
            target_path(folder, name)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("Fall 7 – Übersicht.pdf", "Fall 7 – Übersicht.pdf"),
        ("a/b.pdf", "a_b.pdf"),
        ("a\\b.pdf", "a_b.pdf"),
        ("a\r\nb\x1b[31m.pdf", "a__b_[31m.pdf"),
        ("gpj\u202efdp.exe", "gpj_fdp.exe"),
        ('a"b*c?.pdf', "a_b_c_.pdf"),
        (".bashrc", "bashrc"),
        ("report.pdf. ", "report.pdf"),
        ("a..b.pdf", "a..b.pdf"),
        (" a.pdf", "a.pdf"),
        ("half \ud83d.pdf", "half _.pdf"),
    ],
)
def test_a_strange_name_becomes_one_plain_component(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_two_ways_to_write_one_name_give_one_file() -> None:
    assert safe_name("Übersicht.pdf") == safe_name("U\u0308bersicht.pdf")


def test_an_over_long_name_is_cut_keeps_its_suffix_and_stays_unique() -> None:
    one, two = safe_name("ä" * 300 + "1.pdf"), safe_name("ä" * 300 + "2.pdf")
    assert one != two
    for name in (one, two):
        assert len(name.encode()) <= MAX_NAME_BYTES
        assert name.endswith(".pdf")


def test_a_target_is_directly_in_its_folder(tmp_path: Path) -> None:
    assert target_path(tmp_path, "a.pdf") == f"{tmp_path}/a.pdf"
    assert target_path("s3://bucket/out/", "a.pdf", conn_id=None) == "s3://bucket/out/a.pdf"
    assert target_path("memory://out", "a.pdf") == "memory://out/a.pdf"


def test_a_symbolic_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.pdf").symlink_to(tmp_path / "elsewhere.pdf")
    (folder / "b.pdf").symlink_to(folder / "real.pdf")
    with pytest.raises(InvalidInputError, match="symbolic link that leads out of its folder"):
        target_path(folder, "a.pdf")
    assert target_path(folder, "b.pdf") == f"{folder}/b.pdf"


def test_a_folder_that_is_itself_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert target_path(tmp_path / "link", "a.pdf") == f"{tmp_path}/link/a.pdf"


def test_a_probe_creates_the_folder_and_leaves_nothing_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "deeper"
    probe_writable(folder)
    assert os.listdir(folder) == []


def test_a_probe_of_a_store_leaves_nothing() -> None:
    MemoryFileSystem.store.clear()
    probe_writable("memory://out")
    assert MemoryFileSystem.store == {}


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidInputError, match=r"output: .*/file.* cannot be written to"):
        probe_writable(tmp_path / "file", argument="output")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InvalidInputError, match="Permission denied"):
        probe_writable(tmp_path / "out")


def test_a_folder_on_a_read_only_file_system_is_named() -> None:
    with pytest.raises(InvalidInputError, match="output: /proc/nope cannot be written to"):
        probe_writable("/proc/nope", argument="output")


def test_a_store_that_lets_write_but_not_remove_is_good_enough(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def denied(self: MemoryFileSystem, path: str) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(MemoryFileSystem, "rm_file", denied)
    probe_writable("memory://out")
    assert "cannot be removed" in caplog.text
    MemoryFileSystem.store.clear()


@pytest.mark.parametrize("value", ["/data/out", Path("/data/out"), ObjectStoragePath("file:///data/out")])
def test_every_way_to_write_a_path_is_one_text(value: object) -> None:
    assert path_text("output_path", value) == "/data/out"


def test_an_object_storage_path_keeps_its_connection() -> None:
    path = ObjectStoragePath("s3://bucket/out/a b", conn_id="files_s3")
    assert path_text("output_path", path) == "s3://files_s3@bucket/out/a b"


@pytest.mark.parametrize("value", [None, 7, "", "  ", b"/data", "a\0b", "caf\udce9", ["/data"]])
def test_what_is_no_path_is_refused_by_name_of_the_argument(value: object) -> None:
    with pytest.raises(InvalidInputError, match=r"^output_path: ") as caught:
        path_text("output_path", value)
    assert caught.value.parameter == "output_path"
    assert str(caught.value).encode()
