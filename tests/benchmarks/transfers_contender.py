"""
One transfer of ``transfers.py`` in a process of its own: prints seconds and peak memory above idle as JSON.

Idle is the process with everything imported and its connection looked up.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests

from airflow_provider.core.files.download import download
from airflow_provider.core.files.sources import Source, resolve_sources
from airflow_provider.core.files.upload import UploadLink, put_blob
from airflow_provider.core.http.connection import ConnectionSettings
from airflow_provider.hooks.mediamagic import MediaMagicHook


def memory(what: str) -> int:
    """Bytes that the process holds (``VmRSS``) or ever held (``VmHWM``) since :func:`forget_peak`."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[what].split()[0]) * 1024


def forget_peak() -> None:
    """Let the peak begin at what is held now; importing has taken more."""
    Path("/proc/self/clear_refs").write_text("5")


def our_upload(api: str, key: str, path: str) -> Callable[[], None]:
    """Check, ask for a link, send: what the upload operator does with one file."""
    hook = MediaMagicHook("bench", settings=ConnectionSettings("bench", api, key))
    (warm,) = resolve_sources([path])
    assert warm.media_type

    def run() -> None:
        (source,) = resolve_sources([path])
        put_blob(hook.storage_session, lambda refresh: link(source), source)

    def link(source: Source) -> UploadLink:
        answer = hook.create_upload_url(source.name, "video/mp4")
        return UploadLink(answer["uploadUrl"], answer["blobPath"])

    return run


def our_download(url: str, target: str) -> Callable[[], None]:
    """To a part, checked, synced and renamed."""
    return lambda: void(download(requests.Session(), lambda: url, target, expected_type=None))


def naive_download(url: str, target: str) -> Callable[[], None]:
    """As in the documents that the project was created from."""
    return lambda: void(Path(target).write_bytes(requests.get(url, timeout=600).content))


def void(value: object) -> None:
    pass


CONTENDERS: dict[str, Callable[..., Callable[[], None]]] = {
    "our_upload": our_upload,
    "our_download": our_download,
    "naive_download": naive_download,
}

if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    run = CONTENDERS[name](*arguments)
    forget_peak()
    idle, began = memory("VmRSS"), time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "memory": memory("VmHWM") - idle}))
