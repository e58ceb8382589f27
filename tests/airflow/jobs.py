"""The two jobs, in one vocabulary: how to start one, what decides its end, what the simulator saw of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import requests

from airflow_provider.simulator import Simulator
from tests.airflow.task_run import TaskRun
from tests.conftest import MEDIAMAGIC_KEY, SILENT_WITNESS_KEY
from tests.simulator.talk import OCCUPANT, MediaMagicTalk, SilentWitnessTalk

ENDLESS = 1e7
"""Vendor seconds, for a job that does not end during a test."""

SOON = 20.0
"""Vendor seconds: a third of a real one, so that the first look finds the job running."""

QUICK: dict[str, Any] = {"poll_interval": 0.05}


class Job:
    """What differs between the two jobs."""

    service: ClassVar[str]
    key: ClassVar[str]
    status_path: ClassVar[str]
    create_path: ClassVar[str]
    listed: ClassVar[str]
    id_key: ClassVar[str]

    def __init__(self, simulator: Simulator, task_run: Callable[..., TaskRun], folder: Path) -> None:
        self.simulator = simulator
        self.folder = folder
        self._task_run = task_run

    @property
    def operator(self) -> type[Any]:
        raise NotImplementedError

    @property
    def sensor(self) -> type[Any]:
        raise NotImplementedError

    def task(self, *, retries: int = 0, **arguments: Any) -> TaskRun:
        """A task that has the job done."""
        return self._task_run(self.operator, retries=retries, **{**self.arguments(), **QUICK, **arguments})

    def waiting(self, job_id: str, **arguments: Any) -> TaskRun:
        """A sensor that waits for the job."""
        named = {self.id_key: job_id, "poke_interval": 0.05, **arguments}
        return self._task_run(self.sensor, **named)

    def arguments(self) -> dict[str, Any]:
        """What the operator needs; made anew for every task."""
        raise NotImplementedError

    def order(self) -> str:
        """Start a job as somebody else; returns its id."""
        raise NotImplementedError

    def vendor_says(self, job_id: str) -> dict[str, Any]:
        """The job as the vendor describes it now."""
        path = self.status_path.replace("*", job_id)
        answer = requests.get(f"{self.simulator.url}{path}", headers={"X-API-Key": self.key}, timeout=60)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def result_of(self, job_id: str) -> dict[str, Any]:
        """What a task that waited for the job has to return, told from the vendor's own words."""
        raise NotImplementedError

    def takes(self, duration: float) -> None:
        """How long jobs take from now on, in vendor seconds."""
        self.simulator.script(self.service, duration=duration)

    def fails(self, *, duration: float = SOON) -> None:
        """Let the next jobs fail for a reason that may pass."""
        raise NotImplementedError

    def seen(self) -> list[dict[str, Any]]:
        """The jobs that the vendor has."""
        found: list[dict[str, Any]] = self.simulator.ledger()[self.listed]
        return found

    def requests(self, route: str) -> int:
        """How many requests of ``METHOD /route`` arrived."""
        return int(self.simulator.ledger()["requests"].get(route, 0))

    def creations(self) -> int:
        """How often a job was asked for."""
        return self.requests(f"POST {self.create_path}")


class SubmissionJob(Job):
    """A submission of one text file."""

    service = "mediamagic"
    key = MEDIAMAGIC_KEY
    create_path = "/api/integrations/submissions"
    status_path = "/api/integrations/submissions/*"
    listed = "submissions"
    id_key = "submission_id"

    @property
    def operator(self) -> type[Any]:
        from airflow_provider.operators.mediamagic import MediaMagicCreateSubmissionOperator

        return MediaMagicCreateSubmissionOperator

    @property
    def sensor(self) -> type[Any]:
        from airflow_provider.sensors.mediamagic import MediaMagicSubmissionSensor

        return MediaMagicSubmissionSensor

    def arguments(self) -> dict[str, Any]:
        return {"files": [self.file("claims.txt")]}

    def file(self, name: str, text: str = "A guaranteed cure. It is the number one in the country.") -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def order(self) -> str:
        return self.order_of("A guaranteed cure.")

    def order_of(self, text: str) -> str:
        """A submission, made by somebody else, of one text."""
        talk = MediaMagicTalk(self.simulator)
        talk.key = MEDIAMAGIC_KEY
        return str(talk.submit(talk.upload("ad.txt", text.encode()))["submissionId"])

    def result_of(self, job_id: str) -> dict[str, Any]:
        body = self.vendor_says(job_id)
        assets = [asset["assetId"] for asset in body["assets"]]
        return {**body, "completedAssetIds": assets, "failedAssetIds": []}

    def fails(self, *, duration: float = SOON, **outcome: Any) -> None:
        self.simulator.script(
            self.service,
            duration=duration,
            **{
                "asset_status": "failed",
                "error_message": "Transcoding stopped",
                "error_type": "processing_error",
                "attempts_failing": 99,
                **outcome,
            },
        )


class ReportJob(Job):
    """A report on a case with one photo."""

    service = "silent_witness"
    key = SILENT_WITNESS_KEY
    create_path = "/api/reports"
    status_path = "/api/reports/*"
    listed = "reports"
    id_key = "report_id"

    @property
    def talk(self) -> SilentWitnessTalk:
        talk = SilentWitnessTalk(self.simulator)
        talk.key = SILENT_WITNESS_KEY
        return talk

    @property
    def operator(self) -> type[Any]:
        from airflow_provider.operators.silent_witness import SilentWitnessCreateReportOperator

        return SilentWitnessCreateReportOperator

    @property
    def sensor(self) -> type[Any]:
        from airflow_provider.sensors.silent_witness import SilentWitnessReportSensor

        return SilentWitnessReportSensor

    def arguments(self) -> dict[str, Any]:
        return {"case_id": self.case()}

    def case(self) -> str:
        """A case on which a report can be made."""
        return self.talk.ready_case(analysis_type="accident_injury", occupants=[OCCUPANT])

    def order(self, case_id: str | None = None) -> str:
        """A report that somebody else has started, by default on a case of its own."""
        return str(self.talk.order(case_id or self.case()).json()["data"]["id"])

    def result_of(self, job_id: str) -> dict[str, Any]:
        body = dict(self.vendor_says(job_id)["data"])
        del body["output"]
        return body

    def fails(
        self, *, duration: float = SOON, message: str = "Report generation timed out", **outcome: Any
    ) -> None:
        self.simulator.script(self.service, duration=duration, status="failed", message=message, **outcome)

    def cancels(self) -> list[str]:
        """The reports that somebody asked to cancel."""
        return [one["report_id"] for one in self.simulator.ledger()["cancels"]]

    def running(self) -> list[str]:
        """The reports that have not ended."""
        return list(self.simulator.ledger()["running_ids"])
