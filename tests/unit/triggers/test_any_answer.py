"""Whatever a service answers and whatever goes wrong inside, a trigger ends with one event for a database."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from airflow_provider.core.http.connection import ConnectionSettings
from airflow_provider.core.jobs.trigger import JobTrigger
from airflow_provider.core.polling.shared_clients import SharedClients
from airflow_provider.core.polling.wait import JobState, Observation
from airflow_provider.exceptions import TransportError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.triggers.mediamagic import MediaMagicSubmissionTrigger
from airflow_provider.triggers.silent_witness import SilentWitnessReportTrigger
from tests.unit.triggers.virtual import START, Client, Hook, Trigger, event, run, seen

LONE = "half a smile \ud83d"
MOST = 10_000
"""Most bytes of an event: it goes through a queue and a database row."""


class AnswerClient(Client):
    """Stands for an aiohttp client whose every request gets one answer."""

    status: ClassVar[int] = 200
    body: ClassVar[bytes] = b""

    @asynccontextmanager
    async def request(self, *args: Any, **kwargs: Any) -> Any:
        yield self

    @property
    def headers(self) -> CIMultiDict[str]:
        return CIMultiDict()

    @property
    def content_length(self) -> int:
        return len(self.body)

    async def read(self) -> bytes:
        return self.body


class _Offline:
    conn_id: str
    _settings: ConnectionSettings | None

    async def aload_settings(self) -> ConnectionSettings:
        settings = self._settings = ConnectionSettings(self.conn_id, "https://toy.example", "k1")
        return settings

    def new_async_client(self, *, limit: int = 100) -> Any:
        assert self._settings is not None
        return AnswerClient(self._settings)


class OfflineMediaMagic(_Offline, MediaMagicHook):
    pass


class OfflineSilentWitness(_Offline, SilentWitnessHook):
    pass


class Submission(MediaMagicSubmissionTrigger):
    hook_class = OfflineMediaMagic


class Report(SilentWitnessReportTrigger):
    hook_class = OfflineSilentWitness


def one_event(trigger: JobTrigger) -> dict[str, Any]:
    """Return the trigger's one event, which must be fit for JSON, UTF-8 and PostgreSQL."""

    async def main(clients: SharedClients) -> dict[str, Any]:
        return await event(trigger)

    payload: dict[str, Any] = run(main)
    assert set(payload) == {"status", "job_id", "raw_status", "message", "polls"}
    assert payload["status"] in {"success", "failed", "cancelled", "timeout", "error"}
    written = json.dumps(payload, allow_nan=False, ensure_ascii=False).encode()
    assert not any("\x00" in value for value in payload.values() if isinstance(value, str))
    assert len(written) <= MOST
    return payload


def answered(trigger_class: type[JobTrigger], body: Any, *, status: int = 200) -> dict[str, Any]:
    """Return the event of a wait that gets nothing but this answer."""
    AnswerClient.status = status
    AnswerClient.body = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = one_event(trigger_class("toy", "job1", START, START + 20, tolerance=10.0))
    assert "broke off unexpectedly" not in found["message"]
    return found


def report(**fields: Any) -> dict[str, Any]:
    return {"success": True, "data": {"id": "job1", "status": "processing", **fields}}


def submission(**fields: Any) -> dict[str, Any]:
    return {"submissionId": "job1", "status": "processing", "assets": [], **fields}


