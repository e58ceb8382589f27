"""What tasks in flight hold on to over an upgrade: trigger arguments, events, records, XComs.

The files in ``golden/`` are the shapes that were released. A change that makes a test here fail is one for
users: it needs a changelog line, and a new file beside the old one, which must go on loading.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.core.jobs.ledger import ATTEMPT, KEY, Ledger
from tests.airflow.conftest import RunTask
from tests.airflow.jobs import SOON, Job, ReportJob
from tests.airflow.lone import DAG_RUN, FakeStateStore, FakeTaskInstance
from tests.airflow.task_run import trigger_kwargs
from tests.simulator.talk import picture

GOLDEN = Path(__file__).parent / "golden"
TRIGGERS = ["trigger_submission", "trigger_report", "trigger_report_of_case"]
STORED = {"submission": "trigger_submission", "report": "trigger_report_of_case"}
"""What this version stores."""


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def _trigger(classpath: str, kwargs: dict[str, Any]) -> Any:
    from importlib import import_module

    module, _, name = classpath.rpartition(".")
    return getattr(import_module(module), name)(**kwargs)


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_is_rebuilt_from_what_it_was_stored_as(name: str) -> None:
    stored = golden(name)
    classpath, kwargs = _trigger(stored["classpath"], stored["kwargs"]).serialize()
    assert (classpath, kwargs) == (stored["classpath"], stored["kwargs"])


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_ignores_what_a_later_version_adds(name: str) -> None:
    stored = golden(name)
    trigger = _trigger(stored["classpath"], {**stored["kwargs"], "added_later": {"x": 1}})
    assert trigger.serialize()[1] == stored["kwargs"]


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_needs_no_more_than_the_oldest_arguments(name: str) -> None:
    trigger = _trigger(golden(name)["classpath"], golden("trigger_oldest"))
    assert trigger.job_id == golden("trigger_oldest")["job_id"]


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_survives_airflows_own_serialization(name: str) -> None:
    from airflow.models.trigger import Trigger

    stored = golden(name)
    row = Trigger.from_object(_trigger(stored["classpath"], stored["kwargs"]))
    assert row.classpath == stored["classpath"]
    assert row.kwargs == stored["kwargs"]


def test_a_deferring_task_stores_exactly_these_arguments(job: Job) -> None:
    job.takes(SOON)
    run = job.task(deferrable=True).attempt(until_deferred=True)
    stored = golden(STORED[job.listed[:-1]])
    (deferral,) = run.recorder.deferrals
    kwargs = trigger_kwargs(deferral)
    assert (deferral.classpath, set(kwargs)) == (stored["classpath"], set(stored["kwargs"]))
    assert deferral.next_method == "execute_complete"
    assert json.loads(json.dumps(kwargs)) == kwargs


def test_an_event_has_exactly_these_fields(job: Job) -> None:
    job.takes(SOON)
    run = job.task(deferrable=True).test()
    (event,) = run.recorder.events
    assert {name: type(value) for name, value in event.items()} == {
        name: type(value) for name, value in golden("event").items()
    }


@pytest.mark.parametrize("status", ["success", "failed", "cancelled", "timeout", "error"])
def test_an_event_of_every_released_shape_is_taken(report: ReportJob, status: str) -> None:
    report.takes(SOON)
    run = report.task(deferrable=True).attempt(until_deferred=True)
    report.simulator.advance(SOON)
    run.resume({**golden("event"), "status": status, "job_id": report.seen()[0]["id"]})
    assert run.state == "success", "the job itself is over and good, whatever the event said"


def test_an_event_with_no_more_than_status_and_id_is_taken(report: ReportJob) -> None:
    report.takes(SOON)
    run = report.task(deferrable=True).attempt(until_deferred=True)
    report.simulator.advance(SOON)
    run.resume({"status": "success", "job_id": report.seen()[0]["id"]})
    assert run.state == "success"


def test_a_record_is_read_and_written_as_it_was() -> None:
    store = FakeStateStore({KEY: golden("record")})
    context: Any = {"ti": FakeTaskInstance(max_tries=2), "dag_run": DAG_RUN, "task_state_store": store}
    ledger = Ledger.of(context)
    entry = ledger.read()
    assert entry is not None
    ledger.write(entry)
    assert {name: value for name, value in store.values[KEY].items() if name != ATTEMPT} == golden("record")


def test_a_task_records_exactly_these_fields(job: Job) -> None:
    job.takes(SOON)
    run = job.task(deferrable=True).attempt(until_deferred=True)
    assert run.record is not None
    assert set(run.record) - {ATTEMPT} == set(golden("record"))


def test_the_records_key_is_a_contract() -> None:
    assert KEY == "airflow_provider_job"


# -- XComs ----


def shape(value: Any) -> Any:
    """The value with its types in place of its content; of a list the first element stands for all."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def test_the_xcoms_of_every_operator_have_their_released_shape(
    submission: Any, report: ReportJob, task_run: RunTask, tmp_path: Path
) -> None:
    from airflow_provider.operators import mediamagic, silent_witness

    for service in ("mediamagic", "silent_witness"):
        submission.simulator.script(service, duration=0)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(picture())
    parties = {"plaintiff_name": "Ann Smith", "defendant_name": "Bob Jones", "attorney_name": "Cleo Park"}
    reviewed = submission.task(deferrable=False).test()
    asset = {
        "submission_id": reviewed.value["submissionId"],
        "asset_id": reviewed.value["completedAssetIds"][0],
    }
    made = report.task(deferrable=False).test()
    report_id = made.value["id"]
    runs = {
        "MediaMagicCreateSubmissionOperator": reviewed,
        "SilentWitnessCreateReportOperator": made,
    }
    for cls, arguments in (
        (mediamagic.MediaMagicUploadFilesOperator, {"files": [submission.file("x.txt")]}),
        (mediamagic.MediaMagicGetAssetResultOperator, asset),
        (mediamagic.MediaMagicGetIssuesOperator, asset),
        (mediamagic.MediaMagicGetTopicsOperator, asset),
        (silent_witness.SilentWitnessCreateCaseOperator, parties),
        (
            silent_witness.SilentWitnessUploadEvidenceOperator,
            {"case_id": report.case(), "files": [str(photo)]},
        ),
        (
            silent_witness.SilentWitnessDownloadReportOperator,
            {"report_id": report_id, "output_path": str(tmp_path / "out")},
        ),
        (silent_witness.SilentWitnessCancelReportOperator, {"report_id": report_id}),
    ):
        runs[cls.__name__] = task_run(cls, **arguments).test()
    found = {
        name: {
            "return_value": shape(run.value),
            "other_keys": sorted(set(run.xcoms) - {"return_value", KEY}),
        }
        for name, run in runs.items()
    }
    assert found == golden("xcoms")
