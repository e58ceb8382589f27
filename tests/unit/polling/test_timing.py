"""Times and durations, as people read them; and when a wait says something."""

from __future__ import annotations

import pytest

from airflow_provider.core.jobs.progress import PAUSE, Progress
from airflow_provider.core.polling.schedule import Backoff
from airflow_provider.core.polling.timing import clock_time, span
from airflow_provider.core.polling.wait import SILENCE, JobState, Observation, Wait


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (120, 300, "2 to 5 min"),
        (3, 120, "3 s to 2 min"),
        (2, 30, "2 to 30 s"),
        (3600, 7200, "1 to 2 h"),
        (90, 300, "90 s to 5 min"),
    ],
)
def test_a_range_of_durations(low: float, high: float, text: str) -> None:
    assert span(low, high) == text


def test_a_moment_is_in_utc() -> None:
    assert clock_time(13 * 3600 + 46 * 60) == "13:46 UTC"


def wait(*, known: bool = True, deadline: float = 1800.0) -> Wait:
    return Wait(
        "rpt_1",
        noun="report",
        submitted_at=0.0,
        begun_at=0.0,
        deadline=deadline,
        schedule=Backoff(60.0, 1.0, 60.0, jitter=0.0),
        submission_known=known,
    )


def active(progress: str = "", fraction: float | None = None) -> Observation:
    return Observation("rpt_1", "processing", JobState.ACTIVE, progress=progress, fraction=fraction)


def test_a_change_is_said_with_what_comes_next() -> None:
    waiting = wait()
    waiting.on_state(active("Reading photos"), 120.0)
    assert waiting.status_line() == (
        "Report rpt_1: processing, Reading photos; 2 min since submission, next poll about 00:03 UTC; gives "
        "up at 00:30 UTC"
    )


def test_the_end_is_said_plainly() -> None:
    waiting = wait()
    waiting.on_state(Observation("rpt_1", "completed", JobState.SUCCEEDED), 120.0)
    assert waiting.status_line() == "Report rpt_1: completed"


def test_nothing_is_said_of_what_is_not_known() -> None:
    waiting = wait(known=False, deadline=float("inf"))
    waiting.on_state(active(), 120.0)
    assert waiting.status_line() == "Report rpt_1: processing; next poll about 00:03 UTC"


def test_a_wait_without_news_says_so_every_five_minutes() -> None:
    waiting, said = wait(), []
    for minute in range(1, 21):
        waiting.on_state(active("Reading photos"), minute * 60.0)
        if waiting.status_line():
            said.append(minute)
    assert said == [1, 6, 11, 16]
    assert SILENCE == 300.0


def test_progress_is_told_when_it_has_changed_and_once_a_minute() -> None:
    waiting, progress, told = wait(), Progress(), []
    for now, fraction in ((10, 0.1), (30, 0.2), (65, 0.2), (71, 0.2), (200, 0.2), (210, 0.3)):
        waiting.on_state(active(fraction=fraction), float(now))
        if stands := progress.changed(waiting, float(now)):
            told.append((now, stands["fraction"], stands["status_requests"]))
    assert told == [(10, 0.1, 1), (71, 0.2, 4), (210, 0.3, 6)]
    assert PAUSE == 60.0


def test_an_end_is_no_progress() -> None:
    waiting, progress = wait(), Progress()
    assert progress.changed(waiting, 1.0) is None
    waiting.on_state(Observation("rpt_1", "completed", JobState.SUCCEEDED), 120.0)
    assert progress.changed(waiting, 120.0) is None
