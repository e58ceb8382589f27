from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airflow_provider.core.files.sources import Limits, check_limits, resolve_sources
from airflow_provider.exceptions import InvalidInputError, TransferError
from tests.unit.files.samples import SAMPLES

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(SAMPLES.get(Path(name).name, (b"content", ""))[0])
        return path

    return make


@pytest.fixture
def store() -> Iterator[MemoryFileSystem]:
    store = MemoryFileSystem()
    store.store.clear()
    store.pipe_file("/in/b.txt", b"b")
    store.pipe_file("/in/a.txt", b"aa")
    yield store
    store.store.clear()


def names(files: Any, **more: Any) -> list[str]:
    return [source.name for source in resolve_sources(files, **more)]


def test_order_is_kept_and_doubles_are_taken_once(write: Write) -> None:
    one, two = write("z.txt"), write("a.txt")
    assert names([one, str(two), f"file://{one}", str(one)]) == ["z.txt", "a.txt"]


def test_a_glob_is_sorted_and_takes_files_only(write: Write, tmp_path: Path) -> None:
    for name in ("in/c.txt", "in/a.txt", "in/b.txt", "in/folder/deep.txt"):
        write(name)
    assert names([f"{tmp_path}/in/*"]) == ["a.txt", "b.txt", "c.txt"]
    assert names([f"{tmp_path}/in/**/*.txt"]) == ["a.txt", "b.txt", "c.txt", "deep.txt"]


def test_a_folder_that_links_back_gives_each_file_once(write: Write, tmp_path: Path) -> None:
    write("a.txt"), write("in/b.txt")
    (tmp_path / "in" / "up").symlink_to("..")
    (tmp_path / "another").symlink_to("in")
    found = resolve_sources([f"{tmp_path}/**/*.txt"])
    assert [source.path for source in found] == [f"{tmp_path}/a.txt", f"{tmp_path}/in/b.txt"]


def test_two_stars_stand_for_folders_of_any_depth_without_hidden_ones(write: Write, tmp_path: Path) -> None:
    for name in ("x/c.txt", "x/y/x/a.txt", "x/y/b.txt", "x/.old/d.txt", "x/.e.txt"):
        write(name)
    for pattern in ("x/**/*.txt", "x/**", "**/x/**/*.txt", "**/x/**"):
        assert sorted(names([f"{tmp_path}/{pattern}"])) == ["a.txt", "b.txt", "c.txt"], pattern
    assert names([f"{tmp_path}/x/**.txt"]) == ["c.txt"]


def test_a_link_that_leads_to_itself_is_no_file(write: Write, tmp_path: Path) -> None:
    write("a.txt")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    assert names([f"{tmp_path}/*.txt"]) == ["a.txt"]
    for named in ("loop.txt", "x" * 300):
        with pytest.raises(InvalidInputError, match=f"{named} does not exist"):
            names([tmp_path / named])


def test_a_file_with_brackets_in_its_name_is_not_a_glob(write: Write) -> None:
    path = write("shot[1].png")
    assert names([str(path)]) == ["shot[1].png"]


def test_stores_are_read_like_disks(store: MemoryFileSystem) -> None:
    found = resolve_sources(["memory://in/b.txt", "memory://in/*.txt"])
    assert [(source.path, source.size) for source in found] == [
        ("memory://in/b.txt", 1),
        ("memory://in/a.txt", 2),
    ]
    with found[1].open() as stream:
        stream.seek(1)
        assert stream.read() == b"a"


def test_a_star_stands_for_no_hidden_file_of_a_store(store: MemoryFileSystem) -> None:
    """Such as one that a task is writing just now, beside its target."""
    for key in ("in/.DS_Store", "in/.c.txt.0a1b.part", "in/.old/d.txt", "in/y/e.txt"):
        store.pipe_file(f"/{key}", b"text")
    assert names(["memory://in/*"]) == ["a.txt", "b.txt"]
    assert names(["memory://in/**"]) == ["a.txt", "b.txt", "e.txt"]
    assert names(["memory://in/**/*.txt"]) == ["a.txt", "b.txt", "e.txt"]
    assert names(["memory://in/.D*"]) == [".DS_Store"]
    assert names(["memory://in/.old/*"]) == ["d.txt"]


@pytest.mark.parametrize("url", ["s3://AKIA:hidden@bucket/a.txt", "s3://AKIA:hid/den+x=@bucket/*"])
def test_a_secret_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidInputError, match=r"Only the id of an Airflow connection") as caught:
        resolve_sources([url])
    assert "hid" not in str(caught.value)
    assert "AKIA" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["abfs", "abfss", "wasbs"])
def test_a_container_is_not_taken_for_a_connection(scheme: str) -> None:
    with pytest.raises(InvalidInputError, match=r"connection.* before the @: abfs://conn_id@media/key"):
        resolve_sources([f"{scheme}://media@account.dfs.core.windows.net/spots/a.txt"])


