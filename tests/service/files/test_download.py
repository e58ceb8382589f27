"""Downloads to every kind of target: the whole file, or an error and the target as it was."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import requests
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airflow_provider.core.files import download as module
from airflow_provider.core.files import storage_http
from airflow_provider.core.files.download import DownloadLink, download
from airflow_provider.core.files.locations import locate
from airflow_provider.exceptions import InvalidInputError, TransferError
from tests.service.files.conftest import Naps
from tests.service.files.origin import SIGNATURE, Fault, Origin

BODY = bytes(range(256)) * 8192  # 2 MiB

Get = Callable[..., dict[str, Any]]


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, memory: MemoryFileSystem) -> str:
    """A folder on disk, then one in a store."""
    return str(tmp_path) if request.param == "disk" else "memory://out"


def listing(folder: str) -> list[str]:
    """Everything that is there, hidden files too."""
    if folder.startswith("memory://"):
        return sorted(name.rsplit("/", 1)[-1] for name in MemoryFileSystem.store)
    return sorted(os.listdir(folder))


def content(folder: str, name: str) -> bytes:
    with locate(f"{folder}/{name}").open() as stream:
        return stream.read()


@pytest.fixture
def get(origin: Origin, naps: Naps, monkeypatch: pytest.MonkeyPatch) -> Get:
    def run(name: str, target: str, **more: Any) -> dict[str, Any]:
        monkeypatch.setattr(module, "CHUNK_BYTES", more.pop("chunk_size", module.CHUNK_BYTES))
        monkeypatch.setattr(storage_http, "MAX_SECONDS", more.pop("max_seconds", 3600.0))
        factory = more.pop("factory", lambda: origin.link(name))
        more.setdefault("expected_type", None)
        more.setdefault("timeout", (5, 5))
        return download(requests.Session(), factory, target, sleep=naps, **more)

    return run


def ranges(origin: Origin) -> list[str | None]:
    return [seen.headers.get("range") for seen in origin.seen]


def test_a_pdf_arrives_whole(origin: Origin, get: Get, folder: str, pdf: bytes) -> None:
    import hashlib

    origin.put("r.pdf", pdf, media_type="application/octet-stream")
    manifest = get("r.pdf", f"{folder}/r.pdf", expected_type="pdf")
    assert manifest == {
        "path": f"{folder}/r.pdf",
        "bytes": len(pdf),
        "sha256": hashlib.sha256(pdf).hexdigest(),
        "media_type": "application/pdf",
    }
    assert content(folder, "r.pdf") == pdf
    assert listing(folder) == ["r.pdf"]


def test_a_docx_arrives_whole(
    origin: Origin, get: Get, folder: str, make_docx: Callable[[int], bytes]
) -> None:
    document = make_docx(2000)
    origin.put("r.docx", document)
    origin.faults = [Fault(reset_at=len(document) // 2)]
    get("r.docx", f"{folder}/r.docx", expected_type="docx")
    assert content(folder, "r.docx") == document
    assert listing(folder) == ["r.docx"]


def test_folders_are_made(origin: Origin, get: Get, folder: str) -> None:
    origin.put("a", BODY)
    get("a", f"{folder}/new/deeper/a")
    assert content(folder, "new/deeper/a") == BODY


@pytest.mark.parametrize("fault", [Fault(reset_at=700_000), Fault(close_at=700_000)], ids=["reset", "closed"])
def test_a_broken_connection_is_continued(origin: Origin, get: Get, folder: str, fault: Fault) -> None:
    stored = origin.put("a", BODY)
    origin.faults = [fault, fault]
    get("a", f"{folder}/a")
    assert content(folder, "a") == BODY
    first, second, third = ranges(origin)
    assert first is None
    assert second is not None
    assert third is not None
    assert 0 < int(second[6:-1]) < int(third[6:-1])
    assert origin.seen[1].headers["if-range"] == stored.etag


@pytest.mark.parametrize(
    "more", [{"ranges": False}, {"etag": None}, {"etag": 'W/"weak"'}], ids=["no ranges", "no etag", "weak"]
)
def test_where_the_host_cannot_resume_it_starts_over(
    origin: Origin, get: Get, folder: str, more: dict[str, Any]
) -> None:
    origin.put("a", BODY, **more)
    origin.faults = [Fault(reset_at=700_000)]
    get("a", f"{folder}/a")
    assert content(folder, "a") == BODY


def test_a_file_that_changes_on_the_way_is_not_mixed(origin: Origin, get: Get, folder: str) -> None:
    origin.put("a", BODY)
    new = BODY[::-1] + b"more"
    origin.faults = [Fault(close_at=700_000, gate=lambda _: None)]

    def link() -> str:
        return origin.link("a")

    class Change(Naps):
        def __call__(self, seconds: float) -> None:
            origin.put("a", new)

    download(requests.Session(), link, f"{folder}/a", expected_type=None, sleep=Change())
    assert content(folder, "a") == new


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 0-2097151/2097152"},
        {"Content-Range": "bytes 5-2097151/2097152"},
        {"Content-Range": "garbage"},
        {"Content-Range": None},
        {"ETag": '"another"'},
    ],
)
def test_a_host_that_answers_with_another_range_is_not_trusted(
    origin: Origin, get: Get, folder: str, headers: dict[str, str | None]
) -> None:
    origin.put("a", BODY)
    origin.faults = [Fault(close_at=700_000), Fault(headers=headers)]
    get("a", f"{folder}/a")
    assert content(folder, "a") == BODY
    assert ranges(origin)[2] is None


@pytest.mark.parametrize("status", [403, 404, 410, 401, 400])
def test_a_link_that_expired_is_replaced_and_the_download_goes_on(
    origin: Origin, get: Get, folder: str, status: int
) -> None:
    origin.put("a", BODY)
    origin.refusal = status
    origin.faults = [Fault(close_at=700_000, gate=lambda _: origin.expired.add("one"))]
    signatures = iter(["one", "two"])
    get("a", f"{folder}/a", factory=lambda: origin.link("a", next(signatures)))
    assert content(folder, "a") == BODY
    assert [seen.query["sig"] for seen in origin.seen] == ["one", "one", "two"]
    assert (ranges(origin)[2] or "").startswith("bytes=")


def test_a_link_past_its_own_expiry_is_not_tried(origin: Origin, get: Get, tmp_path: Path) -> None:
    origin.put("a", BODY)
    links = iter([DownloadLink(origin.link("a", "one"), expires_at=1000.0), origin.link("a", "two")])
    get("a", f"{tmp_path}/a", factory=lambda: next(links), now=lambda: 1000.0)
    assert [seen.query["sig"] for seen in origin.seen] == ["two"]


def test_a_clock_that_is_ahead_does_not_ask_for_links_for_ever(
    origin: Origin, get: Get, tmp_path: Path
) -> None:
    origin.put("a", BODY)
    asked: list[int] = []

    def link() -> DownloadLink:
        asked.append(1)
        return DownloadLink(origin.link("a"), expires_at=1000.0)

    get("a", f"{tmp_path}/a", factory=link, now=lambda: 9999.0)
    assert len(asked) == 2


def test_a_link_that_stays_refused_is_an_error_without_its_signature(
    origin: Origin, get: Get, folder: str
) -> None:
    asked: list[int] = []

    def link() -> str:
        asked.append(1)
        return origin.link("gone")

    with pytest.raises(TransferError) as raised:
        get("gone", f"{folder}/a", factory=link)
    assert len(asked) == 3
    assert raised.value.http_status == 404
    assert f"{folder}/a" in str(raised.value)
    assert "127.0.0.1" in str(raised.value)
    assert listing(folder) == []
    assert_no_signature(raised)


def assert_no_signature(raised: pytest.ExceptionInfo[BaseException], log: str = "") -> None:
    """Neither the message nor any traceback that Airflow would print quotes the link."""
    import traceback

    printed = "".join(traceback.format_exception(raised.value))
    assert SIGNATURE not in printed + str(raised.value) + log


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408, 522])
def test_a_host_in_trouble_is_asked_again_when_it_says(
    origin: Origin, get: Get, folder: str, naps: Naps, status: int
) -> None:
    origin.put("a", BODY)
    origin.faults = [Fault(status=status, headers={"Retry-After": "7"}), Fault(status=status)]
    get("a", f"{folder}/a")
    assert content(folder, "a") == BODY
    assert naps == [7.0, 2.0]


def test_trouble_without_end_is_an_error(
    origin: Origin, get: Get, folder: str, naps: Naps, caplog: pytest.LogCaptureFixture
) -> None:
    origin.faults = [Fault(status=503)] * 20
    with pytest.raises(TransferError, match=r"503; 5 attempts brought nothing more") as raised:
        get("a", f"{folder}/a")
    assert naps == [1.0, 2.0, 4.0, 8.0]
    assert listing(folder) == []
    assert_no_signature(raised, caplog.text)


def test_the_debug_log_does_not_show_the_signature(
    origin: Origin, get: Get, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "urllib3")
    origin.put("a", BODY)
    origin.faults = [Fault(redirect=origin.link("a")), Fault(close_at=200_000)]
    get("a", f"{tmp_path}/a")
    assert "GET /a?*** " in caplog.text
    assert SIGNATURE not in caplog.text


def test_headers_that_cannot_be_parsed_show_no_signature(
    origin: Origin, get: Get, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    origin.put("a", BODY)
    origin.faults = [Fault(status=503, headers={"X Bad": "b", "Location": origin.link("a")})]
    get("a", f"{tmp_path}/a")
    assert "Failed to parse headers" in caplog.text
    assert SIGNATURE not in caplog.text


def test_breaking_off_again_and_again_is_fine_while_bytes_come(
    origin: Origin, get: Get, folder: str, naps: Naps
) -> None:
    origin.put("a", BODY)
    origin.faults = [Fault(close_at=200_000)] * 10
    get("a", f"{folder}/a")
    assert content(folder, "a") == BODY
    assert len(naps) == 10


def test_nobody_listens(get: Get, folder: str, origin: Origin, caplog: pytest.LogCaptureFixture) -> None:
    link = f"http://127.0.0.1:9/a?sig={SIGNATURE}"
    with pytest.raises(TransferError, match=r"127\.0\.0\.1:9/a: the connection broke") as raised:
        get("a", f"{folder}/a", factory=lambda: link)
    assert_no_signature(raised, caplog.text)


@pytest.mark.parametrize("ranges_work", [True, False])
def test_time_is_bounded(origin: Origin, get: Get, tmp_path: Path, ranges_work: bool) -> None:
    origin.put("a", BODY, ranges=ranges_work)
    origin.faults = [Fault(close_at=200_000)] * 100
    times = iter(range(0, 100_000, 10))
    with pytest.raises(TransferError, match="300 s allowed"):
        get("a", f"{tmp_path}/a", clock=lambda: float(next(times)), max_seconds=300.0)
    assert not (tmp_path / "a").exists()


def test_slow_bytes_run_into_the_read_timeout(origin: Origin, get: Get, folder: str) -> None:
    import threading

    origin.put("a", BODY)
    release = threading.Event()

    def hang(sent: int) -> None:
        if sent > 500_000:
            release.wait(60)

    origin.faults = [Fault(gate=hang)]
    try:
        get("a", f"{folder}/a", timeout=(5, 0.2))
    finally:
        release.set()
    assert content(folder, "a") == BODY
    assert (ranges(origin)[1] or "").startswith("bytes=")


@pytest.mark.parametrize("length", [len(BODY) + 5, len(BODY) * 2])
def test_a_body_shorter_than_announced_is_never_taken_for_whole(
    origin: Origin, get: Get, folder: str, length: int
) -> None:
    origin.put("a", BODY, ranges=False)
    origin.faults = [Fault(length=length)] * 5
    with pytest.raises(TransferError, match="5 attempts"):
        get("a", f"{folder}/a")
    assert "a" not in listing(folder)


def test_a_pdf_cut_to_the_announced_length_is_refused(
    origin: Origin, get: Get, folder: str, pdf: bytes
) -> None:
    origin.put("r.pdf", pdf)
    origin.faults = [Fault(length=len(pdf) - 100)]
    with pytest.raises(TransferError, match="without its end marker"):
        get("r.pdf", f"{folder}/r.pdf", expected_type="pdf")
    assert listing(folder) == []


def test_a_docx_cut_to_the_announced_length_is_refused(
    origin: Origin, get: Get, folder: str, make_docx: Callable[[int], bytes]
) -> None:
    document = make_docx(10)
    origin.put("r.docx", document)
    origin.faults = [Fault(length=len(document) - 100)]
    with pytest.raises(TransferError, match="not a whole DOCX"):
        get("r.docx", f"{folder}/r.docx", expected_type="docx")
    assert listing(folder) == []


def test_an_error_page_with_status_200_is_refused(origin: Origin, get: Get, folder: str) -> None:
    origin.put("r.pdf", b"<html>Your link has expired</html>", media_type="text/html")
    with pytest.raises(TransferError, match="is not a PDF: it begins with b'<html>"):
        get("r.pdf", f"{folder}/r.pdf", expected_type="pdf")
    assert listing(folder) == []


def test_chunks_without_a_length_are_taken_to_their_end(origin: Origin, get: Get, folder: str) -> None:
    origin.put("a", BODY)
    origin.faults = [Fault(chunked=True, close_at=700_000), Fault(chunked=True)]
    get("a", f"{folder}/a")
    assert content(folder, "a") == BODY


def test_without_length_and_chunks_only_checked_types_are_taken(
    origin: Origin, get: Get, folder: str, pdf: bytes
) -> None:
    origin.put("r.pdf", pdf)
    origin.faults = [Fault(no_length=True), Fault(no_length=True), Fault(no_length=True, close_at=5000)]
    get("r.pdf", f"{folder}/r.pdf", expected_type="pdf")
    assert content(folder, "r.pdf") == pdf
    with pytest.raises(TransferError, match="announces no length"):
        get("r.pdf", f"{folder}/b")
    with pytest.raises(TransferError, match="end marker"):
        get("r.pdf", f"{folder}/c", expected_type="pdf")
    assert listing(folder) == ["r.pdf"]


def test_compressed_transfer_is_not_asked_for_and_undone_when_it_comes(
    origin: Origin, get: Get, folder: str
) -> None:
    import gzip

    packed = gzip.compress(BODY)
    origin.put("a", packed, headers={"Content-Encoding": "gzip"})
    origin.faults = [Fault(close_at=len(packed) // 2)]
    manifest = get("a", f"{folder}/a")
    assert content(folder, "a") == BODY
    assert manifest["bytes"] == len(BODY)
    assert {seen.headers["accept-encoding"] for seen in origin.seen} == {"identity"}
    assert ranges(origin) == [None, None]


def test_oversized_headers_are_an_error_and_not_a_crash(origin: Origin, get: Get, folder: str) -> None:
    origin.put("a", BODY)
    origin.faults = [Fault(headers={"X-Long": "x" * 100_000})] * 3 + [
        Fault(headers={f"X-{number}": "x" for number in range(150)})
    ] * 3
    with pytest.raises(TransferError, match="5 attempts"):
        get("a", f"{folder}/a")
    assert listing(folder) == []


def test_redirects_are_followed_five_times(origin: Origin, get: Get, folder: str) -> None:
    origin.put("a", BODY)
    hop = Fault(redirect=origin.link("a"))
    origin.faults = [Fault(redirect="/a?sig=relative")] + [hop] * 4
    get("a", f"{folder}/a")
    assert content(folder, "a") == BODY
    assert origin.seen[1].query["sig"] == "relative"
    origin.faults = [hop] * 6
    with pytest.raises(TransferError, match="redirects more than 5 times") as raised:
        get("a", f"{folder}/b")
    assert_no_signature(raised)


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://host/a", "gopher://x/"])
def test_a_redirect_to_another_scheme_is_refused(origin: Origin, get: Get, folder: str, place: str) -> None:
    origin.faults = [Fault(redirect=place)]
    with pytest.raises(TransferError, match="it redirects from http to"):
        get("a", f"{folder}/a")
    assert listing(folder) == []


@pytest.mark.parametrize("link", ["", "not a link", "file:///etc/passwd", "http://", "http://[::1"])
def test_what_is_no_link_is_an_error_at_once(get: Get, folder: str, link: str, naps: Naps) -> None:
    with pytest.raises(TransferError, match="the link cannot be used"):
        get("a", f"{folder}/a", factory=lambda: link)
    assert naps == []


def test_no_key_of_the_session_goes_to_the_storage_host(
    origin: Origin, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.put("a", BODY)
    origin.faults = [Fault(redirect=origin.link("a"))]
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password my-netrc-secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    session = requests.Session()
    session.headers.update({"X-API-Key": "my-key", "Authorization": "my-key", "User-Agent": "airflow/test"})
    session.auth = ("me", "my-key")
    session.params = {"api_key": "my-key"}
    session.cookies.set("session", "my-key")
    download(session, lambda: origin.link("a"), f"{folder}/a", expected_type=None)
    assert len(origin.seen) == 2
    for seen in origin.seen:
        assert "my-key" not in str(seen)
        assert "authorization" not in seen.headers
        assert seen.headers["user-agent"] == "airflow/test"


def test_the_same_file_again_is_done_and_not_rewritten(origin: Origin, get: Get, folder: str) -> None:
    origin.put("a", BODY)
    first = get("a", f"{folder}/a")
    stat = os.stat(f"{folder}/a") if folder.startswith("/") else MemoryFileSystem.store["/out/a"].modified
    for overwrite in (False, True):
        assert get("a", f"{folder}/a", overwrite=overwrite) == first
    after = os.stat(f"{folder}/a") if folder.startswith("/") else MemoryFileSystem.store["/out/a"].modified
    if isinstance(stat, os.stat_result) and isinstance(after, os.stat_result):
        assert (stat.st_ino, stat.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    else:
        assert stat == after
    assert listing(folder) == ["a"]


def test_other_content_of_the_same_size_is_not_overwritten_unasked(
    origin: Origin, get: Get, folder: str
) -> None:
    origin.put("a", BODY)
    get("a", f"{folder}/a")
    origin.put("a", BODY[::-1])
    with pytest.raises(TransferError, match=r"/a holds other content.*overwrite=True"):
        get("a", f"{folder}/a")
    assert content(folder, "a") == BODY
    get("a", f"{folder}/a", overwrite=True)
    assert content(folder, "a") == BODY[::-1]
    assert listing(folder) == ["a"]


def test_content_of_another_size_is_refused_before_the_body_comes(
    origin: Origin, get: Get, folder: str
) -> None:
    origin.put("a", BODY)
    get("a", f"{folder}/a")
    origin.put("a", BODY * 2)
    # A body would break: none of it may be needed.
    origin.faults = [Fault(reset_at=0)]
    with pytest.raises(TransferError, match="holds other content") as raised:
        get("a", f"{folder}/a")
    assert str(len(BODY) * 2) in str(raised.value)
    assert content(folder, "a") == BODY
    assert listing(folder) == ["a"]


def test_a_folder_as_target_is_refused_before_anything(folder: str, memory: MemoryFileSystem) -> None:
    memory.makedirs("/out/d")
    if folder.startswith("/"):
        os.mkdir(f"{folder}/d")

    def link() -> str:
        raise AssertionError

    with pytest.raises(InvalidInputError, match="is a folder"):
        download(requests.Session(), link, f"{folder}/d", expected_type=None)


def test_an_error_of_the_link_factory_is_passed_on(folder: str) -> None:
    def link() -> str:
        raise LookupError("report is gone")

    with pytest.raises(LookupError, match="report is gone"):
        download(requests.Session(), link, f"{folder}/a", expected_type=None)
    assert listing(folder) == []


def test_an_interrupt_leaves_no_visible_file(origin: Origin, get: Get, folder: str) -> None:
    origin.put("a", BODY)
    ticks = iter(range(1000))

    def clock() -> float:
        if next(ticks) > 8:
            raise KeyboardInterrupt
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        get("a", f"{folder}/a", clock=clock, chunk_size=65536)
    assert [name for name in listing(folder) if not name.startswith(".")] == []
    get("a", f"{folder}/a")
    assert content(folder, "a") == BODY
    assert listing(folder) == ["a"]


def test_a_failed_task_leaves_a_part_on_disk_that_its_retry_continues(
    origin: Origin, get: Get, tmp_path: Path
) -> None:
    origin.put("a", BODY)
    origin.faults = [Fault(close_at=1_000_000)] + [Fault(status=503)] * 5
    with pytest.raises(TransferError, match="brought nothing more"):
        get("a", f"{tmp_path}/a")
    assert listing(str(tmp_path)) == [".a.part", ".a.part.json"]
    assert SIGNATURE not in (tmp_path / ".a.part.json").read_text()
    origin.seen.clear()
    origin.faults.clear()
    get("a", f"{tmp_path}/a", factory=lambda: origin.link("a", "tomorrow"))
    assert ranges(origin) == ["bytes=1000000-"]
    assert (tmp_path / "a").read_bytes() == BODY
    assert listing(str(tmp_path)) == ["a"]


def test_a_part_of_another_entity_is_not_continued(origin: Origin, get: Get, tmp_path: Path) -> None:
    origin.put("a", BODY)
    origin.faults = [Fault(close_at=1_000_000)] + [Fault(status=503)] * 5
    with pytest.raises(TransferError):
        get("a", f"{tmp_path}/a")
    origin.put("a", BODY[::-1])
    get("a", f"{tmp_path}/a")
    assert (tmp_path / "a").read_bytes() == BODY[::-1]


def test_a_part_that_was_complete_is_proven_by_one_byte(origin: Origin, get: Get, tmp_path: Path) -> None:
    from airflow_provider.core.files.partial import Checkpoint, PartialFile

    stored = origin.put("a", BODY)
    part = PartialFile(str(tmp_path / "a"))
    digest, _ = part.recover()
    part.write(BODY)
    digest.update(BODY)
    part.save(Checkpoint(str(stored.etag), len(BODY), len(BODY), digest.sha256()))
    part.close(keep=True)
    get("a", f"{tmp_path}/a")
    assert ranges(origin) == [f"bytes={len(BODY) - 1}-"]
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_full_disk_is_named_and_given_its_space_back(
    origin: Origin, get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from airflow_provider.core.files.partial import PartialFile

    write = PartialFile.write
    times = iter(range(1000))

    def full(self: PartialFile, data: bytes) -> None:
        if next(times) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, data)

    monkeypatch.setattr(PartialFile, "write", full)
    origin.put("a", BODY)
    with pytest.raises(TransferError, match=r"cannot write .*/a: OSError: No space left.*The disk is full"):
        get("a", f"{tmp_path}/a", chunk_size=65536)
    assert os.listdir(tmp_path) == []


def test_a_target_that_cannot_be_written_is_named(get: Get) -> None:
    with pytest.raises(TransferError, match=r"cannot write /proc/nowhere/a"):
        get("a", "/proc/nowhere/a")


@pytest.mark.parametrize("announced", [True, False])
def test_a_file_that_is_too_large_is_not_taken(
    origin: Origin, get: Get, folder: str, announced: bool
) -> None:
    origin.put("a", BODY)
    origin.faults = [Fault(chunked=not announced)]
    with pytest.raises(
        TransferError, match=r"it has \d+ bytes or more; at most 1000000 \(1\.0 MB\)"
    ) as raised:
        get("a", f"{folder}/a", max_bytes=1_000_000, chunk_size=65536)
    assert listing(folder) == []
    assert_no_signature(raised)
    assert get("a", f"{folder}/a", max_bytes=len(BODY))["bytes"] == len(BODY)


def test_an_hour_named_by_a_host_is_kept_to_and_a_date_too(
    origin: Origin, get: Get, tmp_path: Path, naps: Naps
) -> None:
    origin.put("a", BODY)
    origin.faults = [
        Fault(status=503, headers={"Retry-After": "1800"}),
        Fault(status=429, headers={"Retry-After": formatdate(time.time() + 600, usegmt=True)}),
    ]
    get("a", f"{tmp_path}/a")
    assert naps == [1800.0, pytest.approx(600, abs=60)]


@pytest.mark.parametrize("retries", [0, 2])
def test_the_connection_says_how_often_it_is_tried_again(
    origin: Origin, get: Get, tmp_path: Path, naps: Naps, retries: int
) -> None:
    origin.faults = [Fault(status=503)] * 20
    with pytest.raises(TransferError, match=f"{retries + 1} attempts brought nothing more"):
        get("a", f"{tmp_path}/a", max_retries=retries)
    assert naps == [1.0, 2.0][:retries]
