"""A night's jobs in Airflow's database: written by its own models, as a scheduler and workers would have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG
from airflow.triggers.base import BaseTrigger

from airflow_provider.core.jobs.turn_trigger import TurnTrigger
from airflow_provider.operators.mediamagic import MediaMagicComplianceGateOperator as Gate
from airflow_provider.operators.mediamagic import MediaMagicCreateSubmissionOperator as Submit
from airflow_provider.operators.mediamagic import MediaMagicGetIssuesOperator as GetIssues
from airflow_provider.operators.mediamagic import MediaMagicGetTopicsOperator as GetTopics
from airflow_provider.operators.silent_witness import SilentWitnessCreateCaseOperator as CreateCase
from airflow_provider.operators.silent_witness import SilentWitnessCreateReportOperator as CreateReport
from airflow_provider.operators.silent_witness import SilentWitnessDownloadReportOperator as DownloadReport
from tests.airflow.task_run import _new_run, as_stored, fresh_session, register

HOSTILE = "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">"


class HouseReview(Submit):
    """A user's class."""


class HouseIssues(GetIssues):
    """A user's class."""


class HouseGate(Gate):
    """A user's class."""


class HouseReport(CreateReport):
    """A user's class, which tasks are mapped from."""


class Night:
    """
    One Dag run of mapped tasks.

    :param dag: its tasks.
    """

    def __init__(self, dag: DAG) -> None:
        register(dag)
        self.dag_id = dag.dag_id
        self.session = fresh_session()
        self.run_id = _new_run(dag, self.session)
        self._stored = as_stored(dag)
        self.now = datetime.now(UTC)

    def add(
        self,
        task_id: str,
        number: int = -1,
        *,
        state: str = "success",
        name: str | None = None,
        ago: float = 600.0,
        took: float = 130.0,
        trigger: type[BaseTrigger] | None = None,
        **xcoms: Any,
    ) -> None:
        """
        Add a task instance, or give that of a task that is not mapped its state; with its XComs.

        :param trigger: what a deferred one waits for.
        """
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.trigger import Trigger
        from airflow.models.xcom import XComModel
        from sqlalchemy import select

        place: dict[str, Any] = {"dag_id": self.dag_id, "task_id": task_id, "run_id": self.run_id}
        ti = self.session.scalars(
            select(TaskInstance).filter_by(**place).where(TaskInstance.map_index.in_([number, -1]))
        ).first()
        if ti is None or (number >= 0 and ti.map_index != number):
            version = self.session.scalars(select(TaskInstance.dag_version_id).filter_by(dag_id=self.dag_id))
            ti = TaskInstance(
                self._stored.get_task(task_id), version.first(), run_id=self.run_id, map_index=number
            )
            self.session.add(ti)
        ti.state, ti.try_number = state, 1
        ti.start_date = self.now - timedelta(seconds=ago)
        if state in ("success", "failed"):
            ti.end_date = ti.start_date + timedelta(seconds=took)
            ti.duration = took
        ti._rendered_map_index = name
        if trigger is not None:
            ti.trigger = Trigger(f"{trigger.__module__}.{trigger.__qualname__}", {})
        self.session.flush()
        for key, value in xcoms.items():
            XComModel.set(key, value, **place, map_index=number, session=self.session)

    def save(self) -> Night:
        """Write it."""
        self.session.commit()
        return self


