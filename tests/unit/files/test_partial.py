from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from airflow_provider.core.files.partial import Checkpoint, PartialFile
from airflow_provider.exceptions import InvalidInputError

BODY = b"0123456789" * 1000


def checkpoint(offset: int, body: bytes = BODY) -> Checkpoint:
    return Checkpoint('"e1"', len(BODY), offset, hashlib.sha256(body[:offset]).hexdigest())


def leave(target: Path, written: int, recorded: int) -> None:
    """A part as a killed process leaves it: written further than recorded."""
    part = PartialFile(str(target))
    part.recover()
    part.write(BODY[:recorded])
    part.save(checkpoint(recorded))
    part.write(BODY[recorded:written])
    part.close(keep=True)


def listing(folder: Path) -> set[str]:
    return set(os.listdir(folder))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "r.pdf"


def test_a_part_is_published_under_the_final_name_and_leaves_nothing_else(target: Path) -> None:
    part = PartialFile(str(target))
    part.recover()
    part.write(BODY)
    part.save(checkpoint(5000))
    assert listing(target.parent) == {".r.pdf.part", ".r.pdf.part.json"}
    assert part.publish(replace=False)
    part.close(keep=True)
    assert listing(target.parent) == {"r.pdf"}
    assert target.read_bytes() == BODY


def test_the_file_gets_the_permissions_of_any_new_file(target: Path) -> None:
    old = os.umask(0o027)
    try:
        part = PartialFile(str(target))
        part.publish(replace=True)
        part.close(keep=False)
    finally:
        os.umask(old)
    assert target.stat().st_mode & 0o777 == 0o640


def test_an_existing_target_is_replaced_only_on_demand(target: Path) -> None:
    target.write_bytes(b"old")
    part = PartialFile(str(target))
    part.write(b"new")
    assert not part.publish(replace=False)
    assert target.read_bytes() == b"old"
    assert part.publish(replace=True)
    part.close(keep=False)
    assert target.read_bytes() == b"new"


def test_a_target_that_appears_in_the_last_moment_is_not_replaced(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = PartialFile(str(target))
    part.write(b"new")
    target.write_bytes(b"old")
    monkeypatch.setattr("os.path.lexists", lambda path: False)
    part.publish(replace=False)
    part.close(keep=False)
    assert target.read_bytes() == b"old"


def test_a_disk_without_hard_links_is_fine(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, name: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    for expected in (True, False):
        part = PartialFile(str(target))
        part.write(b"new")
        assert part.publish(replace=False) is expected
        part.close(keep=False)
    assert listing(target.parent) == {"r.pdf"}


def test_a_part_is_continued_as_far_as_it_is_proven(target: Path) -> None:
    leave(target, written=7000, recorded=4000)
    part = PartialFile(str(target))
    digest, found = part.recover()
    assert (digest.size, found) == (4000, checkpoint(4000))
    part.write(BODY[4000:])
    part.publish(replace=False)
    part.close(keep=False)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("spoil", ["bytes", "shorter", "no sidecar", "garbage", "empty", "other shape"])
def test_a_part_that_proves_nothing_is_dropped(target: Path, spoil: str) -> None:
    leave(target, written=7000, recorded=4000)
    part_path, sidecar = target.parent / ".r.pdf.part", target.parent / ".r.pdf.part.json"
    if spoil == "bytes":
        part_path.write_bytes(b"\0" * 7000)
    elif spoil == "shorter":
        os.truncate(part_path, 3999)
    elif spoil == "no sidecar":
        sidecar.unlink()
    else:
        sidecar.write_text({"garbage": "{", "empty": "", "other shape": "[1]"}[spoil])
    part = PartialFile(str(target))
    digest, found = part.recover()
    assert (digest.size, found) == (0, None)
    assert part_path.stat().st_size == 0
    assert not sidecar.exists()
    part.close(keep=False)
    assert listing(target.parent) == set()


def test_a_record_that_was_cut_short_leaves_the_one_before(target: Path) -> None:
    leave(target, written=7000, recorded=4000)
    sidecar = target.parent / ".r.pdf.part.json"
    sidecar.write_text(sidecar.read_text() + '{"etag": "e1", "tot')
    part = PartialFile(str(target))
    assert part.recover()[0].size == 4000
    part.write(BODY[4000:6000])
    part.save(checkpoint(6000))
    part.close(keep=True)
    assert PartialFile(str(target)).recover()[0].size == 6000


def test_two_at_once_write_to_two_files(target: Path) -> None:
    one, two = PartialFile(str(target)), PartialFile(str(target))
    one.write(b"one")
    two.write(b"two two")
    assert one.path != two.path
    assert one.publish(replace=True)
    assert target.read_bytes() == b"one"
    assert two.publish(replace=True)
    assert target.read_bytes() == b"two two"
    one.close(keep=True)
    two.close(keep=True)
    assert listing(target.parent) == {"r.pdf"}


def test_the_second_of_two_does_not_continue_the_part_of_the_first(target: Path) -> None:
    leave(target, written=7000, recorded=4000)
    one, two = PartialFile(str(target)), PartialFile(str(target))
    assert two.recover()[0].size == 0
    assert one.recover()[0].size == 4000
    two.close(keep=True)
    one.close(keep=True)
    assert listing(target.parent) == {".r.pdf.part", ".r.pdf.part.json"}


def test_what_a_killed_second_left_is_swept_and_what_a_living_one_holds_is_not(target: Path) -> None:
    dead = target.parent / ".r.pdf.part.0123456789ab"
    dead.write_bytes(b"left")
    holder, living = PartialFile(str(target)), PartialFile(str(target))
    third = PartialFile(str(target))
    assert not dead.exists()
    assert os.path.exists(living.path)
    for part in (holder, living, third):
        part.close(keep=False)
    assert listing(target.parent) == set()


def test_a_part_that_is_a_symbolic_link_is_not_followed(target: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (target.parent / ".r.pdf.part").symlink_to(victim)
    with pytest.raises(InvalidInputError, match="symbolic link"):
        PartialFile(str(target))
    assert victim.read_text() == "precious"


def test_a_name_as_long_as_the_file_system_allows_has_room_for_its_part(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 251 + ".pdf")
    part = PartialFile(str(target))
    part.write(BODY)
    part.save(checkpoint(4000))
    assert part.publish(replace=False)
    part.close(keep=False)
    assert listing(tmp_path) == {target.name}


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_that_cannot_lock_gets_the_whole_file_and_no_litter(
    target: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(fd: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", refuse)
    one, two = PartialFile(str(target)), PartialFile(str(target))
    assert one.recover()[1] is None
    one.write(BODY)
    two.write(b"two")
    assert one.publish(replace=False)
    one.close(keep=True)
    two.close(keep=True)
    assert target.read_bytes() == BODY
    assert listing(target.parent) == {"r.pdf"}


def test_a_part_that_was_there_stays_when_its_lock_fails(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(target, written=7000, recorded=4000)

    def refuse(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", refuse)
        PartialFile(str(target)).close(keep=True)
    assert PartialFile(str(target)).recover()[0].size == 4000


def test_without_file_locks_every_part_has_a_name_of_its_own(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider.core.files.partial.fcntl", None)
    leave(target, written=7000, recorded=4000)
    assert listing(target.parent) == set()
    part = PartialFile(str(target))
    part.write(b"x")
    assert part.publish(replace=False)
    part.close(keep=True)
    assert listing(target.parent) == {"r.pdf"}
