"""The pages in Airflow's interface: what the API server is told of them, and what their files may do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from airflow_provider.plugins import paid_jobs
from airflow_provider.plugins.paid_jobs import POLICY, REVIEW, Pages, PaidJobsPlugin, views

STATIC = Path(paid_jobs.__file__).with_name("static")


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=[Mount("/paid-jobs", app=Pages())]))


@pytest.mark.parametrize("name", ["jobs.html", "review.html", "jobs.js", "review.js", "pages.css"])
def test_a_page_may_load_nothing_from_elsewhere(client: TestClient, name: str) -> None:
    answer = client.get(f"/paid-jobs/{name}")
    assert (answer.status_code, answer.content) == (200, (STATIC / name).read_bytes())
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["content-type"].split(";")[0] in ("text/html", "text/javascript", "text/css")


@pytest.mark.parametrize("path", ["../paid_jobs.py", "%2e%2e/paid_jobs.py", "", "nothing.js"])
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(f"/paid-jobs/{path}").status_code == 404


@pytest.mark.parametrize("file", sorted(STATIC.iterdir()), ids=lambda file: file.name)
def test_no_file_makes_markup_of_text_or_names_another_host(file: Path) -> None:
    text = file.read_text()
    for dangerous in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "srcdoc"):
        assert dangerous not in text
    assert (
        re.findall(r"\bhttps?://|\son[a-z]+=\"|style=\"|<style|<script(?! type=\"module\" src)", text) == []
    )


def test_the_views_are_relative_to_airflow_with_whatever_path() -> None:
    for view in views("3.4.0"):
        assert not view["href"].startswith(("/", "http"))
    assert PaidJobsPlugin.fastapi_apps[0]["url_prefix"] == f"/{REVIEW.split('/')[0]}"


@pytest.mark.parametrize(("version", "tabs"), [("3.1.0", 0), ("3.3.2", 0), ("3.4.0b2", 1), ("4.0.0", 1)])
def test_tasks_have_a_tab_where_airflow_can_leave_it_out_of_others(version: str, tabs: int) -> None:
    of_tasks = [view for view in views(version) if view["destination"] == "task_instance"]
    assert len(of_tasks) == tabs
    assert all(view["applies_to"]["operator_name"] for view in of_tasks)
