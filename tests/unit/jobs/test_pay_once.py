"""Nothing is paid for twice, whatever the service loses or delays and wherever an attempt dies."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider.core.budget.turns import Turns
from airflow_provider.core.jobs import pay_once, search
from airflow_provider.core.jobs.ledger import Entry, Ledger, paid_requests
from airflow_provider.core.jobs.pay_once import PayOnce, carry_over
from airflow_provider.core.jobs.search import ARRIVES_WITHIN, UnclearError
from airflow_provider.exceptions import (
    ConflictError,
    InvalidRequestError,
    LedgerError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    ServerError,
    TransportError,
)

READ_TIMEOUT = 60.0


class WorkerDied(BaseException):
    """The process is gone."""


@dataclass
class Service:
    """A service that carries out what it is asked for at once, late or never, and answers or does not."""

    now: float = 1_000_000.0
    elapsed: float = 0.0
    carried_out: list[float] = field(default_factory=list)
    unreadable_until: float = 0.0
    unknown_until: float = 0.0
    unlisted_until: float = 0.0
    refused_from: float = 0.0
    refused_until: float = 0.0
    refusals: list[int] = field(default_factory=list)

    def create(self, *, after: float | None) -> str:
        if after is not None:
            self.carried_out.append(self.now + after)
        return f"job-{len(self.carried_out)}"

    def listed(self) -> list[str]:
        if self.refused_from <= self.now < self.refused_until:
            raise PermissionDeniedError("GET /jobs: 403", http_status=403)
        if self.now < self.unlisted_until:
            raise ServerError("GET /jobs: 500", http_status=500)
        return [f"job-{number}" for number, at in enumerate(self.carried_out, 1) if at <= self.now]

    def get(self, job_id: str) -> dict[str, Any]:
        if self.now < self.unreadable_until:
            raise ServerError("GET /jobs: 500", http_status=500)
        if self.now < self.unknown_until or job_id not in self.listed():
            raise NotFoundError("GET /jobs: 404", http_status=404)
        if self.refusals:
            raise InvalidRequestError("GET /jobs: no", http_status=self.refusals.pop())
        return {"id": job_id}


@dataclass
class Asked:
    """What one task asks for; ``outcomes`` say what becomes of its paid calls, in their order."""

    service: Service
    outcomes: list[tuple[str, float]] = field(default_factory=list)
    dies_after_answer: list[bool] = field(default_factory=list)
    arrives_within: float = ARRIVES_WITHIN
    conflict_may_be_own: bool = True
    reuse_completed: bool = False
    on_clear: str | None = None
    max_paid_requests: int | None = None
    adopts: str | None = None
    noun: str = "job"
    task_log: logging.Logger = logging.getLogger("pay_once")  # noqa: RUF009
    asked: str = "x"
    id_key: str = "job_id"
    wrong: dict[str, Any] = field(default_factory=dict)

    def older_request(self) -> dict[str, Any] | None:
        return None

    def request(self) -> dict[str, Any]:
        return {"asked": self.asked}

    def prepare(self, hook: Any, ledger: Ledger, entry: Entry) -> Entry:
        return entry

    def submit(self, hook: Any, entry: Entry) -> dict[str, Any]:
        kind, seconds = self.outcomes.pop(0) if self.outcomes else ("answered", 0.0)
        if kind == "refused":
            raise InvalidRequestError("POST /jobs: 400", http_status=400)
        if kind.endswith("conflict"):
            if kind.startswith("own"):
                self.service.create(after=0.0)
            raise ConflictError("POST /jobs: 409", http_status=409)
        if kind == "never sent":
            raise TransportError("POST /jobs: no connection", sent=False)
        job_id = self.service.create(after=None if kind == "lost on the way" else seconds)
        if kind == "answered":
            self.service.now += seconds
        else:
            self.service.now += READ_TIMEOUT if kind == "read timeout" else 0.0
            raise TransportError("POST /jobs: no answer", sent=True)
        if self.dies_after_answer and self.dies_after_answer.pop(0):
            raise WorkerDied
        return {"id": job_id}

    def find_orphaned(
        self, hook: Any, entry: Entry, *, may_probe: bool, claimed: Collection[str]
    ) -> dict[str, Any] | None:
        known = {*entry.details.get("earlier_ids", ()), *claimed}
        found = [job_id for job_id in self.service.listed() if job_id not in known]
        if len(found) > 1:
            raise UnclearError(f"several: {found}")
        return {"id": found[0]} if found else None

    def fetch(self, hook: Any, job_id: str) -> dict[str, Any]:
        return self.service.get(job_id)

    def id_of(self, body: dict[str, Any]) -> str:
        return str(body["id"])

    def announce(self, context: Any, job_id: str | None) -> None:
        context["announced"](job_id)

    def push_result(self, context: Any, value: Any) -> None:
        raise AssertionError("nothing is returned here")


class Store:
    """A record in memory."""

    durable = True
    place = "memory"

    def __init__(self) -> None:
        self.value: Any = None
        self.refuses = 0

    def get(self) -> Any:
        return self.value

    def set(self, value: Any) -> None:
        if self.refuses and value["job_id"]:
            self.refuses -= 1
            raise OSError("the database is read-only")
        self.value = value

    def is_replaced(self) -> bool:
        return self.value is None


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """The service, whose clock is the package's too."""
    return clocked(monkeypatch)


