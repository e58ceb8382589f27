"""The four error shapes of MediaMagic, and who gets which."""

from __future__ import annotations

import uuid

import pytest
import requests

from airflow_provider.simulator import Simulator
from tests.simulator.talk import SANDBOX_KEY, MediaMagicTalk

STATUS = f"/submissions/{uuid.UUID(int=1)}"


def test_no_key(sim: Simulator) -> None:
    answer = requests.get(f"{sim.url}/api/integrations{STATUS}", timeout=60)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Missing X-API-Key header"})


@pytest.mark.parametrize("key", ["sk-of-the-other-service", "nonsense"])
def test_a_key_of_another_kind_is_invalid(mediamagic: MediaMagicTalk, key: str) -> None:
    answer = mediamagic.send("GET", STATUS, key)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid API key"})


@pytest.mark.parametrize(
    ("state", "detail"),
    [("expired", "This API key has expired"), ("revoked", "This API key has been revoked")],
)
def test_a_key_that_was_good_once(
    sim: Simulator, mediamagic: MediaMagicTalk, state: str, detail: str
) -> None:
    sim.keys({"key": "sk_live_old", "state": state})
    answer = mediamagic.send("GET", STATUS, "sk_live_old")
    assert (answer.status_code, answer.json()) == (401, {"detail": detail})


def test_restricted_to_known_keys(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    sim.keys({"key": "sk_live_known"}, restrict=["mediamagic"])
    assert mediamagic.send("GET", STATUS, "sk_live_known").status_code == 404
    assert mediamagic.send("GET", STATUS, "sk_live_unknown").status_code == 401


def test_plan_without_api_access(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    sim.keys({"key": "sk_live_poor", "state": "no_plan"})
    answer = mediamagic.send("POST", "/uploads/url", "sk_live_poor", json={})
    assert answer.status_code == 402
    assert answer.json() == {
        "error_code": "tier_not_authorized_for_integrations_api",
        "message": "Your plan does not include access to the Integrations API.",
        "bucket": "upload",
    }


def test_rate_limit_is_per_bucket_and_tells_when_to_come_back(
    sim: Simulator, mediamagic: MediaMagicTalk
) -> None:
    sim.settings(mediamagic_limits={"submission_read": "2/60"})
    assert [mediamagic.send("GET", STATUS).status_code for _ in range(3)] == [404, 404, 429]
    refused = mediamagic.send("GET", STATUS)
    assert refused.json() == {"error": "Rate limit exceeded: too many submission reads"}
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert "X-RateLimit-Limit" not in refused.headers
    assert mediamagic.send("POST", "/submissions", json={}).status_code == 422  # another bucket
    sim.advance(61)
    assert mediamagic.send("GET", STATUS).status_code == 404


def test_unlimited_by_default(mediamagic: MediaMagicTalk) -> None:
    with requests.Session() as session:
        url = f"{mediamagic.sim.url}/api/integrations{STATUS}"
        codes = {
            session.get(url, headers={"X-API-Key": mediamagic.key}, timeout=60).status_code
            for _ in range(150)
        }
    assert codes == {404}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({}, "assets"),
        ({"assets": []}, "assets"),
        ({"assets": ["x"]}, "assets.0"),
        ({"assets": [{}]}, "assets.0.blobPath"),
        ({"assets": [{"blobPath": "x", "filename": "x.txt"}]}, "assets.0.filename"),
        ({"assets": [{"blobPath": "x", "previousSubmissionId": "y"}]}, "assets.0.previousSubmissionId"),
        ({"assets": [{"blobPath": "x"}], "sidekickIds": ["y"]}, "sidekickIds"),
        ({"assets": [{"blobPath": "x"}], "metadata": "y"}, "metadata"),
    ],
)
def test_validation_error_names_the_field(mediamagic: MediaMagicTalk, body: object, field: str) -> None:
    answer = mediamagic.send("POST", "/submissions", json=body)
    assert answer.status_code == 422
    assert "detail" not in answer.json()
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_an_id_that_is_no_uuid(mediamagic: MediaMagicTalk) -> None:
    assert mediamagic.send("GET", "/submissions/550e8400-...").status_code == 422


@pytest.mark.parametrize("path", ["/submissions/x/status", "/unknown", "/submissions/x/assets/y/results"])
def test_paths_that_do_not_exist(mediamagic: MediaMagicTalk, path: str) -> None:
    answer = mediamagic.send("GET", path)
    assert (answer.status_code, list(answer.json())) == (404, ["detail"])


def test_no_list_of_submissions(mediamagic: MediaMagicTalk) -> None:
    assert mediamagic.send("GET", "/submissions").status_code == 405


def test_a_delay_is_for_sandbox_keys(mediamagic: MediaMagicTalk) -> None:
    body = {"assets": [{"blobPath": mediamagic.upload()}]}
    live = mediamagic.send("POST", "/submissions?simulationDelaySeconds=5", json=body)
    assert (live.status_code, list(live.json())) == (400, ["detail"])
    too_long = mediamagic.send("POST", "/submissions?simulationDelaySeconds=31", SANDBOX_KEY, json=body)
    assert too_long.status_code == 422


def test_another_workspace_sees_nothing(mediamagic: MediaMagicTalk) -> None:
    submission = mediamagic.submit(mediamagic.upload())
    path = f"/submissions/{submission['submissionId']}"
    assert mediamagic.send("GET", path).status_code == 200
    assert mediamagic.send("GET", path, "sk_live_other").status_code == 404


def test_keys_of_one_workspace_see_the_same(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    sim.keys({"key": "sk_live_a", "workspace": "shared"}, {"key": "sk_live_b", "workspace": "shared"})
    submission = mediamagic.submit(mediamagic.upload(key="sk_live_a"), key="sk_live_a")
    assert mediamagic.status(submission, "sk_live_b")["status"] == "submitted"
