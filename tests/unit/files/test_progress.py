from __future__ import annotations

import logging

import pytest

from airflow_provider.core.files.storage_http import Progress, human_bytes

log = logging.getLogger("test.progress")


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock(caplog: pytest.LogCaptureFixture) -> Clock:
    caplog.set_level(logging.INFO, "test.progress")
    return Clock()


def test_a_short_transfer_writes_nothing(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress("Upload of a", 1000, log, clock=clock)
    for _ in range(10):
        clock.time += 0.9
        progress.advance(100)
    progress.finish()
    assert caplog.messages == []


def test_a_long_one_writes_percent_rate_and_remaining(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress("Upload of a", 100_000_000, log, clock=clock)
    clock.time += 10
    progress.advance(20_000_000)
    assert caplog.messages == ["Upload of a: 20% of 100.0 MB, 2.0 MB/s, 40 s remaining"]


def test_lines_are_ten_seconds_apart_however_many_pieces_there_are(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress("Upload of a", 10_000, log, clock=clock)
    for _ in range(1000):
        clock.time += 0.035
        progress.advance(10)
    progress.finish()
    assert len(caplog.messages) == 4
    assert caplog.messages[-1] == "Upload of a: done, 10.0 kB in 35 s"


def test_what_was_there_before_counts_for_the_percentage_and_not_for_the_rate(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress("Download of a", 1000, log, clock=clock)
    progress.reset(500)
    clock.time += 10
    progress.advance(100)
    assert caplog.messages == ["Download of a: 60% of 1.0 kB, 10 B/s, 40 s remaining"]


def test_without_a_total_there_is_no_percentage(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress("Download of a", None, log, clock=clock)
    clock.time += 10
    progress.advance(5_000_000)
    assert caplog.messages == ["Download of a: 5.0 MB, 500.0 kB/s"]


def test_every_piece_and_every_step_back_is_counted(clock: Clock) -> None:
    progress = Progress("x", 30, log, clock=clock)
    heard = []
    for step in (10, 10, 0, 10):
        if step:
            progress.advance(step)
            heard.append((progress.done, progress.total))
        else:
            progress.reset(0)
    assert heard == [(10, 30), (20, 30), (10, 30)]


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (5e6, "5.0 MB"), (5e9, "5.00 GB")]
)
def test_bytes_for_people(count: float, text: str) -> None:
    assert human_bytes(count) == text
