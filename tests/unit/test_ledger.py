"""The record of one task instance: what it holds, when it counts, and when it must stop everything."""

from __future__ import annotations

from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider.core.jobs.ledger import (
    KEY,
    VERSION,
    Entry,
    Ledger,
    TaskStateStore,
    XComStore,
    fingerprint,
)
from airflow_provider.exceptions import LedgerError


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's home cannot be written to; test_record_file.py is about files beside the stores."""
    monkeypatch.setattr("airflow_provider.core.jobs.record_file.own_folder", lambda: None)


class Store:
    """A store in memory."""

    durable = True
    place = KEY

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def get(self) -> Any:
        return self.value

    def set(self, value: dict[str, Any]) -> None:
        self.value = value

    def is_replaced(self) -> bool:
        return self.value is None


class Broken(Store):
    def get(self) -> Any:
        raise ConnectionError("away")

    def set(self, value: dict[str, Any]) -> None:
        raise ConnectionError("away")


ENTRY = Entry(fingerprint="f", intent_at=1.0, max_tries=2, job_id="j", submitted_at=3.0, deadline=4.0)


def test_what_is_written_is_read() -> None:
    ledger = Ledger(Store())
    ledger.write(ENTRY)
    assert ledger.read() == ENTRY


def test_nothing_written_is_none() -> None:
    assert Ledger(Store()).read() is None


def test_the_intent_comes_before_the_id() -> None:
    ledger = Ledger(Store(), max_tries=1)
    prepared = ledger.prepare("f", {"blobs": {"a": "b"}})
    assert (prepared.intent_at, prepared.job_id) == (0.0, "")
    intended = ledger.intend(prepared, 10.0)
    assert (intended.intent_at, intended.job_id) == (10.0, "")
    settled = ledger.settle(intended, "job", submitted_at=11.0, deadline=20.0)
    assert (settled.job_id, settled.submitted_at, settled.deadline) == ("job", 11.0, 20.0)
    assert ledger.read() == settled
    assert settled.details == {"blobs": {"a": "b"}, "paid": 1}


def test_a_new_intent_forgets_the_job_before() -> None:
    ledger = Ledger(Store())
    assert ledger.intend(ENTRY, 9.0).job_id == ""


@pytest.mark.parametrize(
    "value",
    [
        {},
        "text",
        7,
        [],
        {"version": VERSION + 1, **asdict(ENTRY)},
        {"version": VERSION, "fingerprint": "f"},
        {"version": VERSION, **asdict(ENTRY), "details": None},
        {"version": VERSION, **asdict(ENTRY), "intent_at": "soon"},
    ],
    ids=["empty", "text", "number", "list", "later-version", "field-missing", "null", "no-time"],
)
def test_a_record_that_is_not_ours_is_an_error_not_none(value: Any) -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger(Store(value)).read()
    assert KEY in str(caught.value)
    assert "Nothing was submitted" in str(caught.value)


def test_a_record_of_a_later_version_with_more_fields_is_read() -> None:
    assert Ledger(Store({"version": VERSION, **asdict(ENTRY), "added_later": 1})).read() == ENTRY


def test_a_store_that_cannot_be_read_stops_everything() -> None:
    with pytest.raises(LedgerError, match="away"):
        Ledger(Broken()).read()


def test_a_store_that_cannot_be_written_says_which_job_runs() -> None:
    with pytest.raises(LedgerError, match="job j is running") as caught:
        Ledger(Broken()).write(ENTRY)
    assert caught.value.job_id == "j"


def test_a_store_that_cannot_be_written_before_the_call_says_nothing_was_sent() -> None:
    with pytest.raises(LedgerError, match="nothing was submitted"):
        Ledger(Broken()).prepare("f", {})


@pytest.mark.parametrize(("max_tries", "cleared"), [(2, False), (3, True)])
def test_a_clear_changes_max_tries_and_a_retry_does_not(max_tries: int, cleared: bool) -> None:
    assert Ledger(Store(), max_tries=max_tries).cleared(ENTRY) is cleared


class Accessor:
    """The task state store, as Airflow 3.3 puts it into the context."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.values[key] = value


def test_with_a_state_store_the_record_is_durable() -> None:
    accessor = Accessor()
    context: Any = {"ti": SimpleNamespace(max_tries=1, try_number=1), "task_state_store": accessor}
    ledger = Ledger.of(context)
    ledger.write(ENTRY)
    assert ledger.durable
    assert accessor.values[KEY]["job_id"] == "j"


class TaskInstance:
    """A task instance of Airflow 3.1: XCom, and nothing that outlives a retry."""

    task_id = "job"
    map_index = 3
    max_tries = 1
    try_number = 1

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}
        self.pulled: list[tuple[str, str, int]] = []

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int) -> Any:
        self.pulled.append((task_ids, key, map_indexes))
        return self.pushed.get(key)


def test_without_a_state_store_and_a_folder_the_record_lives_in_an_xcom_of_the_map_index() -> None:
    ti = TaskInstance()
    context: Any = {"ti": ti}
    ledger = Ledger.of(context)
    ledger.write(ENTRY)
    assert not ledger.durable
    assert ledger.read() == ENTRY
    assert ti.pulled == [("job", KEY, 3)]


@pytest.mark.parametrize(
    ("try_number", "max_tries", "last"), [(1, 0, True), (1, 1, False), (2, 1, True), (3, 4, False)]
)
def test_the_last_try_is_known(try_number: int, max_tries: int, last: bool) -> None:
    ti = SimpleNamespace(max_tries=max_tries, try_number=try_number)
    context: Any = {"ti": ti, "task_state_store": Accessor()}
    assert Ledger.of(context).last_try is last


def test_the_stores_have_one_interface() -> None:
    assert (TaskStateStore.durable, XComStore.durable) == (True, False)


# -- fingerprints ----


def test_the_same_request_has_the_same_fingerprint_whatever_its_order() -> None:
    one = fingerprint({"a": 1, "b": [1, 2]}, connection="c")
    assert one == fingerprint({"b": [1, 2], "a": 1}, connection="c")


@pytest.mark.parametrize(
    ("request_", "connection"),
    [({"a": 2}, "c"), ({"a": 1, "b": None}, "c"), ({"a": "1"}, "c"), ({"a": 1}, "d")],
)
def test_another_request_or_connection_has_another_fingerprint(
    request_: dict[str, Any], connection: str
) -> None:
    assert fingerprint({"a": 1}, connection="c") != fingerprint(request_, connection=connection)


def test_a_fingerprint_does_not_show_the_request() -> None:
    assert "Ann Smith" not in fingerprint({"plaintiff_name": "Ann Smith"}, connection="c")
