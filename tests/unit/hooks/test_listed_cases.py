"""The list of cases, read quickly: what that says is what the careful reader says, or it says nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider.core.http.responses import Body, Response, parse_json
from airflow_provider.exceptions import ProviderError
from airflow_provider.hooks.silent_witness_answers import CASE, read_listed_quickly, read_rows
from airflow_provider.hooks.silent_witness_report import listed_state

ROW = {
    "id": "case_1",
    "name": "Smith v. Jones",
    "analysis_status": {"technical_report": {"status": "processing"}, "accident_reconstruction": None},
}


def states(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {row["id"]: listed_state(row) for row in rows}


def carefully(content: bytes) -> dict[str, Any]:
    endpoint = "GET /api/cases"
    body = Body(endpoint, parse_json(Response(endpoint, 200, {}, content)))
    return states(read_rows("cases", CASE, null_is_empty=True)(body))


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
status = st.sampled_from(
    ["none", "processing", "completed", "failed", " Completed ", "PROCESSING", "", "new"]
)
report = st.fixed_dictionaries({}, optional={"status": status | any_json, "id": any_json})
analysis = st.fixed_dictionaries({}, optional={"technical_report": report | any_json})
case = st.fixed_dictionaries(
    {"id": st.sampled_from(["case_1", "case_2"]) | any_json},
    optional={"analysis_status": analysis | any_json, "name": any_json},
)
cases = st.lists(case, max_size=3)
answer = st.fixed_dictionaries(
    {"data": cases | st.fixed_dictionaries({"cases": cases | any_json}) | any_json},
    optional={"success": st.just(True) | any_json},
)


@given(answer)
def test_both_readers_agree(body: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    try:
        quickly = states(read_listed_quickly(content))
    except ValueError:
        return
    assert quickly == carefully(content)


@pytest.mark.parametrize(
    "shown", ["none", "processing", "completed", "failed", " Completed ", "PROCESSING", "", "new", None]
)
@pytest.mark.parametrize(
    "around", [list, lambda rows: {"cases": rows, "pagination": {"total": 1}}], ids=["bare", "under its name"]
)
def test_what_is_documented_is_read_quickly(around: Callable[[list[Any]], Any], shown: str | None) -> None:
    row = {**ROW, "analysis_status": {"technical_report": {"status": shown}}}
    content = json.dumps({"success": True, "data": around([row])}).encode()
    assert states(read_listed_quickly(content)) == carefully(content)


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"success": True, "data": {"cases": []}}).encode(),
        json.dumps({"success": True, "data": []}).encode(),
        json.dumps({"success": True, "data": [ROW, 7]}).encode(),
        json.dumps({"success": False, "data": {"cases": [ROW]}}).encode(),
        json.dumps({"success": True, "data": {"cases": [{**ROW, "id": 7}]}}).encode(),
        b'{"success": true, "data": {"cases": [{"id": "c", "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}]}}",
        b"<html>",
        b"",
    ],
)
def test_anything_else_is_left_to_the_careful_reader(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_listed_quickly(content)


@pytest.mark.parametrize(
    "case_id", ["\ud83d", "c\0", "../c", " ", "", "c" * 129, "https://s.example.com/c?sig=SECRET"]
)
def test_an_id_that_is_none_is_not_read_quickly(case_id: str) -> None:
    content = json.dumps({"success": True, "data": [ROW, {**ROW, "id": case_id}]}).encode()
    with pytest.raises(ValueError, match=r"."):
        read_listed_quickly(content)
    with pytest.raises(ProviderError):
        carefully(content)
