"""A submission from creation to its end, versions, conflicts, retries, the sandbox."""

from __future__ import annotations

import re
import uuid

import pytest

from airflow_provider.simulator import Simulator
from tests.simulator.talk import LONG, SANDBOX_KEY, MediaMagicTalk

ASSET_KEYS = [
    "assetId", "versionGroupId", "versionNumber", "issueCount", "errorMessage", "errorType", "isRetryable",
    "retryCount",
]  # fmt: skip


def test_creation_answers_with_ids(mediamagic: MediaMagicTalk) -> None:
    created = mediamagic.submit(mediamagic.upload(), sidekickIds=[], metadata={"campaign": "spring"})
    assert list(created) == ["submissionId", "workflowId", "ablyChannel", "status", "assets"]
    assert str(uuid.UUID(created["submissionId"])) == created["submissionId"]
    assert created["ablyChannel"] == f"submission:{created['submissionId']}"
    assert created["workflowId"].startswith("asset-processing-")
    assert created["status"] == "submitted"
    assert [list(asset) for asset in created["assets"]] == [["assetId", "versionGroupId", "versionNumber"]]


def test_status_moves_on_with_the_clock(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    created = mediamagic.submit(mediamagic.upload())
    seen = [mediamagic.status(created)]
    for _ in range(4):
        sim.advance(5)
        seen.append(mediamagic.status(created))
    sim.advance(60)
    seen.append(mediamagic.status(created))

    assert [one["status"] for one in seen] == [
        "submitted",
        *["processing"] * 3,
        seen[4]["status"],
        "complete",
    ]
    progress = [one["progressPercent"] for one in seen]
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (0, 100)
    assert 0 < progress[1] < progress[2] < 100


def test_status_body_while_running_and_at_the_end(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    created = mediamagic.submit(mediamagic.upload())
    sim.advance(5)
    running = mediamagic.status(created)
    assert list(running) == [
        "submissionId", "workflowId", "workspaceId", "status", "progressPercent", "createdAt", "completedAt",
        "errorMessage", "assets", "isRetryable",
    ]  # fmt: skip
    assert list(running["assets"][0]) == ASSET_KEYS
    assert (running["completedAt"], running["errorMessage"], running["assets"][0]["issueCount"]) == (
        None,
        None,
        None,
    )
    sim.advance(LONG)
    over = mediamagic.status(created)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", over["completedAt"])
    assert over["createdAt"] == running["createdAt"] < over["completedAt"]
    assert over["assets"][0]["issueCount"] == 0


def test_results_are_not_there_before_the_end(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    created = mediamagic.submit(mediamagic.upload())
    assert [mediamagic.asset(created, what).status_code for what in ("/issues", "/topics")] == [404, 404]
    early = mediamagic.asset(created).json()
    assert (early["status"], early["issueCount"], early["issues"]) == ("processing", None, [])
    sim.advance(LONG)
    assert [mediamagic.asset(created, what).status_code for what in ("/issues", "/topics")] == [200, 200]


def test_an_asset_can_be_done_before_its_submission(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    sim.script("mediamagic", match={"filename": "slow.txt"}, duration=1000)
    created = mediamagic.submit(mediamagic.upload("quick.txt"), mediamagic.upload("slow.txt"))
    sim.advance(100)
    assert mediamagic.status(created)["status"] == "processing"
    assert mediamagic.asset(created, "/issues", 0).status_code == 200
    assert mediamagic.asset(created, "/issues", 1).status_code == 404


def test_more_files_take_longer(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    one = mediamagic.submit(mediamagic.upload())
    many = mediamagic.submit(*(mediamagic.upload() for _ in range(5)))
    ends = {job["id"]: job["finished_at"] - job["created_at"] for job in sim.ledger()["submissions"]}
    assert 20 <= ends[one["submissionId"]] < ends[many["submissionId"]] <= 60


def test_a_blob_can_be_submitted_once(mediamagic: MediaMagicTalk) -> None:
    path = mediamagic.upload()
    mediamagic.submit(path)
    again = mediamagic.send("POST", "/submissions", json={"assets": [{"blobPath": path}]})
    assert again.status_code == 409
    assert again.json() == {
        "detail": "Asset already submitted",
        "docs_url": "https://docs.mediamagic.app/concepts/assets",
    }


def test_a_refused_submission_uses_up_nothing(mediamagic: MediaMagicTalk) -> None:
    path = mediamagic.upload()
    body = {"assets": [{"blobPath": path}, {"blobPath": "elsewhere/x.txt"}]}
    assert mediamagic.send("POST", "/submissions", json=body).status_code == 403
    assert mediamagic.submit(path)["status"] == "submitted"


@pytest.mark.parametrize("whose", ["unknown", "foreign", "not uploaded"])
def test_invalid_blob_path(mediamagic: MediaMagicTalk, whose: str) -> None:
    path = {
        "unknown": lambda: mediamagic.upload() + "x",
        "foreign": lambda: mediamagic.upload(key="sk_live_other"),
        "not uploaded": lambda: mediamagic.presign("a.txt", "text/plain")["blobPath"],
    }[whose]()
    answer = mediamagic.send("POST", "/submissions", json={"assets": [{"blobPath": path}]})
    assert (answer.status_code, answer.json()["detail"]) == (403, "Invalid blob path")


def test_versions_continue_a_group(mediamagic: MediaMagicTalk) -> None:
    first = mediamagic.submit(mediamagic.upload())
    versions = [first["assets"][0]]
    for _ in range(2):
        body = {"assets": [{"blobPath": mediamagic.upload(), "previousSubmissionId": first["submissionId"]}]}
        versions += mediamagic.send("POST", "/submissions", json=body).json()["assets"]
    assert [one["versionNumber"] for one in versions] == [1, 2, 3]
    assert len({one["versionGroupId"] for one in versions}) == 1
    assert len({one["assetId"] for one in versions}) == 3


def test_a_version_of_something_unknown(mediamagic: MediaMagicTalk) -> None:
    body = {"assets": [{"blobPath": mediamagic.upload(), "previousSubmissionId": str(uuid.uuid4())}]}
    assert mediamagic.send("POST", "/submissions", json=body).status_code == 404


def test_a_scripted_failure_and_its_retry(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    sim.script(
        "mediamagic",
        match={"filename": "bad.txt"},
        asset_status="failed",
        error_message="Model overloaded",
        error_type="transient",
    )
    created = mediamagic.submit(mediamagic.upload("good.txt"), mediamagic.upload("bad.txt"))
    assert mediamagic.retry(created, 1).status_code == 409  # not failed yet
    sim.advance(LONG)

    failed = mediamagic.status(created)
    good, bad = failed["assets"]
    assert (failed["status"], failed["isRetryable"], failed["errorMessage"]) == (
        "failed",
        True,
        "1 of 2 assets failed",
    )
    assert (bad["errorMessage"], bad["errorType"], bad["isRetryable"], bad["retryCount"]) == (
        "Model overloaded", "transient", True, 0,
    )  # fmt: skip
    assert (good["errorMessage"], good["isRetryable"], good["issueCount"]) == (None, False, 0)
    assert [mediamagic.asset(created, "", n).json()["status"] for n in (0, 1)] == ["complete", "failed"]
    assert mediamagic.asset(created, "/issues", 1).status_code == 404
    assert mediamagic.retry(created, 0).status_code == 409  # not the failed one

    accepted = mediamagic.retry(created, 1)
    assert (accepted.status_code, accepted.json()["status"]) == (202, "processing")
    assert mediamagic.retry(created, 1).status_code == 409  # already running
    running = mediamagic.status(created)
    assert (running["status"], running["completedAt"], running["isRetryable"]) == ("processing", None, False)
    sim.advance(LONG)
    over = mediamagic.status(created)
    assert (over["status"], over["errorMessage"]) == ("complete", None)
    assert [asset["retryCount"] for asset in over["assets"]] == [0, 1]


def test_a_failure_that_no_retry_helps(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    sim.script("mediamagic", asset_status="failed", is_retryable=False)
    created = mediamagic.submit(mediamagic.upload())
    sim.advance(LONG)
    assert mediamagic.status(created)["isRetryable"] is False
    assert mediamagic.retry(created).status_code == 409


def test_retries_run_out(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    sim.script("mediamagic", asset_status="failed", attempts_failing=99)
    created = mediamagic.submit(mediamagic.upload())
    codes = []
    for _ in range(4):
        sim.advance(LONG)
        codes.append(mediamagic.retry(created).status_code)
    assert codes == [202, 202, 202, 409]
    assert mediamagic.status(created)["isRetryable"] is False


def test_a_script_is_used_as_often_as_it_says(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    sim.script("mediamagic", asset_status="failed", times=1)
    jobs = [mediamagic.submit(mediamagic.upload()) for _ in range(2)]
    sim.advance(LONG)
    assert [mediamagic.status(job)["status"] for job in jobs] == ["failed", "complete"]


def test_sandbox_is_over_at_once_or_after_the_delay(sim: Simulator, mediamagic: MediaMagicTalk) -> None:
    at_once = mediamagic.submit(mediamagic.upload(key=SANDBOX_KEY), key=SANDBOX_KEY)
    assert at_once["status"] == "submitted"
    assert mediamagic.status(at_once, SANDBOX_KEY)["status"] == "complete"

    body = {"assets": [{"blobPath": mediamagic.upload(key=SANDBOX_KEY)}]}
    later = mediamagic.send("POST", "/submissions?simulationDelaySeconds=20", SANDBOX_KEY, json=body).json()
    sim.advance(15)
    assert mediamagic.status(later, SANDBOX_KEY)["status"] == "processing"
    sim.advance(6)
    assert mediamagic.status(later, SANDBOX_KEY)["status"] == "complete"
