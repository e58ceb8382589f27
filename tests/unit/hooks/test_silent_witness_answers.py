"""An object may come bare or under its name, and must not be mistaken for one that it holds."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.core.http.responses import Body

CASE = {"id": "case_1", "report": {"id": "rpt_1"}}


@pytest.mark.parametrize(
    ("data", "key", "found"),
    [
        ({"case": CASE, "invoice": None}, "case", CASE),
        (CASE, "case", CASE),
        (CASE, "report", CASE),
        ({"case": None}, "case", {"case": None}),
        ([CASE], "case", [CASE]),
    ],
)
def test_the_object_is_found(data: Any, key: str, found: Any) -> None:
    assert Body("GET /api", data).named(key).data == found