def forget_runs() -> None:
    """Take the runs of other tests out of the database."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import delete

    session = fresh_session()
    session.execute(delete(TaskInstance))
    session.execute(delete(DagRun))
    session.commit()


def thousand_jobs(count: int = 1000) -> list[Night]:
    """
    Half submissions, half reports. Of each half the first five run, one waits for its turn on the key, one
    was cancelled, and two in a hundred failed.
    """
    half = count // 2
    with DAG("nightly_spots", schedule=None) as spots:
        Submit.partial(task_id="review").expand(files=[[f"spot_{n:03}.mp4"] for n in range(half)])
    with DAG("nightly_claims", schedule=None) as claims:
        CreateReport.partial(task_id="report").expand(case_id=[f"case_{n}" for n in range(half)])
    nights = []
    for dag, task_id, prefix, key in (
        (spots, "review", "sub", "submission_id"),
        (claims, "report", "rpt", "report_id"),
    ):
        night = Night(dag)
        begun = night.now.timestamp()
        for n in range(half):
            name = f"spot_{n:03}.mp4" if prefix == "sub" else f"Case {n} v. Insurance"
            job: dict[str, Any] = {key: f"{prefix}_{n:04}"}
            state = "deferred" if n < 6 else "failed" if n == 6 or n % 50 == 7 else "success"
            if n == 5:
                job = {}
            elif state == "deferred":
                job["job_expected"] = {
                    "job_id": job[key],
                    "name": name,
                    "submitted_at": begun - 60.0,
                    "usual_seconds": [120.0, 300.0],
                    "deadline": begun + 600.0,
                    "paid_requests": 1,
                }
                job["job_progress"] = {
                    "job_id": job[key],
                    "status": "processing",
                    "progress": "40%" if prefix == "sub" else "Reading the damage profile",
                    "fraction": 0.4 if prefix == "sub" else None,
                    "status_requests": 3,
                    "seen_at": begun,
                }
            else:
                job["job_summary"] = {
                    "job_id": job[key],
                    "name": name,
                    "status": "cancelled" if n == 6 else "failed" if state == "failed" else "complete",
                    "paid_requests": 2 if n == 20 else 1,
                    "status_requests": 4,
                    "waited_seconds": 131.0,
                }
            night.add(
                task_id,
                n,
                state=state,
                name=name,
                ago=60.0 if n < 6 else 600.0 + n,
                trigger=TurnTrigger if n == 5 else None,
                **job,
            )
        nights.append(night.save())
    return nights


def issue(severity: str, filename: str, number: int, text: str, **more: Any) -> dict[str, Any]:
    """An issue as ``MediaMagicGetIssuesOperator`` returns it."""
    return {
        "id": f"{filename}-{number}",
        "referenceNumber": number,
        "ruleCode": f"CAP_{number}.1",
        "summary": text,
        "severity": severity,
        "status": "OPEN",
        "severityReasoningHeadline": "Likely to be banned" if severity == "CRITICAL" else "Worth correcting",
        "severityReasoning": f"Rule CAP_{number}.1 is rated {severity} for this kind of content.",
        "precedents": [{"title": "Brand X cereal", "decision": "Upheld", "date": "2024-01-01"}],
        "rule": {"code": f"CAP_{number}.1", "title": "Misleading advertising"},
        "assetId": f"asset-{filename}",
        "filename": filename,
        **more,
    }


FOUND = {
    "spot_kids_30s.mp4": [
        issue("CRITICAL", "spot_kids_30s.mp4", 12, 'Claims that the drink "cures colds" in children.'),
        issue("MAJOR", "spot_kids_30s.mp4", 5, 'Direct appeal to children to buy: "Ask your parents now!"'),
        issue("MINOR", "spot_kids_30s.mp4", 3, "The price does not say that it is without VAT."),
    ],
    "radio_de.wav": [
        issue("MAJOR", "radio_de.wav", 8, '"The number one" without evidence.', status="ACKNOWLEDGED"),
        issue("INFO", "radio_de.wav", 2, "The brand is named four times."),
    ],
    "poster.pdf": [
        issue("MINOR", "poster.pdf", 4, f"Small print is hard to read {HOSTILE}"),
        issue("MINOR", "poster.pdf", 6, '=HYPERLINK("https://elsewhere.example","terms")'),
    ],
    "banner.png": [],
}


def blocked_review() -> Night:
    """A review of four files, which the gate has blocked."""
    with DAG("spring_campaign", schedule=None) as dag:
        Submit(task_id="submit", files=list(FOUND))
        for reader, task_id in ((GetIssues, "issues"), (GetTopics, "topics")):
            reader.partial(task_id=task_id, submission_id="sub_1").expand(
                asset_id=[f"a{n}" for n in range(4)]
            )
        Gate(task_id="gate", submission_id="sub_1")
    night = Night(dag)
    night.add("submit", submission_id="sub_1")
    for number, (name, issues) in enumerate(FOUND.items()):
        night.add("issues", number, name=name, return_value=issues)
        topics = [{"title": "Appeal to children", "severity": "CRITICAL", "issues": issues[:2]}]
        night.add(
            "topics",
            number,
            name=name,
            return_value={"assetId": f"asset-{name}", "filename": name, "topics": topics[: len(issues) // 3]},
        )
    blocking = [
        one for issues in FOUND.values() for one in issues if one["severity"] in ("CRITICAL", "MAJOR")
    ]
    verdict = {
        "passed": False,
        "judged": 7,
        "counts": {"CRITICAL": 1, "MAJOR": 2},
        "reasons": ["1 CRITICAL (none allowed)", "2 MAJOR (none allowed)"],
        "blockingCount": 3,
        "blocking": blocking,
        "message": "",
        "document": {"path": "s3://legal/spring.html"},
    }
    night.add("gate", state="failed", return_value=verdict)
    return night.save()


def classes_of_users() -> Night:
    """A blocked review and two reports, all by classes that users have made of this package's."""
    with DAG("house_classes", schedule=None) as dag:
        HouseReview(task_id="submit", files=["poster.pdf"])
        HouseIssues(task_id="issues", submission_id="sub_9")
        HouseGate(task_id="gate", submission_id="sub_9")
        HouseReport.partial(task_id="report").expand(case_id=["case_8", "case_9"])
    night = Night(dag)
    issues = FOUND["spot_kids_30s.mp4"][:1]
    verdict = {
        "passed": False,
        "reasons": ["1 CRITICAL (none allowed)"],
        "blockingCount": 1,
        "blocking": issues,
    }

    def job(job_id: str, name: str) -> dict[str, Any]:
        summary = {
            "job_id": job_id,
            "name": name,
            "status": "complete",
            "paid_requests": 1,
            "status_requests": 2,
        }
        return {"job_expected": {"job_id": job_id, "name": name}, "job_summary": summary}

    night.add("submit", submission_id="sub_9", **job("sub_9", "poster.pdf"))
    night.add("issues", return_value=issues)
    night.add("gate", state="failed", return_value=verdict)
    for number in range(2):
        case = f"Claim {number}"
        night.add("report", number, name=case, report_id=f"rpt_{number}", **job(f"rpt_{number}", case))
    return night.save()


