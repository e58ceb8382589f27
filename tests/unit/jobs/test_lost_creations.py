"""What a lost request has created is told by the service's clock; what may be another's is not taken."""

from __future__ import annotations

import time
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider.core.jobs.claims import Claims, claimed_ids
from airflow_provider.core.jobs.ledger import Entry
from airflow_provider.exceptions import LedgerError, MalformedResponseError
from airflow_provider.hooks.silent_witness_answers import Listed
from airflow_provider.operators.silent_witness import SilentWitnessCreateCaseOperator
from airflow_provider.operators.silent_witness.lost import created_since

INTENT = 1_700_000_000.0
PARTIES: dict[str, Any] = {
    "plaintiff_name": "Ann Smith",
    "defendant_name": "Bob Jones",
    "attorney_name": "Cleo Park",
}


def at(seconds: float) -> str:
    import pendulum

    return pendulum.from_timestamp(INTENT + seconds).to_iso8601_string()


SETTINGS = SimpleNamespace(read_timeout=60.0, identity="key")


def find(
    rows: list[dict[str, Any]] | MalformedResponseError,
    *,
    skew: float | None = 0.0,
    claimed: Collection[str] = (),
    **details: Any,
) -> str | None:
    def read_rows() -> list[dict[str, Any]]:
        if isinstance(rows, MalformedResponseError):
            raise rows
        return rows

    hook: Any = SimpleNamespace(
        service_time=lambda moment: moment + (skew or 0.0), clock_offset=skew, settings=SETTINGS
    )
    entry = Entry("f", INTENT, 0, details={"earlier_ids": ["spent"], **details})
    return created_since(read_rows, entry, hook, noun="report", argument="report_id", claimed=claimed)


@pytest.mark.parametrize("skew", [-300.0, -3.0, 0.0, 3.0, 300.0])
def test_the_services_clock_may_be_ahead_or_behind(skew: float) -> None:
    before, after = {"id": "a", "created_at": at(skew - 60)}, {"id": "b", "created_at": at(skew + 1)}
    hours_ago = {"id": "c", "created_at": at(skew - 7200)}
    assert find([before, after, hours_ago], skew=skew, clock_offset=skew) == "b"
    assert find([hours_ago], skew=skew, clock_offset=skew) is None


@pytest.mark.parametrize("lost_after", [0.0, 61.0])
def test_what_was_created_when_no_request_was_under_way_any_more_is_anothers(lost_after: float) -> None:
    rows = [{"id": "a", "created_at": at(149)}, {"id": "b", "created_at": at(160)}]
    assert find(rows, clock_offset=0.0) == "a"
    assert find(rows, clock_offset=0.0, lost_at=INTENT + 61.0) == "a"
    late = [{"id": "c", "created_at": at(lost_after + 1000)}]
    assert find(late, clock_offset=0.0, lost_at=INTENT + lost_after) is None


@pytest.mark.parametrize("clocks", [(0.0, 0.0), (300.0, 300.0), (-7200.0, -7200.0), (None, 0.0)], ids=str)
@pytest.mark.parametrize("created", [-500.0, -60.0, 290.0, 500.0])
def test_what_is_near_in_time_may_be_it_whatever_the_clocks_say(
    clocks: tuple[float | None, float], created: float
) -> None:
    """Two clocks may be wrong, or the one that nobody shows."""
    then, now = clocks
    with pytest.raises(LedgerError, match=r"may have been created since: x.*report_id='\.\.\.'"):
        find([{"id": "x", "created_at": at(created)}], skew=now, clock_offset=then)


@pytest.mark.parametrize("clocks", [(300.0, 300.0), (None, 0.0)], ids=str)
def test_where_a_clock_is_wrong_what_was_created_later_is_a_candidate_too(
    clocks: tuple[float | None, float],
) -> None:
    then, now = clocks
    rows = [{"id": "theirs", "created_at": at(now + 60)}, {"id": "ours", "created_at": at(now + 301)}]
    with pytest.raises(LedgerError, match="theirs, ours"):
        find(rows, skew=now, clock_offset=then)
    assert find(rows, skew=now, clock_offset=then, claimed=("theirs",), lost_at=INTENT + 300) == "ours"


