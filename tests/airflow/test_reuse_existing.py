"""``reuse_existing``: a case that exists already is taken instead of made, and never another one."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.exceptions import (
    InvalidInputError,
    LedgerError,
    MalformedResponseError,
    SubmitOutcomeUnknownError,
)
from airflow_provider.operators.silent_witness import SilentWitnessCreateCaseOperator as CreateCase
from airflow_provider.operators.silent_witness import case as case_module
from airflow_provider.simulator import Simulator
from tests.airflow.lone import FakeStateStore, FakeTaskInstance, execute

pytestmark = pytest.mark.usefixtures("silent_witness_conn")

REQUEST: dict[str, Any] = {
    "plaintiff_name": "Ann Smith",
    "defendant_name": "Bob Jones",
    "attorney_name": "Cleo Park",
    "name": "Smith v. Jones",
    "accident": {"date": "2026-11-01", "location": "Main Street"},
}


def _make(store: FakeStateStore | None = None, ti: FakeTaskInstance | None = None, **arguments: Any) -> Any:
    operator = CreateCase(task_id="case", **{**REQUEST, **arguments})
    return execute(operator, store=store, ti=ti)["case"]["id"]


def _reuse(**arguments: Any) -> Any:
    return _make(reuse_existing=True, **arguments)


def _made(simulator: Simulator) -> int:
    return len(simulator.ledger()["cases"])


def test_a_case_of_the_same_request_is_taken(simulator: Simulator) -> None:
    existing = _make()
    store, ti = FakeStateStore(), FakeTaskInstance()
    assert _reuse(store=store, ti=ti) == existing
    assert ti.xcoms["case_id"] == existing
    assert _made(simulator) == 1


@pytest.mark.parametrize(
    ("shown", "is_it"),
    [
        ({"date": "2026-11-01T00:00:00Z", "time": "14:30:00"}, True),
        ({"date": "11/01/2026", "time": "2:30 PM"}, True),
        ({"date": "2026-11-05T00:00:00Z"}, False),
        ({"date": "2026-11-02"}, False),
        ({"time": "15:30"}, False),
        ({"location": "MAIN STREET"}, True),
    ],
    ids=str,
)
def test_an_accident_may_be_shown_in_another_notation(
    simulator: Simulator, shown: dict[str, str], is_it: bool
) -> None:
    """Where it was the lost one, it is found, and no second invoice raised."""
    accident = {**REQUEST["accident"], "time": "14:30"}
    for field, value in shown.items():
        simulator.fault(
            "set_field", "/api/cases/case_*", "GET", field=f"data.case.accident.{field}", value=value
        )
    simulator.fault("lost_answer", "/api/cases", "POST", times=1)
    store = FakeStateStore()
    try:
        _make(store=store, accident=accident)
    except SubmitOutcomeUnknownError:
        _make(store=store, ti=FakeTaskInstance(try_number=2), accident=accident)
    assert _made(simulator) == (1 if is_it else 2)


def test_a_name_that_native_rendering_made_a_number_of_is_still_a_name(simulator: Simulator) -> None:
    existing = _make(name="4711")
    assert _reuse(name=4711) == existing
    assert _reuse(name=4712) != existing
    assert [case["name"] for case in simulator.ledger()["cases"]] == ["4711", "4712"]


@pytest.mark.parametrize("field", ["name", "organization_id", "user_email"])
@pytest.mark.parametrize("value", [4.5, "", "None", ["a"]], ids=str)
def test_what_is_no_text_is_refused_before_cases_are_searched(
    simulator: Simulator, field: str, value: Any
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        _reuse(**{field: value})
    assert caught.value.parameter == field
    assert not simulator.ledger()["requests"]


ODD_TEXTS = {
    "windows": "two\r\nlines\tand  blanks ",
    "link": "photos at https://storage.example.com/a?sig=abc&n=1",
    "controls": "a\x00b \x1b[31mred\x1b[0m \u202eend",
    "decomposed": "Cafe\u0301 \u200fעברית",
    "long": "x" * 12_000,
}


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_a_case_is_known_by_its_texts_whatever_is_in_them(simulator: Simulator, text: str) -> None:
    odd: dict[str, Any] = {
        "plaintiff_name": f"Ann {text}",
        "accident": {"date": "2026-11-01", "description": text},
    }
    existing = _make(**odd)

    assert _reuse(**odd) == existing
    assert _made(simulator) == 1


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_a_lost_case_is_known_by_its_texts_whatever_is_in_them(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(CreateCase, "arrives_within", 0.0)
    simulator.fault("lost_answer", "/api/cases", "POST", times=1)
    odd: dict[str, Any] = {
        "plaintiff_name": f"Ann {text}",
        "accident": {"date": "2026-11-01", "description": text},
    }

    assert _make(**odd) == simulator.ledger()["cases"][0]["id"]
    assert _made(simulator) == 1


def test_without_one_a_case_is_made_once(simulator: Simulator) -> None:
    store = FakeStateStore()
    first = _reuse(store=store)
    assert _reuse(store=store, ti=FakeTaskInstance(try_number=2)) == first
    assert _made(simulator) == 1


def test_a_list_that_is_none_says_nothing_and_the_error_names_the_way_on(simulator: Simulator) -> None:
    simulator.fault("null_data", "/api/cases", "GET")
    with pytest.raises(MalformedResponseError, match="Nothing was created; reuse_existing=False creates"):
        _reuse()
    assert _made(simulator) == 0


def test_by_default_no_case_is_searched_for(simulator: Simulator) -> None:
    _make()
    _make()
    assert _made(simulator) == 2
    assert simulator.ledger()["requests"].get("GET /api/cases", 0) == 0


@pytest.mark.parametrize(
    "other",
    [
        {"name": "Smith v. Jones II"},
        {"defendant_name": "Bob Jonas"},
        {"side": "defense"},
        {"analysis_type": "delta_v_only"},
        {"accident": {"date": "2026-11-02", "location": "Main Street"}},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_case_of_another_request_is_not(simulator: Simulator, other: dict[str, Any]) -> None:
    existing = _make(**other)
    assert _reuse() != existing
    assert _made(simulator) == 2


def test_an_archived_case_is_not(simulator: Simulator) -> None:
    existing = _make()
    with CreateCase(task_id="case", **REQUEST).hook() as hook:
        hook.update_case(existing, status="archived")
    assert _reuse() != existing


def test_several_cases_are_an_error_that_names_them(simulator: Simulator) -> None:
    existing = [_make(), _make()]
    with pytest.raises(InvalidInputError, match=r"case_id='...' takes it") as error:
        _reuse()
    assert all(case_id in str(error.value) for case_id in existing)
    assert _made(simulator) == 2


def test_a_case_that_does_not_show_what_was_asked_for_is_an_error(simulator: Simulator) -> None:
    """Unknown is never no, and never yes."""
    existing = _make()
    simulator.fault("set_field", "/api/cases/*", "GET", field="data.case.accident", value=None)
    with pytest.raises(InvalidInputError, match=existing):
        _reuse()
    assert _made(simulator) == 1


def test_too_many_cases_are_an_error(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        _make(name=name)
    monkeypatch.setattr(case_module, "PAGE", 1)
    monkeypatch.setattr(case_module, "MOST_PAGES_TO_REUSE", 2)
    with pytest.raises(LedgerError, match=r"cannot be searched for.* reuse_existing=False creates"):
        _reuse()
    assert _made(simulator) == 3


def test_a_clear_that_asks_for_a_new_case_gets_one(simulator: Simulator) -> None:
    store = FakeStateStore()
    first = _reuse(store=store, on_clear="new")
    assert _reuse(store=store, on_clear="new", ti=FakeTaskInstance(max_tries=1, try_number=2)) != first


def test_a_case_that_is_found_costs_nothing_of_the_limit(simulator: Simulator) -> None:
    existing = _make()
    assert _reuse(max_paid_requests=0) == existing