@pytest.mark.parametrize("url", ["memory://host:9000/a.txt", "memory://in/a:b@c.txt"])
def test_a_port_and_what_stands_in_a_key_are_no_secret(store: MemoryFileSystem, url: str) -> None:
    store.pipe_file("/" + url.removeprefix("memory://"), b"text")
    assert names([url]) == [url.rpartition("/")[2]]


def test_braces_are_no_pattern_and_the_error_says_so(write: Write, tmp_path: Path) -> None:
    write("a.txt")
    with pytest.raises(
        InvalidInputError, match=r"no file matches .*\*\.\{txt,md\}\. Braces stand for themselves"
    ):
        names([f"{tmp_path}/*.{{txt,md}}"])
    write("b{1}.txt")
    assert names([f"{tmp_path}/b{{1}}.*"]) == ["b{1}.txt"]


def test_brackets_of_a_name_in_a_pattern_are_written_as_the_error_says(write: Write, tmp_path: Path) -> None:
    write("[final] a.txt")
    with pytest.raises(InvalidInputError, match=r"write \[\[\] for a bracket in a name"):
        names([f"{tmp_path}/[final]*.txt"])
    assert names([f"{tmp_path}/[[]final]*.txt"]) == ["[final] a.txt"]


def test_files_of_a_set_have_one_order(write: Write) -> None:
    paths = [str(write(f"{number}.txt")) for number in range(20)]
    assert [source.path for source in resolve_sources(set(paths))] == sorted(paths)


@pytest.mark.parametrize("iterator", [iter, lambda paths: map(str, paths), lambda paths: (p for p in paths)])
def test_what_can_be_read_only_once_is_no_list(write: Write, iterator: Callable[[Any], Any]) -> None:
    with pytest.raises(InvalidInputError, match=r"only once: make a list of it, with list"):
        resolve_sources(iterator([write("a.txt")]))


def test_object_storage_paths_and_manifests_are_taken(write: Write) -> None:
    path = write("report.pdf")
    sources = resolve_sources([ObjectStoragePath(f"file://{path}"), {"path": str(path), "sha256": "x"}])
    assert [(source.path, source.media_type) for source in sources] == [(str(path), "application/pdf")]


def test_an_object_storage_path_of_a_store_that_airflow_does_not_know_is_taken(
    store: MemoryFileSystem,
) -> None:
    found = resolve_sources([ObjectStoragePath("memory://in/b.txt"), "memory://in/b.txt"])
    assert [source.path for source in found] == ["memory://in/b.txt"]


def test_a_file_that_appeared_since_the_last_listing_is_found(store: MemoryFileSystem) -> None:
    assert len(resolve_sources(["memory://in/*"])) == 2
    store.pipe_file("/in/c.txt", b"c")
    assert len(resolve_sources(["memory://in/*"])) == 3


@pytest.mark.parametrize("files", ["a.txt", b"a.txt", Path("a.txt"), {"path": "a.txt"}, None, 7])
def test_one_file_outside_a_list_is_refused_by_name_of_the_argument(files: Any) -> None:
    with pytest.raises(InvalidInputError, match="assets: a list of files is needed") as raised:
        resolve_sources(files, argument="assets")
    assert raised.value.parameter == "assets"


