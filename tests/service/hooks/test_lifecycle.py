"""When a hook looks its connection up, what it keeps, and how it says that a connection does not work."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_provider.core.http.client import ServiceHook
from airflow_provider.core.http.connection import ConnectionSettings
from airflow_provider.exceptions import InvalidInputError, UndefinedConnectionError
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from tests.service.hooks.conftest import KEY, FakeTime, HookMaker
from tests.service.hooks.odd_server import OddServer, Play, answer, hang_up

HOOKS = pytest.mark.parametrize("kind", [MediaMagicHook, SilentWitnessHook])


@HOOKS
def test_the_names_that_airflow_knows_a_hook_by(kind: type[ServiceHook]) -> None:
    expected: dict[type[ServiceHook], tuple[str, ...]] = {
        MediaMagicHook: ("mediamagic_conn_id", "mediamagic_default", "mediamagic", "MediaMagic"),
        SilentWitnessHook: (
            "silent_witness_conn_id",
            "silent_witness_default",
            "silent_witness",
            "Silent Witness",
        ),
    }

    assert (kind.conn_name_attr, kind.default_conn_name, kind.conn_type, kind.hook_name) == expected[kind]


@HOOKS
def test_making_a_hook_looks_nothing_up(kind: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(cls: type, conn_id: str) -> None:
        raise AssertionError(f"looked up {conn_id}")

    monkeypatch.setattr(kind, "get_connection", classmethod(refuse))

    assert kind().conn_id == kind.default_conn_name
    assert kind("other").conn_id == "other"


@HOOKS
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda hook: pickle.loads(pickle.dumps(hook))])
def test_a_copy_of_a_hook_opens_its_own_and_carries_no_key(
    kind: type[Any], copied: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an argument of a task a hook is copied with its Dag, and for another process it is pickled."""
    fields = {"conn_type": kind.conn_type, "password": "sk-of-this-test"}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(fields))
    with kind("other", max_turn_wait=7.0) as hook:
        assert hook.settings.api_key in repr(vars(hook.settings))
        hook.get_conn()
        assert b"sk-of-this-test" not in pickle.dumps(hook)
        with copied(hook) as other:
            assert (other.conn_id, other.turns.patience) == ("other", 7.0)
            assert other.get_conn() is not hook.get_conn()
            assert other.settings == hook.settings


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    make_hook: HookMaker, fake_time: FakeTime
) -> None:
    with OddServer(*[answer(200, {"new": 1})] * 3) as server:
        hook = make_hook(MediaMagicHook, server.url)
        for idle in (0.0, 30.0, 300.0):
            fake_time.sleep(idle)
            hook.request("GET", "/api/integrations/new")
        first, second, last = (request.connection for request in server.requests)
    assert first == second != last


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@HOOKS
def test_a_fork_of_the_process_opens_its_own_connections(
    kind: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({"conn_type": kind.conn_type, "password": "sk"}))
    with kind("other") as hook:
        opened = [hook.get_conn(), hook.storage_session]
        if (child := os.fork()) == 0:
            shared = 1
            with suppress(Exception):
                shared = int(hook.get_conn() in opened or hook.storage_session in opened)
            os._exit(shared)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert [hook.get_conn(), hook.storage_session] == opened


@HOOKS
def test_a_hook_takes_the_names_that_airflow_gives_a_connection_id(kind: type[Any]) -> None:
    assert kind("one").conn_id == kind(conn_id="one").conn_id == kind(**{kind.conn_name_attr: "one"}).conn_id
    with pytest.raises(InvalidInputError, match="not both"):
        kind("one", **{kind.conn_name_attr: "two"})
    with pytest.raises(TypeError, match="'other_conn_id'"):
        kind(other_conn_id="one")


@HOOKS
def test_the_wait_for_a_turn_is_a_duration_or_refused_at_once(kind: type[Any]) -> None:
    """Used when the rate limit is used up, it would fail only then."""
    assert kind(max_turn_wait=timedelta(minutes=2)).turns.patience == 120.0
    assert kind(max_turn_wait="7").turns.patience == 7.0
    assert kind(max_turn_wait=0).turns.patience == kind(max_turn_wait=None).turns.patience == 0.0
    for wrong in ("soon", -1, float("nan"), [60]):
        with pytest.raises(InvalidInputError, match="max_turn_wait"):
            kind(max_turn_wait=wrong)


@HOOKS
def test_airflow_makes_the_hook_of_a_connection(kind: type[Any]) -> None:
    hook = Connection(conn_id="c1", conn_type=kind.conn_type, password=KEY).get_hook()

    assert (type(hook), hook.conn_id) == (kind, "c1")


