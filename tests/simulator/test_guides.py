"""The two polling guides, call by call, against a simulator whose clock runs."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider.simulator import Simulator
from tests.simulator.talk import LIVE_KEY, WITNESS_KEY, picture

#: Fails a test that would wait for ever; far more than any of them needs.
GIVE_UP = 60


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator(time_scale=200) as simulator:
        yield simulator


def test_submit_wait_and_read_results(running: Simulator, tmp_path: Path) -> None:
    base, headers = f"{running.url}/api/integrations", {"X-API-Key": LIVE_KEY}
    assets = []
    for name in ("video1.mp4", "video2.mp4"):
        path = tmp_path / name
        path.write_bytes(struct.pack(">I", 16) + b"ftypisom\0\0\2\0" + name.encode())
        with path.open("rb") as stream:
            upload = requests.post(
                f"{base}/uploads/direct", headers=headers, files={"file": stream}, timeout=60
            )
        upload.raise_for_status()
        assets.append({"blobPath": upload.json()["blobPath"]})
    body = {"assets": assets, "sidekickIds": []}
    submission = requests.post(f"{base}/submissions", headers=headers, json=body, timeout=60).json()
    address = f"{base}/submissions/{submission['submissionId']}"

    seen, deadline = [], time.monotonic() + GIVE_UP
    while True:
        status = requests.get(address, headers=headers, timeout=60).json()
        seen.append((status["status"], status["progressPercent"]))
        if status["status"] in ("complete", "failed"):
            break
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert seen[-1] == ("complete", 100)
    assert "processing" in {word for word, _ in seen}
    assert [percent for _, percent in seen] == sorted(percent for _, percent in seen)

    results = [
        requests.get(f"{address}/assets/{asset['assetId']}", headers=headers, timeout=60).json()
        for asset in status["assets"]
    ]
    assert [(result["filename"], result["status"]) for result in results] == [
        ("video1.mp4", "complete"), ("video2.mp4", "complete"),
    ]  # fmt: skip
    for result in results:
        assert result["issueCount"] == len(result["issues"])
        listed = requests.get(
            f"{address}/assets/{result['assetId']}/issues", headers=headers, timeout=60
        ).json()
        topics = requests.get(
            f"{address}/assets/{result['assetId']}/topics", headers=headers, timeout=60
        ).json()
        clustered = sum(len(topic["issues"]) for topic in topics["topics"]) + len(topics["orphanIssues"])
        assert len(listed) == clustered == result["issueCount"]


def test_order_wait_download_and_order_again(running: Simulator, tmp_path: Path) -> None:
    def api(method: str, path: str, **kwargs: Any) -> Any:
        answer = requests.request(
            method, f"{running.url}{path}", headers={"X-API-Key": WITNESS_KEY}, timeout=60, **kwargs
        )
        answer.raise_for_status()
        return answer.json()

    case = {
        "plaintiff_name": "Ann Smith", "defendant_name": "Bob Jones", "attorney_name": "Cleo Park",
        "accident": {"date": "2026-01-31"}, "vehicles": [{"role": "plaintiff"}],
    }  # fmt: skip
    case_id = api("POST", "/api/cases", json=case)["data"]["case"]["id"]
    form = {"case_id": case_id, "file_category": "vehicle_photo", "vehicle_role": "plaintiff"}
    api("POST", "/api/files/upload", data=form, files={"file": ("front.jpg", picture())})
    order = {"case_id": case_id, "type": "technical_report"}
    report_id = api("POST", "/api/reports", json=order)["data"]["id"]

    messages, deadline = [], time.monotonic() + GIVE_UP
    while True:
        data = api("GET", f"/api/reports/{report_id}")["data"]
        message = (data.get("progress") or {}).get("message", "")
        if message not in messages:
            messages.append(message)
        if data["status"] == "completed":
            break
        assert data["status"] in ("pending", "processing")
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert messages[0] == "Starting analysis..."
    assert messages[-2:] == ["Analysis complete. Building report documents...", "Report generation complete"]

    for kind, start in (("pdf", b"%PDF-"), ("docx", b"PK")):
        answer = requests.get(data["output"][f"{kind}_url"], timeout=60)
        assert answer.content.startswith(start)
    assert api("POST", "/api/reports", json=order)["data"]["id"] != report_id
