"""An answer that comes a byte now and then: within each read timeout, and without an end."""

from __future__ import annotations

import socket
import time

import pytest

from airflow_provider.core.http import async_sessions, sessions
from airflow_provider.exceptions import TransportError
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from tests.service.hooks.conftest import Ask, HookMaker
from tests.service.hooks.odd_server import OddServer

OK = b"HTTP/1.1 200 OK\r\n"
PAUSE = 0.05
READ_TIMEOUT = 2.0

ANSWERS = {
    "head": (OK, b"X-Policy: " + b"x" * 100),
    "body": (OK + b"Content-Length: 100\r\n\r\n", b" " * 100),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 20),
    "no length": (OK + b"\r\n", b" " * 100),
}


def trickle(connection: socket.socket, content: bytes) -> None:
    for at in range(len(content)):
        connection.sendall(content[at : at + 1])
        time.sleep(PAUSE)


@pytest.fixture(autouse=True)
def _long_before_a_read_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sessions, async_sessions):
        monkeypatch.setattr(module, "LONGEST_ANSWER", 0.2)


@pytest.mark.parametrize("part", ANSWERS)
def test_an_answer_without_an_end_is_given_up(make_hook: HookMaker, ask: Ask, part: str) -> None:
    at_once, slowly = ANSWERS[part]

    def play(connection: socket.socket) -> bool:
        connection.sendall(at_once)
        trickle(connection, slowly)
        return False

    with OddServer(play) as server:
        settings = {"connect_timeout": 1.0, "read_timeout": READ_TIMEOUT, "max_retries": 0}
        hook = make_hook(SilentWitnessHook, server.url, **settings)
        with pytest.raises(TransportError, match="in time") as caught:
            ask(hook, "get_report", "rpt_1")

    assert caught.value.sent


def test_a_file_may_take_its_time_and_leaves_the_connection_as_it_was(make_hook: HookMaker) -> None:
    def play(connection: socket.socket) -> bool:
        connection.sendall(OK + b"Content-Length: 12\r\n\r\n")
        trickle(connection, b"x" * 12)
        return True

    with OddServer(play, play) as server:
        hook = make_hook(SilentWitnessHook, server.url)
        for _ in range(2):
            with hook.storage_session.get(server.url, timeout=(1, READ_TIMEOUT), stream=True) as response:
                assert response.content == b"x" * 12
        assert {request.connection for request in server.requests} == {1}
