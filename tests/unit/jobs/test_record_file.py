"""The record that outlives Airflow's own: a file per task instance, and the store it stands beside."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from airflow_provider.core.files.locations import locate
from airflow_provider.core.jobs.ledger import KEY, Entry, Ledger
from airflow_provider.core.jobs.record_file import (
    FOLDER_NAME,
    KEPT,
    KEPT_UNDELIVERED,
    REMOVED_AT_ONCE,
    RecordFile,
    remove_old_records,
)
from airflow_provider.exceptions import LedgerError
from tests.airflow.lone import DAG_RUN, FakeStateStore, FakeTaskInstance

NOW = datetime(2026, 11, 30, tzinfo=UTC).timestamp()
SETTING = "AIRFLOW__AIRFLOW_PROVIDER__JOB_RECORDS_PATH"


def _context(ti: FakeTaskInstance | None = None, **more: Any) -> Any:
    return {"ti": ti or FakeTaskInstance(), "dag_run": DAG_RUN, **more}


@pytest.fixture(params=["local", "file://", "memory://"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder for records, switched on."""
    named = {"local": str(tmp_path), "file://": tmp_path.as_uri(), "memory://": f"memory://{tmp_path}"}
    folder: str = named[request.param]
    monkeypatch.setenv(SETTING, folder)
    return folder


@pytest.fixture
def local_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(SETTING, str(tmp_path))
    return tmp_path


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _settled(ledger: Ledger, job_id: str = "job-1") -> Entry:
    entry = ledger.intend(ledger.prepare("f", {}), 10.0)
    return ledger.settle(entry, job_id, submitted_at=11.0)


# -- what it outlives ---


