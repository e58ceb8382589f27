"""The graph of a Dag that the README shows, as Airflow draws it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.airflow.task_run import register
from tests.browser.web import Web
from tests.docs.test_examples import dags


def test_the_readmes_first_dag(airflow_db: None, web: Web) -> None:
    register(dags("review_spots")["review_spots"])
    page = web.page
    page.goto(f"{web.url}/dags/review_spots")
    page.get_by_role("button", name=re.compile("Graph")).first.click()
    page.get_by_role("button", name=re.compile("Expand all", re.IGNORECASE)).first.click()
    for task in ("submit", "assets", "issues", "gate"):
        expect(page.locator(".react-flow__node").filter(has_text=task).first).to_be_visible()
    page.set_viewport_size({"width": 2000, "height": 1100})
    page.get_by_role("button", name=re.compile("fit view", re.IGNORECASE)).click()
    page.wait_for_timeout(1000)  # the graph glides into place; only the picture depends on it
    group = page.locator(".react-flow__node").filter(has_text="review").first.bounding_box()
    assert group
    web.pictures.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=web.pictures / "graph.png", clip=group)