def clocked(patch: pytest.MonkeyPatch) -> Service:
    service = Service()
    for module in (pay_once, search):
        clock = SimpleNamespace(time=lambda: service.now, monotonic=lambda: service.elapsed, sleep=None)
        patch.setattr(module, "time", clock)
    return service


def attempt(
    asked: Asked,
    store: Store,
    *,
    max_tries: int = 0,
    claimed: Callable[[], Collection[str] | None] = set,
    announce: Callable[[str | None], object] = lambda job_id: None,
    clock_offset: float | None = None,
    **options: Any,
) -> tuple[Entry, Any]:
    def pause(seconds: float) -> None:
        asked.service.now += seconds
        asked.service.elapsed += seconds

    hook = SimpleNamespace(
        before_resending=None,
        clock_offset=clock_offset,
        turns=Turns(),
        settings=SimpleNamespace(
            conn_id="c", base_url="https://x", read_timeout=READ_TIMEOUT, identity="key"
        ),
    )
    ledger = Ledger(store, max_tries=max_tries)
    context: Any = {"announced": announce}
    with patch.object(pay_once, "claimed_ids", lambda context, key: claimed()):
        return PayOnce(asked, hook, ledger, context, pause=pause, **options).submit_or_reattach()


LATE = ARRIVES_WITHIN + 10.0


@pytest.mark.parametrize("kind", ["reset", "read timeout"])
@pytest.mark.parametrize("seconds", [0.0, 12.0, LATE])
def test_a_request_that_is_carried_out_late_is_found(service: Service, kind: str, seconds: float) -> None:
    entry, _ = attempt(Asked(service, [(kind, seconds)]), Store())
    assert (entry.job_id, len(service.carried_out)) == ("job-1", 1)


def test_what_was_lost_on_the_way_is_paid_for_by_the_next_attempt(service: Service) -> None:
    asked, store = Asked(service, [("lost on the way", 0.0)]), Store()
    with pytest.raises(TransportError):
        attempt(asked, store)
    entry, _ = attempt(asked, store)
    assert (entry.job_id, len(service.carried_out)) == ("job-1", 1)


def test_a_request_whose_worker_died_is_searched_for_as_long_as_it_may_land(service: Service) -> None:
    asked, store = Asked(service, dies_after_answer=[True]), Store()
    with pytest.raises(WorkerDied):
        attempt(asked, store)
    service.carried_out[0] = service.now + READ_TIMEOUT + ARRIVES_WITHIN - 1.0
    entry, _ = attempt(asked, store)
    assert (entry.job_id, len(service.carried_out)) == ("job-1", 1)


