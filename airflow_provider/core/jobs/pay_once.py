"""PayOnce: ask a service for something paid once per task instance, whatever happens in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from logging import Logger
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from airflow_provider.core.budget.turns import TurnAwaitedError
from airflow_provider.core.http.retry import may_have_started
from airflow_provider.core.jobs.claims import Claims, JobOwners, claimed_ids
from airflow_provider.core.jobs.ledger import Entry, Ledger, paid_requests, request_mark
from airflow_provider.core.jobs.paid_request import (
    ATTACH,
    NEW,
    PaidInVainError,
    PaidRequest,
    PreparedInVainError,
)
from airflow_provider.core.jobs.search import lost_requests, search
from airflow_provider.core.polling.wait import REFUSALS_BELIEVED, TRANSIENT_ERRORS
from airflow_provider.core.text import public
from airflow_provider.exceptions import (
    ApiError,
    ConflictError,
    InvalidInputError,
    LedgerError,
    NotFoundError,
    PaidRequestsLimitError,
    ProviderError,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

T = TypeVar("T")

Found: TypeAlias = tuple[Entry, dict[str, Any] | None]
"""What is paid for: its record, and the service's description, ``None`` while that cannot be read."""

RECORD_PAUSES = (1.0, 3.0, 10.0)
"""Seconds between attempts to record what was paid for."""

READ_PAUSES = (1.0, 2.0, 5.0, 10.0, 15.0)
"""Seconds between reads of a recorded job that the service does not know, before that is believed."""


SERVER = "server"
"""Key in the record: at which server the thing was asked for."""

ASKED_WITH = "asked_with"
"""Key in the record: the digest of server and API key that the last paid request was sent with."""


