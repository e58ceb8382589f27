"""The documentation's first steps, as somebody takes them who has the wheel, a browser and no key."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.newcomer import Newcomer
from tests.browser.web import Web
from tests.live.harness.patience import until
from tests.packaging.archives import REPOSITORY, build, install

PROJECT = REPOSITORY / "tests" / "docs" / "project"
GATED = PROJECT / "dags" / "gated.py"
SIGN_OFF = REPOSITORY / "dags" / "mediamagic_sign_off.py"


@pytest.fixture
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """With both Dags in the Dags folder, as the documentation shows them."""
    home = tmp_path_factory.mktemp("newcomer")
    python = install(build(home), home, extras="[simulator,testing]")
    person = Newcomer(python, home)
    for dag in (GATED, SIGN_OFF):
        (person.dags / dag.name).write_text(_shown(dag))
    try:
        person.start()
        yield person
    finally:
        person.stop()


@pytest.mark.timeout(900)
def test_first_steps(newcomer: Newcomer, tab: Page, pictures: Path, tmp_path: Path) -> None:
    web = Web(tab, newcomer.url, pictures)
    web.log_in("admin", newcomer.password())
    _make_a_connection(web, newcomer.services_url)

    ad = tmp_path / "ad.txt"
    ad.write_text("A miracle cure, guaranteed.")
    _see_the_gate_block(web, ad)
    _release_in_spite_of_it(newcomer, web, ad, tmp_path / "out")

    project = shutil.copytree(PROJECT, tmp_path / "project")
    assert re.search(r"= 2 passed\b", newcomer.pytest(project))


def _shown(dag: Path) -> str:
    """What the documentation shows of a Dag's file."""
    _, _, shown = dag.read_text().partition("from __future__ import annotations\n")
    assert shown
    return shown


def _make_a_connection(web: Web, services_url: str) -> None:
    form = web.new_connection("MediaMagic", "mediamagic_default")
    form.field("host").fill(services_url)
    form.field("password").fill("sk_live_anything")
    web.picture("first-steps-connection")
    form.save()


def _see_the_gate_block(web: Web, ad: Path) -> None:
    button = web.trigger("gated", files=str(ad))
    web.picture("first-steps-trigger", height=750)
    run = web.started(button)
    web.page.goto(f"{run}/tasks/review.gate")
    expect(web.page.get_by_text("Medicinal claim").first).to_be_visible(timeout=180_000)
    expect(web.page.get_by_text("Failed").first).to_be_visible()
    web.picture("first-steps-gate", height=750)


def _release_in_spite_of_it(newcomer: Newcomer, web: Web, ad: Path, output_dir: Path) -> None:
    run = web.started(web.trigger("mediamagic_sign_off", files=str(ad), output_dir=str(output_dir)))
    asks = re.compile("^Required Action")
    # Airflow 3.4 shows an icon of that name.
    shown = web.page.get_by_text(asks).or_(web.page.get_by_role("button", name=asks))
    expect(shown.first).to_be_visible(timeout=120_000)
    web.page.goto(f"{run}/tasks/sign_off/required_actions")
    release = web.page.get_by_role("button", name="Release", exact=True)
    expect(release).to_be_visible()
    expect(web.page.get_by_text("Medicinal claim").first).to_be_visible()
    web.picture("first-steps-sign-off", height=600)
    until(lambda: newcomer.has_seen_the_pause_of("sign_off"), "the scheduler knows of the pause")
    release.click()
    released = output_dir / "released.json"
    until(released.exists, "the media are released")
    assert json.loads(released.read_text())["blockingCount"] == 2
