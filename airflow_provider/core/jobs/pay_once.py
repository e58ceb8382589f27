"""PaidOperator: asks a service for something paid, once per task instance, whatever happens in between."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider.core.jobs.ledger import Entry, Ledger, fingerprint, paid_requests
from airflow_provider.core.operator import HookT, ServiceOperator
from airflow_provider.exceptions import (
    ApiError,
    LedgerError,
    MalformedResponseError,
    NotFoundError,
    ProviderError,
    ServerError,
    SubmitOutcomeUnknownError,
    TransportError,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

OUTCOME_UNKNOWN = (SubmitOutcomeUnknownError, ServerError, MalformedResponseError, TransportError)
"""Errors after which a paid call may have done its work all the same."""

LANDING = 30.0
"""Seconds after which a request that a dead worker had sent no longer arrives."""

LOOK_AGAIN = 3.0
"""Seconds between two looks for it."""


class PaidOperator(ServiceOperator[HookT]):
    """
    Submit once: read the record of earlier attempts, else write the intent, submit, and record the id.

    :param reuse_completed: when a user clears the task after it succeeded, return the same result again
        instead of paying for a new one. Retries never pay twice, whatever this says.
    """

    noun: ClassVar[str]
    """What the service calls the thing paid for."""

    lands_within: ClassVar[float] = 0.0
    """
    Seconds within which a paid request may still reach the service after its sender died, where finding it
    is a look only. A retry that comes sooner must not conclude from an empty list that there is nothing.
    """

    xcom_id_key: ClassVar[str]
    """XCom key under which its id is pushed as soon as it is known."""

    def __init__(self, *, reuse_completed: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reuse_completed = reuse_completed

    @abstractmethod
    def check(self) -> None:
        """Check the rendered arguments before anything is sent; name the argument that is wrong."""

    @abstractmethod
    def request(self) -> dict[str, Any]:
        """Return what decides the request, as plain JSON, for its fingerprint. Sends nothing."""

    def prepare(self, hook: HookT, ledger: Ledger, entry: Entry) -> Entry:
        """Do what must precede the paid call, recording what a later attempt need not repeat."""
        return entry

    @abstractmethod
    def submit(self, hook: HookT, entry: Entry) -> dict[str, Any]:
        """Send the paid call; return the service's answer."""

    @abstractmethod
    def find_lost(self, hook: HookT, entry: Entry) -> dict[str, Any] | None:
        """
        Find what an earlier paid call with a lost answer started.

        :return: the service's description of it; ``None`` when the call never landed.
        :raises LedgerError: it cannot be found out without paying twice.
        """

    @abstractmethod
    def fetch(self, hook: HookT, job_id: str) -> dict[str, Any]:
        """Return the service's present description of the thing paid for."""

    @abstractmethod
    def id_of(self, body: dict[str, Any]) -> str:
        """Return its id from the service's description."""

    def usable(self, hook: HookT, ledger: Ledger, entry: Entry, body: dict[str, Any]) -> bool:
        """Whether what an earlier attempt paid for serves this attempt."""
        return (
            self.reuse_completed
            or not ledger.cleared(entry)
            # Paid for, and nobody has had it: its attempt has died, was killed, or could not read it.
            or not entry.details.get("delivered")
        )

    def deliver(self, ledger: Ledger, entry: Entry, value: dict[str, Any]) -> dict[str, Any]:
        """Record that the task returns what was paid for; a clear then asks for a new one."""
        try:
            ledger.amend(entry, details={**entry.details, "delivered": True})
        except LedgerError as error:
            self.log.warning("A clear of this task will return the same %s again: %s", self.noun, error)
        return value

    def supersede(self, hook: HookT, entry: Entry) -> None:
        """Deal with a recorded job that belongs to another request of this task instance."""
        self.log.warning(
            "The recorded %s %s belongs to another request of this task; it is not used.",
            self.noun,
            entry.job_id,
        )

    def wait_limit(self) -> float:
        """Return the seconds that waiting may take, counted from submission; 0 when nothing is waited for."""
        return 0.0

    def secure(self, hook: HookT, ledger: Ledger) -> tuple[Entry, dict[str, Any]]:
        """
        Return the entry and description of the thing paid for: an earlier attempt's, or a new one.

        :raises LedgerError: the record cannot be read or settled; nothing was sent.
        """
        mark = fingerprint(self.request(), connection=f"{self.conn_id} {hook.settings.base_url}")
        entry = ledger.read()
        if entry is not None and entry.fingerprint != mark:
            if entry.intent_at:
                self.supersede(hook, entry)
            entry = None
        if entry is not None and entry.intent_at:
            if found := self._attach(hook, ledger, entry):
                return found
            entry = ledger.prepare(mark, self.keep_details(entry))
        if entry is None:
            if not ledger.durable:
                self.log.info(
                    "This Airflow has no task state store (3.3 has): a retry will not find the %s.",
                    self.noun,
                )
            entry = ledger.prepare(mark, {})
        return self.submit_once(hook, ledger, entry)

    def keep_details(self, entry: Entry) -> dict[str, Any]:
        """Return what of a spent entry serves the next one."""
        earlier = [*entry.details.get("earlier_ids", ()), *([entry.job_id] if entry.job_id else ())]
        return {"earlier_ids": earlier, "paid": paid_requests(entry)}

    def submit_once(self, hook: HookT, ledger: Ledger, entry: Entry) -> tuple[Entry, dict[str, Any]]:
        """Write the intent, send the paid call, record what it started."""
        entry = self.prepare(hook, ledger, entry)
        entry = ledger.intend(entry, time.time())

        def intend_anew() -> None:
            # A later attempt looks for what was sent shortly after the intent. If there is one already,
            # Airflow refuses this attempt the record, and so nothing is sent.
            nonlocal entry
            entry = ledger.intend(entry, time.time())

        hook.before_resending = intend_anew
        try:
            body = self.submit(hook, entry)
        except OUTCOME_UNKNOWN as error:
            if isinstance(error, TransportError) and not error.sent:
                ledger.amend(entry, intent_at=0.0)
                raise
            return self._adopt_lost(hook, ledger, entry, error)
        except ProviderError:
            ledger.amend(entry, intent_at=0.0)
            raise
        finally:
            hook.before_resending = None
        return self._settle(ledger, entry, body, time.time())

    def _adopt_lost(
        self, hook: HookT, ledger: Ledger, entry: Entry, error: Exception
    ) -> tuple[Entry, dict[str, Any]]:
        self.log.warning("The answer to the paid call was lost (%s); looking for the %s.", error, self.noun)
        try:
            body = self.look_up_lost(hook, entry)
        except (ApiError, LedgerError) as lookup:
            self.log.warning("Looking for the %s failed too: %s", self.noun, lookup)
            body = None
        if body is None:
            raise error
        return self._settle(ledger, entry, body, entry.intent_at)

    def look_up_lost(self, hook: HookT, entry: Entry) -> dict[str, Any] | None:
        """Look for a lost job right after its answer was lost, by reading only."""
        return self.find_lost(hook, entry)

    def _settle(
        self, ledger: Ledger, entry: Entry, body: dict[str, Any], submitted_at: float
    ) -> tuple[Entry, dict[str, Any]]:
        job_id = self.id_of(body)
        self.log.info("%s %s", self.noun.capitalize(), job_id)
        deadline = submitted_at + self.wait_limit()
        return ledger.settle(entry, job_id, submitted_at=submitted_at, deadline=deadline), body

    def _attach(self, hook: HookT, ledger: Ledger, entry: Entry) -> tuple[Entry, dict[str, Any]] | None:
        if not entry.job_id:
            self.log.warning(
                "An earlier attempt sent its request and never recorded an answer; looking for the %s.",
                self.noun,
            )
            body = self._find_landed(hook, entry)
            if body is None:
                self.log.info("The request never reached the service; submitting it now.")
                return None
            return self._settle(ledger, entry, body, entry.intent_at)
        try:
            body = self.fetch(hook, entry.job_id)
        except NotFoundError as error:
            self.log.warning("The recorded %s %s is gone (%s).", self.noun, entry.job_id, error)
            return None
        if not self.usable(hook, ledger, entry, body):
            return None
        if ledger.cleared(entry):
            # From here on it is the job of this round: a retry after the clear is no second clear.
            entry = ledger.amend(entry, max_tries=ledger.max_tries)
        self.log.info(
            "Re-attaching to %s %s of an earlier attempt; nothing is paid for again.", self.noun, entry.job_id
        )
        return entry, body

    def _find_landed(self, hook: HookT, entry: Entry) -> dict[str, Any] | None:
        """Look for a lost job until its request, whose sender is gone, can no longer be on its way."""
        landed_by = entry.intent_at + self.lands_within
        while (body := self.find_lost(hook, entry)) is None and (left := landed_by - time.time()) > 0:
            self.pause(hook, min(left, LOOK_AGAIN))
        return body

    def pause(self, hook: HookT, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def announce(self, context: Context, job_id: str) -> None:
        """Push the id to XCom at once, for people and links; recovery never relies on it."""
        if self.do_xcom_push:
            context["ti"].xcom_push(key=self.xcom_id_key, value=job_id)
