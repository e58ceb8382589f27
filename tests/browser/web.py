"""Airflow's web interface as a person uses it: the pages that these tests look at."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Locator, Page, expect

TRIGGER = re.compile("^Trigger")

EDITOR = ".view-lines, .cm-content"
"""The text of a JSON editor: Airflow 3.1 has CodeMirror, later versions have Monaco."""


class Web:
    """
    One browser tab.

    :param page: of Playwright.
    :param url: of the API server.
    :param pictures: folder for screenshots.
    """

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page = page
        self.url = url
        self.pictures = pictures

    def picture(self, name: str, *, height: int = 1000) -> None:
        """Keep what the tab shows now, in a window of ``height`` pixels."""
        self.page.set_viewport_size({"width": 1200, "height": height})
        self.pictures.mkdir(parents=True, exist_ok=True)
        self.page.wait_for_timeout(400)  # sections and toasts slide in; only the picture depends on it
        self.page.screenshot(path=self.pictures / f"{name}.png")

    def log_in(self, name: str, password: str) -> None:
        """Response the login page."""
        self.page.goto(self.url)
        self.page.locator("input[type=text], input[name=username]").first.fill(name)
        self.page.locator("input[type=password]").fill(password)
        self.page.get_by_role("button", name=re.compile("Sign in|Log ?in", re.IGNORECASE)).click()
        expect(self.page.get_by_text("Welcome")).to_be_visible()

    def trigger(self, dag_id: str, **parameters: str) -> Locator:
        """
        Open the form that starts a Dag, and fill it in.

        :param parameters: of the Dag, as they are typed.
        :return: the form's button.
        """
        self.page.goto(f"{self.url}/dags/{dag_id}")
        self.page.get_by_role("button", name=TRIGGER).first.click()
        form = self.page.get_by_role("dialog")
        for name, value in parameters.items():
            form.locator(f"[name=element_{name}]").fill(value)
        return form.get_by_role("button", name=TRIGGER)

    def started(self, button: Locator) -> str:
        """Press the button of :meth:`trigger`; the run's page."""
        button.click()
        self.page.wait_for_url("**/runs/*")
        return str(self.page.url)

    def new_connection(self, service: str, conn_id: str) -> Form:
        """
        Open an empty connection form.

        :param service: the connection type, as people see it.
        """
        self.page.goto(f"{self.url}/connections")
        self.page.get_by_role("button", name="Add Connection").first.click()
        form = Form(self)
        form.choose(service)
        form.field("connection_id").fill(conn_id)
        return form

    def connection(self, conn_id: str) -> Form:
        """Open the form of a saved connection."""
        self.page.goto(f"{self.url}/connections")
        self._row(conn_id).get_by_role("button", name="Edit Connection").click()
        form = Form(self)
        expect(form.field("connection_id")).to_have_value(conn_id)
        return form

    def test_connection(self, conn_id: str) -> str:
        """Press the test button of a saved connection; return what the interface answers."""
        self.page.goto(f"{self.url}/connections")
        self._row(conn_id).get_by_role("button", name="Test Connection").click()
        toast = self.page.locator("[data-scope=toast][data-part=root]").filter(has_text="Test Connection")
        expect(toast).to_be_visible()
        answer: str = toast.inner_text()
        return answer

    def links(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, str]:
        """Open the details of a task instance; return its links, by name."""
        mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
        self.page.goto(f"{self.url}/dags/{dag_id}/runs/{quote(run_id)}/tasks/{task_id}{mapped}/details")
        expect(self.page.get_by_text("Extra Links")).to_be_visible()
        # Airflow 3.4 opens what it serves itself in the same tab, all others each link in a new one.
        found = self.page.locator("a[target=_blank], a[target=_self]").filter(
            has_text=re.compile("MediaMagic|Silent|Report|File")
        )
        expect(found.first).to_be_visible()
        return {link.inner_text(): link.get_attribute("href") or "" for link in found.all()}

    def _row(self, conn_id: str) -> Locator:
        return self.page.get_by_role("row").filter(has=self.page.get_by_text(conn_id, exact=True))


class Form:
    """The dialog in which a connection is made or changed."""

    def __init__(self, web: Web) -> None:
        self._page = web.page
        self.dialog = web.page.get_by_role("dialog")

    def choose(self, service: str) -> None:
        """Choose the connection type."""
        self.dialog.get_by_role("combobox").first.click()
        self._page.keyboard.type(service)
        self._page.get_by_role("option", name=service, exact=True).click()
        expect(self.section("Standard Fields")).to_be_visible()

    def field(self, name: str) -> Locator:
        """A standard field by its name, or one of ours: ``extra("read_timeout")``."""
        return self.dialog.locator(f"[name={name}]")

    def extra(self, name: str) -> Locator:
        """One of the declared fields that end up in the connection's extra."""
        return self.field(f"element_{name}")

    def section(self, title: str) -> Locator:
        """The heading of a part of the form. It opens and closes the part, which Airflow 3.4 shows always."""
        heading = self.dialog.get_by_role("heading", name=title, exact=True)
        return self.dialog.get_by_role("button", name=title, exact=True).or_(heading).first

    def open(self, title: str) -> None:
        """Open a part of the form, where it can be; the others close."""
        button = self.dialog.get_by_role("button", name=title, exact=True)
        expect(self.section("Standard Fields")).to_be_visible()
        if button.count() == 0:
            return
        if button.get_attribute("aria-expanded") != "true":
            button.click()
        expect(button).to_have_attribute("aria-expanded", "true")

    def extra_json(self) -> dict[str, Any]:
        """The whole extra, as the form shows it; copied, for the editor draws only the lines in sight."""
        self.open("Extra Fields JSON")
        expect(self._extra_editor()).to_contain_text("connect_timeout")
        self._page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self._extra_editor().click()
        self._page.keyboard.press("Control+A")
        self._page.keyboard.press("Control+C")
        shown: dict[str, Any] = json.loads(self._page.evaluate("navigator.clipboard.readText()"))
        return shown

    def write_extra_json(self, extra: dict[str, Any]) -> None:
        """Replace the whole extra."""
        self.open("Extra Fields JSON")
        self._extra_editor().click()
        self._page.keyboard.press("Control+A")
        self._page.keyboard.insert_text(json.dumps(extra))

    def save(self) -> None:
        """Save, and wait until the interface says so."""
        self.dialog.get_by_role("button", name="Save").click()
        expect(self.dialog).to_be_hidden()

    def _extra_editor(self) -> Locator:
        return self.dialog.get_by_role("region", name="Extra Fields JSON").locator(EDITOR)