def test_what_is_dated_later_than_now_makes_everything_doubtful() -> None:
    import time

    import pendulum

    later = pendulum.from_timestamp(time.time() + 290).to_iso8601_string()
    rows = [{"id": "theirs", "created_at": at(1)}, {"id": "ours", "created_at": later}]
    with pytest.raises(LedgerError, match="theirs, ours"):
        find(rows, clock_offset=0.0)


def test_an_error_names_as_many_candidates_as_a_person_reads() -> None:
    rows = [{"id": f"x{number}", "created_at": at(1)} for number in range(30)]
    with pytest.raises(LedgerError, match="x19 and 10 more"):
        find(rows)


@pytest.mark.parametrize("seconds", [-43_200.0, -1800.0, -300.0, 300.0, 1800.0, 43_200.0])
def test_without_any_date_of_the_service_what_is_near_in_time_may_be_it(seconds: float) -> None:
    near, older = {"id": "a", "created_at": at(seconds)}, {"id": "b", "created_at": at(-86_400.0)}
    with pytest.raises(LedgerError, match="may have been created since: a"):
        find([near, older], skew=None)
    assert find([older], skew=None) is None
    assert find([{"id": "c", "created_at": at(1)}, older], skew=None) == "c"


def test_a_list_that_is_none_is_not_an_empty_one() -> None:
    with pytest.raises(LedgerError, match=r"may be billed.*report_id='\.\.\.'"):
        find(MalformedResponseError("GET /api/reports answered with null in the field `data`."))


@pytest.mark.parametrize("state", ["running", "up_for_retry"])
def test_what_other_runs_of_the_dag_have_is_claimed(state: str) -> None:
    """Another run may have ended already: demo data take seconds."""
    pushed: dict[str, list[str | None]] = {
        "r1": ["mine", "a sibling's"],
        "r2": ["theirs", None],
        "r3": ["older"],
    }

    class TaskInstance:
        dag_id, task_id, run_id, map_index = "d", "t", "r1", -1

        @staticmethod
        def get_task_states(dag_id: str, task_ids: list[str]) -> dict[str, dict[str, str]]:
            return {"r1": {"t": "running"}, "r2": {"t_0": state, "t_1": "success"}, "r3": {"t": "success"}}

        @staticmethod
        def xcom_pull(task_ids: Any, key: str, run_id: str = "r1", map_indexes: int = -1) -> Any:
            return pushed[run_id][0] if isinstance(task_ids, str) else pushed[run_id]

    context: Any = {"ti": TaskInstance(), "dag": SimpleNamespace(task_ids=["t"])}
    assert claimed_ids(context, "report_id") == {"a sibling's", "theirs", "older"}
    pushed["r2"] = ["mine"]
    assert "mine" in (claimed_ids(context, "report_id") or ()), "two tasks have it"


def test_what_others_have_and_what_was_spent_is_left_out() -> None:
    rows = [{"id": name, "created_at": at(1)} for name in ("spent", "theirs", "ours")]
    assert find(rows, claimed=("theirs",)) == "ours"


@pytest.mark.parametrize("created_at", [None, "soon", 7, ["2026"]])
def test_a_row_without_a_date_is_not_no(created_at: Any) -> None:
    with pytest.raises(LedgerError, match=r"may have been created since: x.*report_id='\.\.\.'"):
        find([{"id": "x", "created_at": created_at}])


def test_a_time_may_be_written_in_small_letters() -> None:
    """As RFC 3339 lets it."""
    assert find([{"id": "a", "created_at": at(1).lower()}], clock_offset=0.0) == "a"


def test_of_several_none_is_taken() -> None:
    with pytest.raises(LedgerError, match="a, b"):
        find([{"id": name, "created_at": at(1)} for name in ("a", "b")])


