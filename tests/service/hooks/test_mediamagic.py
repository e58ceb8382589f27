"""Every MediaMagic endpoint, against the simulated service."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.core.polling.wait import JobState
from airflow_provider.exceptions import (
    AuthenticationError,
    ConflictError,
    InvalidInputError,
    InvalidRequestError,
    MalformedResponseError,
    NotFoundError,
    NotReadyError,
    PermissionDeniedError,
    PlanError,
    RateLimitedError,
    SubmitOutcomeUnknownError,
)
from airflow_provider.hooks.mediamagic import MediaMagicHook, observe_submission
from airflow_provider.simulator import Simulator
from tests.service.hooks.conftest import Ask, HookMaker
from tests.service.hooks.odd_server import OddServer, answer

LIVE_KEY = "sk_live_" + "0" * 64
HOUR = 3600.0
"""Simulated seconds that a job is told to take, so that a slow test machine cannot see it end too early."""
NIL = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def hook(simulator: Simulator, make_hook: HookMaker) -> MediaMagicHook:
    return make_hook(MediaMagicHook, simulator.url, api_key=LIVE_KEY)


def submit(hook: MediaMagicHook, content: bytes = b"Free for everybody, guaranteed!") -> dict[str, Any]:
    uploaded = hook.upload_direct("ad.txt", "text/plain", io.BytesIO(content))
    return hook.create_submission([{"blobPath": uploaded["blobPath"]}])


def test_a_submission_from_upload_to_topics(
    hook: MediaMagicHook, simulator: Simulator, ask: Ask, tmp_path: Path
) -> None:
    simulator.script("mediamagic", duration=HOUR)
    file = tmp_path / "ad.txt"
    file.write_bytes(b"Free for everybody, guaranteed!")
    url = hook.create_upload_url("ad.txt", "text/plain")
    hook.put_upload(url["uploadUrl"], file)
    created = hook.create_submission(
        [{"blobPath": url["blobPath"]}], sidekick_ids=[NIL], metadata={"campaign": "spring"}
    )
    submission_id, asset_id = created["submissionId"], created["assets"][0]["assetId"]

    before = observe_submission(ask(hook, "get_submission", submission_id))
    simulator.advance(2 * HOUR)
    after = observe_submission(ask(hook, "get_submission", submission_id))

    assert (before.state, before.job_id) == (JobState.ACTIVE, submission_id)
    assert (after.state, after.fraction) == (JobState.SUCCEEDED, 1.0)
    result = hook.get_asset_result(submission_id, asset_id)
    assert (result["assetId"], result["filename"], result["status"]) == (asset_id, "ad.txt", "complete")
    issues = hook.get_issues(submission_id, asset_id)
    assert len(issues) == result["issueCount"]
    assert set(hook.get_topics(submission_id, asset_id)) >= {"assetId", "topics", "orphanIssues"}
    assert simulator.ledger()["api_key_at_storage"] == 0


@pytest.mark.parametrize("method", ["get_issues", "get_topics"])
def test_results_of_an_unfinished_asset_are_not_ready(
    hook: MediaMagicHook, simulator: Simulator, method: str
) -> None:
    simulator.script("mediamagic", duration=HOUR)
    created = submit(hook)

    with pytest.raises(NotReadyError):
        getattr(hook, method)(created["submissionId"], created["assets"][0]["assetId"])


def test_an_unknown_submission_is_not_found(hook: MediaMagicHook, ask: Ask) -> None:
    with pytest.raises(NotFoundError):
        ask(hook, "get_submission", NIL)


def test_an_unknown_key(simulator: Simulator, make_hook: HookMaker, ask: Ask) -> None:
    simulator.fault("status", path="/api/integrations/*", status=401)

    with pytest.raises(AuthenticationError):
        ask(make_hook(MediaMagicHook, simulator.url), "get_submission", NIL)


def test_a_failed_asset_is_named_and_can_be_retried(hook: MediaMagicHook, simulator: Simulator) -> None:
    simulator.script(
        "mediamagic",
        duration=HOUR,
        asset_status="failed",
        error_message="codec not supported",
        error_type="TranscodeError",
        is_retryable=True,
    )
    created = submit(hook)
    submission_id, asset_id = created["submissionId"], created["assets"][0]["assetId"]
    simulator.advance(2 * HOUR)

    seen = observe_submission(hook.get_submission(submission_id))
    assert seen.state is JobState.FAILED
    assert f"asset {asset_id}: codec not supported (TranscodeError, retryable)" in seen.message

    assert hook.retry_asset(submission_id, asset_id)["submissionId"] == submission_id
    with pytest.raises(ConflictError):
        hook.retry_asset(submission_id, asset_id)
    simulator.advance(2 * HOUR)
    assert observe_submission(hook.get_submission(submission_id)).state is JobState.SUCCEEDED


def test_a_submission_whose_answer_was_lost_exists_once(hook: MediaMagicHook, simulator: Simulator) -> None:
    simulator.fault("lost_answer", path="/api/integrations/submissions", method="POST")

    with pytest.raises(SubmitOutcomeUnknownError):
        submit(hook)

    assert len(simulator.ledger()["submissions"]) == 1


def test_a_wrong_type_is_refused_by_the_service(hook: MediaMagicHook) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        hook.create_upload_url("ad.exe", "application/x-msdownload")

    assert caught.value.http_status == 415


def test_a_blob_of_somebody_else_is_refused(hook: MediaMagicHook) -> None:
    with pytest.raises((PermissionDeniedError, InvalidRequestError)):
        hook.create_submission([{"blobPath": f"{NIL}/theirs.mp4"}])


def test_a_simulated_delay_is_for_sandbox_keys(simulator: Simulator, make_hook: HookMaker) -> None:
    sandbox = make_hook(MediaMagicHook, simulator.url)
    live = make_hook(MediaMagicHook, simulator.url, api_key=LIVE_KEY)
    uploaded = {
        hook: hook.upload_direct("ad.txt", "text/plain", io.BytesIO(b"text"))["blobPath"]
        for hook in (sandbox, live)
    }

    created = sandbox.create_submission([{"blobPath": uploaded[sandbox]}], simulation_delay_seconds=30)
    assert observe_submission(sandbox.get_submission(created["submissionId"])).state is JobState.ACTIVE
    with pytest.raises(InvalidRequestError) as caught:
        live.create_submission([{"blobPath": uploaded[live]}], simulation_delay_seconds=30)
    assert caught.value.http_status == 400


@pytest.mark.parametrize(
    ("call", "parameter"),
    [
        (lambda hook: hook.create_submission([]), "assets"),
        (lambda hook: hook.create_submission([{"blobPath": "a"}], sidekick_ids="one"), "sidekick_ids"),
        (lambda hook: hook.create_submission([{"blobPath": "a"}], sidekick_ids=5), "sidekick_ids"),
        (lambda hook: hook.create_submission([{"blobPath": "a"}], metadata=[1]), "metadata"),
        (
            lambda hook: hook.create_submission([{"blobPath": "a"}], simulation_delay_seconds=31),
            "simulation_delay_seconds",
        ),
        (lambda hook: hook.create_submission([{"blobPath": "a"}], metadata={"at": object()}), "metadata.at"),
        (
            lambda hook: hook.create_submission([{"blobPath": "a"}], metadata={"x": float("nan")}),
            "metadata.x",
        ),
        (lambda hook: hook.create_upload_url("", "text/plain"), "filename"),
        (lambda hook: hook.create_upload_url("a.txt", ""), "content_type"),
        (lambda hook: hook.upload_direct("a.txt", "", io.BytesIO(b"x")), "content_type"),
        (lambda hook: hook.get_asset_result("s1", ""), "asset_id"),
        (lambda hook: hook.put_upload("", "a.mp4"), "upload_url"),
        (lambda hook: hook.put_upload("http://storage.example.com/a", "a.mp4"), "upload_url"),
        (lambda hook: hook.put_upload("https://[::1", "a.mp4"), "upload_url"),
        (lambda hook: hook.put_upload("https://example.com/a", "no such file"), "file"),
    ],
)
def test_what_cannot_be_right_is_not_sent(
    make_hook: HookMaker, call: Callable[[MediaMagicHook], Any], parameter: str
) -> None:
    with OddServer() as server:
        with pytest.raises(InvalidInputError) as caught:
            call(make_hook(MediaMagicHook, server.url))

        assert server.requests == []
    assert caught.value.parameter == parameter


def test_the_plan_names_its_bucket(make_hook: HookMaker, ask: Ask) -> None:
    body = {"error_code": "tier_not_authorized", "message": "Not in your plan.", "bucket": "submission_read"}
    with (
        OddServer(answer(402, body)) as server,
        pytest.raises(PlanError, match="Bucket: submission_read") as caught,
    ):
        ask(make_hook(MediaMagicHook, server.url), "get_submission", "s1")

    assert caught.value.code == "tier_not_authorized"


def test_a_rate_limit_of_the_service(simulator: Simulator, make_hook: HookMaker, ask: Ask) -> None:
    simulator.fault("status", path="/api/integrations/*", status=429, headers={"Retry-After": "600"})

    with pytest.raises(RateLimitedError) as caught:
        ask(make_hook(MediaMagicHook, simulator.url), "get_submission", NIL)

    assert caught.value.retry_after == 600


ISSUE = {"id": "i1", "severity": "MAJOR"}


@pytest.mark.parametrize(
    "body", [[ISSUE], {"issues": [ISSUE]}, {"items": [ISSUE], "total": 1}, {"data": [ISSUE]}]
)
def test_issues_are_found_in_any_container(make_hook: HookMaker, body: Any) -> None:
    with OddServer(answer(200, body)) as server:
        assert make_hook(MediaMagicHook, server.url).get_issues("s1", "a1") == [ISSUE]


@pytest.mark.parametrize("body", [{}, {"issues": None}, {"issues": {}}, ["text"], "text"])
def test_issues_that_are_none_are_malformed(make_hook: HookMaker, body: Any) -> None:
    with OddServer(answer(200, body)) as server, pytest.raises(MalformedResponseError, match="issues"):
        make_hook(MediaMagicHook, server.url).get_issues("s1", "a1")


@pytest.mark.parametrize("assets", [None, [{}], [None], "a1"])
@pytest.mark.parametrize("status", ["complete", "failed"])
def test_a_finished_submission_must_name_its_assets(
    make_hook: HookMaker, ask: Ask, assets: Any, status: str
) -> None:
    body = {"submissionId": "s1", "status": status, "assets": assets}
    with OddServer(answer(200, body)) as server, pytest.raises(MalformedResponseError):
        ask(make_hook(MediaMagicHook, server.url), "get_submission", "s1")
