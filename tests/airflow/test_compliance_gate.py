"""The compliance gate in whole Dags: where issues come from, and what happens to what is downstream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.sdk import DAG, TaskGroup, task

from airflow_provider.core.files.tables import write_rows
from airflow_provider.exceptions import (
    ComplianceError,
    InvalidInputError,
    JobFailedError,
    NotReadyError,
    TransferError,
)
from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.mediamagic.compliance import CompliancePolicy
from airflow_provider.operators.mediamagic import MediaMagicComplianceGateOperator as Gate
from airflow_provider.operators.mediamagic import MediaMagicGetAssetResultOperator as GetResult
from airflow_provider.operators.mediamagic import MediaMagicGetIssuesOperator as GetIssues
from airflow_provider.operators.mediamagic import MediaMagicGetTopicsOperator as GetTopics
from airflow_provider.operators.mediamagic.rows import write_issues
from tests.airflow.conftest import RunTask
from tests.airflow.jobs import ENDLESS, SubmissionJob
from tests.airflow.lone import execute
from tests.airflow.task_run import register

RunWhole = Callable[..., DagRun]

GRAVE = "A miracle cure for your kids. Price: $19.99, guaranteed."
"""Two CRITICAL issues, three MAJOR, one MINOR."""

HARMLESS = "Limited time only, for kids."
"""Two MINOR issues."""


@pytest.fixture
def run_whole(airflow_db: None) -> RunWhole:
    """Run a whole Dag with ``dag.test()``."""

    def run(dag: DAG, conf: dict[str, Any] | None = None) -> DagRun:
        register(dag)
        finished: DagRun = dag.test(run_conf=conf)
        return finished

    return run


@pytest.fixture
def reviewed(submission: SubmissionJob) -> Callable[[str], dict[str, str]]:
    """Review a text; the ids of its asset."""

    def review(text: str) -> dict[str, str]:
        submission.takes(0)
        job_id = submission.order_of(text)
        asset_id = submission.vendor_says(job_id)["assets"][0]["assetId"]
        return {"submission_id": job_id, "asset_id": asset_id}

    return review


Reviewed = Callable[[str], dict[str, str]]


def states(run: DagRun) -> dict[str, str]:
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


def verdict(run: DagRun) -> dict[str, Any]:
    (ti,) = (ti for ti in run.get_task_instances() if ti.task_id == "gate")
    found: dict[str, Any] = ti.xcom_pull(task_ids="gate")
    return found


def severities(told: dict[str, Any]) -> list[str]:
    return [issue["severity"] for issue in told["blocking"]]


# -- what it does when it blocks -----------------------------------------------------------------------------


@task
def publish() -> None:
    """What is held back."""


@task(trigger_rule="all_done")
def tidy_up() -> None:
    """What runs in any case."""


def test_a_blocked_gate_fails_at_once_and_says_why(
    task_run: RunTask, reviewed: Reviewed, capfd: pytest.CaptureFixture[str]
) -> None:
    asset = reviewed(GRAVE)
    run = task_run(Gate, retries=3, submission_id=asset["submission_id"]).test()
    assert isinstance(run.error, ComplianceError)
    assert (run.state, len(run.errors)) == ("failed", 1)
    (line,) = str(run.error).splitlines()
    assert line.startswith("Blocked by 5 issues: 2 CRITICAL (none allowed); 3 MAJOR")
    assert " in ad.txt" in line
    logged = capfd.readouterr().out
    table = logged[logged.index("SEVERITY  FILE") :].splitlines()[1:6]
    assert [row.split()[:2] for row in table] == [
        [severity, "ad.txt"] for severity in ["CRITICAL"] * 2 + ["MAJOR"] * 3
    ]


def test_the_verdict_is_in_xcom_though_the_gate_failed(task_run: RunTask, reviewed: Reviewed) -> None:
    asset = reviewed(GRAVE)
    told = task_run(Gate, submission_id=asset["submission_id"]).test().xcoms["return_value"]
    assert told["passed"] is False
    assert told["counts"] == {"CRITICAL": 2, "MAJOR": 3, "MINOR": 1}
    assert {issue["assetId"] for issue in told["blocking"]} == {asset["asset_id"]}
    assert all(issue["id"] for issue in told["blocking"])


def test_a_gate_that_is_to_push_nothing_pushes_nothing(
    task_run: RunTask, reviewed: Reviewed, tmp_path: Path
) -> None:
    asset = reviewed(GRAVE)
    document = tmp_path / "review.html"
    arguments = {"submission_id": asset["submission_id"], "document_path": document}
    run = task_run(Gate, do_xcom_push=False, **arguments).test()
    assert isinstance(run.error, ComplianceError)
    assert not {"return_value", "document"} & run.xcoms.keys()
    assert document.exists()


def test_a_passed_gate_returns_its_verdict(task_run: RunTask, reviewed: Reviewed) -> None:
    told = task_run(Gate, submission_id=reviewed(HARMLESS)["submission_id"]).test().value
    assert (told["passed"], told["counts"], told["blocking"]) == (True, {"MINOR": 2}, [])


@pytest.mark.parametrize("given", ["by id", "issues", "landed"])
def test_the_document_of_a_gate_says_what_blocks(
    task_run: RunTask, reviewed: Reviewed, tmp_path: Path, given: str
) -> None:
    ids = reviewed(GRAVE)
    target = tmp_path / "out" / "review.html"
    arguments: dict[str, Any] = {"submission_id": ids["submission_id"]}
    topics = task_run(GetTopics, **ids).test().value
    if given != "by id":
        landing = {} if given == "issues" else {"output_path": str(tmp_path / "issues.csv")}
        arguments = {"issues": task_run(GetIssues, **ids, **landing).test().value}
    if given == "landed":
        topics = task_run(GetTopics, output_path=str(tmp_path / "topics.json"), **ids).test().value
    run = task_run(Gate, document_path=str(target), topics=topics, **arguments).test()
    manifest = run.xcoms["document"]
    assert (manifest["path"], manifest["findings"]) == (str(target), 6)
    assert run.xcoms["return_value"]["document"] == manifest
    for told in (run.xcoms["return_value"]["message"], str(run.error)):
        assert told.endswith(f"The whole review: {target}")
    page = target.read_text()
    assert page.count(">blocks<") == 5
    assert "CRITICAL" in page
    assert "<h2>Topics</h2>" in page
    assert "rated" in page, "why a severity, also of a file"


def test_a_document_that_cannot_be_written_lets_nothing_pass(
    task_run: RunTask, reviewed: Reviewed, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    ids = reviewed(HARMLESS)
    run = task_run(
        Gate, submission_id=ids["submission_id"], document_path=f"{tmp_path}/file/review.html"
    ).test()
    assert run.error is not None
    assert "return_value" not in run.xcoms


@pytest.mark.parametrize(("text", "expected"), [(GRAVE, "skipped"), (HARMLESS, "success")])
def test_skipping_what_is_downstream(
    reviewed: Reviewed, run_whole: RunWhole, text: str, expected: str
) -> None:
    asset = reviewed(text)
    with DAG("gate_skips", schedule=None) as dag:
        (
            Gate(task_id="gate", submission_id=asset["submission_id"], on_blocked="skip")
            >> publish()
            >> tidy_up()
        )
    run = run_whole(dag)
    assert states(run) == {"gate": "success", "publish": expected, "tidy_up": "success"}
    assert verdict(run)["passed"] is (expected == "success")


@pytest.mark.parametrize("blocked", ["ask", ["ask"], ["people"]])
@pytest.mark.parametrize("text", [GRAVE, HARMLESS])
def test_branching(reviewed: Reviewed, run_whole: RunWhole, text: str, blocked: Any) -> None:
    asset = reviewed(text)
    in_group = blocked == ["people"]
    with DAG("gate_branches", schedule=None) as dag:
        gate = Gate(
            task_id="gate",
            submission_id=asset["submission_id"],
            on_blocked="branch",
            blocked_task_ids=blocked,
        )
        with TaskGroup("people", prefix_group_id=False):
            asked = publish.override(task_id="ask")()
        gate >> [asked if not in_group else dag.task_group.children["people"], publish()]
    run = run_whole(dag)
    ways = ("success", "skipped") if text is GRAVE else ("skipped", "success")
    assert states(run) == {"gate": "success", "ask": ways[0], "publish": ways[1]}
    assert verdict(run)["passed"] is (text is HARMLESS)


def test_where_the_ways_meet_again(reviewed: Reviewed, run_whole: RunWhole) -> None:
    asset = reviewed(GRAVE)
    with DAG("gate_joins", schedule=None) as dag:
        gate = Gate(
            task_id="gate",
            submission_id=asset["submission_id"],
            on_blocked="branch",
            blocked_task_ids="ask",
        )
        join = publish.override(trigger_rule="none_failed_min_one_success")()
        gate >> publish.override(task_id="ask")() >> join
        gate >> join
    assert set(states(run_whole(dag)).values()) == {"success"}


# -- where issues come from ----------------------------------------------------------------------------------


def test_issues_of_one_task(reviewed: Reviewed, run_whole: RunWhole) -> None:
    asset = reviewed(GRAVE)
    with DAG("gate_one", schedule=None) as dag:
        issues = GetIssues(task_id="issues", **asset)
        Gate(task_id="gate", issues=issues.output, asset_ids=[asset["asset_id"]])
    told = verdict(run_whole(dag))
    assert severities(told) == ["CRITICAL"] * 2 + ["MAJOR"] * 3
    assert {issue["assetId"] for issue in told["blocking"]} == {asset["asset_id"]}


@pytest.mark.parametrize("operator", [GetIssues, GetResult])
def test_issues_of_a_mapped_task(reviewed: Reviewed, run_whole: RunWhole, operator: type[Any]) -> None:
    assets = [reviewed(HARMLESS), reviewed(GRAVE)]
    with DAG("gate_mapped", schedule=None) as dag:
        found = operator.partial(task_id="issues").expand_kwargs(assets)
        Gate(task_id="gate", issues=found.output)
    run = run_whole(dag)
    assert states(run)["gate"] == "failed"
    told = verdict(run)
    assert (told["judged"], told["blockingCount"]) == (8, 5)
    named = {issue["assetId"] for issue in told["blocking"]}
    assert named == {assets[1]["asset_id"]}


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_issues_that_have_landed(
    reviewed: Reviewed, run_whole: RunWhole, tmp_path: Path, suffix: str
) -> None:
    assets = [reviewed(HARMLESS), reviewed(GRAVE)]
    with DAG("gate_landed", schedule=None) as dag:
        landed = GetIssues.partial(task_id="issues").expand_kwargs(
            [{**asset, "output_path": f"file://{tmp_path}/{asset['asset_id']}.{suffix}"} for asset in assets]
        )
        Gate(task_id="gate", issues=landed.output, policy={"assets": ["*.txt"]})
    told = verdict(run_whole(dag))
    assert (told["judged"], severities(told)) == (8, ["CRITICAL"] * 2 + ["MAJOR"] * 3)
    assert {(issue["assetId"], issue["filename"]) for issue in told["blocking"]} == {
        (assets[1]["asset_id"], "ad.txt")
    }
    assert {type(issue["referenceNumber"]) for issue in told["blocking"]} == {int}


def test_a_landed_file_by_its_path(task_run: RunTask, reviewed: Reviewed) -> None:
    target = "memory://bucket/gate/issues.jsonl"
    task_run(GetIssues, output_path=target, **reviewed(GRAVE)).test()
    told = task_run(Gate, issues=target).test().xcoms["return_value"]
    assert told["blockingCount"] == 5


def test_a_landed_file_that_has_changed_since_is_not_judged(
    task_run: RunTask, reviewed: Reviewed, tmp_path: Path
) -> None:
    target = tmp_path / "issues.jsonl"
    manifest = task_run(GetIssues, output_path=str(target), **reviewed(GRAVE)).test().value
    target.write_text("")
    run = task_run(Gate, issues=manifest).test()
    assert "SHA-256" in str(run.error)


def test_a_mapped_task_without_instances_is_never_a_pass(
    airflow_db: None, run_whole: RunWhole, recorder: Any
) -> None:
    with DAG("gate_of_nothing", schedule=None) as dag:

        @task
        def assets() -> list[dict[str, str]]:
            return []

        issues = GetIssues.partial(task_id="issues").expand_kwargs(assets())
        Gate(task_id="gate", issues=issues.output, trigger_rule="none_failed")
    assert states(run_whole(dag))["gate"] == "failed"
    assert "no upstream task has returned anything" in str(recorder.errors[-1])


def test_an_asset_whose_review_is_unfinished_is_never_a_pass(
    task_run: RunTask, submission: SubmissionJob
) -> None:
    submission.takes(ENDLESS)
    run = task_run(Gate, submission_id=submission.order_of(HARMLESS)).test()
    assert isinstance(run.error, NotReadyError)


def test_an_asset_whose_review_failed_is_never_a_pass(task_run: RunTask, submission: SubmissionJob) -> None:
    submission.fails(duration=0)
    run = task_run(Gate, submission_id=submission.order_of(HARMLESS)).test()
    assert isinstance(run.error, JobFailedError)


def test_policies_from_dag_parameters(reviewed: Reviewed, run_whole: RunWhole) -> None:
    asset = reviewed(GRAVE)
    with DAG("gate_params", schedule=None, params={"major": 3, "rule": "CAP_12.*"}) as dag:
        Gate(
            task_id="gate",
            submission_id=asset["submission_id"],
            policy={"allowed": {"MAJOR": "{{ params.major }}"}, "ignore_rules": ["{{ params.rule }}"]},
        )
    assert states(run_whole(dag)) == {"gate": "success"}
    assert states(run_whole(dag, {"major": 2})) == {"gate": "failed"}


def test_a_mapped_gate_judges_each_asset_for_itself(reviewed: Reviewed, run_whole: RunWhole) -> None:
    ids = [reviewed(text)["submission_id"] for text in (GRAVE, HARMLESS)]
    with DAG("gates", schedule=None) as dag:
        Gate.partial(task_id="gate").expand(submission_id=ids)
    found = {ti.map_index: str(ti.state) for ti in run_whole(dag).get_task_instances()}
    assert found == {0: "failed", 1: "success"}


def test_a_mapped_gate_cannot_skip(reviewed: Reviewed, run_whole: RunWhole, recorder: Any) -> None:
    with DAG("gates_skip", schedule=None) as dag:
        Gate.partial(task_id="gate", on_blocked="skip").expand(issues=[[]]) >> publish()
    assert states(run_whole(dag))["publish"] == "upstream_failed"
    assert getattr(recorder.errors[0], "parameter", None) == "on_blocked"


# -- bad input -----------------------------------------------------------------------------------------------

ISSUE = {"id": "i1", "severity": "MINOR", "status": "OPEN"}
CRITICAL = {**ISSUE, "severity": "CRITICAL"}


def landed(target: Path, asset_id: str | None, filename: str | None, *issues: Any) -> dict[str, Any]:
    asset = {"assetId": asset_id, "filename": filename}
    return write_issues([(asset, issues)], run_id="manual", target=str(target))


def result(asset_id: str, filename: str | None, *issues: Any) -> dict[str, Any]:
    return {"assetId": asset_id, "filename": filename, "status": "complete", "issues": list(issues)}


def told_of(issues: Any, *assets: str, **arguments: Any) -> dict[str, Any]:
    told: dict[str, Any] = execute(
        Gate(task_id="gate", issues=issues, policy={"assets": list(assets)}, **arguments)
    )
    return told


def refused(issues: Any, *assets: str, **arguments: Any) -> str:
    """The error when the gate does not know which assets are meant."""
    with pytest.raises(InvalidInputError) as caught:
        told_of(issues, *assets, **arguments)
    assert caught.value.parameter == "policy.assets"
    return str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"policy": {"block_at": "SEVERE"}}, "policy.block_at"),
        ({"policy": {"blocks": "MAJOR"}}, "policy"),
        ({"policy": None}, "policy"),
        ({"on_blocked": "stop"}, "on_blocked"),
        ({"on_blocked": "branch"}, "blocked_task_ids"),
        ({"blocked_task_ids": "ask"}, "blocked_task_ids"),
        ({"issues": []}, "issues"),
        ({"submission_id": None}, "issues"),
        ({"submission_id": " "}, "submission_id"),
        ({"asset_ids": "a1"}, "asset_ids"),
        ({"asset_ids": []}, "asset_ids"),
        ({"asset_ids": 7}, "asset_ids"),
    ],
)
def test_bad_input_is_named_before_anything_is_fetched(
    submission: SubmissionJob, arguments: dict[str, Any], parameter: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        execute(Gate(task_id="gate", **{"submission_id": "s1", **arguments}))
    assert caught.value.parameter == parameter
    assert submission.simulator.ledger()["requests"] == {}


def test_a_branch_that_is_not_downstream_is_named_before_anything_is_fetched(
    submission: SubmissionJob, task_run: RunTask
) -> None:
    run = task_run(Gate, submission_id="s1", on_blocked="branch", blocked_task_ids="nowhere").test()
    assert getattr(run.error, "parameter", None) == "blocked_task_ids"
    assert submission.simulator.ledger()["requests"] == {}


@pytest.mark.parametrize(
    "issues",
    [
        7,
        "issues.txt",
        "/nowhere/issues.jsonl",
        ["x"],
        [None],
        [[None]],
        [ISSUE, [ISSUE]],
        [[{"id": "i1", "summary": "no severity at all"}]],
        {"assetId": "a1", "status": "complete", "issues": None},
    ],
)
def test_what_is_not_a_list_of_issues_is_never_a_pass(issues: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        execute(Gate(task_id="gate", issues=issues))
    assert caught.value.parameter == "issues"


def test_a_file_of_something_else_is_never_a_pass(tmp_path: Path) -> None:
    other, torn = tmp_path / "other.csv", tmp_path / "torn.jsonl"
    other.write_text("a,b\n1,2\n")
    torn.write_text('{"issue_id": "i1", "sev')
    with pytest.raises(InvalidInputError, match=r"other\.csv"):
        execute(Gate(task_id="gate", issues=str(other)))
    with pytest.raises(TransferError, match=r"torn\.jsonl"):
        execute(Gate(task_id="gate", issues=str(torn)))


@pytest.mark.parametrize("name", ["other.csv", "other.parquet", "empty.csv"])
def test_an_empty_file_of_something_else_is_never_a_pass(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    manifest = write_rows([], path, columns=[("a", "string"), ("b", "string")])
    if name == "empty.csv":
        path.write_text("")
        manifest = {"path": str(path)}
    for issues in (manifest, str(path)):
        with pytest.raises(InvalidInputError, match=name) as caught:
            execute(Gate(task_id="gate", issues=issues))
        assert caught.value.parameter == "issues"


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_landed_file_of_no_issues_is_a_pass(tmp_path: Path, suffix: str) -> None:
    manifest = landed(tmp_path / f"issues.{suffix}", "a1", "spot.mp4")
    for issues in (manifest, manifest["path"]):
        assert execute(Gate(task_id="gate", issues=issues))["passed"]


def test_a_file_with_other_rows_than_its_manifest_says_is_never_a_pass(tmp_path: Path) -> None:
    manifest = landed(tmp_path / "issues.jsonl", "a1", "spot.mp4", ISSUE)
    Path(manifest["path"]).write_text("")
    del manifest["sha256"]
    with pytest.raises(TransferError, match="it has 0 rows, not 1"):
        execute(Gate(task_id="gate", issues=manifest))


@pytest.mark.parametrize("issues", [(), [[], ()]])
def test_nothing_from_upstream_is_never_a_pass(issues: Any) -> None:
    with pytest.raises(InvalidInputError, match="no upstream task has returned anything") as caught:
        execute(Gate(task_id="gate", issues=issues))
    assert caught.value.parameter == "issues"


def test_no_issues_of_one_task_are_a_pass() -> None:
    assert execute(Gate(task_id="gate", issues=[], asset_ids=["a1"]))["passed"]


def test_as_many_assets_as_results() -> None:
    with pytest.raises(InvalidInputError, match="asset_ids names 1"):
        execute(Gate(task_id="gate", issues=[[ISSUE], [ISSUE]], asset_ids=["a1"]))


def test_a_misspelt_asset_is_not_a_pass(task_run: RunTask, reviewed: Reviewed) -> None:
    policy = CompliancePolicy(assets=["sopt.mp4"])
    run = task_run(Gate, submission_id=reviewed(GRAVE)["submission_id"], policy=policy).test()
    assert getattr(run.error, "parameter", None) == "policy.assets"
    assert "ad.txt" in str(run.error)


@pytest.mark.parametrize("assets", [["spot.mp4"], ["*.mp4"], ["a2"], ["a1", "a2"]])
def test_an_asset_that_is_called_by_a_name_nobody_knows_is_not_a_pass(
    tmp_path: Path, assets: list[str]
) -> None:
    assert "a1" in refused([CRITICAL], *assets, asset_ids=["a1"])
    assert "a1" in refused(result("a1", None, CRITICAL), *assets)
    manifest = landed(tmp_path / "issues.csv", "a1", None, CRITICAL)
    assert "a1" in refused(manifest, *assets)
    assert "a1" in refused(manifest["path"], *assets)


def test_a_name_that_nobody_knows_is_refused_before_there_are_issues() -> None:
    assert "spot.mp4" in refused([], "spot.mp4", asset_ids=["a1"])


def test_assets_may_be_known_by_their_ids_alone() -> None:
    assert told_of([[CRITICAL], [ISSUE]], "a2", asset_ids=["a1", "a2"])["counts"] == {"MINOR": 1}
    with pytest.raises(ComplianceError, match="CRITICAL"):
        told_of([[CRITICAL], [ISSUE]], "a1", asset_ids=["a1", "a2"])


def test_a_file_name_does_not_leave_out_assets_whose_file_names_are_unknown() -> None:
    issues = [result("a1", "spot.mp4", ISSUE), [CRITICAL]]
    assert "a2" in refused(issues, "*.mp4", asset_ids=["a1", "a2"])
    assert told_of(issues, "a1", asset_ids=["a1", "a2"])["counts"] == {"MINOR": 1}
    with pytest.raises(ComplianceError, match="CRITICAL"):
        told_of(issues, "*.mp4", "a2", asset_ids=["a1", "a2"])


def test_an_id_does_not_leave_out_assets_whose_ids_are_unknown(tmp_path: Path) -> None:
    issues = [
        landed(tmp_path / "1.jsonl", "a1", "spot.mp4"),
        landed(tmp_path / "2.jsonl", None, "b.mp4", CRITICAL),
    ]
    assert "b.mp4" in refused(issues, "a1")
    assert told_of(issues, "spot.mp4")["counts"] == {}


def test_a_file_name_does_not_leave_out_fetched_assets_whose_file_names_are_unknown(
    submission: SubmissionJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = {"a1": result("a1", "spot.mp4"), "a2": result("a2", None)}
    issues = {"a1": [ISSUE], "a2": [CRITICAL]}
    monkeypatch.setattr(MediaMagicHook, "get_asset_result", lambda hook, _, asset_id: assets[asset_id])
    monkeypatch.setattr(MediaMagicHook, "get_issues", lambda hook, _, asset_id: issues[asset_id])
    fetching = {"submission_id": "s1", "asset_ids": ["a1", "a2"]}
    assert "a2" in refused(None, "*.mp4", **fetching)
    assert told_of(None, "a1", **fetching)["counts"] == {"MINOR": 1}


def test_a_misspelt_asset_is_not_a_pass_beside_a_landed_file_of_no_issues(tmp_path: Path) -> None:
    manifests = [
        landed(tmp_path / "1.jsonl", "a1", "spot.mp4", CRITICAL),
        landed(tmp_path / "2.jsonl", "a2", "b.mp4"),
    ]
    assert "b.mp4 (a2)" in refused(manifests, "sopt.mp4")
    assert "spot.mp4 (a1)" in refused([manifest["path"] for manifest in manifests], "sopt.mp4")
    assert told_of(manifests, "b.mp4")["passed"]


def test_manifests_without_file_names_are_judged_by_what_is_known(tmp_path: Path) -> None:
    manifests = [
        landed(tmp_path / "1.jsonl", "a1", "spot.mp4", CRITICAL),
        landed(tmp_path / "2.jsonl", "a2", "b.mp4"),
    ]
    for manifest in manifests:
        manifest.pop("filename", None)
    assert "a2" in refused(manifests, "sopt.mp4")
    assert told_of(manifests, "a2")["passed"]
    with pytest.raises(ComplianceError, match=r"spot\.mp4"):
        told_of(manifests, "spot.mp4")


def test_landed_files_of_no_issues_need_not_say_whose_they_are(tmp_path: Path) -> None:
    minor = landed(tmp_path / "1.jsonl", "a1", "spot.mp4", ISSUE)["path"]
    clean = landed(tmp_path / "2.jsonl", "a2", "b.mp4")["path"]
    assert told_of(clean, "*.mp4")["passed"]
    assert told_of([minor, clean], "spot.mp4", "b.mp4")["passed"]