def test_the_service_s_clock_is_kept_as_the_first_search_has_seen_it(service: Service) -> None:
    """It may be set before the next search: what others made then seems to be of the time of the request."""
    asked, store = Asked(service, dies_after_answer=[True]), Store()
    with pytest.raises(WorkerDied):
        attempt(asked, store)
    service.create(after=0.0)
    for offset in (None, -300.0, -320.0):
        with pytest.raises(LedgerError, match="several"):
            attempt(asked, store, clock_offset=offset)
    assert store.value["details"]["clock_offset"] == -300.0


def test_a_recorded_job_that_is_unknown_for_a_moment_is_re_attached_to(service: Service) -> None:
    asked, store = Asked(service), Store()
    attempt(asked, store)
    service.unknown_until = service.now + 10.0
    entry, _ = attempt(asked, store)
    assert (entry.job_id, len(service.carried_out)) == ("job-1", 1)


def test_a_recorded_job_that_stays_unknown_is_an_error_and_a_clear_pays_anew(service: Service) -> None:
    asked, store = Asked(service), Store()
    attempt(asked, store)
    service.carried_out[0] = float("inf")
    with pytest.raises(LedgerError, match=r"job-1 cannot be found .* Clear the task"):
        attempt(asked, store)
    assert len(service.carried_out) == 1
    entry, _ = attempt(asked, store, max_tries=1)
    assert entry.job_id == "job-2"


def test_a_recorded_job_that_cannot_be_read_is_left_to_the_wait(service: Service) -> None:
    asked, store = Asked(service), Store()
    attempt(asked, store)
    service.unreadable_until = service.now + 900.0
    assert attempt(asked, store, may_be_unread=True)[1] is None
    with pytest.raises(ServerError):
        attempt(asked, store)
    assert len(service.carried_out) == 1


def test_trouble_with_the_list_is_no_end_of_the_search(service: Service) -> None:
    service.unlisted_until = service.now + 60.0
    entry, _ = attempt(Asked(service, [("lost", 0.0)]), Store())
    assert (entry.job_id, len(service.carried_out)) == ("job-1", 1)


@pytest.mark.parametrize("seconds", [1.0, 4.0])
def test_a_refusal_of_the_list_is_not_believed_at_once(service: Service, seconds: float) -> None:
    """However often it was read before: the search that decides is the last one."""
    service.refused_from, service.refused_until = service.now + 90.0, service.now + 100.0 + seconds
    entry, _ = attempt(Asked(service, [("lost", 12.0)]), Store())
    assert (entry.job_id, len(service.carried_out)) == ("job-1", 1)


def test_a_list_that_stays_unreadable_leaves_it_to_the_next_attempt(service: Service) -> None:
    asked, store = Asked(service, [("lost", 0.0)]), Store()
    service.unlisted_until = service.now + 3600.0
    with pytest.raises(TransportError):
        attempt(asked, store)
    with pytest.raises(ServerError, match="may be billed; a retry searches again"):
        attempt(asked, store)
    service.unlisted_until = 0.0
    entry, _ = attempt(asked, store)
    assert (entry.job_id, len(service.carried_out)) == ("job-1", 1)


@pytest.mark.parametrize("set_back", [3600.0, -3600.0])
def test_a_clock_of_ours_that_is_set_makes_no_search_longer(service: Service, set_back: float) -> None:
    asked, store = Asked(service, [("lost on the way", 0.0)]), Store()
    with pytest.raises(TransportError):
        attempt(asked, store)
    service.now -= set_back
    began = service.elapsed
    attempt(asked, store)
    assert service.elapsed - began < 200.0
    assert len(service.carried_out) == 1


