"""Cases (https://docs.silentwitness.ai/api-reference/cases/overview)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider.simulator.calls import Call
from airflow_provider.simulator.clock import stamp
from airflow_provider.simulator.keys import Caller
from airflow_provider.simulator.replies import Reply
from airflow_provider.simulator.silent_witness import case_input
from airflow_provider.simulator.silent_witness.answers import as_listed, json_object, new_id, page, success
from airflow_provider.simulator.silent_witness.errors import Problem, case_not_found
from airflow_provider.simulator.silent_witness.model import Case, StoredFile, Vehicle
from airflow_provider.simulator.silent_witness.organizations import Organizations
from airflow_provider.simulator.world import World

INVOICE_AMOUNT = 299.00
_VEHICLE_DEFAULTS = {"make": None, "model": None, "year": None, "type": None, "airbag_deployed": "unknown"}


class Cases:
    """All cases, by id.

    :ivar files_of: the files of a case, set by the files module.
    :ivar report_of: summary and findings of its newest report, set by the reports module.
    """

    def __init__(self, world: World, organizations: Organizations) -> None:
        self._world = world
        self._organizations = organizations
        self._all: dict[str, Case] = {}
        self.file_of: Callable[[str], StoredFile | None] = lambda file_id: None
        self.file_shown: Callable[[Call, StoredFile], dict[str, Any]] = lambda call, file: {}
        self.report_shown: Callable[[Call, Case], dict[str, Any] | None] = lambda call, case: None
        self.crash_of: Callable[[Case, str], dict[str, Any] | None] = lambda case, role: None
        self.analysis_status: Callable[[Case], dict[str, Any]] = lambda case: {}

    def reset(self) -> None:
        """Forget all."""
        self._all.clear()

    def get(self, case_id: str, caller: Caller) -> Case | None:
        """One of the caller's cases."""
        case = self._all.get(case_id)
        return case if case is not None and case.account_id == caller.account_id else None

    async def create(self, call: Call, caller: Caller) -> Reply:
        """``POST /api/cases``: a case, and the invoice for it."""
        data = await json_object(call, "case_invalid_body")
        plaintiff, defendant, attorney = (
            case_input.text(data, name, required=True) or ""
            for name in ("plaintiff_name", "defendant_name", "attorney_name")
        )
        case_input.text(data, "user_email")
        organization_id = case_input.text(data, "organization_id")
        if organization_id is not None:
            self._organizations.find(organization_id, caller, "organization_id")
        now = self._world.clock.now()
        case = Case(
            id=new_id("case"),
            account_id=caller.account_id,
            key_hash=caller.key_hash,
            name=case_input.text(data, "name") or f"{plaintiff.split()[-1]} v. {defendant.split()[-1]}",
            plaintiff_name=plaintiff,
            defendant_name=defendant,
            attorney_name=attorney,
            side=case_input.choice(data, "side", case_input.SIDES) or "plaintiff",
            analysis_type=case_input.choice(data, "analysis_type", case_input.ANALYSIS_TYPES)
            or "accident_only",
            organization_id=organization_id,
            created_at=now,
            updated_at=now,
            accident=case_input.accident(data),
        )
        vehicles = case_input.vehicles(data)
        self._occupy(case, case_input.occupants(data, self._world.settings.strict_gender))
        self._merge_vehicles(case, vehicles)
        self._all[case.id] = case
        invoice = {"id": new_id("inv"), "amount": INVOICE_AMOUNT, "status": "pending"}
        created = {"id": case.id, "name": case.name, "plaintiff_name": case.plaintiff_name}
        return success({"case": created, "invoice": invoice}, 201)

    async def read(self, call: Call, caller: Caller) -> Reply:
        """``GET /api/cases/:id``."""
        case = self._find(call, caller)
        if self._world.too_new(case.created_at):
            raise case_not_found()
        return success({"case": self._shown(call, case)})

    async def update(self, call: Call, caller: Caller) -> Reply:
        """``PUT /api/cases/:id``: what is sent changes; vehicles are matched by role, occupants replaced."""
        case = self._find(call, caller)
        data = await json_object(call, "case_invalid_body")
        names = ("name", "plaintiff_name", "defendant_name", "attorney_name")
        changes = {name: case_input.text(data, name, required=True) for name in names if name in data}
        changes["side"] = case_input.choice(data, "side", case_input.SIDES)
        changes["status"] = case_input.choice(data, "status", case_input.STATUSES)
        accident = case_input.accident(data)
        vehicles = case_input.vehicles(data)
        for vehicle in vehicles:
            self._check_links(case, vehicle)
        if data.get("occupants") is not None:
            self._occupy(case, case_input.occupants(data, self._world.settings.strict_gender))
        for name, value in changes.items():
            if value is not None:
                setattr(case, name, value)
        case.accident.update(accident)
        self._merge_vehicles(case, vehicles)
        case.updated_at = self._world.clock.now()
        return success({"case": self._shown(call, case)})

    async def index(self, call: Call, caller: Caller) -> Reply:
        """``GET /api/cases``, newest first unless the settings say otherwise."""
        organization_id, status = call.query.get("organization_id"), call.query.get("status")
        if status is not None and status not in case_input.STATUSES:
            raise Problem(400, "invalid_parameter", "status must be active or archived", "status")
        settings = self._world.settings
        cases = self._all.values()
        rows = [
            case
            for case in (reversed(cases) if settings.list_order == "newest" else cases)
            if case.account_id == caller.account_id
            and not self._world.too_new(case.created_at)
            and organization_id in (None, case.organization_id)
            and status in (None, case.status)
        ]
        listed = page(call, rows, None, cap=settings.list_cap, only_first=settings.list_one_page)
        shown = [as_listed(self._row(case), settings.list_times) for case in listed]
        return success(None if settings.null_lists and not shown else shown)

    def ledger(self) -> list[dict[str, Any]]:
        """All, as the ledger lists them."""
        return [
            {"id": case.id, "name": case.name, "created_at": case.created_at, "key_hash": case.key_hash}
            for case in self._all.values()
        ]

    def link(self, case: Case, file: StoredFile) -> None:
        """Attach a file to the vehicle that it was uploaded for, if that exists already."""
        vehicle = case.vehicle(file.role) if file.role else None
        if vehicle is None:
            return
        if file.is_photo and file.id not in vehicle.image_file_ids:
            vehicle.image_file_ids.append(file.id)
        elif file.is_edr:
            vehicle.edr_file_id = file.id

    def unlink(self, file: StoredFile) -> None:
        """Take a deleted file off its case."""
        case = self._all[file.case_id]
        case.file_ids.remove(file.id)
        for vehicle in case.vehicles:
            if file.id in vehicle.image_file_ids:
                vehicle.image_file_ids.remove(file.id)
            if vehicle.edr_file_id == file.id:
                vehicle.edr_file_id = None

    def _find(self, call: Call, caller: Caller) -> Case:
        case = self.get(call.params[0], caller)
        if case is None:
            raise case_not_found()
        return case

    @staticmethod
    def _occupy(case: Case, occupants: list[dict[str, Any]]) -> None:
        case.occupants = [{"id": new_id("occ"), **occupant} for occupant in occupants]

    def _check_links(self, case: Case, vehicle: dict[str, Any]) -> None:
        ids = [*vehicle.get("image_file_ids", ()), *filter(None, [vehicle.get("edr_file_id")])]
        for file_id in ids:
            if file_id not in case.file_ids:
                raise Problem(404, "file_not_found", "File not found", "vehicles")

    def _merge_vehicles(self, case: Case, sent: list[dict[str, Any]]) -> None:
        for facts in sent:
            vehicle = case.vehicle(facts["role"])
            if vehicle is None:
                vehicle = Vehicle(new_id("veh"), facts["role"])
                case.vehicles.append(vehicle)
                for file_id in case.file_ids:
                    file = self.file_of(file_id)
                    if file is not None and file.role == vehicle.role:
                        self.link(case, file)
            facts = {name: value for name, value in facts.items() if name != "role"}
            vehicle.edr_file_id = facts.pop("edr_file_id", vehicle.edr_file_id)
            vehicle.image_file_ids = facts.pop("image_file_ids", vehicle.image_file_ids)
            vehicle.facts.update(facts)

    def _row(self, case: Case) -> dict[str, Any]:
        organization_id = case.organization_id if self._organizations.exists(case.organization_id) else None
        return {
            "id": case.id,
            "name": case.name,
            "plaintiff_name": case.plaintiff_name,
            "defendant_name": case.defendant_name,
            "attorney_name": case.attorney_name,
            "side": case.side,
            "has_edr": any(vehicle.edr_file_id for vehicle in case.vehicles),
            "account_id": case.account_id,
            "organization_id": organization_id,
            "status": case.status,
            "created_at": stamp(case.created_at),
            "updated_at": stamp(case.updated_at),
            "analysis_status": self.analysis_status(case),
        }

    def _shown(self, call: Call, case: Case) -> dict[str, Any]:
        row = self._row(case)
        del row["analysis_status"]
        return {
            **row,
            "analysis_type": case.analysis_type,
            "accident": {
                name: case.accident.get(name) for name in ("description", "date", "time", "location")
            },
            "vehicles": [self._vehicle(call, case, vehicle) for vehicle in case.vehicles],
            "occupants": case.occupants,
            "report": self.report_shown(call, case),
        }

    def _vehicle(self, call: Call, case: Case, vehicle: Vehicle) -> dict[str, Any]:
        linked = [*vehicle.image_file_ids, *filter(None, [vehicle.edr_file_id])]
        files = [file for file in map(self.file_of, linked) if file is not None]
        return {
            "id": vehicle.id,
            "role": vehicle.role,
            **_VEHICLE_DEFAULTS,
            "deployed_airbags": [],
            **vehicle.facts,
            "edr_file_id": vehicle.edr_file_id,
            "image_file_ids": vehicle.image_file_ids,
            "files": [self.file_shown(call, file) for file in files],
            "crash_parameters": self.crash_of(case, vehicle.role),
        }
