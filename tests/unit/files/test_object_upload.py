"""
Uploads of stores that commit at ``close()``: an abandoned one must never be committed, not even by the
collector.
"""

from __future__ import annotations

import gc
import tempfile
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem  # type: ignore[import-untyped]

from airflow_provider.core.files.atomic import open_atomic, write_atomic
from airflow_provider.core.files.locations import Location, locate
from airflow_provider.core.files.object_upload import ObjectUpload
from airflow_provider.exceptions import TransferError


class BlobFile(AbstractBufferedFile):
    """Behaves as adlfs does: ``discard()`` does nothing, ``close()`` commits what there is."""

    def _initiate_upload(self) -> None:
        self.staged = b""

    def _upload_chunk(self, final: bool = False) -> bool:
        if self.fs.broken:
            raise RuntimeError("Failed to upload block: 503")
        self.staged += self.buffer.getvalue()
        if final:
            self.fs.blobs[self.path] = self.staged
        return True


class BlobStore(AbstractFileSystem):
    protocol = "abfs"
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.blobs: dict[str, bytes] = {}
        self.broken = False

    def _open(self, path: str, mode: str = "rb", **options: Any) -> BlobFile:
        options.pop("cache_options", None)
        return BlobFile(self, path, mode, **options)

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        if path not in self.blobs:
            raise FileNotFoundError(path)
        return {"name": path, "type": "file", "size": len(self.blobs[path])}


@pytest.fixture
def store() -> BlobStore:
    return BlobStore()


@pytest.fixture
def location(store: BlobStore) -> Location:
    return Location("abfs://conn@box/a", "box/a", store)


def test_what_is_committed_is_visible_and_only_then(store: BlobStore, location: Location) -> None:
    writer = ObjectUpload(location)
    writer.write(b"x" * 20_000_000)
    assert store.blobs == {}
    writer.commit()
    assert store.blobs == {"box/a": b"x" * 20_000_000}


def test_what_is_discarded_is_not_committed_by_the_collector(store: BlobStore, location: Location) -> None:
    writer = ObjectUpload(location)
    writer.write(b"x" * 20_000_000)
    writer.discard()
    del writer
    gc.collect()
    assert store.blobs == {}


def test_a_block_that_is_left_by_an_error_commits_nothing(store: BlobStore, location: Location) -> None:
    def broken_off() -> None:
        with write_atomic(location) as whole:
            whole.write(b"half of it")
            raise LookupError("page 2")

    with pytest.raises(LookupError, match="page 2"):
        broken_off()
    gc.collect()
    assert store.blobs == {}


def test_a_commit_that_fails_is_an_error_and_leaves_nothing(store: BlobStore, location: Location) -> None:
    writer = ObjectUpload(location)
    writer.write(b"x")
    store.broken = True
    with pytest.raises(TransferError, match=r"abfs://conn@box/a: RuntimeError: Failed to upload block"):
        writer.commit()
    store.broken = False
    del writer
    gc.collect()
    assert store.blobs == {}


def test_a_store_that_shows_files_while_they_grow_gets_a_temporary_name() -> None:
    memory = MemoryFileSystem()
    memory.store.clear()
    writer = ObjectUpload(Location("memory://box/a", "/box/a", memory))
    writer.write(b"half")
    assert "/box/a" not in memory.store
    writer.write(b" whole")
    writer.commit()
    assert [(name, file.getvalue()) for name, file in memory.store.items()] == [("/box/a", b"half whole")]
    memory.store.clear()


def test_a_temporary_name_is_removed_when_it_is_discarded() -> None:
    memory = MemoryFileSystem()
    memory.store.clear()
    writer = ObjectUpload(Location("memory://box/a", "/box/a", memory))
    writer.write(b"half")
    writer.discard()
    assert memory.store == {}


def test_a_worker_without_a_place_for_temporary_files_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The root file system of a pod may be read-only, ``/tmp`` included."""

    def none() -> Any:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/var/tmp']")

    monkeypatch.setattr(tempfile, "TemporaryFile", none)
    with pytest.raises(
        TransferError, match=r"temporary file for memory://r\.docx: .*No usable temporary dir"
    ):
        open_atomic(locate("memory://r.docx"), readable=True)


@pytest.fixture(
    params=[PermissionError("Forbidden"), OSError("Forbidden: http://b/o/r\nor it may not exist")]
)
def hidden(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MemoryFileSystem:
    """A store without the permission to look: it says 403, and not 404, of what is not there."""
    store = MemoryFileSystem()
    store.store.clear()
    monkeypatch.setattr(MemoryFileSystem, "protocol", ("memory", "s3"))  # written to directly
    info = MemoryFileSystem.info

    def refuse(fs: MemoryFileSystem, path: str, **options: Any) -> Any:
        try:
            return info(fs, path, **options)
        except FileNotFoundError:
            raise request.param from None

    monkeypatch.setattr(MemoryFileSystem, "info", refuse)
    return store


def test_a_store_that_hides_what_is_missing_is_written_to_where_that_may_be_replaced(
    hidden: MemoryFileSystem,
) -> None:
    location = locate("memory://out/rows.jsonl")
    for body in (b"first", b"second"):
        with write_atomic(location) as file:
            file.write(body)
        assert hidden.cat_file("/out/rows.jsonl") == body


def test_and_says_why_not_where_it_may_not(hidden: MemoryFileSystem) -> None:
    with (
        pytest.raises(TransferError, match=r"cannot look at memory://out/r\.pdf: Forbidden.* Stores say so"),
        write_atomic(locate("memory://out/r.pdf"), overwrite=False),
    ):
        pass
    assert not hidden.store