class PayOnce:
    """
    Submit once: re-attach to what an earlier attempt paid for, else write the intent, submit, record the id.

    :param paid: what is paid for.
    :param hook: of the service.
    :param ledger: the task instance's record.
    :param context: of the running task instance.
    :param wait_limit: returns the seconds that waiting may take, counted from submission; default none.
    :param should_reattach: whether a recorded thing in its present state serves this attempt.
    :param discard_stale: deals with a recorded thing that belongs to another request of this task instance.
    :param pause: waits some seconds.
    :param find_existing: returns the id of a thing that exists already and serves this task as well; asked
        when nothing is on record.
    :param recorded: is told the id of a thing that was paid for before it is on record, and of a recorded
        one before it is known whether it serves; ``None`` when it does not.
    :param may_be_unread: whether a recorded thing may be returned without its description while the service
        gives no usable answer.
    """

    def __init__(
        self,
        paid: PaidRequest,
        hook: Any,
        ledger: Ledger,
        context: Context,
        *,
        wait_limit: Callable[[], float] = lambda: 0.0,
        should_reattach: Callable[[Entry, dict[str, Any]], bool] | None = None,
        discard_stale: Callable[[Entry], object] = lambda entry: None,
        pause: Callable[[float], None] = time.sleep,
        find_existing: Callable[[], str | None] = lambda: None,
        recorded: Callable[[str | None], object] = lambda job_id: None,
        may_be_unread: bool = False,
    ) -> None:
        self.paid = paid
        self.hook = hook
        self.ledger = ledger
        self.context = context
        self.log = paid.task_log
        self._wait_limit = wait_limit
        self._should_reattach = should_reattach or (lambda entry, body: self.still_owed(entry))
        self._discard_stale = discard_stale
        self.pause = pause
        self._find_existing = find_existing
        self._may_be_unread = may_be_unread
        self._recorded = recorded

    def submit_or_reattach(self) -> Found:
        """
        Return the entry and description of the thing paid for: an earlier attempt's, or a new one.

        The description is ``None`` only with ``may_be_unread``.

        :raises LedgerError: the record cannot be read or settled; nothing was sent.
        """
        entry = self._read_record()
        mark = self._fingerprint(entry)
        if entry is not None and entry.fingerprint != mark and self._is_older(entry):
            entry = self.ledger.amend(entry, fingerprint=mark)
        same = entry if entry is not None and entry.fingerprint == mark else None
        named, taken = self.paid.adopts, same.details.get("adopted") if same else None
        if named and taken != named:
            return self._adopt(mark, named, entry)
        carried: dict[str, Any] = {}
        if same is not None and same.intent_at:
            found, carried = self._take_up(same)
            if found:
                return found
            same = None
        elif entry is not None and same is None:
            carried = self._set_aside(entry)
        self._stop_for_wrong_arguments()
        entry = same or self._prepare(mark, carried)
        # A clear that asks for a new one does not ask for the one before.
        asks_for_new = self.paid.on_clear == NEW and entry.details.get("earlier_ids")
        if not asks_for_new and (existing := self._find_existing()):
            return self._adopt(mark, existing, entry)
        return self.submit_once(entry)

    def _read_record(self) -> Entry | None:
        try:
            return self.ledger.read()
        except LedgerError as error:
            if not self.paid.adopts:
                raise
            self.log.warning("The named %s is taken all the same. %s", self.paid.noun, error)
            return None

    def _set_aside(self, entry: Entry) -> dict[str, Any]:
        """Deal with the record of another request of this task; return what of it counts on."""
        if entry.intent_at and not entry.job_id:
            self.log.warning(
                "An earlier attempt sent another request for a %s and recorded no answer. It is not searched "
                "for with the arguments as they are now, and may be running and billed.",
                self.paid.noun,
            )
        elif entry.intent_at:
            self.log.warning(
                "The recorded %s %s belongs to another request of this task; it is not used.",
                self.paid.noun,
                entry.job_id,
            )
            self._discard(entry)
        return carry_over(entry)

    def _take_up(self, entry: Entry) -> tuple[Found | None, dict[str, Any]]:
        """Re-attach to what an earlier attempt has paid for; else return what of its record counts on."""
        self._recorded(entry.job_id or None)
        try:
            found, carried = self._reattach(entry), carry_over(entry)
            if not entry.job_id:
                # It may be carried out after all: a later search counts from it.
                carried["lost_requests"] = lost_requests(entry)
        except PaidInVainError:
            found, carried = None, carry_over(entry, paid_in_vain=1)
        if not found:
            self._recorded(None)
        return found, carried

    def _prepare(self, mark: str, carried: dict[str, Any]) -> Entry:
        if not self.ledger.durable:
            limited = self.paid.max_paid_requests is not None
            self.log.info(
                "This Airflow has no task state store (3.3 has) and [airflow_provider] job_records_path "
                "is not set: a retry finds the %s on this machine at most.%s",
                self.paid.noun,
                " max_paid_requests counts no tries on others." if limited else "",
            )
        return self.ledger.prepare(mark, {**carried, SERVER: self.hook.settings.base_url})

    def _fingerprint(self, entry: Entry | None) -> str:
        asked = self.paid.request()
        if entry is not None and self.paid.wrong.keys() & asked.keys():
            # It asks for nothing, so for nothing else than the attempt before.
            return entry.fingerprint
        return request_mark(self.hook, asked)

    def _is_older(self, entry: Entry) -> bool:
        older = self.paid.older_request()
        return older is not None and entry.fingerprint == request_mark(self.hook, older)

    def _stop_for_wrong_arguments(self) -> None:
        for error in self.paid.wrong.values():
            raise error

    def _discard(self, entry: Entry) -> None:
        """Deal with what is recorded and no longer asked for; what was only named goes on."""
        here = self.hook.settings.base_url
        if (server := entry.details.get(SERVER, here)) != here:
            # Here its id may be another's.
            self.log.warning("The %s %s is at %s, and goes on.", self.paid.noun, entry.job_id, server)
        elif not is_adopted(entry):
            self._discard_stale(entry)

    def _adopt(self, mark: str, job_id: str, entry: Entry | None) -> tuple[Entry, dict[str, Any]]:
        """Take what exists already, as the user says; nothing is paid for."""
        body = self.paid.fetch(self.hook, job_id)
        if entry is not None and entry.job_id not in ("", job_id):
            self._discard(entry)
        self.log.info("Taking %s %s, which exists already; nothing is paid for.", self.paid.noun, job_id)
        now = time.time()
        details = {**(carry_over(entry) if entry else {"paid": 0}), "adopted": job_id}
        deadline = now + self._wait_limit()
        return self.ledger.adopt(mark, job_id, submitted_at=now, deadline=deadline, details=details), body

    def submit_once(self, entry: Entry) -> tuple[Entry, dict[str, Any]]:
        """
        Write the intent, send the paid call, record what it started.

        :raises PaidRequestsLimitError: ``max_paid_requests`` have been sent; nothing more was.
        :raises JobCancelledError: the task was killed; nothing was sent.
        """
        self.require_allowance(entry)
        entry = self.paid.prepare(self.hook, self.ledger, entry)
        self.hook.turns.check()
        asked_with = {ASKED_WITH: self.hook.settings.identity}
        entry = self.ledger.intend(replace(entry, details={**entry.details, **asked_with}), time.time())

        def intend_anew() -> None:
            # A later attempt searches for what was sent shortly after the intent. If there is one already,
            # Airflow refuses this attempt the record, and so nothing is sent.
            nonlocal entry
            entry = self.ledger.intend(entry, time.time())

        self.hook.before_resending = intend_anew
        try:
            body = self.paid.submit(self.hook, entry)
        except PreparedInVainError as refused:
            entry = self.ledger.prepare(entry.fingerprint, refused.details)
            if not refused.again:
                raise refused.error from None
            self.log.warning(
                "What an earlier attempt had prepared is refused; preparing it anew: %s", refused
            )
            return self.submit_once(entry)
        except ProviderError as error:
            conflict = isinstance(error, ConflictError) and self.paid.conflict_may_be_own
            if conflict or may_have_started(error):
                return self._adopt_orphaned(entry, error)
            self.ledger.amend(entry, intent_at=0.0)
            raise
        except TurnAwaitedError:
            self.ledger.amend(entry, intent_at=0.0)
            raise
        finally:
            self.hook.before_resending = None
        return self._settle(entry, body, time.time())

    def still_owed(self, entry: Entry) -> bool:
        """Whether the recorded thing is still owed to this task: no clear has asked for a new one."""
        if not self.ledger.cleared(entry) or self.paid.on_clear == ATTACH or self.paid.reuse_completed:
            return True
        # What was paid for and nobody has had: its attempt has died, was killed, or could not read it.
        return self.paid.on_clear != NEW and not entry.details.get("delivered")

    @property
    def found_by(self) -> str:
        """Say which attempts find the job on record: a retry, and a clear where it does."""
        clear = self.ledger.outlives_clear and self.paid.on_clear != NEW
        return "a retry, or clearing the task," if clear else "a retry"

    def allowance(self, entry: Entry) -> int | None:
        """Return how many more paid requests ``max_paid_requests`` allows; ``None`` without a limit."""
        limit = 0 if self.paid.wrong else self.paid.max_paid_requests
        return None if limit is None else max(0, limit - paid_requests(entry))

    def require_allowance(self, entry: Entry, why: str = "") -> None:
        """
        Refuse a paid request over the limit.

        :param why: what it was for, as a sentence.
        :raises PaidRequestsLimitError: says what was paid for so far.
        :raises InvalidInputError: an argument is wrong.
        """
        self._stop_for_wrong_arguments()
        if self.allowance(entry) != 0:
            return
        jobs = [*entry.details.get("earlier_ids", ()), *([entry.job_id] if entry.job_id else ())]
        known = f" ({self.paid.noun}s so far: {', '.join(jobs)})" if jobs else ""
        raise PaidRequestsLimitError(
            f"{why} max_paid_requests={self.paid.max_paid_requests}, and this task has sent "
            f"{paid_requests(entry)} paid requests, over all its retries and clears{known}. Nothing more was "
            "sent. To pay for another one, raise max_paid_requests and clear the task.".lstrip(),
            parameter="max_paid_requests",
            job_id=entry.job_id or None,
        )

    def deliver(self, entry: Entry, value: dict[str, Any]) -> dict[str, Any]:
        """
        Push what the task returns, without links and secrets, and record that Airflow has it; a clear then
        asks for a new one.

        :raises LedgerError: Airflow did not take it.
        """
        value = public(value)
        try:
            self.paid.push_result(self.context, value)
        except Exception as error:
            raise LedgerError(
                f"The result of {self.paid.noun} {entry.job_id} could not be pushed to XCom: "
                f"{type(error).__name__}: {error}. {self.found_by.capitalize()} returns it and pays nothing.",
                job_id=entry.job_id,
            ) from error
        try:
            self.ledger.amend(entry, details={**entry.details, "delivered": True})
        except LedgerError as error:
            self.log.warning("A clear of this task will return the same %s again: %s", self.paid.noun, error)
        return value

    def _adopt_orphaned(self, entry: Entry, error: ProviderError) -> tuple[Entry, dict[str, Any]]:
        noun = self.paid.noun
        lost = {"lost_at": time.time(), "clock_offset": self.hook.clock_offset}
        try:
            entry = self.ledger.amend(entry, details={**entry.details, **lost})
        except LedgerError as failure:
            raise error from failure
        self.log.warning(
            "No answer says what became of the paid call (%s); searching for the %s.", error, noun
        )
        try:
            body = self._search(entry, may_probe=False)
        except (ApiError, LedgerError) as failure:
            self.log.warning("Searching for the %s failed too: %s", noun, failure)
            body = None
        if body is None:
            raise error
        return self._settle(entry, body, entry.intent_at)

    def _search(self, entry: Entry, *, may_probe: bool) -> dict[str, Any] | None:
        """Search; where nothing is found, keep the service's clock: it may be set before the next search."""
        body = None
        try:
            body = search(self, entry, may_probe=may_probe)
        finally:
            offset = self.hook.clock_offset
            if body is None and offset is not None and entry.details.get("clock_offset") is None:
                self.ledger.amend(entry, details={**entry.details, "clock_offset": offset})
        return body

    def _settle(
        self, entry: Entry, body: dict[str, Any], submitted_at: float
    ) -> tuple[Entry, dict[str, Any]]:
        job_id = self.paid.id_of(body)
        self._recorded(job_id)
        self._owners.take(job_id)
        self.log.info("%s %s", self.paid.noun.capitalize(), job_id)
        deadline = submitted_at + self._wait_limit()
        pauses = iter(RECORD_PAUSES)
        while True:
            try:
                return self.ledger.settle(entry, job_id, submitted_at=submitted_at, deadline=deadline), body
            except LedgerError as error:
                pause = next(pauses, None)
                if pause is None or self.ledger.is_replaced():
                    if job_id != self.paid.request().get(self.paid.id_key):
                        error.args = (f"{error} {self.paid.id_key}={job_id!r} takes it and pays nothing.",)
                    raise
                self.log.warning("%s Recording it again in %.0f s.", error, pause)
            self.pause(pause)

    def _reattach(self, entry: Entry) -> Found | None:
        noun = self.paid.noun
        if not entry.job_id:
            self._require_what_a_search_needs()
            self.log.warning(
                "An earlier attempt sent its request and never recorded an answer; searching for the %s.",
                noun,
            )
            says_new = self.ledger.cleared(entry) and self.paid.on_clear == NEW
            try:
                body = self._search(entry, may_probe=True)
            except LedgerError as unclear:
                if not says_new:
                    raise
                self.log.warning("Paying for a new %s, as on_clear='new' says. %s", noun, unclear)
                raise PaidInVainError from unclear
            except PreparedInVainError as refused:
                if self.ledger.cleared(entry):
                    raise PaidInVainError from refused.error
                raise LedgerError(
                    f"An earlier attempt sent a request for a {noun} and recorded no answer. Sent again, "
                    f"what it had prepared is refused, so whether the {noun} exists cannot be told. Nothing "
                    f"was paid for. Look it up and name it ({self.paid.id_key}='...' takes it), or clear the "
                    f"task to prepare everything anew and pay for it. {refused}"
                ) from refused.error
            if body is None:
                self.log.info("The request never reached the service; submitting it now.")
                return None
            return self._settle(entry, body, entry.intent_at)
        try:
            body = self._read_recorded(entry)
        except TRANSIENT_ERRORS as error:
            if not self._may_be_unread or (self.ledger.cleared(entry) and self.paid.on_clear != ATTACH):
                raise
            self.log.warning("%s %s cannot be read yet: %s", noun.capitalize(), entry.job_id, error)
            return entry, None
        if body is None:
            return None
        # What the user has named is taken whatever became of it: nothing is paid for in its place.
        if entry.job_id != self.paid.adopts and not self._should_reattach(entry, body):
            return None
        if self.ledger.cleared(entry):
            # From here on it is the job of this round: a retry after the clear is no second clear.
            entry = self.ledger.amend(entry, max_tries=self.ledger.max_tries)
        self.log.info(
            "Re-attaching to %s %s of an earlier attempt; nothing is paid for again.", noun, entry.job_id
        )
        for wrong in self.paid.wrong.values():
            self.log.warning("An argument is wrong; its default is used, for the job is paid for: %s", wrong)
        return entry, body

    def _require_what_a_search_needs(self) -> None:
        """Refuse to search with wrong arguments for what was asked for with right ones, or to probe."""
        for argument, error in self.paid.wrong.items():
            if argument in self.paid.request() or not self.paid.arrives_within:  # it would be sent again
                raise InvalidInputError(
                    f"{error} An earlier attempt has sent its request for a {self.paid.noun} and recorded no "
                    "answer; it is searched for when the argument is right.",
                    parameter=error.parameter,
                ) from error

    def _read_recorded(self, entry: Entry) -> dict[str, Any] | None:
        """
        Return the service's description of the recorded thing; ``None`` when a new one may be paid for.

        That the service does not know it is not believed at once, for it may be behind. Even then nothing is
        paid for until a user clears the task.

        :raises LedgerError: the service does not know it.
        """
        noun, pauses, refusals = self.paid.noun, iter(READ_PAUSES), 0
        while True:
            try:
                return self.paid.fetch(self.hook, entry.job_id)
            except NotFoundError as error:
                self.log.warning("The recorded %s %s is not found (%s).", noun, entry.job_id, error)
                pause = next(pauses, None)
                if pause is None:
                    if entry.job_id == self.paid.adopts:
                        raise
                    if self.ledger.cleared(entry):
                        return None
                    raise LedgerError(
                        f"The recorded {noun} {entry.job_id} cannot be found at the service, and may be "
                        f"running and billed all the same. Nothing was paid for. Clear the task to pay for a "
                        f"new one; a retry searches again. {error}",
                        job_id=entry.job_id,
                    ) from error
            except ApiError as error:
                refusals += 1
                pause = next(pauses, None)
                if isinstance(error, TRANSIENT_ERRORS) or refusals >= REFUSALS_BELIEVED or pause is None:
                    raise
                self.log.warning("%s %s: %s; reading it again.", noun.capitalize(), entry.job_id, error)
            self.pause(pause)

    @property
    def _owners(self) -> JobOwners:
        return JobOwners(self.hook, self.ledger.owner, self.paid.noun)

    def jobs_of_others(self) -> Claims | None:
        """Return the jobs that other tasks have; ``None`` when that is not known."""
        ids = claimed_ids(self.context, self.paid.id_key)
        return None if ids is None else Claims(ids, self._owners)

    def announce(self, job_id: str) -> None:
        """Tell the other tasks, of all Dags, that this one has a job."""
        self._owners.take(job_id)
        self.paid.announce(self.context, job_id)

    def withdraw(self, job_id: str) -> None:
        """Tell them that this task does not have it."""
        self._owners.give_back(job_id)
        self.paid.announce(self.context, None)


