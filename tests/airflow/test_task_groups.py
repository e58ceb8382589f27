"""The task groups in whole Dags: what they return, and what is chained on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.sdk import DAG, task, task_group
from airflow.sdk.definitions.mappedoperator import MappedOperator

from airflow_provider.compat import AirflowSkipException
from airflow_provider.exceptions import InvalidInputError
from airflow_provider.operators.silent_witness import SilentWitnessUploadEvidenceOperator as UploadEvidence
from airflow_provider.task_groups.mediamagic import MediaMagicReviewTaskGroup as Review
from airflow_provider.task_groups.silent_witness import SilentWitnessReportTaskGroup as Report
from tests.airflow.jobs import SOON, ReportJob, SubmissionJob
from tests.airflow.task_run import register
from tests.simulator.talk import picture


def run_whole(dag: DAG, conf: dict[str, Any] | None = None) -> DagRun:
    register(dag)
    finished: DagRun = dag.test(run_conf=conf)
    return finished


def states(run: DagRun) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for ti in run.get_task_instances():
        found.setdefault(ti.task_id, set()).add(str(ti.state))
    return found


def pulled(run: DagRun, task_id: str) -> Any:
    (ti,) = (ti for ti in run.get_task_instances() if ti.task_id == task_id)
    return ti.xcom_pull(task_ids=task_id)


@task
def handed_on(value: Any) -> Any:
    """What a task downstream gets."""
    return list(value) if not isinstance(value, dict) else value


pytestmark = pytest.mark.usefixtures("airflow_db", "simulated_pace")


def test_a_review_hands_on_all_that_it_found(submission: SubmissionJob) -> None:
    submission.takes(SOON)
    files = [submission.file(f"{n}.txt", f"Limited time, for kids, number {n}.") for n in range(2)]
    with DAG("group_review", schedule=None, params={"files": files}) as dag:
        review = Review(files=files, metadata={"run": "{{ run_id }}"}, topics=True, policy={})
        for name in ("submission", "assets", "issues", "topics", "verdict"):
            handed_on.override(task_id=name)(getattr(review, name))
    run = run_whole(dag)
    assert run.state == "success", states(run)
    asset_ids = pulled(run, "submission")["completedAssetIds"]
    assert [one["asset_id"] for one in pulled(run, "assets")] == asset_ids
    assert [len(issues) for issues in pulled(run, "issues")] == [2, 2]
    assert [topics["assetId"] for topics in pulled(run, "topics")] == asset_ids
    assert (pulled(run, "verdict")["passed"], pulled(run, "verdict")["counts"]) == (True, {"MINOR": 4})
    assert submission.seen()[0]["metadata"] == {"run": run.run_id}


def test_a_connection_for_other_operators_does_not_reach_the_groups() -> None:
    theirs = {"conn_id": "warehouse_postgres"}
    with DAG("group_mixed", schedule=None, default_args=theirs) as dag:
        Review(files=["claims.txt"], topics=True, policy={}, default_args=theirs)
        Report(case_id="case", output_path="out", evidence=[{"files": ["rear.jpg"]}], default_args=theirs)
    ids = {
        task_id: unmapped(operator).conn_id
        for task_id, operator in dag.task_dict.items()
        if task_id != "review.assets"
    }
    assert ids == {
        **{f"review.{name}": "mediamagic_default" for name in ("submit", "issues", "topics", "gate")},
        **{f"report.{name}": "silent_witness_default" for name in ("evidence", "report", "download")},
    }


def unmapped(operator: Any) -> Any:
    """One instance of a mapped task, as Airflow makes it to run it."""
    if not isinstance(operator, MappedOperator):
        return operator
    return operator.unmap({"submission_id": "sub", "asset_id": "one"})


def test_a_review_without_a_policy_judges_nothing(submission: SubmissionJob) -> None:
    submission.takes(SOON)
    with DAG("group_plain", schedule=None) as dag:
        review = Review(files=[submission.file("claims.txt")])
        review >> handed_on([])
    run = run_whole(dag)
    assert states(run).keys() == {"review.submit", "review.assets", "review.issues", "handed_on"}
    assert run.state == "success"
    assert (review.verdict, review.topics) == (None, None)


@pytest.mark.parametrize("landed", [False, True])
def test_a_review_that_blocks_names_the_file(submission: SubmissionJob, tmp_path: Path, landed: bool) -> None:
    submission.takes(SOON)
    with DAG(f"group_blocks_{landed}", schedule=None) as dag:
        review = Review(
            files=[submission.file("claims.txt")],
            policy={"block_at": "CRITICAL"},
            on_blocked="skip",
            topics=landed,
            output_path=f"{tmp_path}/{{{{ dag.dag_id }}}}" if landed else None,
        )
        review >> handed_on([])
    run = run_whole(dag)
    assert states(run)["handed_on"] == {"skipped"}
    told = pulled(run, "review.gate")
    assert [issue["filename"] for issue in told["blocking"]] == ["claims.txt"]
    written = {path.name for path in (tmp_path / dag.dag_id).glob("*")}
    asset_id = told["blocking"][0]["assetId"]
    assert written == ({f"{asset_id}.issues.jsonl", f"{asset_id}.topics.json"} if landed else set())


@pytest.mark.parametrize("policy", [None, {"block_at": "CRITICAL"}], ids=["plain", "judged"])
def test_a_review_leaves_a_document(submission: SubmissionJob, tmp_path: Path, policy: Any) -> None:
    submission.takes(SOON)
    with DAG(f"group_document_{policy is None}", schedule=None) as dag:
        review = Review(
            files=[submission.file("claims.txt", "Limited time only.")],
            policy=policy,
            topics=True,
            document_path=f"{tmp_path}/{{{{ dag.dag_id }}}}.html",
        )
        handed_on(review.document)
    run = run_whole(dag)
    assert run.state == "success", states(run)
    written = tmp_path / f"{dag.dag_id}.html"
    assert pulled(run, "handed_on")["path"] == str(written)
    assert ("Passed: " in written.read_text()) == (policy is not None)
    assert review.issues is not None


def test_a_review_in_part_judges_what_completed(submission: SubmissionJob) -> None:
    submission.simulator.script(
        "mediamagic", duration=SOON, asset_status="failed", match={"filename": "a.txt"}, attempts_failing=9
    )
    submission.takes(SOON)
    files = [submission.file(name, "Limited time.") for name in ("a.txt", "b.txt")]
    with DAG("group_partial", schedule=None) as dag:
        Review(files=files, allow_partial=True, policy={})
    run = run_whole(dag)
    assert run.state == "success", states(run)
    assert pulled(run, "review.gate")["judged"] == 1


def test_what_is_for_the_gate_needs_a_policy() -> None:
    with DAG("group_no_policy", schedule=None), pytest.raises(InvalidInputError, match="policy"):
        Review(files=["spot.mp4"], on_blocked="skip")


@pytest.mark.parametrize("given", ["literal", "from a task"])
def test_a_report_uploads_reports_and_downloads(report: ReportJob, tmp_path: Path, given: str) -> None:
    report.takes(SOON)
    photo = tmp_path / "rear.jpg"
    photo.write_bytes(picture())
    entries = [{"files": [str(photo)], "vehicle_role": "plaintiff"}]
    with DAG(f"group_report_{given.split()[0]}", schedule=None) as dag:

        @task
        def evidence() -> list[dict[str, Any]]:
            return entries

        group = Report(
            case_id=report.case(),
            evidence=entries if given == "literal" else evidence(),
            output_path=f"{tmp_path}/{{{{ dag.dag_id }}}}",
            formats=["pdf"],
            filename="expert",
        )
        for name in ("evidence", "report", "files"):
            handed_on.override(task_id=f"got_{name}")(getattr(group, name))
    run = run_whole(dag)
    assert run.state == "success", states(run)
    assert [[one["file_name"] for one in files] for files in pulled(run, "got_evidence")] == [["rear.jpg"]]
    (manifest,) = pulled(run, "got_files")
    assert manifest["path"] == f"{tmp_path}/{dag.dag_id}/expert.pdf"
    assert manifest["report_id"] == pulled(run, "got_report")["id"]
    assert len(report.seen()) == 1


def test_a_report_on_a_case_that_has_its_evidence(report: ReportJob, tmp_path: Path) -> None:
    report.takes(SOON)
    with DAG("group_report_only", schedule=None) as dag:
        Report("expert", case_id=report.case(), output_path=str(tmp_path / "out"))
    run = run_whole(dag)
    assert states(run) == {"expert.report": {"success"}, "expert.download": {"success"}}
    assert len(list((tmp_path / "out").iterdir())) == 2


@pytest.mark.parametrize("given", ["literal", "from a task"])
def test_a_report_with_nothing_to_upload_is_about_what_the_case_has(
    report: ReportJob, tmp_path: Path, given: str
) -> None:
    report.takes(SOON)
    with DAG(f"group_nothing_{given.split()[0]}", schedule=None) as dag:
        group = Report(
            case_id=report.case(),
            evidence=[] if given == "literal" else handed_on([]),
            output_path=str(tmp_path / "out"),
        )
        if given != "literal":
            handed_on.override(task_id="got_evidence")(group.evidence)
    run = run_whole(dag)
    assert run.state == "success", states(run)
    assert states(run)["report.download"] == {"success"}
    assert len(report.seen()) == 1
    if given != "literal":
        assert pulled(run, "got_evidence") == []


@task
def told(value: str) -> str:
    return value


@task
def skipped() -> Any:
    """What a user leaves out on purpose."""
    raise AirflowSkipException


@task
def broken() -> Any:
    raise RuntimeError("no evidence to be had")


@pytest.mark.parametrize("what", ["case", "evidence", "before the group"])
@pytest.mark.parametrize("how", ["skipped", "failed"])
def test_no_report_is_paid_for_where_something_upstream_was_left_out(
    report: ReportJob, tmp_path: Path, what: str, how: str
) -> None:
    with DAG(f"group_{how}_{what.replace(' ', '_')}", schedule=None) as dag:
        left_out: Any = {"skipped": skipped, "failed": broken}[how]()
        case: Any = left_out if what == "case" else told(report.case())
        group = Report(
            case_id=case,
            evidence=left_out if what == "evidence" else handed_on.override(task_id="entries")([]),
            output_path=str(tmp_path / "out"),
        )
        if what == "before the group":
            left_out >> group
    run = run_whole(dag)
    assert states(run)["report.report"] == {{"skipped": "skipped", "failed": "upstream_failed"}[how]}
    assert report.creations() == 0


def test_no_report_is_paid_for_where_an_upload_failed(report: ReportJob, tmp_path: Path) -> None:
    with DAG("group_upload_failed", schedule=None) as dag:
        Report(
            case_id=report.case(),
            evidence=handed_on([{"files": [str(tmp_path / "missing.jpg")]}]),
            output_path=str(tmp_path / "out"),
        )
    run = run_whole(dag)
    assert run.state == "failed"
    assert states(run)["report.report"] == {"upstream_failed"}
    assert report.creations() == 0


def test_no_report_is_paid_for_where_only_the_uploads_were_left_out(
    report: ReportJob, tmp_path: Path
) -> None:
    with DAG("group_uploads_skipped", schedule=None) as dag:
        Report(
            case_id=report.case(),
            evidence=handed_on([{"files": [str(tmp_path / "rear.jpg")]}]),
            output_path=str(tmp_path / "out"),
        )
        skipped() >> dag.get_task("report.evidence")
    run = run_whole(dag)
    assert states(run)["report.report"] == {"skipped"}
    assert report.creations() == 0


def test_what_limits_payments_reaches_the_tasks_that_pay() -> None:
    limits: dict[str, Any] = {"on_clear": "attach", "max_paid_requests": 2}
    with DAG("group_limits", schedule=None) as dag:
        Review(files=["claims.txt"], if_no_files="skip", **limits)
        Report(
            case_id="case",
            output_path="out",
            evidence=[{"files": ["rear.jpg"]}],
            if_no_files="skip",
            **limits,
        )
    for task_id in ("review.submit", "report.report"):
        paying: Any = dag.get_task(task_id)
        assert {name: getattr(paying, name) for name in limits} == limits
    for task_id in ("review.submit", "report.evidence"):
        reading: Any = dag.get_task(task_id)
        assert reading.if_no_files == "skip"


def test_a_group_without_files_is_skipped_and_pays_nothing(
    submission: SubmissionJob, report: ReportJob, tmp_path: Path
) -> None:
    nothing = [f"{tmp_path}/nothing/*"]
    with DAG("group_no_files", schedule=None) as dag:
        Review(files=nothing, policy={}, if_no_files="skip")
        Report(
            case_id=report.case(),
            evidence=[{"files": nothing}],
            output_path=str(tmp_path / "out"),
            if_no_files="skip",
        )
    run = run_whole(dag)
    assert {state for found in states(run).values() for state in found} == {"skipped"}
    assert (submission.creations(), report.creations()) == (0, 0)


def test_a_review_per_campaign(submission: SubmissionJob, tmp_path: Path) -> None:
    submission.takes(SOON)
    campaigns = [
        [submission.file(name, "Limited time.") for name in names]
        for names in (("a.txt", "b.txt"), ("c.txt",))
    ]
    for landed in (False, True):
        with DAG(f"group_campaigns_{landed}", schedule=None) as dag:

            @task_group
            def campaign(files: list[str], landed: bool = landed) -> None:
                Review(
                    files=files,
                    topics=True,
                    policy={},
                    output_path=f"{tmp_path}/out" if landed else None,
                    document_path=f"{tmp_path}/{landed}-{{{{ ti.map_index }}}}.html",
                )

            campaign.expand(files=campaigns)
        run = run_whole(dag)
        assert run.state == "success", states(run)
        read = {
            ti.map_index: ti.xcom_pull(task_ids="campaign.review.issues", map_indexes=ti.map_index)
            for ti in run.get_task_instances()
            if ti.task_id == "campaign.review.issues"
        }
        names = {
            ti.map_index: ti.rendered_map_index
            for ti in run.get_task_instances()
            if ti.task_id in ("campaign.review.submit", "campaign.review.issues")
        }
        assert names == {0: "a.txt + 1 more", 1: "c.txt"}
        for number, name in enumerate(("b.txt", "c.txt")):
            assert f">{name}<" in (tmp_path / f"{landed}-{number}.html").read_text()
        if landed:
            assert [read[number]["rows"] for number in (0, 1)] == [2, 1]
            assert len(list((tmp_path / "out").glob("*.topics.json"))) == 2
        else:
            files = {number: {issue["filename"] for issue in issues} for number, issues in read.items()}
            assert files == {0: {"a.txt", "b.txt"}, 1: {"c.txt"}}


def test_a_mapped_gate_can_only_fail() -> None:
    @task_group
    def campaign(files: list[str]) -> None:
        Review(files=files, policy={}, on_blocked="skip")

    with DAG("group_mapped_skip", schedule=None), pytest.raises(InvalidInputError, match="on_blocked"):
        campaign.expand(files=[["a.txt"]])


def test_a_report_per_claim(report: ReportJob, tmp_path: Path) -> None:
    report.takes(SOON)
    claims = []
    for number in range(2):
        photo = tmp_path / f"rear_{number}.jpg"
        photo.write_bytes(picture())
        claims.append({"case_id": report.case(), "case_name": f"Claim {number}", "photo": str(photo)})
    with DAG("group_claims", schedule=None) as dag:

        @task
        def evidence(claim: dict[str, str]) -> list[dict[str, Any]]:
            return [
                {"files": [claim["photo"]], "vehicle_role": "plaintiff"},
                {"files": [claim["photo"]], "vehicle_role": "defendant"},
            ]

        @task
        def taken(claim: dict[str, str], what: str) -> str:
            return claim[what]

        of: Any = taken

        @task_group
        def claim_report(claim: dict[str, str]) -> None:
            Report(
                case_id=of.override(task_id="case_id")(claim, "case_id"),
                case_name=of.override(task_id="case_name")(claim, "case_name"),
                evidence=evidence(claim),
                output_path=str(tmp_path / "out"),
                formats=["pdf"],
            )

        claim_report.expand(claim=claims)
    run = run_whole(dag)
    assert run.state == "success", states(run)
    assert len(list((tmp_path / "out").glob("*.pdf"))) == len(report.seen()) == 2
    reports = [ti for ti in run.get_task_instances() if ti.task_id == "claim_report.report.report"]
    assert {ti.rendered_map_index for ti in reports} == {"Claim 0", "Claim 1"}
    sent = [ti for ti in run.get_task_instances() if ti.task_id == "claim_report.report.evidence"]
    results = [ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index) for ti in sent]
    assert [[len(files) for files in result] for result in results] == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    "evidence",
    [
        "rear.jpg",
        {"files": ["rear.jpg"]},
        [["rear.jpg"]],
        [{"category": "vehicle_photo"}],
        [{"files": [], "colour": "red"}],
    ],
)
def test_evidence_that_is_none_is_named_before_anything_is_sent(
    report: ReportJob, task_run: Any, evidence: Any
) -> None:
    run = task_run(UploadEvidence, case_id="case", evidence=evidence).test()
    assert getattr(run.error, "parameter", None) == "evidence"
    assert report.simulator.ledger()["requests"] == {}
