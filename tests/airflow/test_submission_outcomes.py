"""What a submission with failed assets means: an error that lists them, a partial success, a repair."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.exceptions import (
    InvalidInputError,
    JobFailedError,
    JobInputError,
    MalformedResponseError,
)
from airflow_provider.operators.mediamagic.submission_operator import SubmissionOperator
from tests.airflow.interruptions import die_once
from tests.airflow.jobs import SOON, SubmissionJob
from tests.airflow.task_run import trigger_kwargs
from tests.simulator.talk import MediaMagicTalk


def _two_files(submission: SubmissionJob) -> dict[str, Any]:
    return {"files": [submission.file("good.txt"), submission.file("bad.txt")]}


def _fail_bad(submission: SubmissionJob, **outcome: Any) -> None:
    submission.fails(match={"filename": "bad*"}, **outcome)
    submission.takes(SOON)


def test_the_error_lists_each_failed_asset_with_type_and_whether_it_can_be_retried(
    submission: SubmissionJob, deferrable: bool
) -> None:
    _fail_bad(submission, error_message="Codec unknown", error_type="unsupported", is_retryable=False)
    run = submission.task(**_two_files(submission), deferrable=deferrable).test()
    (seen,) = submission.seen()
    bad = submission.vendor_says(seen["id"])["assets"][1]["assetId"]
    assert f"asset {bad}: Codec unknown (unsupported, not retryable)" in str(run.error)
    assert "failed: 1 of 2 assets" in str(run.error)


def test_failed_assets_that_can_be_retried_leave_the_task_its_retries(
    submission: SubmissionJob, deferrable: bool
) -> None:
    _fail_bad(submission, is_retryable=True)
    run = submission.task(**_two_files(submission), deferrable=deferrable).test()
    assert type(run.error) is JobFailedError
    assert "asset_retries=N" in str(run.error)


def test_failed_assets_that_cannot_be_retried_stop_the_retries(
    submission: SubmissionJob, deferrable: bool
) -> None:
    _fail_bad(submission, is_retryable=False)
    run = submission.task(**_two_files(submission), deferrable=deferrable, retries=2).test()
    assert type(run.error) is JobInputError
    assert run.tries == 1


@pytest.mark.parametrize("same_bytes", [False, True])
def test_files_that_the_service_keeps_in_one_place_are_not_submitted(
    submission: SubmissionJob, deferrable: bool, same_bytes: bool
) -> None:
    (submission.folder / "left").mkdir()
    files = [
        submission.file("ad.txt", "One."),
        submission.file("left/ad.txt", "One." if same_bytes else "Two."),
    ]
    submission.takes(SOON)
    talk = MediaMagicTalk(submission.simulator)
    talk.key = submission.key
    kept = talk.upload("ad.txt", b"One.")
    submission.simulator.fault(
        "set_field", "/api/integrations/uploads/direct", "POST", field="blobPath", value=kept
    )
    run = submission.task(files=files, deferrable=deferrable, retries=2).test()
    if same_bytes:
        assert run.state == "success"
    else:
        assert type(run.error) is InvalidInputError
        assert "left/ad.txt in the place of" in str(run.error)
        assert submission.seen() == []


def test_allow_partial_returns_which_assets_completed(submission: SubmissionJob, deferrable: bool) -> None:
    _fail_bad(submission)
    run = submission.task(**_two_files(submission), allow_partial=True, deferrable=deferrable).test()
    body = submission.vendor_says(submission.seen()[0]["id"])
    good, bad = (asset["assetId"] for asset in body["assets"])
    assert run.value == {**body, "completedAssetIds": [good], "failedAssetIds": [bad]}


def test_allow_partial_still_fails_when_no_asset_completed(
    submission: SubmissionJob, deferrable: bool
) -> None:
    submission.fails()
    run = submission.task(allow_partial=True, deferrable=deferrable).test()
    assert type(run.error) is JobFailedError


def test_asset_retries_repair_the_same_submission(submission: SubmissionJob, deferrable: bool) -> None:
    _fail_bad(submission, attempts_failing=1)
    run = submission.task(**_two_files(submission), asset_retries=1, deferrable=deferrable).test()
    assert run.value["status"] == "complete"
    assert len(run.value["completedAssetIds"]) == 2
    assert submission.creations() == 1
    assert len(submission.simulator.ledger()["asset_retries"]) == 1


@pytest.mark.parametrize("status", [402, 403])
def test_a_refused_repair_does_not_cost_the_assets_that_completed(
    submission: SubmissionJob, deferrable: bool, status: int
) -> None:
    _fail_bad(submission)
    submission.simulator.fault("status", "*/retry", "POST", status=status)
    options = {"allow_partial": True, "asset_retries": 1, "deferrable": deferrable}
    run = submission.task(**_two_files(submission), **options).test()
    assert [len(run.value[name]) for name in ("completedAssetIds", "failedAssetIds")] == [1, 1]


def test_a_refused_repair_of_one_asset_does_not_cost_that_of_another(
    submission: SubmissionJob, deferrable: bool
) -> None:
    submission.fails(attempts_failing=1)
    files = [submission.file("one.txt"), submission.file("two.txt", "Two.")]
    submission.simulator.fault("status", "*/retry", "POST", status=403, skip=1, times=1)
    run = submission.task(files=files, asset_retries=1, deferrable=deferrable).test()
    assert len(run.value["completedAssetIds"]) == 2


def test_asset_retries_end_after_their_number(submission: SubmissionJob, deferrable: bool) -> None:
    _fail_bad(submission, attempts_failing=9)
    run = submission.task(**_two_files(submission), asset_retries=2, deferrable=deferrable).test()
    assert type(run.error) is JobFailedError
    assert len(submission.simulator.ledger()["asset_retries"]) == 2


def test_assets_that_cannot_be_retried_are_not(submission: SubmissionJob) -> None:
    _fail_bad(submission, is_retryable=False)
    submission.task(**_two_files(submission), asset_retries=2, deferrable=False).test()
    assert submission.simulator.ledger()["asset_retries"] == []


def test_a_repair_gets_its_own_time(submission: SubmissionJob) -> None:
    _fail_bad(submission, attempts_failing=1)
    run = submission.task(**_two_files(submission), asset_retries=1, deferrable=True, timeout=500)
    run.attempt(until_deferred=True)
    submission.simulator.advance(SOON)
    job_id = submission.seen()[0]["id"]
    event = {"status": "failed", "job_id": job_id, "raw_status": "failed", "message": "", "polls": 1}
    run.resume(event, until_deferred=True)
    first, second = (trigger_kwargs(deferral)["deadline"] for deferral in run.recorder.deferrals)
    assert second > first


@pytest.fixture
def failed_asset(submission: SubmissionJob) -> dict[str, str]:
    """A submission of somebody else with one asset that failed and succeeds at its next attempt."""
    submission.fails(attempts_failing=1)
    run = submission.task(deferrable=False).test()
    job_id = submission.seen()[0]["id"]
    asset_id = submission.vendor_says(job_id)["assets"][0]["assetId"]
    run.recorder.errors.clear()
    return {"submission_id": job_id, "asset_id": asset_id}


def test_retrying_an_asset_waits_for_its_submission(
    submission: SubmissionJob, failed_asset: dict[str, str], deferrable: bool
) -> None:
    from airflow_provider.operators.mediamagic import MediaMagicRetryAssetOperator as Operator

    run = submission._task_run(Operator, deferrable=deferrable, poll_interval=0.05, **failed_asset).test()
    assert run.value == submission.result_of(failed_asset["submission_id"])
    assert len(submission.simulator.ledger()["asset_retries"]) == 1


def test_a_retry_whose_answer_was_lost_is_not_sent_again(
    submission: SubmissionJob, failed_asset: dict[str, str], deferrable: bool
) -> None:
    from airflow_provider.operators.mediamagic import MediaMagicRetryAssetOperator as Operator

    submission.simulator.fault("lost_answer", "*/retry", "POST", times=1)
    run = submission._task_run(Operator, deferrable=deferrable, poll_interval=0.05, **failed_asset).test()
    assert run.value["status"] == "complete"
    assert len(submission.simulator.ledger()["asset_retries"]) == 1


@pytest.fixture
def slow_to_show(submission: SubmissionJob) -> None:
    """A service that shows a retry a while after it has accepted it."""
    submission.simulator.settings(stale_status=SOON)


@pytest.mark.usefixtures("slow_to_show")
def test_a_retry_that_is_not_shown_yet_is_waited_for(
    submission: SubmissionJob, failed_asset: dict[str, str], deferrable: bool
) -> None:
    from airflow_provider.operators.mediamagic import MediaMagicRetryAssetOperator as Operator

    run = submission._task_run(Operator, deferrable=deferrable, poll_interval=0.05, **failed_asset).test()
    assert run.value["status"] == "complete"
    assert len(submission.simulator.ledger()["asset_retries"]) == 1


@pytest.mark.usefixtures("slow_to_show")
@pytest.mark.parametrize("kind", ["lost_answer", "died"])
def test_a_retry_of_unknown_outcome_that_is_not_shown_yet_is_waited_for_by_the_next_attempt(
    submission: SubmissionJob, failed_asset: dict[str, str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    from airflow_provider.operators.mediamagic import MediaMagicRetryAssetOperator as Operator

    if kind == "died":
        die_once(monkeypatch, Operator, "submit", after=True)
    else:
        submission.simulator.fault("lost_answer", "*/retry", "POST", times=1)
    run = submission._task_run(
        Operator, retries=1, deferrable=True, poll_interval=0.05, **failed_asset
    ).test()
    assert run.value["status"] == "complete"
    assert len(submission.simulator.ledger()["asset_retries"]) == 1


@pytest.mark.usefixtures("slow_to_show")
@pytest.mark.parametrize("kind", ["", "lost_answer", "reset"])
def test_a_repair_that_is_not_shown_yet_is_waited_for(
    submission: SubmissionJob, deferrable: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SubmissionOperator, "shown_within", 1.0)
    submission.fails(attempts_failing=1)
    if kind:
        submission.simulator.fault(kind, "*/retry", "POST", times=1)
    run = submission.task(deferrable=deferrable, asset_retries=1).test()
    assert run.value["status"] == "complete"
    assert len(submission.simulator.ledger()["asset_retries"]) == 1


def test_an_answer_that_lists_no_assets_ends_no_search_for_a_retry(
    submission: SubmissionJob, failed_asset: dict[str, str], deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider.operators.mediamagic import MediaMagicRetryAssetOperator as Operator

    die_once(monkeypatch, Operator, "submit", after=True)
    run = submission._task_run(
        Operator, retries=2, deferrable=deferrable, poll_interval=0.05, **failed_asset
    ).attempt()
    submission.simulator.fault("set_field", submission.status_path, "GET", field="assets", value=[], times=1)
    run.attempt()
    assert type(run.error) is MalformedResponseError
    assert "GET /api/integrations/submissions/" in str(run.error)
    run.attempt()
    assert run.value["status"] == "complete"
    assert len(submission.simulator.ledger()["asset_retries"]) == 1


def test_retrying_an_asset_of_another_submission_names_the_argument(
    submission: SubmissionJob, failed_asset: dict[str, str]
) -> None:
    from airflow_provider.operators.mediamagic import MediaMagicRetryAssetOperator as Operator

    run = submission._task_run(Operator, **{**failed_asset, "asset_id": "not-of-it"}).test()
    assert getattr(run.error, "parameter", None) == "asset_id"
    assert submission.simulator.ledger()["asset_retries"] == []
