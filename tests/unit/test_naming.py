"""What a mapped task instance is called: by what it works on, unless the Dag says how."""

from __future__ import annotations

from pathlib import PurePath
from types import SimpleNamespace
from typing import Any

import jinja2
import jinja2.nativetypes
import pytest
from airflow.sdk.execution_time import task_runner

from airflow_provider.core.naming import TEMPLATE, names_of_files, show_name


def context(*, map_index: int = 0, template: str | None = None, native: bool = False) -> Any:
    return {
        "ti": SimpleNamespace(map_index=map_index, rendered_map_index=None),
        "dag": SimpleNamespace(render_template_as_native_obj=native),
        "map_index_template": template,
    }


def rendered(found: Any) -> Any:
    """What Airflow makes of the template; from 3.4 on it is text in a Dag of native objects too."""
    native = found["dag"].render_template_as_native_obj and not hasattr(
        task_runner, "render_template_to_string"
    )
    environment = jinja2.nativetypes.NativeEnvironment() if native else jinja2.Environment()
    return environment.from_string(found["map_index_template"]).render(found)


@pytest.mark.parametrize("name", ["spot.mp4", "{{ 7 * 6 }}.mp4", "7", "[1, 2]", 'it\'s "é".mp4'])
@pytest.mark.parametrize("native", [False, True])
def test_a_name_is_shown_as_it_is(name: str, native: bool) -> None:
    found = context(native=native)
    show_name(found, name)
    assert rendered(found) == found["ti"].rendered_map_index == name


def test_a_later_name_is_a_better_one() -> None:
    found = context()
    show_name(found, "asset_1")
    show_name(found, "spot.mp4")
    assert rendered(found) == "spot.mp4"


@pytest.mark.parametrize("found", [context(map_index=-1), context(template="{{ params.x }}")])
def test_nothing_changes_where_no_name_is_needed(found: Any) -> None:
    before = found["map_index_template"]
    show_name(found, "spot.mp4")
    assert (found["map_index_template"], found["ti"].rendered_map_index) == (before, None)


def test_a_name_shows_no_signature_and_is_not_too_long() -> None:
    found = context()
    show_name(found, "spot.mp4?sig=secret " + "x" * 999)
    assert found["map_index_template"] == TEMPLATE
    assert "secret" not in rendered(found)
    assert len(rendered(found)) <= 250


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (["s3://bucket/in/spot.mp4"], "spot.mp4"),
        (["a/one.jpg", PurePath("b/two.jpg"), {"path": "three.jpg"}], "one.jpg + 2 more"),
        ("spot.mp4", "spot.mp4"),
        ({"path": "in/spot.mp4"}, "spot.mp4"),
        ([], ""),
        (None, ""),
        (7, ""),
        ([None, 7], ""),
    ],
)
def test_what_files_are_called(files: Any, name: str) -> None:
    assert names_of_files(files) == name