def test_a_sibling_that_has_not_told_its_job_yet_is_waited_for(service: Service) -> None:
    theirs, began = service.create(after=0.0), service.now
    entry, _ = attempt(
        Asked(service, [("lost", 0.0)]),
        Store(),
        claimed=lambda: {theirs} if service.now > began + 20.0 else set(),
    )
    assert (entry.job_id, len(service.carried_out)) == ("job-2", 2)


@pytest.mark.parametrize("statuses", [[403], [410, 400]], ids=str)
def test_a_refusal_to_show_a_recorded_job_is_not_believed_at_once(
    service: Service, statuses: list[int]
) -> None:
    asked, store = Asked(service), Store()
    attempt(asked, store)
    service.refusals = [*statuses]
    assert attempt(asked, store)[0].job_id == "job-1"
    service.refusals = [403] * 3
    with pytest.raises(InvalidRequestError):
        attempt(asked, store)
    assert len(service.carried_out) == 1


@pytest.mark.parametrize("end", ["lost", "refused"])
def test_what_is_paid_for_after_a_clear_is_the_job_of_that_round(service: Service, end: str) -> None:
    """A crash and a retry after it are no second clear."""
    asked, store = Asked(service, [(end, 0.0)]), Store()
    service.unlisted_until = service.now + 3600.0
    with pytest.raises((TransportError, InvalidRequestError)):
        attempt(asked, store)
    service.unlisted_until = 0.0
    entry, _ = attempt(asked, store, max_tries=1)
    assert (entry.max_tries, len(service.carried_out)) == (1, 1)


def test_a_named_job_that_is_not_there_replaces_nothing(service: Service) -> None:
    asked, store = Asked(service), Store()
    discarded: list[Entry] = []
    attempt(asked, store)
    asked.adopts = "typo"
    with pytest.raises(NotFoundError):
        attempt(asked, store, discard_stale=discarded.append)
    assert discarded == []
    asked.adopts = service.create(after=0.0)
    attempt(asked, store, discard_stale=discarded.append)
    assert [entry.job_id for entry in discarded] == ["job-1"]


def test_a_named_job_is_taken_though_the_record_cannot_be_read(service: Service) -> None:
    asked, store = Asked(service), Store()
    attempt(asked, store)
    store.value = {"version": 99}
    with pytest.raises(LedgerError):
        attempt(asked, store)
    asked.adopts = "job-1"
    entry, _ = attempt(asked, store)
    assert (entry.job_id, len(service.carried_out)) == ("job-1", 1)


def test_a_job_of_another_task_is_not_taken_for_a_lost_one(service: Service) -> None:
    theirs = service.create(after=0.0)
    asked, store = Asked(service, [("lost on the way", 0.0)]), Store()
    with pytest.raises(TransportError):
        attempt(asked, store, claimed=lambda: {theirs})
    entry, _ = attempt(asked, store, claimed=lambda: {theirs})
    assert entry.job_id == "job-2"


def test_what_is_found_first_is_another_s_when_a_second_one_arrives(service: Service) -> None:
    service.create(after=0.0)
    asked, store = Asked(service, [("lost", 20.0)]), Store()
    with pytest.raises(TransportError):
        attempt(asked, store)
    with pytest.raises(LedgerError, match="several"):
        attempt(asked, store)
    assert len(service.carried_out) == 2


def test_of_two_tasks_that_search_at_once_none_takes_what_both_have_found(service: Service) -> None:
    taken: list[str | None] = []
    asked, store = Asked(service, [("lost", 0.0)]), Store()
    with pytest.raises(TransportError):
        attempt(asked, store, claimed=lambda: [one for one in taken if one], announce=taken.append)
    assert taken == ["job-1", None], "the others are told, then asked, then told otherwise"


class Named(Asked):
    """As the retry of an asset: what it is about has a name, and the task that made it has its id."""

    def request(self) -> dict[str, Any]:
        return {self.id_key: self.asked}

    def find_orphaned(self, *_: Any, **__: Any) -> dict[str, Any] | None:
        return {"id": self.asked} if self.asked in self.service.listed() else None


