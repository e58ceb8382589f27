"""What a hook makes of answers that are lost, cut, late, wrong or too many."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import socket
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from airflow_provider.core.budget.store import MemoryStore, SharedBudget
from airflow_provider.core.budget.windows import windows
from airflow_provider.core.http.retry import may_have_started
from airflow_provider.core.polling.key_state import KeyState, LocalCopy
from airflow_provider.exceptions import (
    ApiError,
    AuthenticationError,
    MalformedResponseError,
    NotFoundError,
    ProviderError,
    RateLimitedError,
    ServerError,
    SubmitOutcomeUnknownError,
    TransferError,
    TransportError,
)
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from tests.service.hooks.conftest import KEY, Ask, FakeTime, HookMaker
from tests.service.hooks.odd_server import OddServer, Play, after_interim, answer, cut, hang_up, raw, reset

SUBMISSION = {"submissionId": "s1", "status": "processing", "assets": []}
REPORT = {"success": True, "data": {"id": "rpt_1", "status": "pending"}}
SIGNATURE = "".join(("TOP", "SECRET"))  # put together, so that a traceback shows it only if it leaks
BUSY = answer(503, b"<html>busy</html>")

PaidCall = Callable[[HookMaker, str], Any]


def submit(make_hook: HookMaker, url: str) -> Any:
    return make_hook(MediaMagicHook, url).create_submission([{"blobPath": "w/a.mp4"}])


def retry_asset(make_hook: HookMaker, url: str) -> Any:
    return make_hook(MediaMagicHook, url).retry_asset("s1", "a1")


def create_case(make_hook: HookMaker, url: str) -> Any:
    return make_hook(SilentWitnessHook, url).create_case(
        plaintiff_name="Ann Smith", defendant_name="Bob Johnson", attorney_name="Eve Law"
    )


def create_report(make_hook: HookMaker, url: str) -> Any:
    return make_hook(SilentWitnessHook, url).create_report("case_1")


PAID = [
    pytest.param(submit, {"submissionId": "s1"}, "no endpoint that lists submissions", id="submission"),
    pytest.param(retry_asset, {"submissionId": "s1"}, "Read submission s1", id="retry"),
    pytest.param(create_case, {"data": {"case": {"id": "case_1"}}}, "List the cases", id="case"),
    pytest.param(create_report, REPORT, "List the reports of case case_1", id="report"),
]


# -- paid calls: never twice ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(hang_up, id="no-answer"),
        pytest.param(reset, id="reset"),
        pytest.param(cut(201), id="cut"),
        pytest.param(answer(201, b""), id="empty"),
        pytest.param(answer(201, b"<html>Created</html>"), id="html"),
        pytest.param(answer(201, {"data": None}), id="null"),
        pytest.param(answer(200, {"success": False}), id="success-false"),
    ],
)
@pytest.mark.parametrize(("call", "good", "advice"), PAID)
def test_a_paid_call_whose_answer_is_lost_has_an_unknown_outcome(
    make_hook: HookMaker, call: PaidCall, good: Any, advice: str, lost: Play
) -> None:
    with OddServer(lost, answer(201, good)) as server:
        with pytest.raises(SubmitOutcomeUnknownError, match=advice) as caught:
            call(make_hook, server.url)

        assert len(server.requests) == 1
    assert isinstance(caught.value.__cause__, TransportError | MalformedResponseError)
    assert caught.value.endpoint is not None
    assert caught.value.endpoint.startswith("POST /api/")


@pytest.mark.parametrize(("call", "good", "advice"), PAID)
def test_a_paid_call_that_is_not_answered_in_time_has_an_unknown_outcome(
    make_hook: HookMaker, call: PaidCall, good: Any, advice: str
) -> None:
    def impatient(kind: Any, url: str, **settings: Any) -> Any:
        return make_hook(kind, url, read_timeout=0.2, **settings)

    with OddServer() as server:
        server.plays = [server.silence, answer(201, good)]
        with pytest.raises(SubmitOutcomeUnknownError, match=advice):
            call(impatient, server.url)

        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
@pytest.mark.parametrize(("call", "good", "advice"), PAID)
def test_a_paid_call_that_fails_at_the_service_is_not_sent_again(
    make_hook: HookMaker, call: PaidCall, good: Any, advice: str, status: int
) -> None:
    with OddServer(answer(status, {"error": "oops"}), answer(201, good)) as server:
        with pytest.raises(ServerError, match=advice):
            call(make_hook, server.url)

        assert len(server.requests) == 1


@pytest.mark.parametrize(("call", "good", "advice"), PAID)
def test_a_paid_call_is_sent_again_when_it_was_refused_for_its_rate(
    make_hook: HookMaker, fake_time: FakeTime, call: PaidCall, good: Any, advice: str
) -> None:
    slow = answer(429, {"error": "slow"}, Retry_After="7")
    with OddServer(slow, answer(201, good)) as server:
        call(make_hook, server.url)

        assert len(server.requests) == 2
        assert server.requests[0].body == server.requests[1].body
    assert len(fake_time.naps) == 1
    assert fake_time.naps[0] >= 7


@pytest.mark.parametrize(("call", "good", "advice"), PAID)
def test_a_paid_call_is_sent_again_when_nobody_was_there(
    make_hook: HookMaker, fake_time: FakeTime, free_port: int, call: PaidCall, good: Any, advice: str
) -> None:
    started: list[OddServer] = []

    def open_up() -> None:
        if not started:
            started.append(OddServer(answer(201, good), port=free_port).__enter__())

    fake_time.on_nap = open_up
    call(make_hook, f"http://127.0.0.1:{free_port}")

    assert len(started) == 1
    assert len(started[0].requests) == 1
    started[0].__exit__()


@pytest.mark.parametrize(("call", "good", "advice"), PAID)
def test_a_paid_call_that_never_reached_anybody_started_nothing(
    make_hook: HookMaker, free_port: int, call: PaidCall, good: Any, advice: str
) -> None:
    with pytest.raises(TransportError, match="could not connect") as caught:
        call(make_hook, f"http://127.0.0.1:{free_port}")

    assert caught.value.sent is False


def test_a_paid_call_has_a_connection_of_its_own(make_hook: HookMaker) -> None:
    with OddServer(*[answer(200, SUBMISSION)] * 4) as server:
        hook = make_hook(MediaMagicHook, server.url)
        hook.get_submission("s1")
        hook.get_submission("s1")
        hook.create_submission([{"blobPath": "w/a.mp4"}])
        hook.get_submission("s1")

        assert [(seen.method, seen.connection) for seen in server.requests] == [
            ("GET", 1),
            ("GET", 1),
            ("POST", 2),
            ("GET", 1),
        ]


def test_a_redirected_paid_call_was_not_carried_out(make_hook: HookMaker) -> None:
    with (
        OddServer(answer(308, Location="https://elsewhere.example.com/")) as server,
        pytest.raises(MalformedResponseError, match=r"elsewhere\.example\.com"),
    ):
        submit(make_hook, server.url)


@pytest.mark.parametrize("status", [101, 300, 303, 304])
def test_a_paid_call_whose_answer_points_to_what_was_done_has_an_unknown_outcome(
    make_hook: HookMaker, status: int
) -> None:
    with OddServer(answer(status, Location="/api/integrations/submissions/s1")) as server:
        with pytest.raises(SubmitOutcomeUnknownError):
            submit(make_hook, server.url)
        assert len(server.requests) == 1


@pytest.mark.parametrize(("call", "good", "advice"), PAID)
def test_a_paid_call_gets_its_answer_after_interim_ones(
    make_hook: HookMaker, call: PaidCall, good: Any, advice: str
) -> None:
    with OddServer(after_interim(answer(201, good))) as server:
        call(make_hook, server.url)
        assert len(server.requests) == 1


def test_the_answer_after_interim_ones_belongs_to_its_own_request(make_hook: HookMaker, ask: Ask) -> None:
    answers = [{**SUBMISSION, "submissionId": name} for name in ("s1", "s2")]
    with OddServer(*[after_interim(answer(200, one)) for one in answers]) as server:
        hook = make_hook(MediaMagicHook, server.url)
        for one in answers:
            assert ask(hook, "get_submission", one["submissionId"]) == one


def test_a_chunk_of_a_negative_length_is_trouble_of_the_line(make_hook: HookMaker, ask: Ask) -> None:
    play = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n")
    with OddServer(play, play) as server, pytest.raises(TransportError):
        ask(make_hook(MediaMagicHook, server.url, max_retries=0), "get_submission", "s1")


@pytest.mark.parametrize(("call", "good", "advice"), PAID)
def test_a_paid_call_that_something_else_answers_404_has_started_nothing(
    make_hook: HookMaker, call: PaidCall, good: Any, advice: str
) -> None:
    with OddServer(answer(404, b"default backend - 404"), answer(201, good)) as server:
        with pytest.raises(MalformedResponseError, match="something else has answered") as raised:
            call(make_hook, server.url)

        assert not may_have_started(raised.value)
        assert len(server.requests) == 1


# -- ordinary calls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(hang_up, id="no-answer"),
        pytest.param(reset, id="reset"),
        pytest.param(cut(), id="cut"),
        *[
            pytest.param(answer(status), id=str(status))
            for status in (408, 425, 429, 500, 502, 503, 504, 522, 524)
        ],
    ],
)
def test_a_get_is_sent_again_until_it_is_answered(
    make_hook: HookMaker, fake_time: FakeTime, trouble: Play
) -> None:
    with OddServer(trouble, trouble, answer(200, SUBMISSION)) as server:
        assert make_hook(MediaMagicHook, server.url).get_submission("s1") == SUBMISSION

        assert len(server.requests) == 3
    assert fake_time.naps == [1, 2]


def test_retries_end_with_max_retries(make_hook: HookMaker) -> None:
    with OddServer(*[BUSY] * 9) as server:
        with pytest.raises(ServerError, match="GET /api/integrations/submissions/s1 answered 503"):
            make_hook(MediaMagicHook, server.url, max_retries=2).get_submission("s1")

        assert len(server.requests) == 3


def test_a_delete_is_sent_again(make_hook: HookMaker) -> None:
    done = answer(200, {"data": {"id": "rpt_1", "status": "cancelled"}})
    with OddServer(hang_up, done) as server:
        assert make_hook(SilentWitnessHook, server.url).cancel_report("rpt_1")["status"] == "cancelled"

        assert [seen.method for seen in server.requests] == ["DELETE", "DELETE"]


def test_a_delete_may_be_answered_with_nothing(make_hook: HookMaker, ask: Ask) -> None:
    with OddServer(answer(204)) as server:
        assert ask(make_hook(SilentWitnessHook, server.url), "cancel_report", "rpt_1") == {}


def test_an_ordinary_post_with_a_lost_answer_is_not_sent_again(make_hook: HookMaker) -> None:
    with OddServer(hang_up) as server:
        with pytest.raises(TransportError) as caught:
            make_hook(MediaMagicHook, server.url).create_upload_url("a.mp4", "video/mp4")

        assert len(server.requests) == 1
    assert caught.value.sent is True


def test_an_upload_is_rewound_for_the_second_attempt(make_hook: HookMaker) -> None:
    stored = answer(201, {"blobPath": "w/a.txt"})
    with OddServer(answer(429), stored) as server:
        make_hook(MediaMagicHook, server.url).upload_direct(
            "a.txt", "text/plain", io.BytesIO(b"hello" * 9999)
        )

        first, second = server.requests
        assert first.body == second.body
        assert b"hello" * 9999 in first.body
        assert int(first.headers["content-length"]) == len(first.body)
        assert "transfer-encoding" not in first.headers


def test_a_pause_longer_than_the_time_left_is_not_slept(make_hook: HookMaker, fake_time: FakeTime) -> None:
    with (
        OddServer(answer(429, {"error": "slow"}, Retry_After="3600")) as server,
        pytest.raises(RateLimitedError, match="3600 s") as caught,
    ):
        make_hook(MediaMagicHook, server.url).get_submission("s1")

    assert caught.value.retry_after == 3600
    assert fake_time.naps == []


def test_a_retry_after_date_is_understood(make_hook: HookMaker, fake_time: FakeTime) -> None:
    slow = answer(503, Date="Wed, 21 Oct 2026 07:28:00 GMT", Retry_After="Wed, 21 Oct 2026 07:28:40 GMT")
    with OddServer(slow, answer(200, SUBMISSION)) as server:
        make_hook(MediaMagicHook, server.url).get_submission("s1")

    assert fake_time.naps == pytest.approx([44])


def test_a_retry_is_logged_with_reason_and_pause(
    make_hook: HookMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    with OddServer(BUSY, answer(200, {"data": []})) as server:
        make_hook(SilentWitnessHook, server.url).list_cases(organization_id="org_private")

    logged = capsys.readouterr().out
    assert "GET /api/cases: answered 503; sending it again in 1.0 s (retry 1 of 4)" in logged
    assert "org_private" not in logged
    assert KEY not in logged


# -- both halves alike ---------------------------------------------------------------------------------------


MALFORMED = [
    pytest.param(answer(200, b""), "an empty body", id="empty"),
    pytest.param(answer(200, b"<html>hello</html>"), "an HTML page", id="html"),
    pytest.param(answer(200, b"{"), "not JSON", id="broken"),
    pytest.param(answer(200, [REPORT]), "an array where an object", id="array"),
    pytest.param(answer(200, {"success": False, "error": "no"}), "success", id="success-false"),
    pytest.param(answer(200, {}), "nothing in the field `data`", id="no-data"),
    pytest.param(answer(200, {"data": {"id": "rpt_1"}}), "field `status`", id="no-status"),
    pytest.param(answer(200, {"data": {"id": 7.5, "status": "pending"}}), "field `id`", id="wrong-type"),
    pytest.param(answer(302, Location="https://other.example.com/x"), r"other\.example\.com", id="redirect"),
    pytest.param(answer(200, b'{"data": "' + b"x" * 33 * 1024 * 1024 + b'"}'), "more than", id="huge"),
]


@pytest.mark.parametrize(("play", "said"), MALFORMED)
def test_an_answer_that_is_none_is_malformed(make_hook: HookMaker, ask: Ask, play: Play, said: str) -> None:
    with OddServer(play) as server:
        with pytest.raises(MalformedResponseError, match=said) as caught:
            ask(make_hook(SilentWitnessHook, server.url), "get_report", "rpt_1")

        assert len(server.requests) == 1
    assert caught.value.endpoint == "GET /api/reports/rpt_1"
    assert "GET /api/reports/rpt_1" in str(caught.value)


def test_an_unknown_report_is_not_found(make_hook: HookMaker, ask: Ask) -> None:
    with (
        OddServer(answer(200, {"success": True, "data": None})) as server,
        pytest.raises(NotFoundError, match="'rpt_9'"),
    ):
        ask(make_hook(SilentWitnessHook, server.url), "get_report", "rpt_9")


@pytest.mark.parametrize(
    ("play", "kind"),
    [
        (answer(401, {"detail": f"bad {KEY}"}), AuthenticationError),
        (answer(429, {"error": "slow"}, Retry_After="30"), RateLimitedError),
        (answer(500, b"<html>oops</html>"), ServerError),
        (hang_up, TransportError),
        (reset, TransportError),
        (cut(), TransportError),
    ],
)
def test_both_halves_raise_the_same(make_hook: HookMaker, ask: Ask, play: Play, kind: type[ApiError]) -> None:
    # aiohttp repeats a GET by itself, once, on a connection that was closed on it.
    with OddServer(play, play) as server:
        with pytest.raises(ApiError) as caught:
            ask(make_hook(MediaMagicHook, server.url, max_retries=0), "get_submission", "s1")

        assert len(server.requests) in ((1, 2) if play in (hang_up, reset) else (1,))
    error = caught.value
    assert type(error) is kind
    assert error.endpoint == "GET /api/integrations/submissions/s1"
    assert error.endpoint in str(error)
    assert KEY not in _everything(error)
    if isinstance(error, TransportError):
        assert error.sent is True
    if isinstance(error, RateLimitedError):
        assert error.retry_after == 30


def test_a_refused_connection_was_not_sent(make_hook: HookMaker, ask: Ask, free_port: int) -> None:
    hook = make_hook(MediaMagicHook, f"http://127.0.0.1:{free_port}", max_retries=0)

    with pytest.raises(TransportError, match="could not connect") as caught:
        ask(hook, "get_submission", "s1")

    assert caught.value.sent is False


def test_a_connection_that_is_not_made_in_time_was_not_sent(make_hook: HookMaker, ask: Ask) -> None:
    # Nobody accepts, and the queue of the listener is full: further connections hang.
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            filler = waiting.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        hook = make_hook(MediaMagicHook, f"http://127.0.0.1:{address[1]}", max_retries=0, connect_timeout=0.3)
        with pytest.raises(TransportError, match="could not connect in time") as caught:
            ask(hook, "get_submission", "s1")

    assert caught.value.sent is False


def test_a_host_that_does_not_exist_was_not_reached(make_hook: HookMaker, ask: Ask) -> None:
    hook = make_hook(MediaMagicHook, "https://no-such-host.invalid", max_retries=0)

    with pytest.raises(TransportError, match="could not connect") as caught:
        ask(hook, "get_submission", "s1")

    assert caught.value.sent is False


def test_a_silent_server_is_given_up_in_the_read_timeout(make_hook: HookMaker, ask: Ask) -> None:
    with OddServer() as server:
        server.plays = [server.silence]
        hook = make_hook(MediaMagicHook, server.url, max_retries=0, read_timeout=0.2)
        with pytest.raises(TransportError, match="in time") as caught:
            ask(hook, "get_submission", "s1")

    assert caught.value.sent is True


def test_long_headers_of_a_gateway_are_read_by_both_halves(make_hook: HookMaker, ask: Ask) -> None:
    with OddServer(answer(200, REPORT, X_Policy="x" * 60_000)) as server:
        assert ask(make_hook(SilentWitnessHook, server.url), "get_report", "rpt_1") == REPORT["data"]


WRITTEN = json.dumps(REPORT).encode()
LENGTH = b"Content-Length: %d" % len(WRITTEN)
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(WRITTEN), WRITTEN)
ODD_BUT_WHOLE = {
    "no-colon": (b"Strict Transport\r\n" + LENGTH, WRITTEN),
    "blank-in-name": (b"X Policy: a\r\n" + LENGTH, WRITTEN),
    "nul-in-value": (b"X-Policy: a\x00b\r\n" + LENGTH, WRITTEN),
    "lengths-with-comma": (LENGTH + b", %d" % len(WRITTEN), WRITTEN),
    "length-is-no-number": (b"Content-Length: soon", WRITTEN),
    "length-and-chunks": (LENGTH + b"\r\nTransfer-Encoding: chunked", CHUNKED),
    "chunks-without-last-line": (b"Transfer-Encoding: chunked", CHUNKED[:-2]),
    "no-brotli": (b"Content-Encoding: br\r\n" + LENGTH, WRITTEN),
    "no-zstd": (b"Content-Encoding: zstd\r\n" + LENGTH, WRITTEN),
    "gzip-in-gzip": (b"Content-Encoding: gzip, gzip", gzip.compress(gzip.compress(WRITTEN))),
    "gzip-twice": (
        b"Content-Encoding: gzip\r\nContent-Encoding: gzip",
        gzip.compress(gzip.compress(WRITTEN)),
    ),
    "x-gzip": (b"Content-Encoding: x-gzip", gzip.compress(WRITTEN)),
    "more-after-gzip": (b"Content-Encoding: gzip", gzip.compress(WRITTEN) + b"and more"),
}


@pytest.mark.parametrize(("head", "body"), ODD_BUT_WHOLE.values(), ids=ODD_BUT_WHOLE)
def test_an_answer_that_one_half_can_read_is_read_by_the_other(
    make_hook: HookMaker, ask: Ask, head: bytes, body: bytes
) -> None:
    play = raw(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n%s" % (head, body))
    with OddServer(play, play) as server:
        assert ask(make_hook(SilentWitnessHook, server.url), "get_report", "rpt_1") == REPORT["data"]


ODD_STARTS = [b"HTTP/2.0 200 OK", b"HTTP/2 200", b"\r\n\r\nHTTP/1.1 200 OK", b"\nHTTP/1.0 200 OK"]


@pytest.mark.parametrize("start", ODD_STARTS)
def test_an_answer_that_begins_oddly_is_read_by_both_halves(
    make_hook: HookMaker, ask: Ask, start: bytes
) -> None:
    play = raw(b"%s\r\n%s\r\n\r\n%s" % (start, LENGTH, WRITTEN))
    with OddServer(play, play) as server:
        assert ask(make_hook(SilentWitnessHook, server.url), "get_report", "rpt_1") == REPORT["data"]


@pytest.mark.parametrize("start", ODD_STARTS)
@pytest.mark.parametrize(("call", "good", "advice"), PAID)
def test_a_paid_call_that_is_answered_oddly_has_its_answer(
    make_hook: HookMaker, call: PaidCall, good: Any, advice: str, start: bytes
) -> None:
    content = json.dumps(good).encode()
    with OddServer(raw(b"%s\r\nContent-Length: %d\r\n\r\n%s" % (start, len(content), content))) as server:
        assert call(make_hook, server.url)
        assert len(server.requests) == 1


def test_one_answer_that_breaks_off_does_not_turn_away_from_aiohttp(make_hook: HookMaker) -> None:
    cut_chunks = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc")

    async def polls(hook: SilentWitnessHook) -> None:
        async with hook.new_async_client() as client:
            with pytest.raises(TransportError):
                await hook.aget_report(client, "rpt_1")
            assert await hook.aget_report(client, "rpt_1") == REPORT["data"]

    with OddServer(cut_chunks, cut_chunks, answer(200, REPORT)) as server:
        hook = make_hook(SilentWitnessHook, server.url)
        asyncio.run(polls(hook))
    assert not hook._aiohttp_refuses


@pytest.mark.parametrize(("rows", "on_the_loop"), [(1, True), (200_000, False)])
def test_a_long_answer_is_not_parsed_on_the_event_loop(
    make_hook: HookMaker, rows: int, on_the_loop: bool
) -> None:
    async def poll(hook: SilentWitnessHook) -> threading.Thread:
        async with hook.new_async_client() as client:
            return await hook.arequest(client, "GET", "/api/new", read=lambda _: threading.current_thread())

    with OddServer(answer(200, [0] * rows)) as server:
        thread = asyncio.run(poll(make_hook(SilentWitnessHook, server.url)))
    assert (thread is threading.main_thread()) is on_the_loop


@pytest.mark.parametrize("name", ["X-RateLimit-Remaining", "x-ratelimit-remaining"])
def test_a_wait_learns_from_headers_in_any_case(make_hook: HookMaker, name: str) -> None:
    async def left_after_a_poll(hook: SilentWitnessHook) -> float | None:
        shared = SharedBudget(MemoryStore(), "key", windows(per_minute=100))
        copy = LocalCopy(shared, clock=time.time)
        state = KeyState(hook, copy, clock=time.time, sleep=asyncio.sleep)
        state.acquire()
        await state.send(lambda _, client: hook.aget_report(client, "rpt_1"), since=0.0)
        await state.release()
        return state.budget.left(time.time())

    headers: dict[str, Any] = {name: "3", "X-RateLimit-Limit": "10"}
    with OddServer(answer(200, REPORT, **headers)) as server:
        hook = make_hook(SilentWitnessHook, server.url)
        assert asyncio.run(left_after_a_poll(hook)) == pytest.approx(1.0)


def test_what_aiohttp_refused_once_is_not_asked_for_twice_again(make_hook: HookMaker) -> None:
    async def polls(hook: SilentWitnessHook) -> None:
        async with hook.new_async_client() as client:
            for _ in range(3):
                assert await hook.aget_report(client, "rpt_1") == REPORT["data"]

    odd = raw(b"HTTP/1.1 200 OK\r\nno colon\r\n%s\r\n\r\n%s" % (LENGTH, WRITTEN))
    with OddServer(*[odd] * 4) as server:
        asyncio.run(polls(make_hook(SilentWitnessHook, server.url)))
        assert len(server.requests) == 4
        assert {request.headers["x-api-key"] for request in server.requests} == {KEY}


@pytest.mark.parametrize("location", ["http://[", "http://a:99999999/", "//[::1", "\x80"])
def test_an_address_that_is_none_does_no_harm(make_hook: HookMaker, ask: Ask, location: str) -> None:
    with OddServer(answer(302, Location=location)) as server, pytest.raises(MalformedResponseError):
        ask(make_hook(SilentWitnessHook, server.url), "get_report", "rpt_1")


def test_the_key_goes_with_every_api_call(make_hook: HookMaker, ask: Ask) -> None:
    with OddServer(answer(200, REPORT)) as server:
        ask(make_hook(SilentWitnessHook, server.url), "get_report", "rpt_1")

        headers = server.requests[0].headers
    assert headers["x-api-key"] == KEY
    assert "authorization" not in headers
    assert headers["x-request-id"].startswith("req_")


def test_a_lost_answer_can_be_traced_by_its_request_id(make_hook: HookMaker, ask: Ask) -> None:
    with OddServer(hang_up, hang_up) as server:
        with pytest.raises(TransportError) as caught:
            ask(make_hook(SilentWitnessHook, server.url, max_retries=0), "get_report", "rpt_1")

        sent = server.requests[0].headers["x-request-id"]
    assert caught.value.request_id == sent
    assert sent in str(caught.value)


def test_a_redirect_is_not_followed_and_the_key_stays(make_hook: HookMaker, ask: Ask) -> None:
    with (
        OddServer(answer(200, REPORT)) as elsewhere,
        OddServer(answer(307, Location=f"{elsewhere.url}/api/reports/rpt_1")) as server,
    ):
        with pytest.raises(MalformedResponseError, match="redirect"):
            ask(make_hook(SilentWitnessHook, server.url), "get_report", "rpt_1")

        assert elsewhere.requests == []


def test_cookies_are_not_kept(make_hook: HookMaker) -> None:
    with OddServer(answer(200, SUBMISSION, Set_Cookie="a=b; Path=/"), answer(200, SUBMISSION)) as server:
        hook = make_hook(MediaMagicHook, server.url)
        hook.get_submission("s1")
        hook.get_submission("s1")

        assert "cookie" not in server.requests[1].headers


@pytest.mark.parametrize("good", ["rpt_1", "0f.E:d-9", "x" * 128])
def test_an_id_is_sent_as_it_is(make_hook: HookMaker, ask: Ask, good: str) -> None:
    with OddServer(answer(200, {"success": True, "data": {"id": good, "status": "pending"}})) as server:
        ask(make_hook(SilentWitnessHook, server.url), "get_report", good)

        assert unquote(server.requests[0].target) == f"/api/reports/{good}"


def test_what_is_answered_about_another_job_says_nothing(make_hook: HookMaker, ask: Ask) -> None:
    """A cache or a proxy that mixes answers up."""
    with OddServer(answer(200, REPORT), answer(200, SUBMISSION)) as server:
        for hook, method, other in (
            (SilentWitnessHook, "get_report", "rpt_2"),
            (MediaMagicHook, "get_submission", "s2"),
        ):
            with pytest.raises(MalformedResponseError, match="another"):
                ask(make_hook(hook, server.url), method, other)


def test_what_is_answered_about_another_job_to_a_paid_request_is_no_answer(make_hook: HookMaker) -> None:
    report = {"success": True, "data": {"id": "rpt_1", "case_id": "case_1", "status": "pending"}}
    with OddServer(answer(200, report), answer(202, SUBMISSION)) as server:
        for order in (
            lambda: make_hook(SilentWitnessHook, server.url).create_report("case_other"),
            lambda: make_hook(MediaMagicHook, server.url).retry_asset("s2", "a1"),
        ):
            with pytest.raises(SubmitOutcomeUnknownError, match="another"):
                order()


@pytest.mark.parametrize(
    "bad",
    [
        "",
        " ",
        ".",
        "..",
        None,
        7,
        "a/b?c#d%e",
        "rpt_1\n",
        "{{ conn.warehouse.password }}",
        "\u202erpt",
        "x" * 129,
    ],
)
def test_an_id_that_is_none_is_refused_before_anything_is_sent(
    make_hook: HookMaker, ask: Ask, bad: Any
) -> None:
    with OddServer() as server:
        with pytest.raises(ProviderError, match="report_id") as caught:
            ask(make_hook(SilentWitnessHook, server.url), "cancel_report", bad)

        assert server.requests == []
    assert caught.value.parameter == "report_id"


# -- the asynchronous half alone -----------------------------------------------------------------------------


def test_a_status_request_in_a_wait_is_made_once(make_hook: HookMaker, fake_time: FakeTime) -> None:
    async def look(hook: MediaMagicHook) -> Any:
        async with hook.new_async_client() as client:
            return await hook.aget_submission(client, "s1")

    with OddServer(BUSY, answer(200, SUBMISSION)) as server:
        with pytest.raises(ServerError):
            asyncio.run(look(make_hook(MediaMagicHook, server.url)))

        assert len(server.requests) == 1
    assert fake_time.naps == []


@pytest.mark.parametrize("trouble", [cut(), BUSY, answer(429)])
def test_a_cancel_is_tried_three_times(make_hook: HookMaker, fake_time: FakeTime, trouble: Play) -> None:
    async def cancel(hook: SilentWitnessHook) -> Any:
        async with hook.new_async_client() as client:
            return await hook.acancel_report(client, "rpt_1")

    done = answer(200, {"data": {"id": "rpt_1", "status": "cancelled"}})
    with OddServer(trouble, trouble, done) as server:
        assert asyncio.run(cancel(make_hook(SilentWitnessHook, server.url)))["status"] == "cancelled"
    with OddServer(trouble, trouble, trouble, done) as server:
        with pytest.raises(ApiError):
            asyncio.run(cancel(make_hook(SilentWitnessHook, server.url)))

        assert len(server.requests) == 3
    assert sum(fake_time.naps) < 10


def test_a_cancelled_look_stays_cancelled(make_hook: HookMaker) -> None:
    async def look(hook: MediaMagicHook, server: OddServer) -> None:
        async with hook.new_async_client() as client:
            task = asyncio.create_task(hook.aget_submission(client, "s1"))
            while not server.requests:
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with OddServer() as server:
        server.plays = [server.silence]
        asyncio.run(look(make_hook(MediaMagicHook, server.url), server))


# -- storage: presigned uploads and streamed files -----------------------------------------------------------


CONTENT = b"0123456789" * 5000


def put(make_hook: HookMaker, url: str, folder: Path) -> None:
    file = folder / "a.mp4"
    file.write_bytes(CONTENT)
    make_hook(MediaMagicHook, url).put_upload(f"{url}/assets/w/a.mp4?sv=1&sig={SIGNATURE}", file)


def test_a_presigned_upload_carries_no_key(make_hook: HookMaker, tmp_path: Path) -> None:
    with OddServer(answer(201)) as server:
        put(make_hook, server.url, tmp_path)

        seen = server.requests[0]
    assert (seen.method, seen.target) == ("PUT", f"/assets/w/a.mp4?sv=1&sig={SIGNATURE}")
    assert seen.headers["x-ms-blob-type"] == "BlockBlob"
    assert seen.headers["content-length"] == "50000"
    assert "transfer-encoding" not in seen.headers
    assert seen.body == CONTENT
    assert "x-api-key" not in seen.headers
    assert "authorization" not in seen.headers


@pytest.mark.parametrize("trouble", [hang_up, answer(503), answer(429), answer(408)])
def test_a_presigned_upload_is_sent_again_from_the_start(
    make_hook: HookMaker, trouble: Play, tmp_path: Path
) -> None:
    with OddServer(trouble, answer(201)) as server:
        put(make_hook, server.url, tmp_path)

        assert [seen.body for seen in server.requests] == [CONTENT] * 2


@pytest.mark.parametrize(
    ("plays", "said"),
    [
        pytest.param([answer(403, x_ms_error_code="AuthenticationFailed")], "expired", id="expired"),
        pytest.param([answer(400, f"<Error>sig={SIGNATURE}</Error>".encode())], "answered 400", id="refused"),
        pytest.param([answer(302, Location=f"http://127.0.0.1:9/?sig={SIGNATURE}")], "302", id="redirect"),
        pytest.param([hang_up] * 9, "the connection broke", id="lost"),
    ],
)
def test_a_presigned_upload_that_fails_keeps_its_signature(
    make_hook: HookMaker, plays: list[Play], said: str, tmp_path: Path
) -> None:
    with (
        OddServer(*plays) as server,
        pytest.raises(TransferError, match=said) as caught,
    ):
        put(make_hook, server.url, tmp_path)

    assert SIGNATURE not in _everything(caught.value)


def test_an_upload_address_that_is_not_https_is_not_used(make_hook: HookMaker) -> None:
    address = {"uploadUrl": f"http://storage.example.com/a?sig={SIGNATURE}", "blobPath": "w/a"}
    with (
        OddServer(answer(200, address)) as server,
        pytest.raises(MalformedResponseError, match="not https") as caught,
    ):
        make_hook(MediaMagicHook, server.url).create_upload_url("a.txt", "text/plain")

    assert SIGNATURE not in _everything(caught.value)


def test_a_method_in_small_letters_is_the_same(make_hook: HookMaker) -> None:
    with OddServer(hang_up, answer(200, {"new": 1})) as server:
        assert make_hook(MediaMagicHook, server.url).request("get", "/api/integrations/new") == {"new": 1}


def test_a_file_is_streamed(make_hook: HookMaker) -> None:
    with OddServer(hang_up, answer(200, b"JPEG" * 100_000, Content_Type="image/jpeg")) as server:
        pieces = list(make_hook(SilentWitnessHook, server.url).get_file("file_1", chunk_size=1000))

    assert b"".join(pieces) == b"JPEG" * 100_000
    assert max(map(len, pieces)) <= 1000


def test_a_streamed_file_that_is_cut_is_an_error(make_hook: HookMaker) -> None:
    with OddServer(cut(200, b"JPEG" * 1000)) as server:
        pieces = make_hook(SilentWitnessHook, server.url).get_file("file_1")
        with pytest.raises(TransportError, match="GET /api/files/file_1"):
            list(pieces)


@pytest.mark.parametrize("status", [202, 204, 206])
def test_a_part_of_a_file_is_none(make_hook: HookMaker, status: int) -> None:
    with (
        OddServer(answer(status, b"" if status == 204 else b"%PDF")) as server,
        pytest.raises(MalformedResponseError, match=rf"GET /api/files/file_1 answered with status {status}"),
    ):
        make_hook(SilentWitnessHook, server.url).get_file("file_1")


def test_a_file_that_is_not_there_is_named_at_once(make_hook: HookMaker) -> None:
    with (
        OddServer(answer(404, {"success": False, "error": "File not found"})) as server,
        pytest.raises(NotFoundError, match="File not found"),
    ):
        make_hook(SilentWitnessHook, server.url).get_file("file_1")


@pytest.mark.parametrize(
    ("kind", "method"), [(MediaMagicHook, "get_submission"), (SilentWitnessHook, "get_report")]
)
def test_a_404_of_something_else_says_nothing_about_the_job(
    make_hook: HookMaker, ask: Ask, kind: type[Any], method: str
) -> None:
    with (
        OddServer(answer(404, b"default backend - 404")) as server,
        pytest.raises(MalformedResponseError, match=r"GET /api/.*default backend.*something else"),
    ):
        ask(make_hook(kind, server.url), method, "job_1")


@pytest.mark.parametrize("known", ["job:01.A-b_c", "~am9i+MDE=="])
@pytest.mark.parametrize(
    ("kind", "method"), [(MediaMagicHook, "get_submission"), (SilentWitnessHook, "get_report")]
)
def test_an_id_is_sent_as_the_service_has_it(
    make_hook: HookMaker, ask: Ask, kind: type[Any], method: str, known: str
) -> None:
    """Not all servers decode a path before they search by it."""
    with OddServer(answer(404, {"detail": "unknown"})) as server:
        with pytest.raises(NotFoundError):
            ask(make_hook(kind, server.url), method, known)

        assert server.requests[0].target.endswith(f"/{known}")


def _everything(error: BaseException) -> str:
    """Everything that a log could show of an error, what it came from included."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
