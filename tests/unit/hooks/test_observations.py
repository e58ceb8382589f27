"""What the vendors' status words and failure messages mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider.core.polling.wait import JobState
from airflow_provider.exceptions import InvalidInputError
from airflow_provider.hooks.mediamagic import SUBMISSION_STATES, observe_submission
from airflow_provider.hooks.mediamagic_submission import check_assets
from airflow_provider.hooks.silent_witness import REPORT_STATES, observe_report, report_failure_is_input


def submission(**fields: Any) -> dict[str, Any]:
    return {"submissionId": "s1", "status": "processing", "progressPercent": 40, "assets": []} | fields


def report(**fields: Any) -> dict[str, Any]:
    return {"id": "rpt_1", "status": "processing", "progress": {"message": "Starting analysis..."}} | fields


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("uploading", JobState.ACTIVE),
        ("submitted", JobState.ACTIVE),
        ("processing", JobState.ACTIVE),
        ("complete", JobState.SUCCEEDED),
        ("failed", JobState.FAILED),
    ],
)
def test_the_words_of_a_submission(word: str, state: JobState) -> None:
    seen = observe_submission(submission(status=word))

    assert (seen.job_id, seen.raw_status, seen.state, seen.known) == ("s1", word, state, True)
    assert len(SUBMISSION_STATES) == 5


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("pending", JobState.ACTIVE),
        ("processing", JobState.ACTIVE),
        ("completed", JobState.SUCCEEDED),
        ("failed", JobState.FAILED),
        ("cancelled", JobState.CANCELLED),
    ],
)
def test_the_words_of_a_report(word: str, state: JobState) -> None:
    seen = observe_report(report(status=word))

    assert (seen.job_id, seen.raw_status, seen.state, seen.known) == ("rpt_1", word, state, True)
    assert len(REPORT_STATES) == 5


@pytest.mark.parametrize("word", ["paused", "com plete", "complet", "succeeded", ""])
def test_a_word_nobody_knows_is_active(word: str) -> None:
    for seen in (observe_submission(submission(status=word)), observe_report(report(status=word))):
        assert (seen.state, seen.known, seen.finished) == (JobState.ACTIVE, False, False)


@pytest.mark.parametrize("written", [str.upper, str.title, " {} ".format, "{}\n".format])
def test_a_word_is_known_however_it_is_written(written: Callable[[str], str]) -> None:
    assert observe_submission(submission(status=written("complete"))).state is JobState.SUCCEEDED
    assert observe_report(report(status=written("cancelled"))).state is JobState.CANCELLED


@pytest.mark.parametrize(
    ("percent", "progress", "fraction"),
    [
        (40, "40%", 0.4),
        (12.5, "12.5%", 0.125),
        (0, "0%", 0.0),
        (100, "100%", 1.0),
        (130, "130%", 1.0),
        (None, "", None),
        ("40", "", None),
        (True, "", None),
        (float("nan"), "", None),
        (10**400, "", None),
    ],
)
def test_the_progress_of_a_submission(percent: Any, progress: str, fraction: float | None) -> None:
    seen = observe_submission(submission(progressPercent=percent))

    assert (seen.progress, seen.fraction) == (progress, fraction)


def test_a_failed_submission_names_each_failed_asset() -> None:
    seen = observe_submission(
        submission(
            status="failed",
            errorMessage="2 assets failed",
            assets=[
                {
                    "assetId": "a1",
                    "errorMessage": "codec",
                    "errorType": "TranscodeError",
                    "isRetryable": True,
                },
                {"assetId": "a2", "errorMessage": None, "errorType": None, "isRetryable": False},
                {"assetId": "a3", "errorMessage": "too dark", "errorType": None, "isRetryable": False},
            ],
        )
    )

    assert seen.message == (
        "asset a1: codec (TranscodeError, retryable); asset a3: too dark (not retryable); 2 assets failed"
    )


@pytest.mark.parametrize("assets", [None, "?", [None], [{}]])
def test_a_failed_submission_with_odd_assets_is_still_failed(assets: Any) -> None:
    seen = observe_submission(submission(status="failed", assets=assets))

    assert (seen.state, seen.message) == (JobState.FAILED, "")


@pytest.mark.parametrize("progress", [None, {}, {"message": None}, "text", {"message": 3}])
def test_the_progress_of_a_report_may_be_missing(progress: Any) -> None:
    seen = observe_report(report(progress=progress))

    assert (seen.progress, seen.message, seen.fraction) == ("", "", None)


def test_a_failed_report_says_why() -> None:
    seen = observe_report(report(status="failed", progress={"message": "Report generation timed out"}))

    assert seen.message == "Report generation timed out"


@pytest.mark.parametrize(
    ("message", "is_input"),
    [
        ("Delta-V calculation failed: insufficient image quality", True),
        ("delta-v calculation failed", True),
        ("Biomechanics analysis failed", True),
        ("Report generation timed out", False),
        ("Internal error", False),
        ("", False),
        ("After a restart: Delta-V calculation failed", False),
    ],
)
def test_which_failures_more_tries_cannot_help(message: str, is_input: bool) -> None:
    assert report_failure_is_input(message) is is_input


def test_assets_to_submit_are_copied() -> None:
    assets = [{"blobPath": "w/a.mp4"}, {"blobPath": "w/b.mp4", "previousSubmissionId": "s0"}]

    checked = check_assets(assets)

    assert checked == assets
    assert checked[0] is not assets[0]


@pytest.mark.parametrize(
    ("assets", "said"),
    [
        ([], "one or more"),
        ("w/a.mp4", "list"),
        ({"blobPath": "w/a.mp4"}, "list"),
        (["w/a.mp4"], r"assets\[0\]"),
        ([{"blobPath": ""}], r"assets\[0\].blobPath"),
        ([{"blobPath": "w/a"}, {"previousSubmissionId": "s"}], r"assets\[1\].blobPath"),
        ([{"blobPath": "w/a", "filename": "a"}], "'filename'"),
        ([{"blobPath": "w/a", "previousSubmissionId": 3}], "previousSubmissionId"),
    ],
)
def test_assets_that_cannot_be_submitted_are_named(assets: Any, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        check_assets(assets)
