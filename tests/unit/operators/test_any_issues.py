"""Whatever a file of issues or an upstream XCom holds is judged and shown, or refused by the argument."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider.exceptions import (
    ComplianceError,
    InvalidInputError,
    MalformedResponseError,
    ProviderError,
)
from airflow_provider.operators.mediamagic import MediaMagicComplianceGateOperator as Gate
from airflow_provider.operators.mediamagic import MediaMagicReviewDocumentOperator as Document
from tests.airflow.lone import FakeTaskInstance, execute

ISSUE = {"id": "i1", "severity": "CRITICAL", "status": "OPEN", "summary": "s", "ruleCode": "R"}
ROW = {
    "issue_id": "i1",
    "severity": "CRITICAL",
    "status": "OPEN",
    "asset_id": "a1",
    "filename": "a.mp4",
    "reference_number": 1,
    "issue": "{}",
}
TEXTS = st.text(st.sampled_from("a\x00\x1b[\ud83d\u202e\u2028\n,;'\"{"), max_size=8) | st.just("x" * 3000)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=5,
)
THOROUGH = settings(max_examples=60, suppress_health_check=list(HealthCheck))


def changed(row: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The row with some fields of any kind."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(row, VALUES)).map(lambda odd: row | odd)


def outcome(operator: Any, ti: FakeTaskInstance | None = None) -> ProviderError | None:
    try:
        execute(operator, ti=ti)
    except ProviderError as error:
        return error
    return None


def judged(issues: Any) -> None:
    """A gate comes to a verdict that XCom takes, or names the argument."""
    ti = FakeTaskInstance()
    error = outcome(Gate(task_id="gate", issues=issues), ti)
    assert error is None or isinstance(error, ComplianceError | InvalidInputError | MalformedResponseError)
    if not isinstance(error, InvalidInputError | MalformedResponseError):
        verdict = ti.xcoms["return_value"]
        assert verdict["passed"] is (error is None)
        written = json.dumps([verdict, str(error)], allow_nan=False, ensure_ascii=False)
        written.encode()
        assert "\\u0000" not in written
        assert len(written) < 48 * 1024


def shown(folder: Any, issues: Any, **arguments: Any) -> None:
    """A document is written, or the error names the argument."""
    document = Document(task_id="d", issues=issues, output_path=str(folder / "d.html"), **arguments)
    error = outcome(document)
    assert error is None or isinstance(error, InvalidInputError)
    assert error is None or error.parameter in ("issues", "topics", "verdict")


@THOROUGH
@given(rows=st.lists(changed(ROW), max_size=2))
def test_a_file_of_issues_that_anybody_wrote(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    path = folder / "i.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    judged(str(path))
    shown(folder, str(path))


@THOROUGH
@given(issues=st.lists(changed(ISSUE) | VALUES, max_size=3) | VALUES)
def test_what_an_upstream_task_returned(tmp_path_factory: pytest.TempPathFactory, issues: Any) -> None:
    asset = {"assetId": "a1", "filename": "a.mp4", "status": "complete", "issues": issues}
    for given_issues in (issues, asset):
        judged(given_issues)
        shown(tmp_path_factory.mktemp("files"), given_issues)


@THOROUGH
@given(topics=VALUES, issues=VALUES, blocking=VALUES, reasons=VALUES)
def test_topics_and_a_verdict_of_any_shape(
    tmp_path_factory: pytest.TempPathFactory, topics: Any, issues: Any, blocking: Any, reasons: Any
) -> None:
    folder = tmp_path_factory.mktemp("files")
    verdict = {"passed": False, "blocking": blocking, "reasons": reasons}

    shown(folder, [ISSUE], topics=topics, verdict=verdict)
    shown(folder, [ISSUE], topics={"assetId": "a1", "topics": [{"title": topics, "issues": issues}]})


@pytest.mark.parametrize("content", [b"no json", b"[" * 100_000, b"\xff\xfe\xff", b"7"])
def test_a_file_of_topics_that_is_none(tmp_path: Any, content: bytes) -> None:
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(InvalidInputError, match="topics: "):
        execute(
            Document(
                task_id="d",
                issues=[ISSUE],
                topics={"path": str(tmp_path / "t.json")},
                output_path=str(tmp_path / "d.html"),
            )
        )
