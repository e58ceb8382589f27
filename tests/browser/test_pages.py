"""The pages of paid jobs and of a review, as people see them: in Airflow's frame, alone, light and dark."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from airflow import __version__ as airflow_version
from playwright.sync_api import FrameLocator, expect

from airflow_provider.plugins.paid_jobs import views
from tests.browser import night
from tests.browser.web import Web

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request, Route

ALL = 1006
"""Rows of the page: a thousand, and the six of the smaller runs."""

SLOW = 120_000
"""Milliseconds that a thousand rows may take on a busy machine, far more than they ever do."""


@dataclass
class Runs:
    """What is in the database."""

    review: night.Night
    report: night.Night
    one_task: night.Night
    of_users: night.Night


@pytest.fixture(scope="module")
def runs(airflow_db: None) -> Runs:
    night.forget_runs()
    night.thousand_jobs()
    return Runs(
        night.blocked_review(), night.written_report(), night.report_in_one_task(), night.classes_of_users()
    )


@pytest.fixture
def watched(tab: Page, server: str) -> Iterator[Page]:
    """A tab in which nothing may go wrong, and that may speak to this server only."""
    errors: list[str] = []
    hosts: set[str] = set()
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda request: hosts.add(re.sub(r"^blob:", "", request.url).split("/")[2]))
    yield tab
    assert errors == []
    assert hosts == {server.split("/")[2]}


def answers_of(page: Page) -> list[tuple[float, str]]:
    """Milliseconds from each request to the end of Airflow's answer, and its path; grows on."""
    answers: list[tuple[float, str]] = []

    def note(request: Request) -> None:
        if "/api/v2/" in request.url:
            timing = request.timing
            answers.append(
                (timing["responseEnd"] - timing["requestStart"], request.url.partition("/api/v2/")[2])
            )

    page.on("requestfinished", note)
    return answers