@pytest.mark.parametrize("jump", [-7200.0, -300.0, 20.0, 300.0, 7200.0])
@pytest.mark.parametrize("before", [0.0, 300.0])
def test_a_clock_that_was_set_or_is_wrong_makes_nothing_another_s(jump: float, before: float) -> None:
    """What the clock showed before is on record, or it was right then. Set back, it shows that time again."""
    rows = [{"id": "ours", "created_at": at(before + 1)}]
    if before and jump > 0:
        assert find(rows, skew=before + jump, clock_offset=before) == "ours"
    else:
        with pytest.raises(LedgerError, match="may have been created since: ours"):
            find(rows, skew=jump)


def test_what_is_dated_later_than_now_may_be_it() -> None:
    import time

    import pendulum

    created_at = pendulum.from_timestamp(time.time() + 290).to_iso8601_string()
    with pytest.raises(LedgerError, match="may have been created since: x"):
        find([{"id": "x", "created_at": created_at}])


def test_a_sibling_of_before_is_no_candidate_beside_what_was_created_since() -> None:
    before, ours = {"id": "a", "created_at": at(-20)}, {"id": "b", "created_at": at(1)}
    assert find([before, ours], skew=-22.0, clock_offset=0.0) == "b"


@pytest.mark.parametrize("hours", [0, 2, -9])
def test_a_time_without_a_zone_is_taken_for_utc_or_for_nothing(hours: int) -> None:
    rows = [{"id": "x", "created_at": at(1 + hours * 3600)[:19]}]
    if hours:
        with pytest.raises(LedgerError, match="may have been"):
            find(rows)
    else:
        assert find(rows) == "x"


@pytest.mark.parametrize(("days", "is_near"), [(0, True), (-9, False)])
def test_a_date_alone_is_no_time(days: int, is_near: bool) -> None:
    rows = [{"id": "x", "created_at": at(days * 86_400)[:10]}]
    if is_near:
        with pytest.raises(LedgerError, match="may have been"):
            find(rows)
    else:
        assert find(rows) is None


def test_a_date_alone_of_a_clock_that_is_never_shown_may_be_that_of_the_day_before() -> None:
    soon_after_midnight = INTENT - 78_000
    with pytest.raises(LedgerError, match="may have been"):
        find([{"id": "x", "created_at": "2023-11-13"}], skew=None, lost_requests=[soon_after_midnight])


@pytest.mark.parametrize("record", [{"asked_at": INTENT - 4000}, {"lost_requests": [INTENT - 4000]}], ids=str)
def test_what_an_earlier_request_has_created_is_found_by_the_search_for_a_later_one(
    record: dict[str, Any],
) -> None:
    rows = [{"id": "earlier", "created_at": at(-3990)}]
    assert find(rows, clock_offset=0.0) is None
    assert find(rows, clock_offset=0.0, **record) == "earlier"


def test_what_was_created_between_two_requests_may_be_anothers() -> None:
    rows = [{"id": "between", "created_at": at(-2000)}]
    assert find(rows, clock_offset=0.0) is None
    with pytest.raises(LedgerError, match="may have been created since: between"):
        find(rows, clock_offset=0.0, lost_requests=[INTENT - 4000])
    assert find([*rows, {"id": "own", "created_at": at(1)}], lost_requests=[INTENT - 4000]) == "own"


def test_an_older_claim_is_to_an_earlier_thing_of_that_id() -> None:
    """As where a service was set up anew: what is created later than a claim is not what was claimed."""
    ago = time.time() - INTENT
    claims: dict[str, float] = {"sibling's": ago - 2, "re-used": ago + 60}
    rows = [{"id": name, "created_at": at(1)} for name in claims]
    owners: Any = SimpleNamespace(is_others=claims.__contains__, held_for=claims.get)
    assert find(rows, claimed=Claims((), owners), clock_offset=0.0) == "re-used"
    assert find(rows, claimed=Claims({"re-used"}, owners), clock_offset=0.0) is None
    assert find(rows, claimed=Claims((), owners), clock_offset=-300.0) is None, "clocks that may be wrong"


