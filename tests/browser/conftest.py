"""A headless Chromium, and in front of it a real API server on the database of the test session."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import AIRFLOW_HOME, REPOSITORY
from tests.live.harness.patience import until
from tests.live.harness.processes import Component, free_port
from tests.live.harness.rest import Rest

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.web import Web

# `make test` collects here too, and has no Playwright.
collect_ignore_glob = [] if importlib.util.find_spec("playwright") else ["test_*.py"]

PATIENCE = 30_000
"""Milliseconds that the interface may take to show something, far more than it ever does."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a browser."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def server(airflow_db: None) -> Iterator[str]:
    """The URL of an API server at which everybody is an admin, with the connection test switched on."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    component = Component(
        "api-server",
        [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port)],
        environment={
            **os.environ,
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API__BASE_URL": url,
        },
        log=AIRFLOW_HOME / "api-server.log",
        ready=Rest(url).healthy,
    )
    component.start()
    try:
        until(component.ready, "the API server answers", seconds=120)
        yield url
    finally:
        component.stop()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where the screenshots of this Airflow version go."""
    from airflow import __version__

    return REPOSITORY / "browser-output" / __version__


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser of this machine."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "these tests need chromium or google-chrome in PATH"
    return found


@pytest.fixture
def tab(chromium: str) -> Iterator[Page]:
    """A fresh tab of a fresh browser."""
    from playwright.sync_api import expect, sync_playwright

    # Chromium refuses its own sandbox to root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        yield page
        browser.close()


@pytest.fixture
def web(server: str, tab: Page, pictures: Path) -> Web:
    """The interface in a fresh tab, logged in."""
    from playwright.sync_api import expect

    from tests.browser.web import Web

    # Airflow 3.1 forgets where somebody wanted to go when it logs him in on the way.
    tab.goto(f"{server}/auth/token/login")
    expect(tab.get_by_text("Welcome")).to_be_visible()
    return Web(tab, server, pictures)
