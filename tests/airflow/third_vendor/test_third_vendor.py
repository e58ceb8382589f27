"""A third service is a hook, a JobKind and short classes: the engine does the rest, unchanged."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from airflow.sdk import Connection

from airflow_provider.core.jobs.run import JobRun
from airflow_provider.exceptions import JobCancelledError, JobFailedError
from tests.airflow.conftest import RunTask
from tests.airflow.interruptions import die_once
from tests.airflow.third_vendor import render_farm
from tests.airflow.third_vendor.render_farm import (
    DownloadRenderOperator,
    RenderFarmHook,
    RenderSceneOperator,
    RenderSensor,
    RenderTrigger,
)
from tests.airflow.third_vendor.server import PDF, RenderFarm

QUICK = {"poll_interval": 0.05}
ENDLESS = 1e6


def test_it_takes_at_most_300_lines() -> None:
    assert len(Path(render_farm.__file__).read_text().splitlines()) <= 300


def test_a_render_is_paid_for_once_and_returned(
    farm: RenderFarm, task_run: RunTask, deferrable: bool
) -> None:
    run = task_run(RenderSceneOperator, scene="sea", deferrable=deferrable, **QUICK).test()
    assert run.value == {"render_id": "render-1", "scene": "sea", "state": "done"}
    assert run.xcoms["render_id"] == "render-1"
    assert run.xcoms["job_summary"]["paid_requests"] == farm.posts() == 1
    assert [event["status"] for event in run.recorder.events] == (["success"] if deferrable else [])


def test_a_retry_finds_the_render_of_a_worker_that_died(
    farm: RenderFarm, task_run: RunTask, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_once(monkeypatch, JobRun, "proceed")
    farm.takes = 2.0
    run = task_run(RenderSceneOperator, scene="sea", deferrable=deferrable, retries=1, **QUICK).test()
    assert (run.state, run.tries, farm.posts()) == ("success", 2, 1)


def test_a_render_whose_answer_was_lost_is_found(
    farm: RenderFarm, task_run: RunTask, deferrable: bool
) -> None:
    farm.loses_answers = 1
    run = task_run(RenderSceneOperator, scene="sea", deferrable=deferrable, **QUICK).test()
    assert (run.value["render_id"], farm.posts()) == ("render-1", 1)


def test_a_failed_render_fails_its_task(farm: RenderFarm, task_run: RunTask, deferrable: bool) -> None:
    farm.outcome = "broken"
    run = task_run(RenderSceneOperator, scene="sea", deferrable=deferrable, **QUICK).test()
    assert type(run.error) is JobFailedError


def test_a_kill_stops_the_render(
    farm: RenderFarm, task_run: RunTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.takes = ENDLESS

    def killed(seconds: float) -> None:
        if "GET /renders/render-1" in farm.requests:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("airflow_provider.core.jobs.run.time.sleep", killed)
    run = task_run(RenderSceneOperator, scene="sea", deferrable=False, **QUICK).test()
    assert type(run.error) is JobCancelledError
    assert farm.stopped == ["render-1"]


def test_a_kill_of_the_deferred_task_stops_the_render(farm: RenderFarm) -> None:
    farm.takes = ENDLESS
    render_id, now = farm.create("sea")["render_id"], time.time()
    trigger = RenderTrigger("render_farm_default", render_id, now, now + 600, cancel_on_kill=True)
    asyncio.run(trigger.on_kill())
    assert farm.stopped == [render_id]


def test_a_render_that_takes_too_long_is_stopped(
    farm: RenderFarm, task_run: RunTask, deferrable: bool
) -> None:
    farm.takes = ENDLESS
    run = task_run(RenderSceneOperator, scene="sea", deferrable=deferrable, timeout=0.2, **QUICK).test()
    assert run.state == "failed"
    assert farm.stopped == ["render-1"]


def test_a_sensor_waits_for_a_render_of_somebody_else(
    farm: RenderFarm, task_run: RunTask, deferrable: bool
) -> None:
    render_id = farm.create("sea")["render_id"]
    run = task_run(RenderSensor, render_id=render_id, deferrable=deferrable, poke_interval=0.05).test()
    assert run.value["state"] == "done"
    assert "sig=" not in str(run.value)


def test_the_file_is_downloaded(farm: RenderFarm, task_run: RunTask, tmp_path: Path) -> None:
    farm.takes = 0.0
    render_id = farm.create("sea")["render_id"]
    run = task_run(DownloadRenderOperator, render_id=render_id, output_path=str(tmp_path)).test()
    assert Path(run.value["path"]).read_bytes() == PDF
    assert run.value["media_type"] == "application/pdf"


def test_the_connection_has_a_form_a_test_and_a_hook(farm: RenderFarm) -> None:
    assert RenderFarmHook.get_ui_field_behaviour()["relabeling"]["password"] == "API key"
    assert RenderFarmHook().test_connection() == (True, "The API key is accepted.")
    farm.key = "rotated"
    worked, message = RenderFarmHook(render_farm_conn_id="render_farm_default").test_connection()
    assert not worked
    assert message.startswith("Render Farm refused the API key.")


def test_a_connection_of_another_type_is_refused(farm: RenderFarm, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Connection(conn_id="other", conn_type="http", host=farm.url, password="key")
    monkeypatch.setattr(RenderFarmHook, "get_connection", lambda *args: other)
    worked, message = RenderFarmHook("other").test_connection()
    assert not worked
    assert "needs 'render_farm'" in message
    assert farm.requests == []
