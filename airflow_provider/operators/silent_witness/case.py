"""Make Silent Witness cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider.core.arguments import one_of, required_text, switch
from airflow_provider.core.jobs.ledger import Entry, Ledger
from airflow_provider.core.jobs.pay_once import ARRIVES_WITHIN, PayOnce
from airflow_provider.core.operator import ServiceOperator
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.hooks.silent_witness_case import (
    ANALYSIS_TYPES,
    SIDES,
    check_accident,
    check_occupants,
    check_vehicles,
    needs_occupants,
)
from airflow_provider.links import SilentWitnessDashboardLink
from airflow_provider.operators.silent_witness.created import created_since

if TYPE_CHECKING:
    from airflow.sdk import Context

PAGE = 100


class SilentWitnessCreateCaseOperator(ServiceOperator[SilentWitnessHook]):
    """
    Create a case. **Raises an invoice**, once per task instance.

    Returns the vendor's answer, ``{"case": {...}, "invoice": {...} or None}``; XCom ``case_id`` is set too. A
    retry after a lost answer looks through the cases for one with the same parties created since (Airflow
    3.3).

    :param plaintiff_name: the injured party.
    :param defendant_name: the party at fault.
    :param attorney_name: the attorney.
    :param name: case name; default made of the parties' last names.
    :param side: ``plaintiff`` (default) or ``defense``.
    :param analysis_type: ``accident_only`` (default), ``accident_injury``, ``delta_v_only`` or
        ``biomechanics_only``; those with injuries need occupants.
    :param organization_id: organization the case belongs to.
    :param user_email: passed on; its meaning is not documented.
    :param accident: ``description``, ``date`` (YYYY-MM-DD), ``time`` (HH:MM), ``location``.
    :param vehicles: list of vehicles: ``role``, ``vehicle_maker``, ``vehicle_model``, ``vehicle_year``, ...
    :param occupants: list of occupants: ``name``, ``age``, ``gender``, ``height_inches``, ``weight_lbs``,
        ``position``, ``seatbelt_worn``, ...
    :param reuse_completed: when a user clears the task after it succeeded, return the same case again.
    :param silent_witness_conn_id: Silent Witness connection id.

    See https://docs.silentwitness.ai/api-reference/cases/create
    """

    FIELDS: ClassVar[tuple[str, ...]] = (
        "plaintiff_name",
        "defendant_name",
        "attorney_name",
        "name",
        "side",
        "analysis_type",
        "organization_id",
        "user_email",
        "accident",
        "vehicles",
        "occupants",
    )

    hook_class = SilentWitnessHook
    noun = "case"
    arrives_within: float = ARRIVES_WITHIN
    template_fields: Sequence[str] = (*FIELDS, "silent_witness_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "accident": "json",
        "vehicles": "json",
        "occupants": "json",
    }
    ui_color = "#e3dcf5"
    operator_extra_links = (SilentWitnessDashboardLink(),)

    def __init__(
        self,
        *,
        plaintiff_name: str,
        defendant_name: str,
        attorney_name: str,
        name: str | None = None,
        side: str | None = None,
        analysis_type: str | None = None,
        organization_id: str | None = None,
        user_email: str | None = None,
        accident: Mapping[str, Any] | None = None,
        vehicles: Sequence[Mapping[str, Any]] | None = None,
        occupants: Sequence[Mapping[str, Any]] | None = None,
        reuse_completed: bool = False,
        silent_witness_conn_id: str = SilentWitnessHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.silent_witness_conn_id = silent_witness_conn_id
        self.plaintiff_name = plaintiff_name
        self.defendant_name = defendant_name
        self.attorney_name = attorney_name
        self.name = name
        self.side = side
        self.analysis_type = analysis_type
        self.organization_id = organization_id
        self.user_email = user_email
        self.accident = accident
        self.vehicles = vehicles
        self.occupants = occupants
        self.reuse_completed = reuse_completed

    def execute(self, context: Context) -> dict[str, Any]:
        """Create the case, or find the one an earlier attempt created."""
        self.check()
        ledger = Ledger.of(context)
        with self.hook() as hook:
            paying = PayOnce(self, hook, ledger)
            entry, body = paying.submit_or_reattach()
            self.announce(context, entry.job_id)
            return paying.deliver(entry, body)

    def announce(self, context: Context, case_id: str) -> None:
        """Push the id to XCom at once, for people and links; recovery never relies on it."""
        if self.do_xcom_push:
            context["ti"].xcom_push(key="case_id", value=case_id)

    def check(self) -> None:
        switch("reuse_completed", self.reuse_completed)
        for party in ("plaintiff_name", "defendant_name", "attorney_name"):
            required_text(party, getattr(self, party))
        for name, choices in (("side", SIDES), ("analysis_type", ANALYSIS_TYPES)):
            if getattr(self, name) is not None:
                one_of(name, getattr(self, name), choices)
        if self.accident is not None:
            check_accident(self.accident)
        check_vehicles(self.vehicles)
        check_occupants(self.occupants, required=needs_occupants(self.analysis_type or ""))

    def request(self) -> dict[str, Any]:
        return {field: getattr(self, field) for field in self.FIELDS}

    def prepare(self, hook: SilentWitnessHook, ledger: Ledger, entry: Entry) -> Entry:
        return entry

    def submit(self, hook: SilentWitnessHook, entry: Entry) -> dict[str, Any]:
        return hook.create_case(**self.request())

    def find_orphaned(
        self, hook: SilentWitnessHook, entry: Entry, *, may_probe: bool
    ) -> dict[str, Any] | None:
        ours = [
            case
            for case in self._all_cases(hook)
            if case.get("plaintiff_name") == self.plaintiff_name
            and case.get("defendant_name") == self.defendant_name
            and case.get("attorney_name", self.attorney_name) == self.attorney_name
        ]
        case = created_since(
            ours, entry.intent_at, noun=self.noun, besides=entry.details.get("earlier_ids", ())
        )
        return None if case is None else self.fetch(hook, case["id"])

    def fetch(self, hook: SilentWitnessHook, job_id: str) -> dict[str, Any]:
        return {"case": _without_links(hook.get_case(job_id)), "invoice": None}

    def id_of(self, body: dict[str, Any]) -> str:
        return str(body["case"]["id"])

    def _all_cases(self, hook: SilentWitnessHook) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            page = hook.list_cases(organization_id=self.organization_id, limit=PAGE, offset=offset)
            yield from page
            if len(page) < PAGE:
                return
            offset += PAGE


def _without_links(found: Any) -> Any:
    """Return what the API says of a case, but for the addresses of files and reports, which are signed."""
    if isinstance(found, Mapping):
        return {
            name: _without_links(value) for name, value in found.items() if not name.lower().endswith("url")
        }
    return [_without_links(value) for value in found] if isinstance(found, list) else found
