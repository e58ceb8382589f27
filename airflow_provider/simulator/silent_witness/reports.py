"""Reports: order, status, list, cancel (https://docs.silentwitness.ai/api-reference/reports/overview)."""

from __future__ import annotations

import asyncio
import copy
import hashlib
from typing import Any

from airflow_provider.simulator.calls import Call
from airflow_provider.simulator.clock import stamp
from airflow_provider.simulator.keys import SILENT_WITNESS, Caller
from airflow_provider.simulator.replies import Poll, Reply
from airflow_provider.simulator.silent_witness.answers import as_listed, json_object, new_id, success
from airflow_provider.simulator.silent_witness.case_input import BIOMECHANICS
from airflow_provider.simulator.silent_witness.cases import Cases
from airflow_provider.simulator.silent_witness.crash import crash_parameters, of_vehicle
from airflow_provider.simulator.silent_witness.documents import CONTENT_TYPES, write_document
from airflow_provider.simulator.silent_witness.errors import Problem, case_not_found
from airflow_provider.simulator.silent_witness.files import Files
from airflow_provider.simulator.silent_witness.model import Case, Evidence, Report
from airflow_provider.simulator.silent_witness.sections import SCHEMA_VERSION, build_sections
from airflow_provider.simulator.storage import Document, Storage
from airflow_provider.simulator.world import World

TECHNICAL_REPORT = "technical_report"
LINK_LIFETIME = 3600.0
#: Vendor seconds that a report takes, shortest and longest.
DURATION, DEMO_DURATION = (120, 300), (30, 60)
#: Vendor seconds in ``pending``, as long as that leaves most of the time to ``processing``.
PENDING = 5.0

_STEPS = {
    "accident_only": ("delta_v_calculation", "report_generation"),
    "delta_v_only": ("delta_v_calculation", "report_generation"),
    "biomechanics_only": ("biomechanics_analysis", "report_generation"),
    "accident_injury": ("delta_v_calculation", "biomechanics_analysis", "report_generation"),
}
_POOR_PHOTOS = "Delta-V calculation failed: insufficient image quality"