def test_the_glob_that_is_named_in_place_of_a_folder_is_one(store: MemoryFileSystem) -> None:
    with pytest.raises(InvalidInputError, match=r"such as memory://in/\*\."):
        resolve_sources(["memory://in/"])


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="files: the list of files is empty"):
        resolve_sources([])


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing.txt", "does not exist"),
        ("folder", "is a folder"),
        ("empty.txt", "is empty"),
        ("none*.txt", "no file matches"),
    ],
)
def test_what_cannot_be_sent_is_named(tmp_path: Path, write: Write, name: str, problem: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.txt").touch()
    with pytest.raises(InvalidInputError, match=problem) as raised:
        resolve_sources([write("good.txt"), f"{tmp_path}/{name}"], argument="photos")
    assert str(raised.value).startswith("photos:")
    assert name in str(raised.value)


@pytest.mark.parametrize("path", ["memory://in/none.txt", "memory://in/*.pdf", "memory://in"])
def test_what_cannot_be_sent_from_a_store_is_named(store: MemoryFileSystem, path: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^files: .*memory://in"):
        resolve_sources([path])


@pytest.mark.parametrize("item", [None, 3, "", "  ", "a\0b", {"url": "x"}, ["nested"]])
def test_an_item_that_is_no_path_is_refused(item: Any) -> None:
    with pytest.raises(InvalidInputError, match="files:"):
        resolve_sources([item])


def test_a_scheme_that_nothing_can_open_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="nothing installed here can open nosuch://"):
        resolve_sources(["nosuch://bucket/key"])


LIMITS = Limits(
    {"image/png": 1000, "application/pdf": 10, "audio/x-wav": 100_000, "text/plain": 1000}, service="the lab"
)


def check(write: Write, name: str) -> str:
    return check_limits(resolve_sources([write(name)])[0], LIMITS, argument="assets")


def test_the_declared_type_is_spelled_as_the_service_spells_it(write: Write) -> None:
    assert check(write, "shot.png") == "image/png"
    assert check(write, "song.wav") == "audio/x-wav"


def test_a_type_that_is_not_accepted_is_named_with_those_that_are(write: Write) -> None:
    with pytest.raises(InvalidInputError) as raised:
        check(write, "clip.mp4")
    text = str(raised.value)
    for part in ("assets:", "clip.mp4", "video/mp4", "the lab", "image/png", "audio/x-wav"):
        assert part in text


def test_a_file_over_the_limit_is_named_with_size_and_limit(write: Write) -> None:
    with pytest.raises(InvalidInputError) as raised:
        check(write, "report.pdf")
    text = str(raised.value)
    for part in ("report.pdf", str(len(SAMPLES["report.pdf"][0])), "up to 10 bytes"):
        assert part in text


def test_a_file_as_large_as_the_limit_is_accepted(write: Write) -> None:
    source = resolve_sources([write("report.pdf")])[0]
    assert check_limits(source, Limits({"application/pdf": source.size})) == "application/pdf"


def test_a_name_that_contradicts_the_content_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(SAMPLES["jfif.jpg"][0])
    with pytest.raises(
        InvalidInputError, match=r"photo\.png is named like image/png but contains image/jpeg"
    ):
        check_limits(resolve_sources([path])[0], LIMITS)


def test_a_name_without_a_known_suffix_is_no_contradiction(tmp_path: Path) -> None:
    path = tmp_path / "upload.dat"
    path.write_bytes(SAMPLES["shot.png"][0])
    assert check_limits(resolve_sources([path])[0], LIMITS) == "image/png"


def test_a_name_that_is_not_utf8_is_refused_before_anything_is_sent(write: Write, tmp_path: Path) -> None:
    broken = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")
    with open(broken, "wb") as stream:
        stream.write(b"content")
    for files in ([write("good.txt"), broken], [f"{tmp_path}/*.txt"], [f"file://{tmp_path}/caf%E9.txt"]):
        with pytest.raises(InvalidInputError, match=r"^photos: .*caf\\udce9\.txt' is not UTF-8"):
            resolve_sources(files, argument="photos")


def test_a_file_url_is_percent_encoded_as_asset_uris_are(write: Write, tmp_path: Path) -> None:
    path = write("a b #1 ü 100%.txt")
    assert [source.path for source in resolve_sources([path.as_uri()])] == [str(path)]


def test_the_asset_uri_of_an_object_is_found(store: MemoryFileSystem) -> None:
    store.pipe_file("/in/case #1 ü.txt", b"one")
    store.pipe_file("/in/100%25.txt", b"literal")
    assert names(["memory://in/case%20%231%20%C3%BC.txt", "memory://in/100%25.txt"]) == [
        "case #1 ü.txt",
        "100%25.txt",
    ]


def test_a_device_or_a_pipe_is_no_file_to_send(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInputError, match=r"files: .*/pipe is no regular file"):
        resolve_sources([tmp_path / "pipe"])


@pytest.mark.parametrize("change", ["gone", "longer", "shorter"])
@pytest.mark.parametrize("where", ["disk", "store"])
def test_a_file_that_changed_since_it_was_checked_is_not_opened(
    write: Write, store: MemoryFileSystem, change: str, where: str
) -> None:
    path = write("plain.txt")
    store.pipe_file("/in/plain.txt", path.read_bytes())
    (source,) = resolve_sources([path if where == "disk" else "memory://in/plain.txt"])
    content = {"gone": None, "longer": path.read_bytes() + b"more", "shorter": b"less"}[change]
    if content is None:
        path.unlink()
        store.rm_file("/in/plain.txt")
    else:
        path.write_bytes(content)
        store.pipe_file("/in/plain.txt", content)
    problem = "cannot read" if content is None else f"it has {len(content)} bytes now, and had {source.size}"
    for read in (source.open, lambda: source.media_type):
        with pytest.raises(TransferError, match=problem) as raised:
            read()
        assert "plain.txt" in str(raised.value)


def test_a_file_that_became_a_pipe_since_it_was_checked_does_not_block(write: Write) -> None:
    path = write("plain.txt")
    (source,) = resolve_sources([path])
    path.unlink()
    os.mkfifo(path)
    for read in (source.open, source.location.sha256):
        with pytest.raises(TransferError, match=r"cannot read .*Not a regular file"):
            read()


@pytest.mark.parametrize("encoding", ["shift-jis", "utf-16-le"])
def test_a_text_in_an_encoding_that_is_not_known_says_what_to_do(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "plain.txt"
    path.write_bytes("事故の報告です。".encode(encoding) * 10)
    with pytest.raises(InvalidInputError, match=r"assets: .*plain\.txt .*Save it as UTF-8"):
        check_limits(resolve_sources([path])[0], LIMITS, argument="assets")
