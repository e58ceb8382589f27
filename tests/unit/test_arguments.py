"""What users give is made plain JSON, or named with its place."""

from __future__ import annotations

import json
from collections import UserList
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import pendulum
import pytest

from airflow_provider.core.arguments import named_files, path_as_template, plain_json
from airflow_provider.exceptions import InvalidInputError


class Colour(StrEnum):
    RED = "red"


class Scalar:
    """A scalar of NumPy: it has a type and no dimension."""

    dtype = "int64"
    ndim = 0

    def __init__(self, value: Any) -> None:
        self._value = value

    def item(self) -> Any:
        return self._value


class NotATime(datetime):
    """What pandas puts where a date is missing."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = datetime.__hash__


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "2026-01-02T03:04:00+00:00"),
        (pendulum.date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (Decimal(34), 34),
        (Decimal("1.5"), 1.5),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Scalar(7), 7),
        (Colour.RED, "red"),
        (("a", 1, None, True), ["a", 1, None, True]),
        (UserList(["a"]), ["a"]),
        ({date(2026, 1, 2): {"b": (1,)}, 1: "x"}, {"2026-01-02": {"b": [1]}, "1": "x"}),
    ],
)
def test_rows_of_a_database_become_json(value: Any, plain: Any) -> None:
    assert json.loads(json.dumps(plain_json("metadata", value), allow_nan=False)) == plain


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Scalar(float("nan")),
        NotATime(2026, 1, 1),
        b"x",
        {1},
        "\ud83d",
    ],
)
def test_what_json_does_not_know_is_named_with_its_place(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="JSON does not know") as caught:
        plain_json("vehicles", [{"year": 2020}, {"year": value}])

    assert caught.value.parameter == "vehicles[1].year"
    assert str(caught.value).isascii()


def test_what_holds_itself_is_named() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidInputError, match="metadata is nested too deeply"):
        plain_json("metadata", value)


class PathWithProtocol(PurePosixPath):
    """What ``ObjectStoragePath`` is on Airflow 3.1."""

    protocol = "s3"


def test_only_a_path_that_airflow_does_not_render_becomes_text() -> None:
    store = PathWithProtocol("/bucket/{{ ds }}")
    assert path_as_template(PurePosixPath("/data/{{ ds }}")) == "/data/{{ ds }}"
    assert path_as_template(store) is store
    assert path_as_template(["a"]) == ["a"]


def test_a_set_of_files_is_the_same_request_in_every_process() -> None:
    """The order of a set is another one in each, and a retry is another process: it would pay again."""
    files = [f"/media/{number:02}.mp4" for number in range(30)]
    assert named_files(set(files)) == named_files(frozenset(files)) == files
    assert named_files({Path("/b"), Path("/a")}) == ["/a", "/b"]


def test_what_can_be_read_only_once_is_not_read_for_its_names() -> None:
    files = iter(["/media/a.mp4"])
    named_files(files)
    assert list(files) == ["/media/a.mp4"]
