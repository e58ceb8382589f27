"""What older versions of this package have stored is read by this one; ``make test-upgrade`` runs it all."""

from __future__ import annotations

import asyncio
import json
import pkgutil
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.core.jobs.ledger import ATTEMPT, KEY, Ledger, fingerprint, paid_requests
from airflow_provider.operators import mediamagic, silent_witness
from airflow_provider.operators.mediamagic import MediaMagicCreateSubmissionOperator
from tests.airflow.jobs import ENDLESS, SOON, Job, ReportJob, SubmissionJob
from tests.airflow.lone import DAG_RUN, FakeStateStore, FakeTaskInstance

FOLDER = Path(__file__).parent / "golden"
GOLDEN = json.loads((FOLDER / "fingerprints.json").read_text())
STORED = json.loads((FOLDER / "stored_by_the_first_version.json").read_text())
"""What the first version has left in Airflow's database."""


@pytest.mark.parametrize(
    "asked", GOLDEN["requests"], ids=lambda one: f"{one['operator']}-{len(one['arguments'])}"
)
def test_a_request_is_known_by_the_fingerprint_that_it_had(asked: dict[str, Any]) -> None:
    cls = getattr(mediamagic, asked["operator"], None) or getattr(silent_witness, asked["operator"])
    task = cls(task_id="job", **asked["arguments"])
    requests = [task.request(), task.older_request()]
    assert asked["fingerprint"] in [
        fingerprint(request, connection=GOLDEN["connection"]) for request in requests if request is not None
    ]


@pytest.mark.parametrize("stored", STORED["triggers"], ids=lambda one: one["task"])
def test_a_stored_trigger_ends_its_wait_and_the_task(
    stored: dict[str, Any], submission: SubmissionJob, report: ReportJob
) -> None:
    job: Job = submission if "mediamagic" in stored["classpath"] else report
    job.takes(SOON)
    run = job.task(deferrable=True).attempt(until_deferred=True)
    job_id = job.seen()[0]["id"]
    job.simulator.advance(SOON)
    now = time.time()
    own = {"job_id": job_id, "submitted_at": now, "deadline": now + 60, "poll_interval": 0.05}
    trigger = pkgutil.resolve_name(stored["classpath"])(**stored["kwargs"] | own)
    event = asyncio.run(anext(trigger.run()))
    assert (event.payload["status"], event.payload["job_id"]) == ("success", job_id)
    run.resume(event.payload)
    assert run.state == "success"
    assert len(job.seen()) == 1


@pytest.mark.parametrize("task", STORED["records"])
def test_a_stored_record_is_read_and_keeps_what_it_says(task: str) -> None:
    stored = STORED["records"][task]
    store = FakeStateStore({KEY: stored})
    context: Any = {
        "ti": FakeTaskInstance(max_tries=stored["max_tries"], try_number=2),
        "dag_run": DAG_RUN,
        "task_state_store": store,
    }
    ledger = Ledger.of(context)
    entry = ledger.read()
    assert entry is not None
    assert paid_requests(entry) == 1
    ledger.write(entry)
    assert {name: value for name, value in store.values[KEY].items() if name != ATTEMPT} == stored


@pytest.mark.parametrize(("grown", "paid"), [(False, 1), (True, 2)], ids=["same file", "another file"])
def test_a_submission_of_files_is_found_by_the_record_of_the_first_version(
    submission: SubmissionJob, monkeypatch: pytest.MonkeyPatch, grown: bool, paid: int
) -> None:
    submission.takes(ENDLESS)
    ad = Path(submission.file("ad.txt"))
    run = submission.task(files=[str(ad)], deferrable=False, timeout=1, retries=1)

    def first_version(task: Any) -> dict[str, Any]:
        return {
            "files": [[str(ad), ad.stat().st_size]],
            "blob_paths": [],
            "sidekick_ids": [],
            "metadata": {},
            "previous_submission_id": None,
        }

    with monkeypatch.context() as patch:
        patch.setattr(MediaMagicCreateSubmissionOperator, "request", first_version)
        assert run.attempt().state == "up_for_retry"
    if grown:
        ad.write_text("Another text, and a longer one.")
    run.attempt()
    assert len(submission.seen()) == paid
