"""Make Silent Witness cases."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider.core.arguments import one_of, required_id, required_text, switch
from airflow_provider.core.budget.turn_queue import Priority
from airflow_provider.core.jobs.claims import keep_earlier_ids
from airflow_provider.core.jobs.dry_run import DryRun
from airflow_provider.core.jobs.ledger import Entry, Ledger
from airflow_provider.core.jobs.paid_request import Wrong, check_all, check_paying, stop_unless_paid
from airflow_provider.core.jobs.pay_once import ASKED_WITH, PayOnce
from airflow_provider.core.jobs.search import ARRIVES_WITHIN
from airflow_provider.core.operator import ServiceOperator, in_turn
from airflow_provider.core.polling.wait import epoch_seconds
from airflow_provider.core.text import comparable, public
from airflow_provider.exceptions import InvalidInputError, LedgerError, MalformedResponseError
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.hooks.silent_witness_case import (
    ANALYSIS_TYPES,
    DATE,
    SIDES,
    TIME,
    check_accident,
    check_occupants,
    check_vehicles,
    needs_occupants,
)
from airflow_provider.links import SilentWitnessDashboardLink
from airflow_provider.operators.silent_witness.lost import DAY, created_since
from airflow_provider.operators.silent_witness.new_case import NEW_CASE

if TYPE_CHECKING:
    from airflow.sdk import Context

PAGE = 100
SHORTEST_PAGE = 20
"""Cases on a page by the oldest default: a server that shows fewer has no more of them."""
MOST_PAGES = 100
"""Pages that are read at most to find a case that was paid for."""
MOST_PAGES_TO_REUSE = 20
"""Pages that are read at most to find a case for ``reuse_existing``."""
MOST_ALIKE = 5
"""Cases of the same parties that are read to find the one of the same accident."""

DEFAULTS = {"side": "plaintiff", "analysis_type": "accident_only"}
"""What the API makes of fields that a request does not have."""

PARTIES = ("plaintiff_name", "defendant_name", "attorney_name")
OPTIONAL_TEXTS = ("name", "organization_id", "user_email")

LISTED = ("name", *PARTIES, "side", "organization_id")
"""Fields of a request that a list of cases shows."""

IDENTITY = (*LISTED, "analysis_type", "accident")
"""Fields by which an existing case is the one that is asked for; how it shows vehicles is not documented."""


class SilentWitnessCreateCaseOperator(ServiceOperator[SilentWitnessHook]):
    """
    Create a case. **Raises an invoice**, once per task instance.

    Returns the vendor's answer, ``{"case": {...}, "invoice": {...} or None}``; XCom ``case_id`` is set too.
    After a lost answer the task, or a retry of it (Airflow 3.3), searches the cases for one with the same
    parties that was created since then.

    :param plaintiff_name: the injured party.
    :param defendant_name: the party at fault.
    :param attorney_name: the attorney.
    :param name: case name; default made of the parties' last names.
    :param side: ``plaintiff`` (default) or ``defense``.
    :param analysis_type: ``accident_only`` (default), ``accident_injury``, ``delta_v_only`` or
        ``biomechanics_only``; those with injuries need occupants.
    :param organization_id: organization the case belongs to, ``org_...``; default none.
    :param user_email: passed on; its meaning is not documented.
    :param accident: ``description``, ``date`` (YYYY-MM-DD), ``time`` (HH:MM), ``location``; date and time
        may be objects as a database returns them.
    :param vehicles: list of vehicles: ``role``, ``vehicle_maker``, ``vehicle_model``, ``vehicle_year``, ...
    :param occupants: list of occupants: ``name``, ``age``, ``gender``, ``height_inches``, ``weight_lbs``,
        ``position``, ``seatbelt_worn``, ...
    :param case_id: a case that exists already, to be taken instead: nothing is created or invoiced. For one
        whose id was lost, or that was made by hand; the other arguments may stay as they are.
    :param reuse_existing: default false. Take an active case of the same request that exists already, and
        create one only when there is none. Compared are names, side, analysis type, organization and
        ``accident``, each as given or by the API's default. Up to 2,000 cases are searched. Several that
        fit, or one that does not show all that was given, are an error that names them.
    :param reuse_completed: when a user clears the task after it succeeded, return the same case again.
        Default false.
    :param on_clear: when a user clears the task: ``attach`` returns the case that was created, ``new``
        creates another one. Default: a case that was returned is replaced, one that never was is taken.
    :param max_paid_requests: most cases that this task creates, over retries and clears; the next one is an
        error. Default: no limit.
    :param silent_witness_conn_id: Silent Witness connection id, default ``silent_witness_default``.
    :param deferrable: wait for the rate limit in the triggerer. Default ``[operators] default_deferrable``.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

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
    turn_priority = Priority.START
    noun = "case"
    id_key = "case_id"
    arrives_within: float = ARRIVES_WITHIN
    conflict_may_be_own: bool = True
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
        reuse_existing: bool = False,
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
        self.reuse_existing = reuse_existing
        self.reuse_completed = reuse_completed
        self.on_clear = on_clear
        self.max_paid_requests = max_paid_requests
        self.wrong: Wrong = {}

    @in_turn
    def execute(self, context: Context) -> dict[str, Any]:
        """Create the case, or find the one an earlier attempt created."""
        self.wrong = check_all(self, self.check)
        ledger = self.ledger(context, self.request)
        if self.is_nested(context):
            keep_earlier_ids(context, self.id_key)
            keep_earlier_ids(context, NEW_CASE)
        stop_unless_paid(self.wrong, ledger)
        with self.hook() as hook:
            paying = PayOnce(self, hook, ledger, context, find_existing=lambda: self._existing(hook))
            entry, body = paying.submit_or_reattach()
            assert body is not None
            self.announce(context, entry.job_id)
            if "adopted" not in entry.details:
                # A case that this run has made is empty: no evidence needs to be searched for in it.
                self.push_early(context, NEW_CASE, entry.job_id)
            return paying.deliver(entry, body)

    def dry_run(self) -> dict[str, Any]:  # type: ignore[override]
        """Say what a first attempt would send; create and pay nothing. See :meth:`.JobOperator.dry_run`."""
        self.check()
        found = DryRun()
        with self.hook_of_dry_run() as hook:
            found.check_connection(hook)
            taken = self.case_id or self._existing(hook)
            if taken is None:
                found.paid_requests["POST /api/cases"] = 1
                found.notes.append("An invoice is raised for the case.")
            else:
                case = self.fetch(hook, taken)["case"]
                found.notes.append(f"Takes case {taken} ({case.get('name')}), and pays nothing.")
        found.check_limit(self.max_paid_requests)
        return found.report(self.task_log)

    def announce(self, context: Context, job_id: str | None) -> None:
        """Push the id to XCom at once, for people and links; recovery never relies on it."""
        self.push_early(context, self.id_key, job_id)

    def item_name(self) -> str:
        return str(self.name or f"{self.plaintiff_name} v. {self.defendant_name}")

    @property
    def adopts(self) -> str | None:
        return self.case_id

    def check(self) -> None:
        if self.case_id is not None:
            self.case_id = required_id("case_id", self.case_id)
        switch("reuse_existing", self.reuse_existing)
        check_paying(self)
        for party in PARTIES:
            required_text(party, getattr(self, party))
            required_id(party, getattr(self, party))  # the name "None" is of a task that returned nothing
        for name in OPTIONAL_TEXTS:
            given: Any = getattr(self, name)
            if given is not None:
                number_as_text = required_id(name, given)
                setattr(self, name, required_text(name, given if isinstance(given, str) else number_as_text))
        for name, choices in (("side", SIDES), ("analysis_type", ANALYSIS_TYPES)):
            if getattr(self, name) is not None:
                one_of(name, getattr(self, name), choices)
        if self.accident is not None:
            self.accident = check_accident(self.accident)
        if self.vehicles is not None:
            self.vehicles = check_vehicles(self.vehicles)
        needed = needs_occupants(self.analysis_type or "")
        if self.occupants is not None or needed:
            self.occupants = check_occupants(self.occupants, required=needed)

    def older_request(self) -> None:
        """There is no other form."""

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
        def cases() -> Iterator[dict[str, Any]]:
            yield from (row for row in self._all_cases(hook) if self._is_asked_for(row, LISTED))
            if entry.details.get(ASKED_WITH) not in (None, hook.settings.identity):
                raise LedgerError("The connection has another API key since, maybe of another account.")

        case_id = created_since(cases, entry, hook, noun=self.noun, argument="case_id", claimed=claimed)
        if case_id is None:
            return None
        case = hook.get_case(case_id)
        # The list does not show the accident: a case with another one is not ours.
        return _as_created(case) if self._is_asked_for(case, self.FIELDS) else None

    def _is_asked_for(self, case: Mapping[str, Any], fields: Sequence[str]) -> bool:
        """Whether a case has what was asked for, as far as the service shows it."""
        return _matches(self.request(), case, fields)

    def fetch(self, hook: SilentWitnessHook, job_id: str) -> dict[str, Any]:
        return _as_created(hook.get_case(job_id))

    def id_of(self, body: dict[str, Any]) -> str:
        return str(body["case"]["id"])

    def _existing(self, hook: SilentWitnessHook) -> str | None:
        """
        Return the id of a case of the same request that exists already; ``None`` when there is none.

        :raises InvalidInputError: it cannot be told which is meant, or whether one is.
        """
        if not self.reuse_existing:
            return None
        asked = self.request()
        wanted = {field: asked[field] or DEFAULTS.get(field) for field in IDENTITY}
        pages = self._all_cases(hook, MOST_PAGES_TO_REUSE, status="active")
        try:
            alike = [row for row in pages if _matches(wanted, row, LISTED)]
        except (LedgerError, MalformedResponseError) as error:
            message = f"{error} Nothing was created; reuse_existing=False creates a case without looking."
            error.args = (message, *error.args[1:])
            raise
        if len(alike) <= MOST_ALIKE:
            cases = [hook.get_case(row["id"]) for row in alike]
            alike = [case for case in cases if _matches(wanted, case, IDENTITY)]
        if not alike:
            return None
        if len(alike) > 1 or not all(_shows(asked[field], alike[0].get(field)) for field in IDENTITY):
            raise InvalidInputError(
                "reuse_existing=True, and whether one of these cases is the one that is asked for cannot be "
                f"told: {', '.join(case['id'] for case in alike)}. Nothing was created. Look at them and "
                "name the right one (case_id='...' takes it), or set reuse_existing=False to create another.",
                parameter="reuse_existing",
            )
        return str(alike[0]["id"])

    def _all_cases(
        self, hook: SilentWitnessHook, most_pages: int = MOST_PAGES, *, status: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """
        Read all pages. Some servers count in ``offset``, others in ``page``, and some return fewer than were
        asked for: after the last page comes none, or that page again.

        :raises LedgerError: after the cases that could be read: there are too many pages, the server says
            that there are more cases or answers every request with one page, or its pages overlap, so that a
            case may be on none.
        """
        seen: set[str] = set()
        overlap, total, size = False, 0, PAGE
        for page in range(1, most_pages + 1):
            rows = hook.list_cases(
                organization_id=self.organization_id,
                status=status,
                limit=size,
                offset=len(seen),
                page=page,
            )
            total = max(total, rows.total)
            new = [row for row in rows if row["id"] not in seen]
            if not new:
                if overlap or total > len(seen) or (page == 2 and SHORTEST_PAGE <= len(rows) <= PAGE):
                    break
                return
            if page == 1:
                # A page begins after as many as were asked for on those before, or as were returned.
                size = min(PAGE, len(rows))
            overlap = overlap or len(new) < len(rows)
            seen.update(row["id"] for row in new)
            yield from new
        raise LedgerError(
            f"The account may have more cases than the {len(seen)} that can be read, so this one cannot be "
            "searched for."
        )


def _as_created(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return a case as the answer to its creation shows it, fit for XCom."""
    return {"case": public(dict(case)), "invoice": None}


def _matches(wanted: Mapping[str, Any], case: Mapping[str, Any], fields: Sequence[str]) -> bool:
    return all(_agrees(wanted[field], case.get(field)) for field in fields)


def _shows(asked: Any, shown: Any) -> bool:
    """Whether the service shows all that was asked for."""
    if isinstance(asked, Mapping):
        return all(_shows(value, (shown or {}).get(name)) for name, value in asked.items())
    return asked is None or shown is not None


def _agrees(asked: Any, shown: Any) -> bool:
    """Whether what the service shows does not contradict what was asked for; null says nothing."""
    if asked is None or shown is None:
        return True
    if isinstance(asked, Mapping) and isinstance(shown, Mapping):
        return all(_agrees(value, shown.get(name)) for name, value in asked.items())
    if isinstance(asked, str) and isinstance(shown, str):
        alike = comparable(asked).casefold() == comparable(shown).casefold()
        return alike or _in_another_notation(asked, shown)
    # How the API shows vehicles and occupants again is not documented.
    return True


def _in_another_notation(asked: str, shown: str) -> bool:
    """Whether a date or a time is shown in another notation than it is sent in, and may be the same."""
    for notation in (DATE, TIME):
        if notation.fullmatch(asked) and not notation.fullmatch(shown):
            sent, read = epoch_seconds(asked), epoch_seconds(shown)
            return sent is None or read is None or abs(sent - read) <= DAY
    return False