def is_adopted(entry: Entry) -> bool:
    """Whether the job on record was named by a user, and may be another's: nobody paid for it here."""
    return bool(entry.job_id) and entry.details.get("adopted") == entry.job_id


def carry_over(entry: Entry, *, paid_in_vain: int = 0) -> dict[str, Any]:
    """Return what of a spent entry counts on in the next one: earlier ids, and how many were paid for."""
    earlier = [*entry.details.get("earlier_ids", ()), *([entry.job_id] if entry.job_id else ())]
    kept = {name: value for name, value in entry.details.items() if name in ("adopted", "retried", SERVER)}
    return {**kept, "earlier_ids": earlier, "paid": paid_requests(entry) + paid_in_vain}


def resend_refused(
    send: Callable[[], T],
    *,
    may_pass: Callable[[ApiError], bool],
    hook: Any,
    log: Logger,
    pause: Callable[[float], object],
) -> T:
    """
    Send a request, again for half a minute while it is refused with an error that may pass.

    :param send: sends it.
    :param may_pass: whether an error is a refusal, after which nothing was done, that may be lifted.
    :param hook: of the service. What is paid for is on record as about to be sent before each repetition.
    :param log: of the task.
    :param pause: waits some seconds.
    :raises ApiError: any other error at once; the last refusal when the time is over.
    """
    for seconds in READ_PAUSES:
        try:
            return send()
        except ApiError as error:
            if not may_pass(error):
                raise
            log.warning("%s The service may be behind; sending it again in %.0f s.", error, seconds)
        pause(seconds)
        if hook.before_resending is not None:
            hook.before_resending()
    return send()
