"""A review as one HTML file: the same findings as the page, every text escaped, nothing from elsewhere."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.exceptions import InvalidInputError
from airflow_provider.operators.mediamagic import MediaMagicGetIssuesOperator as GetIssues
from airflow_provider.operators.mediamagic import MediaMagicReviewDocumentOperator as Document
from tests.airflow.conftest import RunTask
from tests.airflow.jobs import SubmissionJob

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> & more"


class Reader(HTMLParser):
    """Collects elements and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def issue(severity: str, filename: str, text: str = HOSTILE) -> dict[str, Any]:
    return {
        "id": f"{filename}-{severity}",
        "severity": severity,
        "status": "OPEN",
        "summary": text,
        "ruleCode": "CAP_1",
        "referenceNumber": 1,
        "assetId": filename,
        "filename": filename,
    }


def written(target: Path, **arguments: Any) -> tuple[dict[str, Any], Reader]:
    operator = Document(task_id="document", output_path=str(target / "review.html"), **arguments)
    manifest = operator.execute({})
    return manifest, Reader((target / "review.html").read_text())


def test_the_worst_comes_first_and_all_texts_are_text(tmp_path: Path) -> None:
    issues = [[issue("MINOR", "a.mp4")], [issue("CRITICAL", "b.mp4"), issue("NEW WORD", "c.mp4")]]
    verdict = {
        "passed": False,
        "reasons": ["1 CRITICAL (none allowed)"],
        "blocking": [{"id": "b.mp4-CRITICAL"}],
    }
    topics = [{"assetId": "a", "filename": "b.mp4", "topics": [{"title": HOSTILE, "issues": [1, 2]}]}]
    manifest, page = written(tmp_path, issues=issues, verdict=verdict, topics=topics, title=HOSTILE)
    assert (manifest["findings"], manifest["media_type"]) == (3, "text/html")
    assert page.text.count(HOSTILE) == 7, "title, heading, worst, three findings, a topic"
    assert page.tags & {"script", "img", "link", "iframe", "form"} == set()
    assert not any(name.startswith("on") or name in ("src", "href") for name in page.attributes)
    assert "Blocked: 1 NEW WORD, 1 CRITICAL, 1 MINOR" in page.text
    assert page.text.index("c.mp4") < page.text.index("b.mp4") < page.text.index("a.mp4")


def test_a_review_of_a_service_lands_and_is_read_again(
    submission: SubmissionJob, task_run: RunTask, tmp_path: Path
) -> None:
    submission.takes(0)
    submission_id = submission.order_of("Guaranteed! The number one. Price: $19.99 for your kids.")
    lists = task_run(GetIssues, submission_id=submission_id).test().value
    landed = (
        task_run(GetIssues, submission_id=submission_id, output_path=str(tmp_path / "i.csv")).test().value
    )
    pages = []
    for issues in (lists, landed, landed["path"]):
        target = f"file://{tmp_path}/out/review.html"
        run = task_run(Document, issues=issues, output_path=target).test()
        assert run.value["findings"] == len(lists) > 0
        pages.append((tmp_path / "out" / "review.html").read_bytes())
    assert pages[0] == pages[1] == pages[2]


def test_nothing_found_is_said(tmp_path: Path) -> None:
    result = {"assetId": "a1", "filename": "spot.mp4", "issues": []}
    assert "No findings" in written(tmp_path, issues=[])[1].text
    page = written(tmp_path, issues=result, verdict={"passed": True, "reasons": []})[1]
    assert "Passed: No findings" in page.text
    assert "spot.mp4" in page.text


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"issues": None}, "issues"),
        ({"issues": [7]}, "issues"),
        ({"issues": [], "topics": "x"}, "topics"),
        ({"issues": [], "verdict": "passed"}, "verdict"),
        ({"issues": [], "title": " "}, "title"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(
    tmp_path: Path, arguments: dict[str, Any], parameter: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        written(tmp_path, **arguments)
    assert caught.value.parameter == parameter
    assert list(tmp_path.iterdir()) == []
