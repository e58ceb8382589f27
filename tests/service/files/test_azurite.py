"""
Uploads and targets on Azurite, Microsoft's own emulator of Azure Blob Storage.

Needs ``azurite-blob`` on the path, or its path in ``AZURITE_BLOB`` (``npm install azurite``).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider.core.files import upload
from airflow_provider.core.files.atomic import write_atomic
from airflow_provider.core.files.locations import Location
from airflow_provider.core.files.sources import Source, resolve_sources
from airflow_provider.core.files.upload import UploadLink, put_blob
from airflow_provider.exceptions import TransferError
from tests.service.files.conftest import Naps
from tests.service.files.test_download import assert_no_signature

blob = pytest.importorskip("azure.storage.blob")
PROGRAM = os.environ.get("AZURITE_BLOB") or shutil.which("azurite-blob")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="azurite-blob is not installed")

ACCOUNT = "devstoreaccount1"
# The emulator's published key, the same everywhere.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
BODY = bytes(range(256)) * 8192


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("azurite")
    command = [str(PROGRAM), "--silent", "--location", str(folder), "--blobPort", str(port)]
    with subprocess.Popen(
        [*command, "--skipApiVersionCheck", "--disableTelemetry"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        for _ in range(300):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/{ACCOUNT}"
        process.terminate()


@pytest.fixture(scope="module")
def container(endpoint: str) -> Any:
    service = blob.BlobServiceClient(endpoint, credential=KEY)
    return service.create_container("assets")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    path = tmp_path / "clip.mp4"
    path.write_bytes(BODY)
    return resolve_sources([path])[0]


def link(endpoint: str, name: str, *, hours: float = 1) -> UploadLink:
    now = datetime.now(UTC)
    signature = blob.generate_blob_sas(
        ACCOUNT,
        "assets",
        name,
        account_key=KEY,
        permission=blob.BlobSasPermissions(create=True, write=True),
        start=now - timedelta(hours=2),
        expiry=now + timedelta(hours=hours),
    )
    return UploadLink(f"{endpoint}/assets/{name}?{signature}", name)


@pytest.mark.parametrize("options", [{}, {"SINGLE_PUT_LIMIT": 1000, "BLOCK_BYTES": 600_000}])
def test_a_presigned_link_takes_one_put_and_blocks(
    endpoint: str,
    container: Any,
    source: Source,
    options: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for constant, value in options.items():
        monkeypatch.setattr(upload, constant, value)
    put_blob(requests.Session(), lambda refresh: link(endpoint, "ws/clip ü.mp4"), source)
    client = container.get_blob_client("ws/clip ü.mp4")
    assert client.download_blob().readall() == BODY
    assert client.get_blob_properties().blob_type == "BlockBlob"


@pytest.mark.parametrize("options", [{}, {"SINGLE_PUT_LIMIT": 1000, "BLOCK_BYTES": 600_000}])
def test_an_expired_link_is_replaced(
    endpoint: str,
    container: Any,
    source: Source,
    options: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for constant, value in options.items():
        monkeypatch.setattr(upload, constant, value)
    links = iter([link(endpoint, "expired", hours=-1), link(endpoint, "expired")])
    put_blob(requests.Session(), lambda refresh: next(links), source)
    assert container.get_blob_client("expired").download_blob().readall() == BODY


def test_a_link_that_stays_expired_is_an_error_without_its_signature(
    endpoint: str, container: Any, source: Source, naps: Naps
) -> None:
    old = link(endpoint, "never", hours=-1)
    with pytest.raises(TransferError, match="403 AuthorizationFailure") as raised:
        put_blob(requests.Session(), lambda refresh: old, source, sleep=naps)
    assert_no_signature(raised)
    assert old.url.partition("sig=")[2] not in str(raised.value)


def test_a_target_is_visible_when_it_is_whole_and_not_before(endpoint: str, container: Any) -> None:
    adlfs = pytest.importorskip("adlfs")
    store = adlfs.AzureBlobFileSystem(
        connection_string=f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
        f"BlobEndpoint={endpoint};"
    )
    location = Location("abfs://conn@assets/out/r.bin", "assets/out/r.bin", store)

    def names() -> list[str]:
        return [found.name for found in container.list_blobs(name_starts_with="out/")]

    def broken_off() -> None:
        with write_atomic(location) as whole:
            whole.write(BODY * 8)
            raise LookupError("broken off")

    with pytest.raises(LookupError, match="broken off"):
        broken_off()
    assert names() == []
    with write_atomic(location) as whole:
        whole.write(BODY * 8)
        assert names() == []
    assert names() == ["out/r.bin"]
    with write_atomic(location, overwrite=False) as whole:
        whole.write(BODY * 8)
    assert location.sha256() == whole.digest.sha256()