def written_report() -> Night:
    """A report whose documents are in a bucket with a console."""
    with DAG("claims_of_today", schedule=None) as dag:
        CreateCase(
            task_id="case",
            plaintiff_name="Ada Smith",
            defendant_name="Ben Johnson",
            attorney_name="Carla Gomez",
        )
        CreateReport(task_id="report", case_id="case_1", case_name="Smith v. Johnson")
        DownloadReport(task_id="download", report_id="rpt_1", output_path="s3://reports")
    night = Night(dag)
    parties = {"plaintiff_name": "Ada Smith", "defendant_name": "Ben Johnson", "attorney_name": "Carla Gomez"}
    night.add("case", return_value={"case": {"id": "case_1", "name": "Smith v. Johnson", **parties}})
    night.add("report", return_value={"id": "rpt_1", "case_id": "case_1", "status": "completed"})
    ids = {"report_id": "rpt_1", "case_id": "case_1"}
    night.add(
        "download",
        return_value=[
            {"path": "s3://reports/rpt_1.pdf", "bytes": 48_211, **ids},
            {"path": "s3://reports/rpt_1.docx", "bytes": 31_070, **ids},
        ],
        _link_ReportPdfLink="https://console.aws.amazon.com/s3/object/reports?prefix=rpt_1.pdf",
        _link_ReportDocxLink="javascript:document.title='broken'",
    )
    return night.save()


def report_in_one_task() -> Night:
    """A report that the task which ordered it has downloaded too."""
    with DAG("claims_in_one_task", schedule=None) as dag:
        CreateReport(task_id="report", case_id="case_2", output_path="s3://reports")
    night = Night(dag)
    night.add(
        "report",
        return_value={
            "id": "rpt_2",
            "case_id": "case_2",
            "status": "completed",
            "documents": [{"path": "s3://reports/rpt_2.pdf", "bytes": 48_211, "report_id": "rpt_2"}],
        },
        _link_ReportPdfLink="https://console.aws.amazon.com/s3/object/reports?prefix=rpt_2.pdf",
    )
    return night.save()
