"""Make Silent Witness cases."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider.core.arguments import one_of, required_id, required_text
from airflow_provider.core.jobs.claims import claimed_ids
from airflow_provider.core.jobs.ledger import Entry, Ledger
from airflow_provider.core.jobs.pay_once import ARRIVES_WITHIN, PayOnce, check_paying
from airflow_provider.core.operator import ServiceOperator
from airflow_provider.core.text import public
from airflow_provider.exceptions import LedgerError
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
from airflow_provider.operators.silent_witness.lost import created_since

if TYPE_CHECKING:
    from airflow.sdk import Context

PAGE = 100
MOST_PAGES = 100

LISTED = ("name", "plaintiff_name", "defendant_name", "attorney_name", "side", "organization_id")
"""Fields of a request that a list of cases shows."""


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
    :param case_id: a case that exists already, to be taken instead: nothing is created or invoiced. For one
        whose id was lost, or that was made by hand; the other arguments may stay as they are.
    :param reuse_completed: when a user clears the task after it succeeded, return the same case again.
    :param on_clear: when a user clears the task: ``attach`` returns the case that was created, ``new``
        creates another one. Default: a case that was returned is replaced, one that never was is taken.
    :param max_paid_requests: most cases that this task creates, over retries and clears; the next one is an
        error. Default: no limit.
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
    template_fields: Sequence[str] = (*FIELDS, "case_id", "silent_witness_conn_id")
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
        case_id: str | None = None,
        reuse_completed: bool = False,
        on_clear: str | None = None,
        max_paid_requests: int | None = None,
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
        self.case_id = case_id
        self.reuse_completed = reuse_completed
        self.on_clear = on_clear
        self.max_paid_requests = max_paid_requests

    def execute(self, context: Context) -> dict[str, Any]:
        """Create the case, or find the one an earlier attempt created."""
        self.check()
        ledger = Ledger.of(context)
        with self.hook() as hook:
            paying = PayOnce(
                self,
                hook,
                ledger,
                claimed=lambda: claimed_ids(context, "case_id"),
                push_result=lambda value: self.push_result(context, value),
            )
            entry, body = paying.submit_or_reattach()
            assert body is not None
            self.announce(context, entry.job_id)
            return paying.deliver(entry, body)

    def announce(self, context: Context, case_id: str) -> None:
        """Push the id to XCom at once, for people and links; recovery never relies on it."""
        if self.do_xcom_push:
            context["ti"].xcom_push(key="case_id", value=case_id)

    def item_name(self) -> str:
        return str(self.name or f"{self.plaintiff_name} v. {self.defendant_name}")

    @property
    def adopts(self) -> str | None:
        return self.case_id

    def check(self) -> None:
        if self.case_id is not None:
            self.case_id = required_id("case_id", self.case_id)
        check_paying(self)
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
        created: dict[str, Any] = public(hook.create_case(**self.request()))
        return created

    def find_orphaned(
        self, hook: SilentWitnessHook, entry: Entry, *, may_probe: bool, claimed: Collection[str]
    ) -> dict[str, Any] | None:
        rows = [row for row in self._all_cases(hook) if self._is_asked_for(row, LISTED)]
        case_id = created_since(rows, entry, hook, noun=self.noun, argument="case_id", claimed=claimed)
        if case_id is None:
            return None
        found = self.fetch(hook, case_id)
        # A list shows less of a case: with another accident it is somebody else's.
        return found if self._is_asked_for(found["case"], self.FIELDS) else None

    def _is_asked_for(self, case: Mapping[str, Any], fields: Sequence[str]) -> bool:
        """Whether a case has what was asked for, as far as the service shows it."""
        return all(_agrees(getattr(self, field), case.get(field)) for field in fields)

    def fetch(self, hook: SilentWitnessHook, job_id: str) -> dict[str, Any]:
        return {"case": public(hook.get_case(job_id)), "invoice": None}

    def id_of(self, body: dict[str, Any]) -> str:
        return str(body["case"]["id"])

    def _all_cases(self, hook: SilentWitnessHook) -> Iterator[dict[str, Any]]:
        """
        Read all pages. Some servers count in ``offset``, others in ``page``, and some return fewer than were
        asked for: a page with nothing new is the last one.
        """
        seen: set[str] = set()
        for page in range(1, MOST_PAGES + 1):
            rows = hook.list_cases(
                organization_id=self.organization_id, limit=PAGE, offset=len(seen), page=page
            )
            new = [row for row in rows if row["id"] not in seen]
            if not new:
                return
            seen.update(row["id"] for row in new)
            yield from new
        raise LedgerError(
            f"The account has more than {len(seen)} cases, too many to search for one whose answer was lost. "
            "Nothing was sent again. Find it in the dashboard and name it: case_id='...' takes it."
        )


def _agrees(asked: Any, shown: Any) -> bool:
    """Whether what the service shows does not contradict what was asked for; null says nothing."""
    if asked is None or shown is None:
        return True
    if isinstance(asked, Mapping) and isinstance(shown, Mapping):
        return all(_agrees(value, shown.get(name)) for name, value in asked.items())
    if isinstance(asked, str) and isinstance(shown, str):
        return asked.strip() == shown.strip()
    # How the API shows vehicles and occupants again is not documented.
    return True
