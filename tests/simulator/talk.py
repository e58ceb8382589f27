"""Short ways to say the usual things to the two APIs, with plain requests."""

from __future__ import annotations

import io
from typing import Any

import requests
from PIL import Image

from airflow_provider.simulator import Simulator

LIVE_KEY = "sk_live_" + "0" * 64
SANDBOX_KEY = "sk_test_" + "0" * 64
WITNESS_KEY = "sk-" + "0" * 61
SUBSCRIPTIONS = "/webhooks/subscriptions"
COMPLETED, FAILED = "asset.processing.completed", "asset.processing.failed"
#: Longer than any job takes.
LONG = 3000

OCCUPANT = {
    "name": "Ann Smith",
    "age": 41,
    "gender": "female",
    "height_inches": 66,
    "weight_lbs": 150,
    "position": "driver",
    "seatbelt_worn": True,
    "alleged_injuries": ["cervical_spine"],
}


def picture(
    color: tuple[int, int, int] = (90, 110, 130), size: tuple[int, int] = (640, 480), kind: str = "JPEG"
) -> bytes:
    """A picture of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", size, color).save(stream, kind)
    return stream.getvalue()


class _Talk:
    def __init__(self, sim: Simulator, key: str) -> None:
        self.sim = sim
        self.key = key

    def send(self, method: str, path: str, key: str | None = None, **kwargs: Any) -> requests.Response:
        headers = {"X-API-Key": key or self.key, **kwargs.pop("headers", {})}
        return requests.request(method, f"{self.sim.url}{path}", headers=headers, timeout=60, **kwargs)


class MediaMagicTalk(_Talk):
    """With MediaMagic."""

    def __init__(self, sim: Simulator) -> None:
        super().__init__(sim, LIVE_KEY)

    def send(self, method: str, path: str, key: str | None = None, **kwargs: Any) -> requests.Response:
        return super().send(method, f"/api/integrations{path}", key, **kwargs)

    def upload(
        self, filename: str = "ad.txt", content: bytes = b"A plain text.", key: str | None = None
    ) -> str:
        answer = self.send("POST", "/uploads/direct", key, files={"file": (filename, content)})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["blobPath"])

    def presign(self, filename: str, content_type: str) -> dict[str, str]:
        answer = self.send("POST", "/uploads/url", json={"filename": filename, "contentType": content_type})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def submit(self, *blob_paths: str, key: str | None = None, **kwargs: Any) -> dict[str, Any]:
        body = {"assets": [{"blobPath": path} for path in blob_paths], **kwargs}
        answer = self.send("POST", "/submissions", key, json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def status(self, submission: dict[str, Any], key: str | None = None) -> dict[str, Any]:
        answer = self.send("GET", f"/submissions/{submission['submissionId']}", key)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def asset(self, submission: dict[str, Any], what: str = "", position: int = 0) -> requests.Response:
        asset_id = submission["assets"][position]["assetId"]
        return self.send("GET", f"/submissions/{submission['submissionId']}/assets/{asset_id}{what}")

    def retry(self, submission: dict[str, Any], position: int = 0) -> requests.Response:
        asset_id = submission["assets"][position]["assetId"]
        return self.send("POST", f"/submissions/{submission['submissionId']}/assets/{asset_id}/retry")

    def subscribe(self, url: str, *event_types: str, key: str | None = None) -> dict[str, Any]:
        """A subscription, with its secret; to all events unless some are named."""
        body = {"endpointUrl": url, "eventTypes": event_types or [COMPLETED, FAILED]}
        answer = self.send("POST", SUBSCRIPTIONS, key, json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def deliveries(self, subscription: dict[str, Any], **query: str | int) -> list[dict[str, Any]]:
        path = f"{SUBSCRIPTIONS}/{subscription['id']}/deliveries"
        answer = self.send("GET", path, params=query).json()
        assert answer["total"] == len(answer["attempts"])
        return list(answer["attempts"])

    def reviewed(self, filename: str, content: bytes) -> list[dict[str, Any]]:
        """The issues found in a file."""
        submission = self.submit(self.upload(filename, content))
        self.sim.advance(LONG)
        return list(self.asset(submission).json()["issues"])


class SilentWitnessTalk(_Talk):
    """With Silent Witness."""

    def __init__(self, sim: Simulator) -> None:
        super().__init__(sim, WITNESS_KEY)

    def case(self, **fields: Any) -> str:
        body = {
            "plaintiff_name": "Ann Smith",
            "defendant_name": "Bob Jones",
            "attorney_name": "Cleo Park",
            "accident": {
                "date": "2026-01-31",
                "description": "Rear-ended at a light",
                "location": "Main and 3rd",
            },
            "vehicles": [{"role": "plaintiff", "vehicle_maker": "Toyota", "vehicle_year": "2020"}],
            **fields,
        }
        answer = self.send("POST", "/api/cases", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"]["case"]["id"])

    def read_case(self, case_id: str) -> dict[str, Any]:
        return dict(self.send("GET", f"/api/cases/{case_id}").json()["data"]["case"])

    def upload(
        self, case_id: str, name: str = "front.jpg", content: bytes | None = None, **form: str
    ) -> requests.Response:
        content = picture() if content is None else content
        return self.send(
            "POST", "/api/files/upload", data={"case_id": case_id, **form}, files={"file": (name, content)}
        )

    def ready_case(self, **fields: Any) -> str:
        """A case on which a report can be ordered."""
        case_id = self.case(**fields)
        assert self.upload(case_id, file_category="vehicle_photo").status_code == 201
        return case_id

    def order(self, case_id: str, **options: Any) -> requests.Response:
        body: dict[str, Any] = {"case_id": case_id, "type": "technical_report"}
        if options:
            body["options"] = options
        return self.send("POST", "/api/reports", json=body)

    def report(self, report_id: str) -> dict[str, Any]:
        answer = self.send("GET", f"/api/reports/{report_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])

    def completed(self, **fields: Any) -> dict[str, Any]:
        """A completed report."""
        report_id = self.order(self.ready_case(**fields)).json()["data"]["id"]
        self.sim.advance(LONG)
        report = self.report(report_id)
        assert report["status"] == "completed"
        return report