def test_importing_the_hooks_imports_no_http_library() -> None:
    code = (
        "import sys, airflow_provider.hooks.mediamagic, airflow_provider.hooks.silent_witness\n"
        "print([name for name in ('requests', 'aiohttp', 'urllib3',"
        " 'airflow_provider.core.http.extras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip().splitlines()[-1] == "[]"


@HOOKS
@pytest.mark.parametrize("half", ["sync", "async"])
def test_the_connection_is_looked_up_once(
    kind: type[Any], half: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {
        "conn_type": kind.conn_type,
        "host": "api.example.com",
        "password": KEY,
        "extra": {"max_retries": 1},
    }
    monkeypatch.setenv("AIRFLOW_CONN_C1", json.dumps(body))
    hook = kind("c1")

    def load() -> ConnectionSettings:
        found: ConnectionSettings = asyncio.run(hook.aload_settings()) if half == "async" else hook.settings
        return found

    first = load()
    monkeypatch.delenv("AIRFLOW_CONN_C1")

    assert (first.base_url, first.api_key, first.max_retries) == ("https://api.example.com", KEY, 1)
    assert load() is first
    assert hook.settings is first


@HOOKS
@pytest.mark.parametrize("half", ["sync", "async"])
def test_a_connection_that_is_not_defined_is_named(kind: type[Any], half: str) -> None:
    hook = kind("no_such_connection")

    with pytest.raises(UndefinedConnectionError, match="'no_such_connection' is not defined"):
        asyncio.run(hook.aload_settings()) if half == "async" else hook.settings


def test_the_key_and_a_proxy_password_are_masked_in_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    masked: list[Any] = []
    monkeypatch.setattr("airflow.sdk.log.mask_secret", lambda secret, name=None: masked.append(secret))
    body = {
        "conn_type": "mediamagic",
        "password": KEY,
        "extra": {"proxies": {"all": "http://ann:proxy-word@proxy:3128"}},
    }
    monkeypatch.setenv("AIRFLOW_CONN_C1", json.dumps(body))

    assert MediaMagicHook("c1").settings.api_key == KEY
    assert KEY in masked
    assert "proxy-word" in masked


def test_a_hook_is_a_context_manager_and_can_be_used_again() -> None:
    settings = ConnectionSettings("c1", "http://127.0.0.1:1", KEY)
    with MediaMagicHook(settings=settings) as hook:
        first, storage = hook.get_conn(), hook.storage_session
        assert hook.get_conn() is first
        assert hook.storage_session is storage
        assert first is not storage

    assert hook.get_conn() is not first


def test_no_session_holds_the_key(make_hook: HookMaker) -> None:
    hook = make_hook(MediaMagicHook, "http://127.0.0.1:1")

    assert KEY not in str(vars(hook.get_conn()))
    assert KEY not in str(vars(hook.storage_session))
    assert KEY not in repr(hook)


def test_the_async_client_holds_no_key() -> None:
    hook = MediaMagicHook(settings=ConnectionSettings("c1", "http://127.0.0.1:1", KEY))

    async def headers() -> str:
        async with hook.new_async_client() as client:
            return str(client.headers)

    assert KEY not in asyncio.run(headers())


GOOD: dict[type[ServiceHook], Play] = {
    MediaMagicHook: answer(404, {"detail": "Submission not found"}),
    SilentWitnessHook: answer(200, {"success": True, "data": {"organizations": [], "total": 0}}),
}


@HOOKS
def test_a_good_connection(make_hook: HookMaker, kind: type[Any]) -> None:
    with OddServer(GOOD[kind]) as server:
        assert make_hook(kind, server.url).test_connection() == (
            True,
            f"Connected to {server.url}; the API key is accepted.",
        )

        (seen,) = server.requests
    assert seen.method == "GET"


def test_a_host_pasted_with_the_documented_path_is_good(make_hook: HookMaker) -> None:
    with OddServer(GOOD[MediaMagicHook]) as server:
        works, message = make_hook(MediaMagicHook, f"{server.url}/api/integrations/").test_connection()

        (seen,) = server.requests
    assert (works, seen.target.count("/api/")) == (True, 1), message


@HOOKS
@pytest.mark.parametrize(
    ("play", "said"),
    [
        pytest.param(answer(401, {"detail": "Invalid API key"}), "refused the API key", id="401"),
        pytest.param(answer(403, {"error": "no"}), "does not let it in", id="403"),
        pytest.param(answer(402, {"message": "plan", "bucket": "b"}), "plan", id="402"),
        pytest.param(answer(404, b"<html>nginx</html>"), "not the API", id="web-404"),
        pytest.param(answer(403, b"<html>stopped</html>"), "not the API", id="web-403"),
        pytest.param(answer(404, {"message": "no route"}), "not the API", id="other-api"),
        pytest.param(answer(200, b"<html>hello</html>"), "HTML page", id="web-200"),
        pytest.param(answer(301, Location="https://www.example.com/"), r"www.example.com", id="redirect"),
        pytest.param(answer(429, {"error": "slow"}), "Slow down", id="429"),
        pytest.param(answer(500), "500", id="500"),
        pytest.param(hang_up, "got no whole answer", id="lost"),
    ],
)
def test_a_connection_that_does_not_work_says_why(
    make_hook: HookMaker, kind: type[Any], play: Play, said: str
) -> None:
    with OddServer(play) as server:
        works, message = make_hook(kind, server.url).test_connection()

        assert len(server.requests) == 1
    assert works is False
    assert said in message
    assert KEY not in message


@HOOKS
def test_a_connection_that_is_misconfigured_says_why(
    kind: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_C1", json.dumps({"conn_type": kind.conn_type}))

    works, message = kind("c1").test_connection()

    assert works is False
    assert "`password`" in message


@HOOKS
def test_test_connection_never_raises(kind: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(cls: type, conn_id: str) -> None:
        raise RuntimeError("the API server is away")

    monkeypatch.setattr(kind, "get_connection", classmethod(broken))

    assert kind().test_connection() == (False, "RuntimeError: the API server is away")