@pytest.mark.parametrize("with_state_store", [True, False], ids=["3.4", "3.1"])
def test_a_record_is_found_where_airflow_has_discarded_its_own(folder: str, with_state_store: bool) -> None:
    def airflow() -> Any:
        return FakeStateStore() if with_state_store else None

    settled = _settled(Ledger.of(_context(task_state_store=airflow())))
    retry = FakeTaskInstance(try_number=2, max_tries=1)
    ledger = Ledger.of(_context(retry, task_state_store=airflow()))
    assert ledger.durable
    assert ledger.read() == settled


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Airflow's home, where records are kept when no folder is named."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(params=[False, True], ids=["other executor", "LocalExecutor"])
def local_executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether all attempts run where the scheduler runs."""
    monkeypatch.setattr("airflow_provider.core.jobs.ledger.runs_in_local_executor", lambda: request.param)
    return bool(request.param)


def test_without_the_setting_a_retry_reads_the_file_of_its_machine(home: Path, local_executor: bool) -> None:
    settled = _settled(Ledger.of(_context()))
    ledger = Ledger.of(_context(FakeTaskInstance(try_number=2, max_tries=1)))
    assert ledger.read() == settled
    assert ledger.durable == ledger.outlives_clear == local_executor


def test_without_the_setting_a_first_try_reads_no_file(home: Path, local_executor: bool) -> None:
    """A Dag run of the same id may have been deleted, with the job of its task."""
    _settled(Ledger.of(_context()), "of the deleted run")
    assert Ledger.of(_context()).read() is None
    _settled(Ledger.of(_context()))
    retry = Ledger.of(_context(FakeTaskInstance(try_number=2))).read()
    assert retry is not None
    assert retry.job_id == "job-1"


@pytest.mark.parametrize("discards", [False, True], ids=["3.3", "3.4"])
def test_a_file_is_written_where_a_clear_discards_what_airflow_has(
    home: Path, discards: bool, local_executor: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider.core.jobs.ledger.CLEAR_DISCARDS_TASK_STATE", discards)
    ledger = Ledger.of(_context(task_state_store=FakeStateStore()))
    _settled(ledger)
    assert ledger.durable
    assert ledger.outlives_clear == (local_executor or not discards)
    assert len(_files(home)) == discards


def test_a_home_that_cannot_be_written_to_has_no_records(home: Path, local_executor: bool) -> None:
    home.joinpath(FOLDER_NAME).touch()
    ledger = Ledger.of(_context())
    _settled(ledger)
    assert not ledger.durable
    assert Ledger.of(_context(FakeTaskInstance(try_number=2))).read() is None


def test_a_file_of_the_packages_own_choice_that_cannot_be_written_stops_nothing(
    home: Path, local_executor: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: RecordFile, value: dict[str, Any]) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(RecordFile, "set", full)
    ledger = Ledger.of(_context())
    assert _settled(ledger).job_id == "job-1"
    assert not ledger.durable


def test_what_airflow_has_counts_before_the_file(local_folder: Path) -> None:
    store = FakeStateStore()
    _settled(Ledger.of(_context(task_state_store=store)), "old")
    (file,) = _files(local_folder)
    stale = file.read_bytes()
    _settled(Ledger.of(_context(task_state_store=store)), "new")
    file.write_bytes(stale)
    entry = Ledger.of(_context(task_state_store=store)).read()
    assert entry is not None
    assert entry.job_id == "new"


def test_a_record_found_in_the_file_is_given_back_to_airflow(local_folder: Path) -> None:
    _settled(Ledger.of(_context(task_state_store=FakeStateStore())))
    store = FakeStateStore()
    Ledger.of(_context(task_state_store=store)).read()
    assert store.values[KEY]["job_id"] == "job-1"


# -- where it is ---


IDS: list[dict[str, Any]] = [
    {},
    {"dag_id": "dag2"},
    {"run_id": "other"},
    {"task_id": "dag.job"},
    {"map_index": 0},
    {"map_index": 1},
    {"run_id": "../../../etc/passwd"},
    {"run_id": "a/b"},
    {"dag_id": "a", "run_id": "b/job"},
    {"run_id": "\u2028 %2F\0" + "x" * 5000},
]


def test_every_task_instance_has_a_file_of_its_own_inside_the_folder(local_folder: Path) -> None:
    for number, ids in enumerate(IDS):
        _settled(Ledger.of(_context(FakeTaskInstance(**ids))), f"job-{number}")
    assert len(_files(local_folder)) == len(IDS)
    for number, ids in enumerate(IDS):
        entry = Ledger.of(_context(FakeTaskInstance(**ids))).read()
        assert entry is not None
        assert entry.job_id == f"job-{number}"
    assert all(path.parent.parent.parent == local_folder for path in _files(local_folder))


def test_iterations_of_a_task_loop_have_records_of_their_own(local_folder: Path) -> None:
    for region in range(3):
        ti = FakeTaskInstance()
        ti.region_id, ti.region_index = UUID(int=region), 0  # type: ignore[attr-defined]
        _settled(Ledger.of(_context(ti)))
    assert len(_files(local_folder)) == 3


# -- what cannot be read is never taken for nothing ---


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"record": {}}', b'{"dag_id": "dag"}'],
    ids=["empty", "cut", "list", "null", "bytes", "of-nobody", "no-record"],
)
def test_a_broken_file_is_an_error_that_names_it(local_folder: Path, content: bytes) -> None:
    _settled(Ledger.of(_context()))
    (file,) = _files(local_folder)
    file.write_bytes(content)
    with pytest.raises(LedgerError, match=r"Nothing was submitted") as error:
        Ledger.of(_context()).read()
    assert str(file) in str(error.value)
    assert "delete the file" in str(error.value)


def test_the_record_of_another_task_is_refused(local_folder: Path) -> None:
    _settled(Ledger.of(_context()))
    (file,) = _files(local_folder)
    file.write_text(json.dumps({**json.loads(file.read_text()), "task_id": "another"}))
    with pytest.raises(LedgerError, match="no record of this task"):
        Ledger.of(_context()).read()


def test_a_record_of_a_later_version_names_both_places(local_folder: Path) -> None:
    store = FakeStateStore()
    _settled(Ledger.of(_context(task_state_store=store)))
    store.values[KEY]["version"] = 99
    with pytest.raises(LedgerError) as error:
        Ledger.of(_context(task_state_store=store)).read()
    assert KEY in str(error.value)
    assert str(_files(local_folder)[0]) in str(error.value)


@pytest.mark.parametrize("setting", ["/no/such/folder", "nosuchscheme://bucket/x", "https://example.com/x"])
def test_a_folder_that_is_not_there_is_an_error(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unmounted share holds no records, and would let every retry pay again."""
    monkeypatch.setenv(SETTING, setting)
    with pytest.raises(LedgerError, match=r"job_records_path.*Nothing was submitted"):
        Ledger.of(_context()).read()


def test_a_file_that_cannot_be_written_stops_before_the_paid_call(local_folder: Path) -> None:
    ledger = Ledger.of(_context(task_state_store=FakeStateStore()))
    assert ledger.read() is None
    (local_folder / "2026-11-21").write_text("in the way")
    with pytest.raises(LedgerError, match="nothing was submitted"):
        ledger.prepare("f", {})


