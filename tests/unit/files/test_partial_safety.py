"""Parts in a folder that others may write to, and what a replaced file keeps."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider.core.files.atomic import write_atomic
from airflow_provider.core.files.locations import locate
from airflow_provider.core.files.partial import Checkpoint, PartialFile
from airflow_provider.exceptions import InvalidInputError

BODY = b"the report"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "r.pdf"


def write(target: Path, data: bytes = BODY) -> None:
    with write_atomic(locate(target)) as file:
        file.write(data)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_replaced_file_keeps_its_mode(target: Path) -> None:
    target.write_bytes(b"old")
    target.chmod(0o660)
    write(target)
    assert (target.read_bytes(), mode(target)) == (BODY, 0o660)


def test_a_group_that_cannot_be_given_does_not_pass_its_rights_to_another(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.write_bytes(b"old")
    target.chmod(0o664)
    found = os.stat

    def of_another_group(path: Any, **options: Any) -> Any:
        result = found(path, **options)
        if path != str(target):
            return result
        return SimpleNamespace(st_mode=result.st_mode, st_gid=result.st_gid + 1)

    def refuse(*arguments: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    part = PartialFile(str(target))
    part.write(BODY)
    with monkeypatch.context() as patch:
        patch.setattr("os.stat", of_another_group)
        patch.setattr("os.fchown", refuse)
        part.publish(replace=True)
    part.close(keep=False)
    assert mode(target) == 0o644


def test_the_group_of_a_replaced_file_is_kept(target: Path) -> None:
    others = [group for group in os.getgroups() if group != os.getegid()]
    if os.geteuid() == 0:
        others.append(4321)
    if not others:
        pytest.skip("this user is in one group only")
    target.write_bytes(b"old")
    os.chown(target, -1, others[0])
    write(target)
    assert (target.read_bytes(), target.stat().st_gid) == (BODY, others[0])


@pytest.mark.parametrize("there", [True, False])
def test_a_symbolic_link_stays_and_what_it_leads_to_is_written(
    target: Path, tmp_path: Path, there: bool
) -> None:
    real = tmp_path / "elsewhere" / "real.pdf"
    real.parent.mkdir()
    if there:
        real.write_bytes(b"old")
    target.symlink_to(real)
    write(target)
    assert target.is_symlink()
    assert real.read_bytes() == BODY
    assert os.listdir(real.parent) == ["real.pdf"]


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_what_is_no_regular_file_is_refused_and_left(target: Path, kind: str) -> None:
    # Never a device of this machine: without the check it would be replaced.
    if kind == "pipe":
        os.mkfifo(target)
    elif os.geteuid() == 0:
        os.mknod(target, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    else:
        pytest.skip("only root makes devices")
    before = target.stat()
    with pytest.raises(InvalidInputError, match="name a regular file"):
        write(target)
    assert (target.stat().st_ino, target.stat().st_mode) == (before.st_ino, before.st_mode)


def test_a_part_is_read_by_nobody_else_before_it_is_published(target: Path) -> None:
    part = PartialFile(str(target))
    part.recover()
    part.write(BODY)
    part.save(Checkpoint('"e1"', 100, 5, "x"))
    assert {path.name: mode(path) for path in target.parent.iterdir()} == {
        ".r.pdf.part": 0o600,
        ".r.pdf.part.json": 0o600,
    }
    part.close(keep=False)


@pytest.mark.parametrize("whose", ["other user", "second name", "pipe", "folder"])
def test_a_part_that_is_not_ours_is_not_adopted(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    planted = tmp_path / ".r.pdf.part"
    if whose == "pipe":
        os.mkfifo(planted)
    elif whose == "folder":
        planted.mkdir()
    else:
        planted.write_bytes(b"planted")
        planted.chmod(0o666)
    if whose == "second name":
        os.link(planted, tmp_path / "handle")
    elif whose == "other user":
        monkeypatch.setattr("os.geteuid", lambda: planted.stat().st_uid + 1)
    before = planted.lstat()
    write(target)
    assert target.read_bytes() == BODY
    assert target.stat().st_ino != before.st_ino
    assert (planted.lstat().st_ino, planted.lstat().st_size) == (before.st_ino, before.st_size)


@pytest.mark.parametrize("there", [True, False])
def test_the_record_beside_a_part_follows_no_link(target: Path, tmp_path: Path, there: bool) -> None:
    victim = tmp_path / "victim"
    if there:
        victim.write_text("precious")
    (tmp_path / ".r.pdf.part").write_bytes(b"")
    part = PartialFile(str(target))
    part.recover()
    (tmp_path / ".r.pdf.part.json").symlink_to(victim)
    part.write(BODY)
    part.save(Checkpoint('"e1"', 100, 5, "x"))
    assert part.publish(replace=False)
    part.close(keep=True)
    assert (victim.read_text() if there else victim.exists()) == ("precious" if there else False)
    assert target.read_bytes() == BODY


def test_the_record_of_somebody_else_proves_nothing(target: Path, tmp_path: Path) -> None:
    part = PartialFile(str(target))
    part.recover()
    part.write(BODY)
    part.save(Checkpoint('"e1"', 100, len(BODY), hashlib.sha256(BODY).hexdigest()))
    part.close(keep=True)
    os.link(tmp_path / ".r.pdf.part.json", tmp_path / "handle")
    assert PartialFile(str(target)).recover()[0].size == 0


@pytest.fixture
def share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares over SMB, gcsfuse and the like: all files belong to whoever has mounted it."""

    def refuse(fd: int, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 50_000)


@pytest.mark.usefixtures("share")
def test_a_share_whose_permissions_cannot_be_changed_is_written_to(target: Path) -> None:
    for body in (b"first", b"second"):
        write(target, body)
        assert target.read_bytes() == body
    assert os.listdir(target.parent) == [target.name]


@pytest.mark.usefixtures("share")
def test_a_part_that_nobody_can_take_again_is_not_left(target: Path) -> None:
    part = PartialFile(str(target))
    part.write(BODY)
    part.save(Checkpoint('"a"', 100, len(BODY), hashlib.sha256(BODY).hexdigest()))
    part.close(keep=True)
    assert os.listdir(target.parent) == []


def test_a_folder_that_may_be_written_to_and_not_read(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_file = os.open

    def refuse(path: Any, *options: Any) -> int:
        if path == str(target.parent):
            raise PermissionError(13, "Permission denied")
        return open_file(path, *options)

    monkeypatch.setattr(os, "open", refuse)
    write(target)
    assert target.read_bytes() == BODY
