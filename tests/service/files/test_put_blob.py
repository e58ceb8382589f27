"""Uploads through presigned links, in one piece and in blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airflow_provider.core.files import upload
from airflow_provider.core.files.bodies import MultipartBody
from airflow_provider.core.files.sources import Source, resolve_sources
from airflow_provider.core.files.storage_http import Progress
from airflow_provider.core.files.upload import UploadLink, put_blob
from airflow_provider.exceptions import TransferError
from tests.service.files.conftest import Naps
from tests.service.files.origin import SIGNATURE, Fault, Origin
from tests.service.files.test_download import assert_no_signature

BODY = bytes(range(256)) * 4096  # 1 MiB
BLOCKS: dict[str, Any] = {"SINGLE_PUT_LIMIT": 1000, "BLOCK_BYTES": 300_000}
ONE: dict[str, Any] = {}

Put = Callable[..., UploadLink]
Hear = Callable[[Callable[[int, int | None], None]], None]


@pytest.fixture(params=["disk", "memory"])
def source(request: pytest.FixtureRequest, tmp_path: Path, memory: MemoryFileSystem) -> Source:
    if request.param == "memory":
        memory.pipe_file("/in/clip.mp4", BODY)
        return resolve_sources(["memory://in/clip.mp4"])[0]
    path = tmp_path / "clip.mp4"
    path.write_bytes(BODY)
    return resolve_sources([path])[0]


@pytest.fixture
def put(origin: Origin, naps: Naps, source: Source, monkeypatch: pytest.MonkeyPatch) -> Put:
    def run(**more: Any) -> UploadLink:
        for constant in BLOCKS.keys() & more.keys():
            monkeypatch.setattr(upload, constant, more.pop(constant))
        signatures = iter(more.pop("signatures", [SIGNATURE] * 10))
        names = iter(more.pop("names", ["ws/clip.mp4"] * 10))
        asked = more.pop("asked", [])

        def factory(refresh: bool) -> UploadLink:
            asked.append(refresh)
            name = next(names)
            return UploadLink(origin.link(name, next(signatures)), name)

        session = more.pop("session", None) or requests.Session()
        return put_blob(session, factory, source, timeout=(5, 5), sleep=naps, **more)

    return run


@pytest.fixture
def hear(monkeypatch: pytest.MonkeyPatch) -> Hear:
    """Be told of every piece as it goes out: bytes sent, bytes in all."""

    def listen(tell: Callable[[int, int | None], None]) -> None:
        advance = Progress.advance

        def advance_and_tell(self: Progress, count: int) -> None:
            advance(self, count)
            tell(self.done, self.total)

        monkeypatch.setattr(Progress, "advance", advance_and_tell)

    return listen


def test_a_small_file_is_one_put(origin: Origin, put: Put) -> None:
    assert put().blob_path == "ws/clip.mp4"
    assert origin.blobs == {"/ws/clip.mp4": BODY}
    (seen,) = origin.seen
    assert seen.headers["x-ms-blob-type"] == "BlockBlob"
    assert seen.headers["content-length"] == str(len(BODY))
    assert "comp" not in seen.query


def test_a_large_file_goes_in_blocks_through_the_same_link(origin: Origin, put: Put) -> None:
    origin.max_single_put = 1000
    put(**BLOCKS)
    assert origin.blobs == {"/ws/clip.mp4": BODY}
    assert [seen.query.get("comp") for seen in origin.seen] == ["block"] * 4 + ["blocklist"]
    assert {seen.query["sig"] for seen in origin.seen} == {SIGNATURE}
    assert [len(seen.body) for seen in origin.seen[:-1]] == [300_000] * 3 + [len(BODY) - 900_000]


def test_blocks_of_an_earlier_upload_to_the_same_blob_do_not_mix_in(origin: Origin, put: Put) -> None:
    origin.faults = [Fault(), Fault(), *([Fault(status=503)] * 5)]
    with pytest.raises(TransferError):
        put(**BLOCKS)
    assert origin.blobs == {}
    put(**BLOCKS)
    assert origin.blobs == {"/ws/clip.mp4": BODY}


def test_two_uploads_to_one_blob_at_once_do_not_mix(
    origin: Origin, put: Put, tmp_path: Path, hear: Hear
) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(BODY[::-1])
    started: list[int] = []

    def meanwhile(done: int, total: int | None) -> None:
        if done > 500_000 and not started:
            started.append(done)
            link = UploadLink(origin.link("ws/clip.mp4"), "ws/clip.mp4")
            put_blob(requests.Session(), lambda refresh: link, resolve_sources([other])[0])

    hear(meanwhile)
    with pytest.raises(TransferError, match="400 InvalidBlockList"):
        put(**BLOCKS)
    assert origin.blobs == {"/ws/clip.mp4": BODY[::-1]}


@pytest.mark.parametrize("mode", [ONE, BLOCKS], ids=["one", "blocks"])
def test_a_broken_put_is_sent_again(origin: Origin, put: Put, mode: dict[str, Any], naps: Naps) -> None:
    origin.faults = [Fault(), Fault(reset_at=100_000)] if mode else [Fault(reset_at=100_000)]
    put(**mode)
    assert origin.blobs == {"/ws/clip.mp4": BODY}
    assert naps == [1.0]


@pytest.mark.parametrize("status", [403, 404, 410])
@pytest.mark.parametrize("mode", [ONE, BLOCKS], ids=["one", "blocks"])
def test_a_link_that_expired_is_replaced(origin: Origin, put: Put, mode: dict[str, Any], status: int) -> None:
    origin.expired.add("old")
    origin.refusal = status
    asked: list[bool] = []
    put(signatures=["old", "new"], asked=asked, **mode)
    assert origin.blobs == {"/ws/clip.mp4": BODY}
    assert asked == [False, True]


def test_a_link_that_expires_between_two_blocks_keeps_the_blocks(origin: Origin, put: Put) -> None:
    origin.faults = [Fault(), Fault(), Fault(status=403)]
    put(signatures=["one", "two"], **BLOCKS)
    assert origin.blobs == {"/ws/clip.mp4": BODY}
    assert [seen.query["sig"] for seen in origin.seen] == ["one"] * 3 + ["two"] * 3


@pytest.mark.parametrize("mode", [ONE, BLOCKS], ids=["one", "blocks"])
def test_a_fresh_link_to_another_blob_gets_the_whole_file(
    origin: Origin, put: Put, mode: dict[str, Any]
) -> None:
    origin.faults = [Fault(), Fault(status=403)] if mode else [Fault(status=403)]
    link = put(names=["ws/a", "ws/b"], **mode)
    assert link.blob_path == "ws/b"
    assert origin.blobs == {"/ws/b": BODY}


def test_a_link_past_its_own_expiry_is_not_tried(origin: Origin, source: Source) -> None:
    old = UploadLink(origin.link("b", "old"), "b", expires_at=1000.0)
    links = iter([old, UploadLink(origin.link("b"), "b")])
    put_blob(requests.Session(), lambda refresh: next(links), source, now=lambda: 1000.0)
    assert [seen.query["sig"] for seen in origin.seen] == [SIGNATURE]


@pytest.mark.parametrize("mode", [BLOCKS, ONE], ids=["blocks", "one"])
def test_links_that_are_said_to_have_ended_when_they_are_made_are_used(
    origin: Origin, source: Source, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
) -> None:
    for constant, value in mode.items():
        monkeypatch.setattr(upload, constant, value)
    asked: list[bool] = []

    def factory(refresh: bool) -> UploadLink:
        asked.append(refresh)
        name = f"clip-{len(asked)}.mp4"
        return UploadLink(origin.link(name), name, expires_at=1000.0)

    link = put_blob(requests.Session(), factory, source, timeout=(5, 5), now=lambda: 2000.0)

    assert asked == [False, True]
    assert origin.blobs[f"/{link.blob_path}"] == BODY


@pytest.mark.parametrize("mode", [ONE, BLOCKS], ids=["one", "blocks"])
def test_trouble_without_end_is_an_error_that_names_blob_and_host_only(
    origin: Origin, put: Put, mode: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    origin.faults = [Fault(status=503)] * 10
    with pytest.raises(TransferError) as raised:
        put(**mode)
    for part in ("clip.mp4", "ws/clip.mp4", "127.0.0.1", "503", "5 attempts"):
        assert part in str(raised.value)
    assert_no_signature(raised, caplog.text)
    assert origin.blobs == {}


def test_the_one_link_there_is_is_not_tried_again_when_refused(origin: Origin, source: Source) -> None:
    origin.expired.add(SIGNATURE)
    with pytest.raises(TransferError, match="403 AuthenticationFailed"):
        put_blob(requests.Session(), UploadLink(origin.link("b"), "b", expires_at=1000.0), source)
    assert len(origin.seen) == 1


def test_a_link_that_stays_refused_is_an_error(
    origin: Origin, put: Put, caplog: pytest.LogCaptureFixture
) -> None:
    origin.expired.add(SIGNATURE)
    asked: list[bool] = []
    with pytest.raises(TransferError, match="403 AuthenticationFailed") as raised:
        put(asked=asked)
    assert asked == [False, True, True]
    assert raised.value.http_status == 403
    assert_no_signature(raised, caplog.text)


def test_a_refusal_that_is_not_about_the_link_is_final(origin: Origin, put: Put, naps: Naps) -> None:
    origin.max_single_put = 1000
    with pytest.raises(TransferError, match="413 RequestBodyTooLarge"):
        put()
    assert len(origin.seen) == 1
    assert naps == []


def test_nobody_listens(source: Source, naps: Naps, caplog: pytest.LogCaptureFixture) -> None:
    link = UploadLink(f"http://127.0.0.1:9/b?sig={SIGNATURE}", "b")
    with pytest.raises(TransferError, match="the connection broke") as raised:
        put_blob(requests.Session(), lambda refresh: link, source, sleep=naps)
    assert_no_signature(raised, caplog.text)
    assert SIGNATURE not in repr(link)


@pytest.mark.parametrize("mode", [ONE, BLOCKS], ids=["one", "blocks"])
def test_no_key_goes_to_the_storage_host(origin: Origin, put: Put, mode: dict[str, Any]) -> None:
    session = requests.Session()
    session.headers.update({"X-API-Key": "my-key", "Authorization": "Bearer my-key"})
    session.auth = ("me", "my-key")
    put(session=session, **mode)
    assert all("my-key" not in str(seen.headers) + str(seen.query) for seen in origin.seen)
    assert all("authorization" not in seen.headers for seen in origin.seen)


def test_one_connection_carries_all_blocks(origin: Origin, put: Put) -> None:
    put(**BLOCKS)
    assert len(origin.seen) == 5
    assert len({seen.client for seen in origin.seen}) == 1


def test_progress_counts_each_byte_once_also_when_sent_twice(origin: Origin, put: Put, hear: Hear) -> None:
    origin.faults = [Fault(), Fault(status=500)]
    heard: list[tuple[int, int | None]] = []
    hear(lambda *numbers: heard.append(numbers))
    put(**BLOCKS)
    assert heard[-1] == (len(BODY), len(BODY))
    assert max(done for done, _ in heard) == len(BODY)


def test_a_source_that_shrinks_is_not_uploaded(
    origin: Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(BODY)
    source = resolve_sources([path])[0]
    path.write_bytes(BODY[:1000])
    with pytest.raises(TransferError, match=r"clip\.mp4 changed while it was being sent"):
        put_blob(requests.Session(), lambda refresh: UploadLink(origin.link("b"), "b"), source)
    assert origin.blobs == {}


def test_a_multipart_body_streams_through_requests(origin: Origin, source: Source) -> None:
    with source.open() as stream:
        body = MultipartBody({"case_id": "c1"}, filename="clip", content_type="video/mp4", stream=stream)
        headers = {"Content-Type": body.content_type, "x-ms-blob-type": "BlockBlob"}
        requests.put(origin.link("direct"), data=body, headers=headers, timeout=60)
    received = origin.seen[0]
    assert received.headers["content-length"] == str(len(body)) == str(len(received.body))
    assert "transfer-encoding" not in received.headers
    assert b'name="case_id"\r\n\r\nc1\r\n' in received.body
    assert b"Content-Type: video/mp4\r\n\r\n" + BODY + b"\r\n--" in received.body
