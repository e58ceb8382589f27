"""Sources and targets on ``s3://``, with Airflow's own connection, against a real S3 API on localhost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider.core.files import upload
from airflow_provider.core.files.download import download
from airflow_provider.core.files.locations import probe_writable, target_path
from airflow_provider.core.files.sources import resolve_sources
from airflow_provider.core.files.tables import write_rows
from airflow_provider.core.files.upload import UploadLink, put_blob
from airflow_provider.exceptions import InvalidInputError, TransferError
from tests.service.files.conftest import Naps
from tests.service.files.origin import Fault, Origin
from tests.service.files.s3_server import s3_server

BODY = bytes(range(256)) * 80 * 1024  # 20 MiB: three parts
FOLDER = "s3://files_s3@bucket/out"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = s3_server()
    monkeypatch.setenv("AIRFLOW_CONN_FILES_S3", server.connection)
    server.fill()
    yield server.client
    server.clear()


def keys(client: Any) -> list[str]:
    return [found["Key"] for found in client.list_objects_v2(Bucket="bucket").get("Contents", [])]


def uploads(client: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.list_multipart_uploads(Bucket="bucket").get("Uploads", [])
    return found


def test_a_download_goes_straight_to_the_store(origin: Origin, s3: Any, naps: Naps) -> None:
    origin.put("a", BODY)
    origin.faults = [Fault(reset_at=9_000_000)]
    manifest = download(
        requests.Session(), lambda: origin.link("a"), f"{FOLDER}/a", expected_type=None, sleep=naps
    )
    assert manifest["path"] == f"{FOLDER}/a"
    assert s3.get_object(Bucket="bucket", Key="out/a")["Body"].read() == BODY
    assert (origin.seen[1].headers["range"] or "").startswith("bytes=")
    assert keys(s3) == ["out/a"]
    assert uploads(s3) == []


def test_nothing_is_visible_before_it_is_whole(origin: Origin, s3: Any) -> None:
    seen: list[list[str]] = []
    origin.put("a", BODY)
    origin.faults = [Fault(gate=lambda sent: seen.append(keys(s3)) if sent % (4 << 20) == 0 else None)]
    download(requests.Session(), lambda: origin.link("a"), f"{FOLDER}/a", expected_type=None)
    assert seen == [[]] * 5
    assert keys(s3) == ["out/a"]


@pytest.mark.parametrize("size", [1000, len(BODY)])
def test_a_failed_download_leaves_no_object_and_no_upload(
    origin: Origin, s3: Any, naps: Naps, size: int
) -> None:
    import gc

    origin.put("a", BODY[:size], etag=None)
    origin.faults = [Fault(close_at=size - 10)] * 5
    with pytest.raises(TransferError, match="5 attempts"):
        download(requests.Session(), lambda: origin.link("a"), f"{FOLDER}/a", expected_type=None, sleep=naps)
    # A file object that fsspec would commit when it is collected must be harmless by now.
    gc.collect()
    assert keys(s3) == []
    assert uploads(s3) == []


def test_an_interrupt_leaves_no_object(origin: Origin, s3: Any) -> None:
    import gc

    origin.put("a", BODY)
    ticks = iter(range(1000))

    def clock() -> float:
        if next(ticks) > 10:
            raise KeyboardInterrupt
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        download(requests.Session(), lambda: origin.link("a"), f"{FOLDER}/a", expected_type=None, clock=clock)
    gc.collect()
    assert keys(s3) == []
    assert uploads(s3) == []


def test_a_docx_is_checked_before_it_is_visible(
    origin: Origin, s3: Any, make_docx: Callable[[int], bytes]
) -> None:
    document = make_docx(100)
    origin.put("whole", document)
    origin.put("cut", document[:-100])
    with pytest.raises(TransferError, match="not a whole DOCX"):
        download(requests.Session(), lambda: origin.link("cut"), f"{FOLDER}/r.docx", expected_type="docx")
    assert keys(s3) == []
    download(requests.Session(), lambda: origin.link("whole"), f"{FOLDER}/r.docx", expected_type="docx")
    assert s3.get_object(Bucket="bucket", Key="out/r.docx")["Body"].read() == document


def test_the_same_object_is_not_written_again_and_another_only_on_demand(origin: Origin, s3: Any) -> None:
    def get(name: str, **more: Any) -> None:
        download(requests.Session(), lambda: origin.link(name), f"{FOLDER}/r", expected_type=None, **more)

    origin.put("a", BODY)
    origin.put("b", BODY[::-1])
    get("a")
    first = s3.head_object(Bucket="bucket", Key="out/r")
    get("a")
    with pytest.raises(TransferError, match="holds other content"):
        get("b")
    assert s3.head_object(Bucket="bucket", Key="out/r")["LastModified"] == first["LastModified"]
    assert uploads(s3) == []
    get("b", overwrite=True)
    assert s3.get_object(Bucket="bucket", Key="out/r")["Body"].read() == BODY[::-1]


def test_sources_are_found_and_streamed(origin: Origin, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.txt", "a.txt"):
        s3.put_object(Bucket="bucket", Key=f"in/{name}", Body=b"text" * 1000)
    sources = resolve_sources(["s3://bucket/in/*.txt"], conn_id="files_s3")
    assert [source.path for source in sources] == [f"s3://files_s3@bucket/in/{n}.txt" for n in "ab"]
    assert sources[0].media_type == "text/plain"
    monkeypatch.setattr(upload, "SINGLE_PUT_LIMIT", 100)
    monkeypatch.setattr(upload, "BLOCK_BYTES", 1500)
    put_blob(requests.Session(), lambda refresh: UploadLink(origin.link("x"), "x"), sources[0])
    assert origin.blobs["/x"] == b"text" * 1000


def test_what_another_task_wrote_since_the_last_listing_is_found(s3: Any) -> None:
    pattern = "s3://files_s3@bucket/in/*.txt"
    for count in (1, 2):
        s3.put_object(Bucket="bucket", Key=f"in/{count}.txt", Body=b"text")
        assert len(resolve_sources([pattern])) == count


def test_rows_land_in_the_store(s3: Any) -> None:
    manifest = write_rows([{"n": 1}], target_path(FOLDER, "i.jsonl"), columns=[("n", "integer")])
    assert s3.get_object(Bucket="bucket", Key="out/i.jsonl")["Body"].read() == b'{"n": 1}\n'
    assert resolve_sources([manifest])[0].size == 9


def test_write_access_is_probed(s3: Any) -> None:
    probe_writable(FOLDER)
    assert keys(s3) == []
    with pytest.raises((InvalidInputError, TransferError), match="s3://files_s3@nobucket/out"):
        probe_writable("s3://files_s3@nobucket/out")


def test_a_missing_object_is_named(s3: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="s3://files_s3@bucket/none does not exist"):
        resolve_sources(["s3://files_s3@bucket/none"])


def test_a_version_is_not_taken_for_the_newest_one(s3: Any) -> None:
    s3.put_object(Bucket="bucket", Key="in/a.txt", Body=b"the newest")
    url = "s3://files_s3@bucket/in/a.txt?versionId=3HL4kqt"
    with pytest.raises(InvalidInputError, match="names a version"):
        resolve_sources([url])
    with pytest.raises(InvalidInputError, match="names a version"):
        write_rows([{"a": 1}], f"{FOLDER}/rows.jsonl?versionId=3HL4kqt", columns=[("a", "integer")])
    assert keys(s3) == ["in/a.txt"]