def assert_quick(answers: list[tuple[float, str]], page: str) -> None:
    """Print how long Airflow took, and want the middle answer within a second."""
    took = sorted(answers)
    middle, (longest, path) = took[len(took) // 2][0], took[-1]
    print(
        f"\n{page}: {len(took)} answers of Airflow, middle {middle:.0f} ms, longest {longest:.0f} ms ({path})"
    )
    assert middle < 1000


def review_url(run: night.Night) -> str:
    return f"paid-jobs/review.html?dag_id={run.dag_id}&run_id={quote(run.run_id)}"


def frame(web: Web, path: str) -> FrameLocator:
    """A page inside of Airflow's."""
    web.page.goto(f"{web.url}/{path}")
    return web.page.frame_locator("iframe").first


def test_a_thousand_jobs(runs: Runs, web: Web, watched: Page) -> None:
    answers = answers_of(watched)
    began = time.monotonic()
    page = frame(web, "plugin/paid-jobs")
    expect(page.locator("tbody tr.going").first).to_be_visible(timeout=SLOW)
    first = time.monotonic() - began
    expect(page.locator("tbody tr")).to_have_count(ALL, timeout=SLOW)
    print(f"\npaid jobs: first rows after {first:.1f} s, all after {time.monotonic() - began:.1f} s")
    expect(page.locator("#sum-jobs")).to_have_text(f"{ALL:,}")
    expect(page.locator("#sum-running")).to_have_text("10")
    expect(page.locator("#sum-waiting")).to_have_text("2")
    expect(page.locator("#sum-failed")).to_have_text("22")
    going = page.locator("tbody tr.going")
    expect(going).to_have_count(12)
    expect(page.locator("tbody tr").first).to_have_class("going")
    expect(going.filter(has_text="spot_000.mp4").get_by_role("progressbar")).to_have_attribute("value", "0.4")
    expect(going.filter(has_text="Case 0").get_by_text("Reading the damage profile")).to_be_visible()
    web.picture("paid-jobs")
    assert_quick(answers, "paid jobs")


def test_the_newest_jobs_do_not_wait_for_the_others(runs: Runs, web: Web, watched: Page) -> None:
    others: list[Route] = []
    shown = False

    def hold(route: Route) -> None:
        if shown:
            route.continue_()
        else:
            others.append(route)

    watched.route(re.compile(r"taskInstances\?.*offset=[1-9]"), hold)
    watched.goto(f"{web.url}/paid-jobs/jobs.html")
    expect(watched.locator("tbody tr")).to_have_count(112, timeout=SLOW)
    shown = True
    for route in others:
        route.continue_()
    expect(watched.locator("tbody tr")).to_have_count(ALL, timeout=SLOW)


def test_filters_choose_the_jobs_and_their_sums(runs: Runs, web: Web, watched: Page) -> None:
    watched.goto(f"{web.url}/paid-jobs/jobs.html")
    expect(watched.locator("tbody tr")).to_have_count(ALL, timeout=SLOW)
    watched.get_by_label("State").select_option("failed")
    expect(watched.locator("tbody tr")).to_have_count(22)
    watched.get_by_label("Service").select_option("silent_witness")
    expect(watched.locator("tbody tr")).to_have_count(11)
    expect(watched.locator("#sum-jobs")).to_have_text("11")
    expect(watched.locator("#sum-paid")).to_have_text("11")
    expect(watched.get_by_role("status")).to_have_text("11 jobs found.")
    watched.get_by_role("button", name="Clear").click()
    watched.get_by_label("Dag").fill("claims_of_today")
    watched.get_by_label("Dag").blur()
    expect(watched.locator("tbody tr")).to_have_count(1)
    watched.get_by_label("Day").fill("2020-01-01")
    expect(watched.get_by_text("No job fits these filters.")).to_be_visible()


def test_a_job_that_waits_for_its_turn_does_not_look_like_one_that_runs(
    runs: Runs, web: Web, watched: Page
) -> None:
    watched.goto(f"{web.url}/paid-jobs/jobs.html")
    watched.get_by_label("State").select_option("waiting")
    rows = watched.locator("tbody tr")
    expect(rows).to_have_count(2, timeout=SLOW)
    expect(watched.locator("#sum-running")).to_have_text("0")
    waits = rows.filter(has_text="Case 5")
    expect(waits).to_contain_text("waiting for a turn")
    expect(waits).to_contain_text("no request to spare yet")
    expect(waits.get_by_role("progressbar")).to_have_count(0)


def test_a_cancelled_job_says_so(runs: Runs, web: Web, watched: Page) -> None:
    watched.goto(f"{web.url}/paid-jobs/jobs.html")
    watched.get_by_label("State").select_option("failed")
    cancelled = watched.locator("tbody tr").filter(has_text="Case 6 ")
    expect(cancelled.locator(".badge")).to_have_text("cancelled", timeout=SLOW)


def test_classes_of_users_are_found(runs: Runs, web: Web, watched: Page) -> None:
    watched.goto(f"{web.url}/paid-jobs/jobs.html")
    watched.get_by_label("Dag").fill("house_classes")
    watched.get_by_label("Dag").blur()
    expect(watched.locator("tbody tr")).to_have_count(3, timeout=SLOW)
    watched.get_by_label("Service").select_option("silent_witness")
    expect(watched.locator("tbody tr")).to_have_count(2)
    expect(watched.locator("tbody tr").filter(has_text="Claim 1")).to_contain_text("rpt_1")


def test_a_review_of_classes_of_users(runs: Runs, web: Web, watched: Page) -> None:
    watched.goto(f"{web.url}/{review_url(runs.of_users)}")
    expect(watched.get_by_label("Verdict")).to_contain_text("Blocked: 1 critical finding", timeout=SLOW)
    expect(watched.locator("#findings tbody tr")).to_have_count(1)


def test_a_job_leads_to_its_task_in_airflow(runs: Runs, web: Web, watched: Page) -> None:
    page = frame(web, "plugin/paid-jobs")
    page.get_by_label("Dag").fill("claims_of_today")
    page.get_by_label("Dag").blur()
    page.get_by_role("link", name="claims_of_today / report").click()
    watched.wait_for_url("**/dags/claims_of_today/runs/*/tasks/report**")


def test_who_looks_at_a_review_sees_the_worst_first(runs: Runs, web: Web, watched: Page) -> None:
    run = runs.review
    page = frame(web, f"dags/{run.dag_id}/runs/{quote(run.run_id)}/plugin/review")
    expect(page.get_by_label("Verdict")).to_contain_text(
        "Blocked: 1 critical, 2 major findings", timeout=SLOW
    )
    expect(page.get_by_label("Verdict")).to_contain_text("spot_kids_30s.mp4")
    expect(page.get_by_label("Verdict")).to_contain_text("As a document: s3://legal/spring.html")
    web.picture("review-in-airflow")
    watched.goto(f"{web.url}/{review_url(run)}")
    files = watched.locator("#files tbody tr")
    expect(files).to_have_count(4)
    assert files.first.inner_text().split() == ["spot_kids_30s.mp4", "1", "1", "1", "0", "blocked"]
    expect(files.last).to_contain_text("banner.png")
    first = watched.locator("#findings tbody tr").first
    expect(first).to_contain_text("CRITICAL")
    expect(first).to_contain_text('Claims that the drink "cures colds" in children.')
    expect(watched.locator("#topics li")).to_have_count(1)
    assert not re.search(r"\b(false|undefined|null|NaN)\b", watched.locator("main").inner_text())
    web.picture("review", height=1500)
    watched.emulate_media(color_scheme="dark")
    expect(watched.locator("html")).to_have_attribute("data-mode", "dark")
    web.picture("review-dark", height=1500)


@pytest.mark.skipif(not views(airflow_version)[2:], reason="a tab of some operators only is Airflow 3.4's")
@pytest.mark.parametrize(("task", "tabs"), [("gate", 1), ("report", 0)], ids=["ours", "a user's class"])
def test_a_task_has_the_review_as_a_tab(runs: Runs, web: Web, watched: Page, task: str, tabs: int) -> None:
    run = runs.review if tabs else runs.of_users
    index = "" if tabs else "/mapped/0"
    place = f"dags/{run.dag_id}/runs/{quote(run.run_id)}/tasks/{task}{index}"
    watched.goto(f"{web.url}/{place}/details")
    expect(watched.get_by_role("link", name="Details")).to_be_visible()
    expect(watched.get_by_role("link", name="Review", exact=True)).to_have_count(tabs)
    if tabs:
        watched.get_by_role("link", name="Review", exact=True).click()
        page = watched.frame_locator("iframe").first
        expect(page.get_by_label("Verdict")).to_contain_text("Blocked: 1 critical", timeout=SLOW)
        web.picture("review-tab")


def test_what_services_say_is_text(runs: Runs, web: Web, watched: Page) -> None:
    watched.goto(f"{web.url}/{review_url(runs.review)}")
    expect(watched.locator("#findings tbody")).to_contain_text(night.HOSTILE, timeout=SLOW)
    assert watched.locator("main script, main img").count() == 0
    assert "broken" not in watched.title()


def test_findings_are_chosen_with_the_keyboard(runs: Runs, web: Web, watched: Page) -> None:
    watched.goto(f"{web.url}/{review_url(runs.review)}")
    rows = watched.locator("#findings tbody tr")
    expect(rows).to_have_count(7, timeout=SLOW)
    watched.get_by_role("button", name="MAJOR 2").focus()
    watched.keyboard.press("Enter")
    expect(rows).to_have_count(2)
    expect(watched.get_by_role("button", name="MAJOR 2")).to_be_focused()
    expect(watched.get_by_role("button", name="MAJOR 2")).to_have_attribute("aria-pressed", "true")
    watched.get_by_role("button", name="radio_de.wav").press("Enter")
    expect(rows).to_have_count(1)


@pytest.mark.parametrize("framed", [False, True], ids=["alone", "in Airflow"])
def test_a_review_is_taken_away(runs: Runs, web: Web, watched: Page, tmp_path: Path, framed: bool) -> None:
    run = runs.review
    page: Any = watched
    if framed:
        page = frame(web, f"dags/{run.dag_id}/runs/{quote(run.run_id)}/plugin/review")
    else:
        watched.goto(f"{web.url}/{review_url(run)}")
    taken = {}
    for name in ("CSV", "JSON"):
        with watched.expect_download(timeout=SLOW) as download:
            page.get_by_role("button", name=f"Download {name}").click(timeout=SLOW)
        download.value.save_as(tmp_path / name)
        taken[name] = (tmp_path / name).read_text()
    assert '"\'=HYPERLINK(""https://elsewhere.example"",""terms"")"' in taken["CSV"]
    assert taken["CSV"].splitlines()[1].startswith("spot_kids_30s.mp4,CRITICAL,CAP_12.1,")
    assert len(json.loads(taken["JSON"])["findings"]) == 7


def test_a_report_has_its_parties_and_documents(runs: Runs, web: Web, watched: Page) -> None:
    watched.goto(f"{web.url}/{review_url(runs.report)}")
    expect(watched.get_by_role("heading", name="Smith v. Johnson")).to_be_visible(timeout=SLOW)
    row = watched.locator("#reports tbody tr")
    expect(row).to_contain_text("Plaintiff: Ada Smith")
    expect(row.get_by_role("link")).to_have_count(1)
    expect(row.get_by_role("link")).to_have_text("s3://reports/rpt_1.pdf")
    web.picture("report-page", height=500)


def test_a_report_of_one_task_has_its_documents(runs: Runs, web: Web, watched: Page) -> None:
    watched.goto(f"{web.url}/{review_url(runs.one_task)}")
    link = watched.locator("#reports tbody tr").get_by_role("link")
    expect(link).to_have_text("s3://reports/rpt_2.pdf", timeout=SLOW)


def test_a_run_of_other_tasks_has_no_review(runs: Runs, web: Web, watched: Page) -> None:
    watched.goto(f"{web.url}/paid-jobs/review.html?dag_id=nowhere&run_id=none")
    expect(watched.get_by_text("No review and no report in this run")).to_be_visible(timeout=SLOW)


def test_it_prints_on_white(runs: Runs, web: Web, watched: Page) -> None:
    watched.emulate_media(color_scheme="dark", media="print")
    watched.goto(f"{web.url}/{review_url(runs.review)}")
    expect(watched.locator("#findings tbody tr")).to_have_count(7, timeout=SLOW)
    expect(watched.get_by_role("button", name="Print")).to_be_hidden()
    expect(watched.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
