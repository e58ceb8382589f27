"""Each request of each operator and sensor is refused once with a 429: the task waits, and does its work."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.hooks.mediamagic import MediaMagicHook
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.operators import mediamagic, silent_witness
from airflow_provider.sensors.mediamagic import MediaMagicSubmissionSensor
from airflow_provider.sensors.silent_witness import SilentWitnessReportSensor
from airflow_provider.simulator import Simulator
from tests.airflow.jobs import ENDLESS, ReportJob, SubmissionJob
from tests.airflow.lone import run
from tests.simulator.talk import picture

pytestmark = pytest.mark.usefixtures("short_waits")

PARTIES: dict[str, Any] = {
    "plaintiff_name": "Ann Smith",
    "defendant_name": "Bob Jones",
    "attorney_name": "Cleo Park",
}


@dataclass
class Bench:
    """What the tasks work on."""

    simulator: Simulator
    submission: SubmissionJob
    report: ReportJob
    folder: Path

    def photos(self, count: int = 2) -> list[str]:
        for number in range(count):
            (self.folder / f"{number}.png").write_bytes(picture((number, 0, 200), (64, 48), "PNG"))
        return [f"{self.folder}/*.png"]

    def reviewed(self) -> str:
        self.simulator.script("mediamagic", duration=0.0)
        return self.submission.order()

    def asset(self, submission_id: str) -> str:
        return str(self.submission.vendor_says(submission_id)["assets"][0]["assetId"])

    def failed_asset(self) -> dict[str, str]:
        self.submission.fails(duration=0.0, attempts_failing=1)
        submission_id = self.submission.order()
        return {"submission_id": submission_id, "asset_id": self.asset(submission_id)}

    def subscription(self) -> str:
        with MediaMagicHook() as hook:
            return str(hook.create_subscription("https://airflow.example.com/webhooks")["id"])

    def written(self) -> str:
        self.report.takes(0.0)
        return self.report.order()

    def running(self) -> str:
        self.report.takes(ENDLESS)
        return self.report.order()

    def named_case(self) -> str:
        name = f"Smith v. Jones {time.time()}"
        SilentWitnessHook().create_case(**PARTIES, name=name)
        return name

    def case(self) -> str:
        return str(SilentWitnessHook().create_case(**PARTIES)["case"]["id"])

    def soon(self) -> dict[str, Any]:
        for service in ("mediamagic", "silent_witness"):
            self.simulator.script(service, duration=3.0)
        return {"poll_interval": 0.1}


TASKS: dict[str, Callable[[Bench], tuple[type[Any], dict[str, Any]]]] = {
    "upload": lambda at: (mediamagic.MediaMagicUploadFilesOperator, {"files": at.photos()}),
    "submission": lambda at: (
        mediamagic.MediaMagicCreateSubmissionOperator,
        {"files": at.photos(), **at.soon()},
    ),
    "asset_retry": lambda at: (
        mediamagic.MediaMagicRetryAssetOperator,
        {**at.failed_asset(), "poll_interval": 0.1},
    ),
    "issues": lambda at: (mediamagic.MediaMagicGetIssuesOperator, {"submission_id": at.reviewed()}),
    "topics": lambda at: (mediamagic.MediaMagicGetTopicsOperator, {"submission_id": at.reviewed()}),
    "result": lambda at: (mediamagic.MediaMagicGetAssetResultOperator, {"submission_id": at.reviewed()}),
    "gate": lambda at: (
        mediamagic.MediaMagicComplianceGateOperator,
        {"submission_id": at.reviewed(), "policy": {"allowed": {"CRITICAL": 9, "MAJOR": 9}}},
    ),
    "switch_off": lambda at: (
        mediamagic.MediaMagicSetSubscriptionEnabledOperator,
        {"subscription_id": at.subscription(), "enabled": False},
    ),
    "subscriptions": lambda at: (mediamagic.MediaMagicListSubscriptionsOperator, {}),
    "deliveries": lambda at: (
        mediamagic.MediaMagicListDeliveriesOperator,
        {"subscription_id": at.subscription()},
    ),
    "submission_sensor": lambda at: (
        MediaMagicSubmissionSensor,
        {"submission_id": at.reviewed(), "poke_interval": 0.1},
    ),
    "case": lambda at: (silent_witness.SilentWitnessCreateCaseOperator, PARTIES),
    "case_reused": lambda at: (
        silent_witness.SilentWitnessCreateCaseOperator,
        {**PARTIES, "name": at.named_case(), "reuse_existing": True},
    ),
    "evidence": lambda at: (
        silent_witness.SilentWitnessUploadEvidenceOperator,
        {"case_id": at.case(), "files": at.photos(3)},
    ),
    "report": lambda at: (
        silent_witness.SilentWitnessCreateReportOperator,
        {"case_id": at.report.case(), "output_path": f"{at.folder}/out", **at.soon()},
    ),
    "download": lambda at: (
        silent_witness.SilentWitnessDownloadReportOperator,
        {"report_id": at.written(), "output_path": f"{at.folder}/out"},
    ),
    "cancel": lambda at: (silent_witness.SilentWitnessCancelReportOperator, {"report_id": at.running()}),
    "report_sensor": lambda at: (
        SilentWitnessReportSensor,
        {"report_id": at.written(), "poke_interval": 0.1},
    ),
}


@pytest.mark.parametrize("name", TASKS)
def test_no_refusal_of_any_request_fails_a_task(
    name: str,
    deferrable: bool,
    simulator: Simulator,
    submission: SubmissionJob,
    report: ReportJob,
    tmp_path: Path,
) -> None:
    at = Bench(simulator, submission, report, tmp_path)
    for number in itertools.count():
        operator, arguments = TASKS[name](at)
        before = _paid(simulator)
        headers = {} if number else {"Retry-After": "1"}
        simulator.fault("status", "/api/*", status=429, headers=headers, skip=number, times=1)
        run(operator(task_id="t", deferrable=deferrable, **arguments))
        (fault,) = simulator.faults()
        assert _paid(simulator) - before == (name in ("submission", "case", "report"))
        if not fault["hits"]:
            break
        SilentWitnessHook().shared_budget("").store.clear()
        simulator.clear_faults()
        simulator.clear_scripts()
    assert number


def _paid(simulator: Simulator) -> int:
    ledger = simulator.ledger()
    return sum(len(ledger[kind]) for kind in ("cases", "reports", "submissions"))