class Reports:
    """All reports, by id."""

    def __init__(self, world: World, cases: Cases, files: Files, storage: Storage) -> None:
        self._world = world
        self._cases = cases
        self._files = files
        self._storage = storage
        self._all: dict[str, Report] = {}
        self._writing: dict[str, asyncio.Lock] = {}
        cases.report_shown = self._summary
        cases.crash_of = self._crash
        cases.analysis_status = self._analysis_status
        storage.serve("reports", self._document)

    def reset(self) -> None:
        """Forget all."""
        self._all.clear()
        self._writing.clear()

    async def create(self, call: Call, caller: Caller) -> Reply:
        """``POST /api/reports``."""
        data = await json_object(call, "report_invalid_body")
        case_id, kind, options = data.get("case_id"), data.get("type"), data.get("options") or {}
        if not isinstance(case_id, str) or not case_id:
            raise Problem(400, "case_id_missing", "case_id is required", "case_id")
        if kind is None:
            raise Problem(400, "report_type_missing", "type is required", "type")
        if kind != TECHNICAL_REPORT:
            message = f"Invalid report type: {kind}. Supported types: {TECHNICAL_REPORT}"
            raise Problem(400, "report_type_invalid", message, "type")
        if not isinstance(options, dict) or not isinstance(options.get("use_demo_data", False), bool):
            raise Problem(400, "report_options_invalid", "options must be an object", "options")
        case = self._cases.get(case_id, caller)
        if case is None:
            raise case_not_found("case_id")
        demo = options.get("use_demo_data", False)
        evidence = Evidence(copy.deepcopy(case), self._files.of_case(case), demo)
        self._check_prerequisites(evidence)
        report = self._ordered(evidence, caller)
        self._all[report.id] = report
        case.report_ids.append(report.id)
        return success(self._shown(call, report, self._world.clock.now()))

    async def read(self, call: Call, caller: Caller) -> Reply:
        """``GET /api/reports/:id``, by report or case id; unknown is ``null``, not 404."""
        report = self._all.get(call.params[0])
        if report is None:
            case = self._cases.get(call.params[0], caller)
            report = self._newest(case) if case is not None else None
        if report is None or report.account_id != caller.account_id:
            return success(None)
        if self._world.too_new(report.created_at):
            return success(None)
        now = self._world.clock.now()
        reply = success(self._shown(call, report, now))
        reply.poll = Poll(report.id, now >= report.finished_at)
        return reply

    async def index(self, call: Call, caller: Caller) -> Reply:
        """``GET /api/reports?case_id=``, newest first."""
        case_id = call.query.get("case_id")
        if not case_id:
            raise Problem(400, "case_id_missing", "case_id query parameter is required", "case_id")
        case = self._cases.get(case_id, caller)
        now = self._world.clock.now()
        reports = [self._all[one] for one in reversed(case.report_ids)] if case else []
        settings = self._world.settings
        rows = [
            as_listed(self._row(one, now), settings.list_times)
            for one in reports
            if not self._world.too_new(one.created_at)
        ]
        listed = None if settings.null_lists and not rows else rows
        return success({"reports": listed, "total": len(rows)})

    async def cancel(self, call: Call, caller: Caller) -> Reply:
        """``DELETE /api/reports/:id``."""
        report = self._all.get(call.params[0])
        now = self._world.clock.now()
        answer = "not_found"
        if report is not None and report.account_id == caller.account_id:
            answer = report.status(now)
        accepted = answer in ("pending", "processing")
        self._world.ledger.cancels.append(
            {"report_id": call.params[0], "at": now, "status_before": answer, "accepted": accepted}
        )
        if answer == "not_found" or report is None:
            raise Problem(404, "report_not_found", "Report not found", "id")
        if not accepted:
            raise Problem(400, "report_not_cancellable", f"Cannot cancel a {answer} report", "id")
        report.cancelled_at = now
        return success({"id": report.id, "status": "cancelled", "message": "Report generation cancelled"})

    def ledger(self) -> list[dict[str, Any]]:
        """All, as the ledger lists them."""
        now = self._world.clock.now()
        return [
            {
                "id": report.id,
                "case_id": report.case_id,
                "created_at": report.created_at,
                "status": report.status(now),
                "terminal": report.status(now) not in ("pending", "processing"),
                "finished_at": report.finished_at,
                "cancelled_at": report.cancelled_at,
                "demo": report.evidence.demo,
                "key_hash": report.evidence.case.key_hash,
            }
            for report in self._all.values()
        ]

    def _check_prerequisites(self, evidence: Evidence) -> None:
        case, settings = evidence.case, self._world.settings
        if not case.vehicles:
            raise _unmet("At least one vehicle is required", "vehicles")
        needs_evidence = (
            settings.biomechanics_only_needs_evidence or case.analysis_type != "biomechanics_only"
        )
        if evidence.demo and settings.demo_without_evidence:
            needs_evidence = False
        if needs_evidence and not of_vehicle(evidence, "plaintiff"):
            raise _unmet("Damage photos or an EDR report are required for the plaintiff vehicle", "vehicles")
        if case.analysis_type in BIOMECHANICS and not case.occupants:
            raise _unmet(f"Occupants are required for {case.analysis_type}", "occupants")
        extracted = any(file.category == "tcr_document" for file in evidence.files)
        if not case.accident.get("date") and not extracted:
            raise _unmet("An accident date is required", "accident.date")

    def _ordered(self, evidence: Evidence, caller: Caller) -> Report:
        case, clock = evidence.case, self._world.clock
        shortest, longest = DEMO_DURATION if evidence.demo else DURATION
        spread = int(hashlib.sha256(f"{case.name}\n{case.analysis_type}".encode()).hexdigest()[:8], 16)
        seconds = float(shortest + spread % (longest - shortest + 1))
        failure = _failure(evidence)
        script = self._world.scripts.pick(
            SILENT_WITNESS,
            case_id=case.id,
            case_name=case.name,
            plaintiff_name=case.plaintiff_name,
            analysis_type=case.analysis_type,
        )
        if script is not None:
            seconds = seconds if script.duration is None else script.duration
            if script.status is not None:
                failure = (
                    (script.message or "Report generation timed out") if script.status == "failed" else None
                )
        now = clock.now()
        return Report(
            id=new_id("rpt"),
            case_id=case.id,
            account_id=caller.account_id,
            created_at=now,
            pending_until=now + clock.real(min(PENDING, seconds / 5)),
            ends_at=now + clock.real(seconds),
            steps=_STEPS[case.analysis_type],
            evidence=evidence,
            failure=failure,
        )

    def _newest(self, case: Case) -> Report | None:
        return self._all[case.report_ids[-1]] if case.report_ids else None

    def _row(self, report: Report, now: float) -> dict[str, Any]:
        return {
            "id": report.id,
            "case_id": report.case_id,
            "type": TECHNICAL_REPORT,
            "status": report.status(now),
            "created_at": stamp(report.created_at),
        }

    def _shown(self, call: Call, report: Report, now: float) -> dict[str, Any]:
        row = self._row(report, now)
        status = row["status"]
        updated = report.finished_at if now >= report.finished_at else max(report.created_at, now)
        return {
            **row,
            "progress": report.progress(now, status),
            "output": self._output(call, report) if status == "completed" else None,
            "updated_at": stamp(updated),
        }

    def _output(self, call: Call, report: Report) -> dict[str, Any]:
        return {
            **self._links(call, report),
            "report": {"schema_version": SCHEMA_VERSION, "sections": _sections(report)},
        }

    def _links(self, call: Call, report: Report) -> dict[str, str]:
        return {
            f"{extension}_url": self._storage.download_url(
                call.hostname, f"/reports/{report.id}/technical_report.{extension}", LINK_LIFETIME
            )
            for extension in CONTENT_TYPES
        }

    async def _document(self, rest: str) -> Document | None:
        report_id, _, name = rest.partition("/")
        extension = name.rpartition(".")[2]
        report = self._all.get(report_id)
        if report is None or extension not in CONTENT_TYPES:
            return None
        path = self._world.data_dir / "reports" / f"{report_id}.{extension}"
        # One at a time, so that two readers of a new report get the same bytes.
        async with self._writing.setdefault(str(path), asyncio.Lock()):
            if not path.exists():
                await asyncio.to_thread(write_document, report, _sections(report), extension, path)
        return Document(path, CONTENT_TYPES[extension])

    def _summary(self, call: Call, case: Case) -> dict[str, Any] | None:
        report = self._newest(case)
        if report is None:
            return None
        row = self._row(report, self._world.clock.now())
        links: dict[str, str | None] = {"pdf_url": None, "docx_url": None}
        if row["status"] == "completed":
            links.update(self._links(call, report))
        return {
            **{name: row[name] for name in ("id", "status", "type")},
            **links,
            "created_at": row["created_at"],
        }

    def _crash(self, case: Case, role: str) -> dict[str, Any] | None:
        now = self._world.clock.now()
        done = [one for one in map(self._all.__getitem__, case.report_ids) if one.status(now) == "completed"]
        return crash_parameters(done[-1].evidence, role, done[-1].ends_at) if done else None

    def _analysis_status(self, case: Case) -> dict[str, Any]:
        report = self._newest(case)
        status = "none"
        if report is not None:
            seen = report.status(self._world.clock.now())
            status = {"pending": "processing", "processing": "processing", "completed": "completed"}.get(
                seen, "none"
            )
        status = self._world.settings.list_status or status
        crash = status if case.analysis_type != "biomechanics_only" else "none"
        biomechanics = status if case.analysis_type in BIOMECHANICS else "none"
        return {
            "accident_reconstruction": {"status": crash},
            "biomechanics_analysis": {"status": biomechanics},
            "technical_report": {"status": status},
        }


def _sections(report: Report) -> list[dict[str, Any]]:
    if report.sections is None:
        report.sections = build_sections(report)
    return report.sections


def _failure(evidence: Evidence) -> str | None:
    """Photos whose names say that they are blurry, and nothing else, cannot be analysed."""
    if evidence.demo or evidence.case.analysis_type == "biomechanics_only":
        return None
    files = of_vehicle(evidence, "plaintiff")
    return _POOR_PHOTOS if files and all("blurry" in file.name.lower() for file in files) else None


def _unmet(message: str, param: str) -> Problem:
    return Problem(422, "report_prerequisites_not_met", message, param)