def test_what_the_request_names_is_taken_at_once_whoever_else_has_it(service: Service) -> None:
    asked, store, began = Named(service, [("lost", 0.0)], asked="job-1"), Store(), service.now
    entry, _ = attempt(asked, store, claimed=lambda: {"job-1"})
    assert (entry.job_id, service.now) == ("job-1", began)


def test_an_id_that_something_else_in_the_request_has_names_nothing(service: Service) -> None:
    """Where ids are numbers, a case and another's report on it may both be 1."""
    service.create(after=0.0)
    asked, store = Asked(service, [("lost", 20.0)], asked="job-1"), Store()
    with pytest.raises(TransportError):
        attempt(asked, store)
    with pytest.raises(LedgerError, match="several"):
        attempt(asked, store)


def test_nothing_is_taken_while_it_is_not_known_what_others_have(service: Service) -> None:
    asked, store = Asked(service, [("lost", 0.0)]), Store()
    with pytest.raises(TransportError):
        attempt(asked, store, claimed=lambda: None)
    with pytest.raises(LedgerError, match="which jobs other tasks have is not known"):
        attempt(asked, store, claimed=lambda: None)
    entry, _ = attempt(asked, store)
    assert (entry.job_id, len(service.carried_out)) == ("job-1", 1)


def test_a_conflict_may_be_with_what_an_earlier_request_has_started(service: Service) -> None:
    """It began to run after the search for it had ended, or the list shows it later than that."""
    asked, store = Asked(service, [("lost", 8 * LATE), ("conflict", 0.0)]), Store()
    with pytest.raises(TransportError):
        attempt(asked, store)
    with pytest.raises(ConflictError):
        attempt(asked, store)
    service.now += 8 * LATE
    entry, _ = attempt(asked, store)
    assert (entry.job_id, len(service.carried_out)) == ("job-1", 1)


def test_a_conflict_may_be_with_the_request_itself(service: Service) -> None:
    """A proxy had no answer and sent it a second time."""
    asked, store = Asked(service, [("own conflict", 0.0)]), Store()
    entry, _ = attempt(asked, store)
    assert (entry.job_id, len(service.carried_out)) == ("job-1", 1)


def test_a_conflict_that_is_told_from_ones_own_leaves_nothing_to_settle(service: Service) -> None:
    asked, store = Asked(service, [("conflict", 0.0)], conflict_may_be_own=False), Store()
    with pytest.raises(ConflictError):
        attempt(asked, store)
    assert store.value["intent_at"] == 0.0


def test_what_was_paid_for_is_recorded_when_the_record_can_be_written_again(service: Service) -> None:
    store = Store()
    store.refuses = 2
    entry, _ = attempt(Asked(service), store)
    assert store.value["job_id"] == entry.job_id == "job-1"


@pytest.mark.parametrize("id_key", ["job_id", "asked"])
def test_an_id_that_cannot_be_recorded_is_told_with_the_argument_that_takes_it(
    service: Service, id_key: str
) -> None:
    asked, store = Asked(service, id_key=id_key, asked="job-1"), Store()
    store.refuses = 99
    with pytest.raises(LedgerError) as error:
        attempt(asked, store)
    # A retry of an asset runs in a submission that the user has named.
    assert ("job_id='job-1' takes it and pays nothing" in str(error.value)) == (id_key == "job_id")


def test_a_lost_answer_is_told_though_the_record_does_not_take_it(service: Service) -> None:
    class Full(Store):
        def set(self, value: Any) -> None:
            if "lost_at" in value["details"]:
                raise OSError("the database is read-only")
            super().set(value)

    asked, store = Asked(service, [("reset", 0.0)]), Full()
    with pytest.raises(TransportError):
        attempt(asked, store)
    entry, _ = attempt(asked, store)
    assert (entry.job_id, len(service.carried_out)) == ("job-1", 1)