def test_a_job_that_runs_is_followed_though_its_file_cannot_be_written(
    local_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = FakeStateStore()
    ledger = Ledger.of(_context(task_state_store=store))
    entry = ledger.intend(ledger.prepare("f", {}), 10.0)
    (file,) = _files(local_folder)
    folder = file.parent
    file.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    ledger.settle(entry, "job-1", submitted_at=11.0)
    assert store.values[KEY]["job_id"] == "job-1"
    assert "job-1 could not be written to a file" in caplog.text


# -- an attempt that another one has replaced ---


@pytest.mark.parametrize("with_state_store", [True, False], ids=["3.3", "3.1"])
def test_an_attempt_is_not_replaced_by_itself(local_folder: Path, with_state_store: bool) -> None:
    more = {"task_state_store": FakeStateStore() if with_state_store else None}
    ti = FakeTaskInstance()
    _settled(Ledger.of(_context(ti, **more)))
    ledger = Ledger.of(_context(ti, **more))
    ledger.read()
    assert not ledger.is_replaced()


@pytest.mark.parametrize("with_state_store", [True, False], ids=["3.3", "3.1"])
def test_a_retry_that_found_the_record_is_not_replaced(local_folder: Path, with_state_store: bool) -> None:
    more = {"task_state_store": FakeStateStore() if with_state_store else None}
    _settled(Ledger.of(_context(FakeTaskInstance(try_number=1), **more)))
    retry = Ledger.of(_context(FakeTaskInstance(try_number=2), **more))
    retry.read()
    assert not retry.is_replaced()


def test_an_attempt_whose_retry_has_taken_the_record_is_replaced(local_folder: Path) -> None:
    ti = FakeTaskInstance(try_number=1)
    first = Ledger.of(_context(ti))
    _settled(first)
    ti.try_number = 2
    Ledger.of(_context(ti)).read()
    assert first.is_replaced()


def test_an_attempt_that_has_lost_its_view_is_replaced_though_there_is_a_file(local_folder: Path) -> None:
    store = FakeStateStore()
    ledger = Ledger.of(_context(task_state_store=store))
    _settled(ledger)
    store.values.clear()
    assert ledger.is_replaced()


# -- nothing piles up ---


def _old(folder: Path, days: float, number: int = 0, **entry: Any) -> Path:
    """A record whose last change was so many days ago."""
    written = NOW - days * 86400
    run_after = datetime.fromtimestamp(written, UTC)
    context = _context(FakeTaskInstance(run_id=f"{days} {number}"))
    context["dag_run"] = SimpleNamespace(run_after=run_after)
    record = RecordFile(str(folder), context)
    record.set({"intent_at": 1.0, "job_id": "j", "details": {}, **entry})
    path = Path(str(record))
    path.write_text(json.dumps({**json.loads(path.read_text()), "written_at": written}))
    return path


DELIVERED: dict[str, Any] = {"details": {"delivered": True}}
DAYS, DAYS_UNDELIVERED = KEPT / 86400, KEPT_UNDELIVERED / 86400


@pytest.mark.parametrize(
    ("days", "entry", "goes"),
    [
        (DAYS + 2, DELIVERED, True),
        (DAYS - 2, DELIVERED, False),
        (DAYS + 2, {}, False),
        (DAYS_UNDELIVERED + 2, {}, True),
        (DAYS + 2, {"intent_at": 0.0, "job_id": ""}, True),
    ],
    ids=["delivered", "recent", "undelivered", "undelivered-for-a-year", "unpaid"],
)
def test_old_records_go(tmp_path: Path, days: float, entry: dict[str, Any], goes: bool) -> None:
    path = _old(tmp_path, days, **entry)
    remove_old_records(locate(str(tmp_path)), now=NOW)
    assert path.exists() is not goes
    assert (list(tmp_path.iterdir()) == []) is goes, "no empty folder is left either"


def test_a_record_of_a_backfill_of_old_days_stays_while_it_is_young(tmp_path: Path) -> None:
    context = _context()
    context["dag_run"] = SimpleNamespace(run_after=datetime.fromtimestamp(NOW, UTC) - timedelta(days=900))
    record = RecordFile(str(tmp_path), context)
    record.set({"intent_at": NOW, "job_id": "j", **DELIVERED})
    remove_old_records(locate(str(tmp_path)), now=NOW)
    assert Path(str(record)).exists()


def test_a_new_record_makes_room_and_a_known_one_does_not(
    local_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[Any] = []
    monkeypatch.setattr(
        "airflow_provider.core.jobs.record_file.remove_old_records", lambda *_, **__: removed.append(1)
    )
    ledger = Ledger.of(_context())
    assert ledger.read() is None
    _settled(ledger)
    ledger = Ledger.of(_context(FakeTaskInstance(try_number=2)))
    ledger.read()
    _settled(ledger)
    assert len(removed) == 1


def test_cleaning_up_is_bounded(tmp_path: Path) -> None:
    paths = [_old(tmp_path, DAYS + 2, number, **DELIVERED) for number in range(2)]
    part = paths[0].parent
    for number in range(3 * REMOVED_AT_ONCE):
        (part / f"{number}.json").write_bytes(paths[0].read_bytes())
    for path in paths[1:]:
        path.unlink()
    before = len(_files(tmp_path))
    while part.exists() and len(_files(tmp_path)) == before:  # one part of a day is chosen at random
        remove_old_records(locate(str(tmp_path)), now=NOW)
    assert before - len(_files(tmp_path)) == REMOVED_AT_ONCE


def test_a_broken_old_file_stops_no_cleaning(tmp_path: Path) -> None:
    path = _old(tmp_path, DAYS + 2, **DELIVERED)
    for number in range(9):
        (path.parent / f"{number}.json").write_text("{")
    remove_old_records(locate(str(tmp_path)), now=NOW)
    assert not path.exists()


def test_what_goes_wrong_while_cleaning_is_only_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: str) -> list[str]:
        raise PermissionError("no")

    monkeypatch.setattr("airflow_provider.core.files.locations.os.listdir", broken)
    remove_old_records(locate(str(tmp_path)), now=NOW)
    assert "could not be removed" in caplog.text
