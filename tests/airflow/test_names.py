"""Names in the web interface in place of map indexes, and what the log says while a job is waited for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider.core.jobs.progress import EXPECTED_KEY, PROGRESS_KEY
from airflow_provider.operators.mediamagic import MediaMagicCreateSubmissionOperator as Submit
from airflow_provider.operators.mediamagic import MediaMagicGetIssuesOperator as GetIssues
from airflow_provider.operators.silent_witness import SilentWitnessCreateReportOperator as CreateReport
from tests.airflow.conftest import RunTask
from tests.airflow.jobs import ENDLESS, QUICK, SOON, Job, ReportJob, SubmissionJob
from tests.airflow.task_run import fresh_session
from tests.airflow.test_task_groups import run_whole

pytestmark = pytest.mark.usefixtures("airflow_db")

NAMES = ["radio.txt", "{{ var.value.secret }}.txt"]


def shown(run: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for ti in sorted(run.get_task_instances(), key=lambda ti: ti.map_index):
        found.setdefault(ti.task_id, []).append(ti.rendered_map_index)
    return found


def test_mapped_tasks_are_called_by_their_files(
    submission: SubmissionJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_SECRET", "what-nobody-sees")
    submission.takes(SOON)
    files = [[submission.file(name)] for name in NAMES]
    with DAG("named_files", schedule=None, render_template_as_native_obj=True) as dag:
        reviews = Submit.partial(task_id="submit", deferrable=True, **QUICK).expand(files=handed_on(files))
        GetIssues.partial(task_id="issues").expand(
            submission_id=reviews.output.map(lambda one: one["submissionId"])
        )
    run = run_whole(dag)
    assert run.state == "success"
    assert shown(run)["submit"] == NAMES
    issues = [ti for ti in run.get_task_instances() if ti.task_id == "issues"]
    rows = [row for ti in issues for row in ti.xcom_pull(task_ids="issues", map_indexes=ti.map_index)]
    assert {row["filename"] for row in rows} == set(NAMES)
    assert all(row["assetId"] for row in rows)


def test_a_deferred_task_has_its_name(report: ReportJob, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time import comms, supervisor

    if not hasattr(comms, "SetRenderedMapIndex"):
        pytest.skip("Airflow 3.1 takes the name when an attempt ends")
    report.takes(SOON)
    names = []
    run_trigger = supervisor.InProcessTestSupervisor.run_trigger_in_process

    def seen(*, trigger: Any, ti: Any) -> Any:
        names.append(shown_now("named_while_deferred"))
        return run_trigger(trigger=trigger, ti=ti)

    monkeypatch.setattr(supervisor.InProcessTestSupervisor, "run_trigger_in_process", staticmethod(seen))
    with DAG("named_while_deferred", schedule=None) as dag:
        CreateReport.partial(task_id="report", case_name="Smith v. Jones", deferrable=True, **QUICK).expand(
            case_id=[report.case()]
        )
    assert run_whole(dag).state == "success"
    assert {*names} == {"Smith v. Jones"}


def shown_now(dag_id: str) -> str | None:
    """What the grid calls the one task instance of a Dag."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    ti = fresh_session().scalars(select(TaskInstance).filter_by(dag_id=dag_id)).one()
    name: str | None = ti.rendered_map_index
    return name


def handed_on(value: Any) -> Any:
    from airflow.sdk import task

    @task
    def files() -> Any:
        return value

    return files()


def test_a_dags_own_template_wins(report: ReportJob) -> None:
    report.takes(SOON)
    cases = [report.case(), report.case()]
    with DAG("named_by_dag", schedule=None) as dag:
        CreateReport.partial(
            task_id="plain", case_name="{{ 'Smith v. ' ~ ti.map_index }}", deferrable=True, **QUICK
        ).expand(case_id=cases)
        CreateReport.partial(
            task_id="own", map_index_template="case {{ task.case_id }}", deferrable=True, **QUICK
        ).expand(case_id=cases)
    found = shown(run_whole(dag))
    assert found == {"plain": ["Smith v. 0", "Smith v. 1"], "own": [f"case {case}" for case in cases]}


def test_a_deferred_task_says_what_to_expect(job: Job, capfd: pytest.CaptureFixture[str]) -> None:
    job.takes(ENDLESS)
    run = job.task(deferrable=True).attempt(until_deferred=True)
    expected = run.xcoms[EXPECTED_KEY]
    (seen,) = job.seen()
    assert (expected["job_id"], expected["paid_requests"]) == (seen["id"], 1)
    assert expected["deadline"] > expected["submitted_at"]
    (line,) = [line for line in capfd.readouterr().out.splitlines() if "Deferring; " in line]
    for part in (seen["id"], "usually takes 2", " min; next poll about ", " UTC; gives up at "):
        assert part in line


def test_a_worker_that_waits_tells_how_far_the_job_is(report: ReportJob) -> None:
    report.takes(SOON)
    at_first = {"field": "data.status", "value": "processing", "times": 2}
    report.simulator.fault("set_field", report.status_path, "GET", **at_first)
    run = report.task(deferrable=False, **QUICK).test()
    assert run.xcoms[PROGRESS_KEY]["job_id"] == report.seen()[0]["id"]
    assert run.xcoms[PROGRESS_KEY]["status"] in ("pending", "processing")
    json.dumps(run.xcoms[PROGRESS_KEY], allow_nan=False)


def test_who_wants_no_xcom_gets_none(report: ReportJob, deferrable: bool) -> None:
    report.takes(SOON)
    run = report.task(deferrable=deferrable, do_xcom_push=False, **QUICK).test()
    assert {EXPECTED_KEY, PROGRESS_KEY} & run.xcoms.keys() == set()


@pytest.mark.parametrize("asset_id", [None, "{{ none }}", []])
def test_all_assets_are_read_where_none_is_named(
    submission: SubmissionJob, task_run: RunTask, tmp_path: Path, asset_id: Any
) -> None:
    submission.takes(0)
    given = {} if asset_id is None else {"asset_id": asset_id}
    target = str(tmp_path / "issues.jsonl")
    run = task_run(GetIssues, submission_id=submission.order(), output_path=target, **given).test()
    if asset_id is None:
        rows = [json.loads(line) for line in Path(target).read_text().splitlines()]
        assert run.value["rows"] == len(rows) > 0
        assert all(row["asset_id"] and row["filename"] for row in rows)
    else:
        assert getattr(run.error, "parameter", None) == "asset_id"