class Cases:
    """Lists cases page by page, as servers of either documentation do."""

    settings = SETTINGS
    clock_offset = 0.0

    def __init__(self, rows: list[dict[str, Any]], *, by: str, cap: int, total: int = 0) -> None:
        self.rows, self.by, self.cap, self.total, self.requests = rows, by, cap, total, 0

    def service_time(self, moment: float) -> float:
        return moment

    def list_cases(self, *, limit: int, offset: int, page: int, **_: Any) -> Listed:
        self.requests += 1
        assert self.requests < 50, "it ends"
        size = min(limit, self.cap)
        last = max(1, -(-len(self.rows) // size))
        start = {
            "offset": offset,
            "page": (page - 1) * size,
            "page of what was asked for": (page - 1) * limit,
            "the last again": (min(page, last) - 1) * size,
            "one page": 0,
            "neither": 0,
            "overlap": max(0, offset - 1),
        }[self.by]
        listed = Listed(self.rows[start : start + size] if self.by != "neither" else self.rows)
        listed.total = self.total
        return listed

    def get_case(self, case_id: str) -> dict[str, Any]:
        return next(row for row in self.rows if row["id"] == case_id)


def case(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"case_{number}", "created_at": at(-7200.0), **PARTIES, **fields}


def operator(**arguments: Any) -> SilentWitnessCreateCaseOperator:
    return SilentWitnessCreateCaseOperator(task_id="case", **PARTIES, **arguments)


def orphan(cases: Cases, **arguments: Any) -> Any:
    hook: Any = cases
    return operator(**arguments).find_orphaned(hook, Entry("f", INTENT, 0), may_probe=True, claimed=())


@pytest.mark.parametrize("by", ["offset", "page", "page of what was asked for", "neither", "the last again"])
@pytest.mark.parametrize("cap", [50, 100, 1000])
def test_every_page_is_read_however_the_server_counts(by: str, cap: int) -> None:
    rows = [case(number) for number in range(230)] + [case(230, created_at=at(1))]
    cases = Cases(rows, by=by, cap=cap)
    assert orphan(cases)["case"]["id"] == "case_230"


@pytest.mark.parametrize("by", ["one page", "overlap"])
def test_a_list_that_is_not_whole_says_nothing_of_what_it_does_not_show(by: str) -> None:
    rows = [case(number) for number in range(230)]
    with pytest.raises(LedgerError, match=r"may have more cases than the .*on_clear='new'"):
        orphan(Cases(rows, by=by, cap=50))
    shown = [case(230, created_at=at(1)), *rows]
    assert orphan(Cases(shown, by=by, cap=50))["case"]["id"] == "case_230"


@pytest.mark.parametrize(("count", "is_whole"), [(3, True), (19, True), (20, False)])
def test_a_page_that_is_shorter_than_any_default_and_shown_again_is_the_list(
    count: int, is_whole: bool
) -> None:
    cases = Cases([case(number) for number in range(count)], by="one page", cap=count)
    if is_whole:
        assert orphan(cases) is None
    else:
        with pytest.raises(LedgerError):
            orphan(cases)


def test_a_list_that_says_that_there_are_more_is_not_whole() -> None:
    rows = [case(number) for number in range(3)]
    assert orphan(Cases(rows, by="one page", cap=3, total=3)) is None
    with pytest.raises(LedgerError, match=r"more cases than the 3 that can be read.* may be billed"):
        orphan(Cases(rows, by="one page", cap=3, total=4))


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({"name": "First"}, {"name": "Second"}),
        ({"side": "defense"}, {"side": "plaintiff"}),
        ({"accident": {"date": "2026-01-02"}}, {"accident": {"date": "2026-03-04"}}),
        ({"analysis_type": "accident_only"}, {"analysis_type": "delta_v_only"}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_a_case_of_the_same_parties_that_differs_is_somebody_elses(
    asked: dict[str, Any], shown: dict[str, Any]
) -> None:
    cases = Cases([case(1, created_at=at(1), **shown)], by="offset", cap=100)
    assert orphan(cases, **asked) is None


def test_what_the_service_does_not_show_says_nothing() -> None:
    cases = Cases([case(1, created_at=at(1), name=None, accident=None)], by="offset", cap=100)
    assert orphan(cases, name="First", accident={"date": "2026-01-02"})["case"]["id"] == "case_1"