TEXTS = st.text(st.characters(), max_size=40) | st.sampled_from([LONE, "nul \x00", "x" * 20_000, "\x1b[31m"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
THOROUGH = settings(max_examples=100, suppress_health_check=list(HealthCheck))


@THOROUGH
@given(
    status=st.sampled_from(["pending", "failed", "completed", "cancelled"]) | VALUES,
    progress=VALUES | st.fixed_dictionaries({"message": VALUES}),
    fields=st.fixed_dictionaries({}, optional={"id": VALUES, "updated_at": VALUES, "output": VALUES}),
)
def test_any_description_of_a_report_ends_in_one_event(
    status: Any, progress: Any, fields: dict[str, Any]
) -> None:
    answered(Report, report(status=status, progress=progress, **fields))


@THOROUGH
@given(
    status=st.sampled_from(["submitted", "failed", "complete"]) | VALUES,
    progress=VALUES,
    assets=VALUES
    | st.lists(st.fixed_dictionaries({"assetId": VALUES, "errorMessage": VALUES, "errorType": VALUES})),
    fields=st.fixed_dictionaries(
        {}, optional={"submissionId": VALUES, "completedAt": VALUES, "errorMessage": VALUES}
    ),
)
def test_any_description_of_a_submission_ends_in_one_event(
    status: Any, progress: Any, assets: Any, fields: dict[str, Any]
) -> None:
    answered(Submission, submission(status=status, progressPercent=progress, assets=assets, **fields))


@pytest.mark.parametrize("trigger_class", [Report, Submission])
@THOROUGH
@given(status=st.sampled_from([200, 401, 404, 500]), body=st.binary(max_size=60) | VALUES)
def test_any_answer_at_all_ends_in_one_event(trigger_class: type[JobTrigger], status: int, body: Any) -> None:
    answered(trigger_class, body, status=status)


def test_half_an_emoji_in_the_reason_of_a_failure_reaches_the_task_as_text() -> None:
    found = answered(Report, report(status="failed", progress={"message": LONE}))
    assert (found["status"], found["message"]) == ("failed", "half a smile \ufffd")


def test_terminal_escapes_and_line_breaks_reach_neither_log_nor_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    message = "\x1b[2J\x1b[31mred\r\nsecond line \u202eback"
    found = answered(Report, report(status="failed", progress={"message": message}))
    assert found["message"] == "red second line back"
    assert not any(set(record.getMessage()) & set("\x1b\r\n\u202e") for record in caplog.records)


@pytest.mark.parametrize(
    "error", [KeyError("status"), ValueError(LONE), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x")]
)
def test_what_a_poll_raises_is_an_event_and_other_waits_go_on(error: Exception) -> None:
    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        if job_id == "job0":
            raise error
        return seen(job_id)

    async def main(clients: SharedClients) -> list[dict[str, Any]]:
        triggers = [Trigger("toy", f"job{number}", START, START + 60) for number in range(2)]
        return list(await asyncio.gather(*(event(trigger) for trigger in triggers)))

    Trigger.answer = staticmethod(answer)
    broken, other = run(main)
    assert (broken["status"], other["status"]) == ("error", "timeout")
    assert type(error).__name__ in broken["message"]
    assert "The toy was left as it is" in broken["message"]
    json.dumps(broken, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "arguments",
    [
        {"poll_interval": -1.0},
        {"poll_interval": "soon"},
        {"deadline": float("nan")},
        {"deadline": 1e300},
        {"submitted_at": "yesterday"},
        {"tolerance": None},
        {"kind": ["list"]},
        {"job_id": "a\x00b"},
    ],
)
def test_arguments_that_no_version_wrote_are_an_event(arguments: dict[str, Any]) -> None:
    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        if now > START + 60:
            return seen(job_id, JobState.SUCCEEDED)
        raise TransportError("no answer")

    Trigger.answer = staticmethod(answer)
    given = {"conn_id": "toy", "job_id": "job1", "submitted_at": START, "deadline": START + 600}
    found = one_event(Trigger(**{**given, **arguments}))
    assert found["status"] in ("error", "success")


def test_a_wait_that_is_cancelled_yields_nothing() -> None:
    async def answer(job_id: str, now: float, hook: Hook) -> Observation:
        raise asyncio.CancelledError

    async def main(clients: SharedClients) -> None:
        with pytest.raises(asyncio.CancelledError):
            await event(Trigger("toy", "job1", START, START + 60))

    Trigger.answer = staticmethod(answer)
    run(main)
