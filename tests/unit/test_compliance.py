"""What a policy lets pass, what it blocks, and how it says so."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from airflow_provider.core.files.manifest import fits_xcom
from airflow_provider.exceptions import InvalidInputError
from airflow_provider.mediamagic.compliance import LISTED, SHOWN, CompliancePolicy, Issue, Verdict

_numbers = itertools.count(1)


def issue(severity: str = "MAJOR", **fields: Any) -> Issue:
    number = next(_numbers)
    asset = {name: fields.pop(name, None) for name in ("asset_id", "filename")}
    vendor = {"id": f"i{number}", "referenceNumber": number, "ruleCode": "CAP_8.4", "status": "OPEN"}
    return Issue.of({**vendor, "severity": severity, "summary": "Price", **fields}, **asset)


def judge(*issues: Issue, **policy: Any) -> Verdict:
    return CompliancePolicy(**policy).judge(issues)


@pytest.mark.parametrize(
    ("block_at", "passing"),
    [
        ("CRITICAL", {"MAJOR", "MINOR", "INFO"}),
        ("MAJOR", {"MINOR", "INFO"}),
        ("INFO", set()),
        (None, {"CRITICAL", "MAJOR", "MINOR", "INFO"}),
    ],
)
def test_the_threshold(block_at: str | None, passing: set[str]) -> None:
    severities = ("CRITICAL", "MAJOR", "MINOR", "INFO")
    assert {one for one in severities if judge(issue(one), block_at=block_at).passed} == passing


def test_by_default_major_issues_block_and_minor_ones_pass() -> None:
    assert not judge(issue("MAJOR")).passed
    assert judge(issue("MINOR")).passed


def test_nothing_found_passes() -> None:
    assert judge().passed


def test_as_many_as_allowed_pass_and_one_more_blocks_all_of_them() -> None:
    issues = [issue("MAJOR") for _ in range(3)]
    assert judge(*issues[:2], allowed={"MAJOR": 2}).passed
    assert judge(*issues, allowed={"MAJOR": 2}).blocking == tuple(issues)


def test_an_allowed_count_limits_a_severity_below_the_threshold() -> None:
    issues = [issue("MINOR") for _ in range(3)]
    assert not judge(*issues, allowed={"MINOR": 2}).passed


def test_an_allowed_count_of_one_severity_says_nothing_about_another() -> None:
    assert not judge(issue("CRITICAL"), allowed={"MAJOR": 2}).passed


@pytest.mark.parametrize("severity", ["BLOCKER", "", None])
def test_an_unknown_severity_blocks_whatever_is_allowed(severity: Any) -> None:
    strange = issue(severity)
    generous = {"block_at": None, "allowed": dict.fromkeys(("CRITICAL", "MAJOR", "MINOR", "INFO"), 99)}
    assert judge(issue("CRITICAL"), strange, **generous).blocking == (strange,)


def test_a_severity_in_other_letters_is_the_same() -> None:
    assert judge(issue(" minor ")).passed


@pytest.mark.parametrize(
    ("status", "passes"),
    [("OPEN", False), ("ACKNOWLEDGED", False), ("RESOLVED", True), ("DISMISSED", True), ("REOPENED", False)],
)
def test_the_statuses_that_count(status: str, passes: bool) -> None:
    assert judge(issue(status=status)).passed is passes


def test_a_status_that_the_policy_leaves_out_does_not_count() -> None:
    assert judge(issue(status="ACKNOWLEDGED"), statuses=["OPEN"]).passed


def test_an_issue_that_awaits_a_person_blocks_whatever_its_severity() -> None:
    waiting = issue("INFO", status="AWAITING_HUMAN_INPUT")
    assert judge(waiting).blocking == (waiting,)
    assert judge(waiting, statuses=["OPEN"]).blocking == (waiting,)
    assert judge(waiting, insist_on_statuses=[]).passed


@pytest.mark.parametrize("pattern", ["CAP_8.4", "CAP_8.*", "*"])
def test_a_rule_that_is_ignored(pattern: str) -> None:
    assert judge(issue("CRITICAL"), ignore_rules=[pattern]).passed


def test_a_rule_code_that_only_begins_alike_is_not_ignored() -> None:
    assert not judge(issue(ruleCode="CAP_8.44"), ignore_rules=["CAP_8.4"]).passed


def test_a_rule_that_is_insisted_on_blocks_at_any_severity() -> None:
    assert not judge(issue("INFO"), insist_on_rules=["CAP_8.*"]).passed


def test_insisting_wins_over_ignoring() -> None:
    important, other = issue(ruleCode="CAP_8.4"), issue(ruleCode="CAP_8.5")
    found = judge(important, other, ignore_rules=["CAP_8.*"], insist_on_rules=["CAP_8.4"])
    assert found.blocking == (important,)


def test_an_issue_that_awaits_a_person_blocks_though_its_rule_is_ignored() -> None:
    waiting, other = issue("INFO", status="AWAITING_HUMAN_INPUT"), issue("CRITICAL")
    assert judge(waiting, other, ignore_rules=["*"]).blocking == (waiting,)
    assert judge(waiting, ignore_rules=["*"], insist_on_statuses=[]).passed


def test_an_issue_that_awaits_a_person_in_another_asset_does_not_count() -> None:
    assert judge(issue(status="AWAITING_HUMAN_INPUT", asset_id="a1"), assets=["a2"]).passed


def test_a_settled_issue_of_a_rule_that_is_insisted_on_does_not_block() -> None:
    assert judge(issue(status="DISMISSED"), insist_on_rules=["CAP_8.4"]).passed


@pytest.mark.parametrize("named", ["a1", "spot.mp4", "*.mp4"])
def test_only_the_assets_that_are_named_count(named: str) -> None:
    mine, other = issue(asset_id="a1", filename="spot.mp4"), issue(asset_id="a2", filename="b.txt")
    assert judge(mine, other, assets=[named]).blocking == (mine,)


def test_a_name_that_holds_a_wildcard_means_itself() -> None:
    mine = issue(ruleCode="CAP[8]", asset_id="a1", filename="spot[1].mp4")
    assert judge(mine, assets=["spot[1].mp4"]).blocking == (mine,)
    assert judge(mine, ignore_rules=["CAP[8]"]).passed
    assert judge(mine, ignore_rules=["CAP*"], insist_on_rules=["CAP[8]"]).blocking == (mine,)


def test_an_issue_without_its_asset_cannot_be_left_out_by_its_asset() -> None:
    with pytest.raises(InvalidInputError) as caught:
        judge(issue(), assets=["a1"])
    assert caught.value.parameter == "policy.assets"


def test_blocking_issues_come_worst_first_then_by_asset_then_by_number() -> None:
    expected = [
        issue("BLOCKER", filename="z.mp4"),
        issue("CRITICAL", filename="a.mp4"),
        issue("CRITICAL", filename="a.mp4", referenceNumber=None),
        issue("CRITICAL", filename="b.mp4", referenceNumber="9"),
        issue("CRITICAL", filename="b.mp4", referenceNumber="10"),
        issue("MAJOR", filename="a.mp4", referenceNumber=1),
    ]
    assert list(judge(*reversed(expected)).blocking) == expected


def test_the_message_says_why_and_lists_what_blocked() -> None:
    found = judge(
        issue("MINOR"),
        Issue.of(
            {
                "id": "i-7",
                "referenceNumber": 7,
                "ruleCode": "CAP_12.1",
                "severity": "CRITICAL",
                "status": "OPEN",
                "summary": "Medicinal\nclaim",
            },
            filename="spot.mp4",
        ),
        issue("INFO", status="RESOLVED"),
    )
    assert found.message() == (
        "Blocked by 1 issue: 1 CRITICAL (none allowed). 3 issues judged, 2 counted (1 CRITICAL, 1 MINOR).\n\n"
        "- CRITICAL CAP_12.1 (spot.mp4, no. 7): Medicinal claim [OPEN, i-7]"
    )


def test_every_reason_is_given() -> None:
    found = judge(
        *(issue("MAJOR", ruleCode="R1") for _ in range(2)),
        issue("INFO", ruleCode="R2", status="AWAITING_HUMAN_INPUT"),
        issue(""),
        allowed={"MAJOR": 1},
        insist_on_rules=["R2"],
    )
    assert sorted(found.reasons) == [
        "1 in status AWAITING_HUMAN_INPUT (insisted on)",
        "1 of rule R2 (insisted on)",
        "1 of unknown severity '' (none allowed)",
        "2 MAJOR (1 allowed)",
    ]


def test_a_passing_verdict_says_so() -> None:
    assert judge(issue("MINOR")).message() == "Passed: 1 issue judged, 1 counted (1 MINOR)."


def test_the_verdict_stays_small_and_keeps_the_numbers() -> None:
    found = judge(*(issue("MAJOR", summary="ü" * 5_000, filename="spot.mp4") for _ in range(500)))
    told = found.to_xcom()
    assert fits_xcom(told)
    assert json.loads(json.dumps(told)) == told
    assert (told["blockingCount"], len(told["blocking"])) == (500, LISTED)
    assert told["counts"] == {"MAJOR": 500}
    assert told["message"].endswith(f"- and {500 - SHOWN} more")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("block_at", "SEVERE"),
        ("allowed", ["MAJOR"]),
        ("allowed", {"SEVERE": 1}),
        ("allowed", {"MAJOR": -1}),
        ("allowed", {"MAJOR": 1.5}),
        ("allowed", {"MAJOR": True}),
        ("ignore_rules", "CAP_8.4"),
        ("insist_on_rules", [8.4]),
        ("insist_on_rules", [""]),
        ("statuses", ["OPNE"]),
        ("statuses", "OPEN"),
        ("statuses", []),
        ("insist_on_statuses", ["WAITING"]),
        ("assets", []),
        ("assets", "a1"),
    ],
)
def test_a_wrong_value_is_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=field) as caught:
        CompliancePolicy(**{field: value})
    assert caught.value.parameter == f"policy.{field}"


def test_a_policy_of_a_mapping_is_the_same_policy() -> None:
    mapping = {"block_at": "critical", "allowed": {"minor": "20"}, "ignore_rules": ["CAP_8.*"]}
    assert CompliancePolicy.of(mapping) == CompliancePolicy(
        block_at="CRITICAL", allowed={"MINOR": 20}, ignore_rules=("CAP_8.*",)
    )


@pytest.mark.parametrize("value", [{"block": "MAJOR"}, "MAJOR", None, ["MAJOR"]])
def test_what_is_no_policy(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="policy"):
        CompliancePolicy.of(value)


def test_names_of_assets_are_compared_whatever_their_unicode_form() -> None:
    """A Mac writes an é as two characters, most others as one."""
    one, two = "caf\u00e9.mp4", "cafe\u0301.mp4"
    for named, found in ((one, two), (two, one)):
        policy = CompliancePolicy(assets=[named])
        assert policy.covers(None, found)
        assert not policy.judge([issue("CRITICAL", filename=found)]).passed
