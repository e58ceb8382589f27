"""Which task of which Dag has a job: the first that took it, as all who share the key's budget see it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from airflow_provider.core.budget.store import MemoryStore
from airflow_provider.core.jobs.claims import Claims, JobOwners
from airflow_provider.core.jobs.ledger import owner_name


def hook(store: Any, identity: str = "key") -> Any:
    return SimpleNamespace(settings=SimpleNamespace(identity=identity), store=store)


def test_the_first_that_takes_a_job_has_it() -> None:
    store = MemoryStore()
    first, second = (JobOwners(hook(store), name, "report") for name in ("first", "second"))
    assert not second.is_others("rpt_1")
    first.take("rpt_1")
    second.take("rpt_1")
    assert second.is_others("rpt_1")
    assert not first.is_others("rpt_1")
    assert "rpt_1" in Claims((), second)
    assert "rpt_2" not in Claims((), second)
    assert "rpt_2" in Claims({"rpt_2"}, second)


def test_a_job_that_is_given_back_may_be_taken_by_another() -> None:
    now = [1000.0]
    store = MemoryStore(clock=lambda: now[0])
    first, second = (JobOwners(hook(store), name, "report") for name in ("first", "second"))
    first.take("rpt_1")
    now[0] += 60.0
    second.give_back("rpt_1")
    assert second.is_others("rpt_1"), "only its owner gives it back"
    assert second.held_for("rpt_1") == 60.0
    first.give_back("rpt_1")
    second.take("rpt_1")
    assert first.is_others("rpt_1")
    assert first.held_for("rpt_1") == 0.0
    assert first.held_for("rpt_2") is None


def test_another_key_has_other_jobs() -> None:
    store = MemoryStore()
    JobOwners(hook(store, "one"), "first", "report").take("rpt_1")
    assert not JobOwners(hook(store, "another"), "second", "report").is_others("rpt_1")


def test_a_job_of_another_kind_may_have_the_same_id() -> None:
    """As where ids are numbers: a claim to case 1 is none to report 1, which would be paid for again."""
    store = MemoryStore()
    JobOwners(hook(store), "first", "case").take("1")
    assert not JobOwners(hook(store), "second", "report").is_others("1")


def test_a_store_that_is_out_of_reach_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    owners = JobOwners(hook(None), "first", "report")
    owners.take("rpt_1")
    assert not owners.is_others("rpt_1")
    assert "is not known" in caplog.text


def test_all_attempts_of_a_task_instance_are_one_owner() -> None:
    def name(part: str = "", **ids: Any) -> str:
        ti = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "try_number": 1, **ids}
        context: Any = {"ti": SimpleNamespace(**ti)}
        return owner_name(context, part)

    assert name() == name(try_number=2)
    different = [
        name(),
        name("part"),
        name(dag_id="e"),
        name(run_id="s"),
        name(task_id="u"),
        name(map_index=3),
        name(region_id=UUID(int=1), region_index=0),
        name(region_id=UUID(int=1), region_index=1),
    ]
    assert len({*different}) == len(different)