@pytest.mark.parametrize("on_clear", [None, "attach", "new"])
def test_where_nothing_can_be_decided_a_clear_that_says_new_pays(
    service: Service, on_clear: str | None
) -> None:
    service.create(after=0.0)
    asked, store = Asked(service, [("lost", 0.0)], on_clear=on_clear), Store()
    with pytest.raises(TransportError):
        attempt(asked, store)
    if on_clear == "new":
        entry, _ = attempt(asked, store, max_tries=1)
        assert (entry.job_id, paid_requests(entry)) == ("job-3", 2)
    else:
        with pytest.raises(LedgerError, match="several"):
            attempt(asked, store, max_tries=1)


def test_a_job_that_exists_is_taken_and_nothing_paid_for(service: Service) -> None:
    by_hand, store = service.create(after=0.0), Store()
    entry, body = attempt(Asked(service, adopts=by_hand), store)
    again, _ = attempt(Asked(service, adopts=by_hand), store)
    assert entry.job_id == again.job_id == body["id"] == by_hand
    assert paid_requests(entry) == 0
    assert len(service.carried_out) == 1


@pytest.mark.parametrize("on_clear", [None, "attach", "new"], ids=str)
def test_a_named_job_that_is_not_found_any_more_is_not_paid_for_by_a_clear(
    service: Service, on_clear: str | None
) -> None:
    asked, store = Asked(service, adopts=service.create(after=0.0), on_clear=on_clear), Store()
    attempt(asked, store)
    service.unknown_until = float("inf")
    with pytest.raises(NotFoundError):
        attempt(asked, store, max_tries=1)
    assert len(service.carried_out) == 1


def test_a_named_job_is_taken_however_it_ended_and_what_replaced_it_is_found(service: Service) -> None:
    by_hand, store = service.create(after=0.0), Store()
    asked = Asked(service, adopts=by_hand)
    failed: dict[str, Any] = {"should_reattach": lambda entry, body: entry.job_id != by_hand}
    entry, _ = attempt(asked, store, **failed)
    assert attempt(asked, store, **failed)[0].job_id == by_hand
    assert len(service.carried_out) == 1
    ledger = Ledger(store)
    replacement = service.create(after=0.0)
    spent = ledger.prepare(entry.fingerprint, carry_over(entry))
    ledger.settle(ledger.intend(spent, service.now), replacement, submitted_at=service.now)
    assert attempt(asked, store, **failed)[0].job_id == replacement
    assert len(service.carried_out) == 2


def test_other_arguments_keep_the_count(service: Service) -> None:
    discarded: list[Entry] = []
    store = Store()
    attempt(Asked(service), store)
    entry, _ = attempt(Asked(service, asked="y"), store, discard_stale=discarded.append)
    assert [one.job_id for one in discarded] == ["job-1"]
    assert entry.details == {
        "earlier_ids": ["job-1"],
        "paid": 2,
        "server": "https://x",
        "asked_with": "key",
    }


OUTCOMES = st.tuples(
    st.sampled_from(["answered", "reset", "read timeout", "lost on the way", "never sent", "refused"]),
    st.floats(0.0, LATE),
)


@given(outcomes=st.lists(OUTCOMES, max_size=6), deaths=st.lists(st.booleans(), max_size=6), data=st.data())
def test_whatever_happens_one_job_is_paid_for(
    outcomes: list[tuple[str, float]], deaths: list[bool], data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        service = clocked(patch)
        asked, store = Asked(service, list(outcomes), list(deaths)), Store()
        for _ in range(8):
            lag = data.draw(st.floats(0.0, 20.0))
            service.unknown_until = service.now + lag if store.value and store.value["job_id"] else 0.0
            try:
                entry, _ = attempt(asked, store)
            except (ProviderError, WorkerDied):
                service.now += data.draw(st.floats(0.0, 300.0))
                continue
            assert entry.job_id == "job-1"
        assert len(service.carried_out) <= 1
