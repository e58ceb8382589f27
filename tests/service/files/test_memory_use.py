"""Memory does not grow with the file: checked with files much larger than what a transfer may hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.service.files.origin import Origin

REPOSITORY = Path(__file__).parents[3]
SIZE = 64 * 1024 * 1024
ALLOWED = 24 * 1024 * 1024

PROGRAM = """
import resource, sys, requests
from airflow_provider.core.files.bodies import MultipartBody
from airflow_provider.core.files.download import download
from airflow_provider.core.files.tables import write_rows
from airflow_provider.core.files import upload
from airflow_provider.core.files.sources import resolve_sources
from airflow_provider.core.files.upload import UploadLink, put_blob

host, folder = sys.argv[1:]
sink = f"{host}/sink?sig=x"
source = resolve_sources([f"{folder}/in.bin"])[0]
source.media_type

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def form():
    return MultipartBody({}, filename="in.bin", content_type="video/mp4", stream=source.open())

def rows():
    return ({"s": "x" * 1000} for _ in range(50_000))

def blocks():
    upload.SINGLE_PUT_LIMIT = 1
    put_blob(requests.Session(), lambda refresh: UploadLink(sink, "b"), source)

work = {
    "download": lambda: download(
        requests.Session(), lambda: f"{host}/big?sig=x", f"{folder}/out.bin", expected_type=None
    ),
    "one put": lambda: put_blob(requests.Session(), lambda refresh: UploadLink(sink, "b"), source),
    "blocks": blocks,
    "multipart": lambda: requests.put(sink, data=form(), timeout=30).raise_for_status(),
    "rows": lambda: write_rows(rows(), f"{folder}/out.jsonl", columns=[("s", "string")]),
}
for name, step in work.items():
    before = peak()
    step()
    print(name, peak() - before, sep=":")
"""


def test_memory_stays_flat(origin: Origin, tmp_path: Path) -> None:
    with (tmp_path / "in.bin").open("wb") as stream:
        stream.truncate(SIZE)
    origin.discard = True
    origin.put("big", bytes(SIZE))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, origin.url, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    grown = dict(line.split(":") for line in done.stdout.splitlines() if ":" in line)
    assert list(grown) == ["download", "one put", "blocks", "multipart", "rows"]
    assert sum(map(int, grown.values())) < ALLOWED, grown
