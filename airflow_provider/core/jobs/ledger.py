"""
Pay once: the record of what a task instance has asked a service to do.

The intent is written before the paid call and the job's id after it, in Airflow's task state store (Airflow
3.3), which outlives retries, crashes and, before 3.4, clears. Airflow 3.1 and 3.2 have no such store: there
the record lives in an XCom of the task, which outlives a deferral and not a retry. Where Airflow's own record
does not outlive everything, there is a file beside it, which does.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from types import UnionType
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider.compat import CLEAR_DISCARDS_TASK_STATE, conf, runs_in_local_executor
from airflow_provider.exceptions import LedgerError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.jobs.record_file import RecordFile

KEY = "airflow_provider_job"
"""Key of the record in the store. A wire format between versions: never rename it."""

VERSION = 1

ATTEMPT = "try_number"
"""Key of the attempt that has written a record, where a file is kept beside it."""

OWED = timedelta(days=365)
"""How long Airflow is to keep the record of a job that was paid for and not returned."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """
    What one task instance has asked for.

    :param fingerprint: of the request and the connection; another request never inherits this entry's job.
    :param intent_at: when the paid call was about to be sent, epoch seconds; 0 while nothing paid was sent.
    :param max_tries: the task instance's ``max_tries`` then; it changes when a user clears the task.
    :param job_id: submission, report or case id; empty while the call's outcome is unknown.
    :param submitted_at: when the answer came, epoch seconds.
    :param deadline: when waiting ends, epoch seconds.
    :param left: an attempt ended and left the job running on purpose, for the next attempt to find.
    :param details: what the operator needs to go on: blob paths, earlier job ids, repairs made.
    """

    fingerprint: str
    intent_at: float
    max_tries: int
    job_id: str = ""
    submitted_at: float = 0.0
    deadline: float = 0.0
    left: bool = False
    details: dict[str, Any] = field(default_factory=dict)


_KINDS: Mapping[str, type | UnionType] = {
    "fingerprint": str,
    "intent_at": int | float,
    "max_tries": int,
    "job_id": str,
    "submitted_at": int | float,
    "deadline": int | float,
    "left": bool,
    "details": dict,
}
"""Types of what an entry holds, as a store gives it back."""


class Store(Protocol):
    """Where the record is kept."""

    durable: bool

    @property
    def place(self) -> str:
        """What a user deletes to start afresh."""

    def get(self) -> Any: ...

    def set(self, value: dict[str, Any]) -> None: ...

    def is_replaced(self) -> bool:
        """Whether another attempt has taken the place of the one that has written here."""


class TaskStateStore:
    """Airflow 3.3's task state store, scoped to run, task and map index, not to the try."""

    durable = True

    def __init__(self, accessor: Any, key: str = KEY) -> None:
        self._accessor = accessor
        self._key = key
        self.place = f"the task state {key!r} of this task instance"

    def get(self) -> Any:
        return self._accessor.get(self._key)

    def set(self, value: dict[str, Any]) -> None:
        self._accessor.set(self._key, value, retention=_kept_for(value))

    def is_replaced(self) -> bool:
        return self.get() is None


def _kept_for(value: Mapping[str, Any]) -> timedelta | None:
    """
    Return how long a record is kept; ``None`` for as long as ``[state_store] default_retention_days`` says,
    which may be shorter than the time to the retry, or the clear, that wants the job.
    """
    delivered = value.get("details", {}).get("delivered")
    return OWED if value.get("intent_at") and not delivered else None


class XComStore:
    """An XCom of the task: kept while it is deferred, cleared by Airflow before a retry."""

    durable = False

    def __init__(self, task_instance: Any, key: str = KEY) -> None:
        self._ti = task_instance
        self._key = key
        self.place = f"the XCom {key!r} of this task instance"

    def get(self) -> Any:
        return self._ti.xcom_pull(
            task_ids=self._ti.task_id, key=self._key, map_indexes=getattr(self._ti, "map_index", -1)
        )

    def set(self, value: dict[str, Any]) -> None:
        self._ti.xcom_push(key=self._key, value=value)

    def is_replaced(self) -> bool:
        return self.get() is None


class FileBackedStore:
    """
    One of the stores above with a file beside it, which counts where Airflow has discarded the other.

    :param store: read first; never older than the file.
    :param file: of the record.
    :param attempt: number of this attempt. Kept in ``store``, so that an attempt can tell that another one
        has taken its place.
    :param configured: whether the user has named the folder. One of the package's own choice serves retries
        and clears alone: a first attempt would find there what a Dag run of the same id has left that is
        gone, as after ``dag.test()``. That it cannot be written is no reason to stop.
    :param reached: whether all attempts of the task reach the file, as long as it can be written.
    """

    def __init__(
        self, store: Store, file: RecordFile, *, attempt: int, configured: bool = True, reached: bool = True
    ) -> None:
        self._store = store
        self._file = file
        self._attempt = attempt
        self._configured = configured
        self.reached = reached
        self.durable = reached or store.durable

    @property
    def place(self) -> str:
        return f"{self._store.place} and the file {self._file}"

    def get(self) -> Any:
        value = self._store.get()
        if value is None and (self._configured or self._attempt > 1):
            value = self._file.get()
        if isinstance(value, dict) and value.get(ATTEMPT) != self._attempt:
            self._store.set({**value, ATTEMPT: self._attempt})
        return value

    def set(self, value: dict[str, Any]) -> None:
        self._store.set({**value, ATTEMPT: self._attempt})
        try:
            self._file.set(value)
        except Exception as error:
            # Before the paid call nothing may be sent; after it the job is followed all the same.
            if self._configured and not value["job_id"]:
                raise
            job = value["job_id"] or "that is about to be started"
            log.warning("The record of the job %s could not be written to a file: %s", job, error)
            self.reached, self.durable = False, self._store.durable

    def is_replaced(self) -> bool:
        value = self._store.get()
        return value is None or value.get(ATTEMPT) != self._attempt


class Ledger:
    """
    The record of one task instance.

    :param store: where it is kept.
    :param max_tries: the task instance's ``max_tries`` now.
    :param last_try: whether Airflow will not retry the task after this try.
    """

    owner: str = ""
    """Names the task instance, see :func:`owner_name`; empty for none."""

    def __init__(self, store: Store, *, max_tries: int = 0, last_try: bool = False) -> None:
        self._store = store
        self.max_tries = max_tries
        self.last_try = last_try

    @classmethod
    def of(cls, context: Context, part: str = "") -> Ledger:
        """
        Return the ledger of the running task instance.

        :param part: tells the ledger of an operator that the task calls itself; empty for the task's own.
        """
        ti: Any = context["ti"]
        key = f"{KEY}_{part}" if part else KEY
        accessor = context.get("task_state_store")
        store: Store = XComStore(ti, key) if accessor is None else TaskStateStore(accessor, key)
        max_tries, attempt = int(getattr(ti, "max_tries", 0) or 0), int(ti.try_number or 0)
        configured = (conf.get("airflow_provider", "job_records_path", fallback="") or "").strip()
        if configured or not store.durable or CLEAR_DISCARDS_TASK_STATE:
            from airflow_provider.core.jobs.record_file import RecordFile, own_folder

            if folder := configured or own_folder():
                store = FileBackedStore(
                    store,
                    RecordFile(folder, context, part, _loop_region(ti)),
                    attempt=attempt,
                    configured=bool(configured),
                    reached=bool(configured) or runs_in_local_executor(),
                )
        return cls(store, max_tries=max_tries, last_try=attempt > max_tries)

    @property
    def durable(self) -> bool:
        """Whether the record outlives a retry: from Airflow 3.3 on, or in a file that all attempts reach."""
        return self._store.durable

    @property
    def outlives_clear(self) -> bool:
        """Whether the record outlives a user's clear."""
        in_file = isinstance(self._store, FileBackedStore) and self._store.reached
        return in_file or (self.durable and not CLEAR_DISCARDS_TASK_STATE)

    def is_replaced(self) -> bool:
        """Whether another attempt has taken the place of this one, which has written the record."""
        # Such an attempt has lost its view of Airflow's task state.
        return self._store.is_replaced()

    def read(self) -> Entry | None:
        """
        Return the entry; ``None`` only when there truly is none.

        :raises LedgerError: the record could not be read, or is not one of ours. Nothing may be submitted
            then.
        """
        try:
            raw = self._store.get()
        except Exception as error:
            raise LedgerError(
                f"The record of this task's earlier attempts could not be read: {type(error).__name__}: "
                f"{error}. Nothing was submitted; retry when it can be read."
            ) from error
        if raw is None:
            return None
        try:
            if raw["version"] != VERSION:
                raise ValueError(f"version {raw['version']!r}")
            wrong = [name for name, kind in _KINDS.items() if not isinstance(raw[name], kind)]
            if wrong:
                raise TypeError(f"{', '.join(wrong)} of another type")
            return Entry(**{name: raw[name] for name in _KINDS})
        except (KeyError, TypeError, ValueError) as error:
            raise LedgerError(
                f"The record of this task's earlier attempts is not readable by this version ({error!r}). "
                "Nothing was submitted, because a job may be running. Check the service, then delete "
                f"{self._store.place} to start afresh."
            ) from error

    def write(self, entry: Entry) -> Entry:
        """
        Record the entry.

        :raises LedgerError: it could not be recorded.
        """
        try:
            self._store.set({"version": VERSION, **asdict(entry)})
        except Exception as error:
            raise LedgerError(
                f"The record of this task could not be written ({type(error).__name__}: {error})"
                + (f"; job {entry.job_id} is running." if entry.job_id else "; nothing was submitted."),
                job_id=entry.job_id or None,
            ) from error
        return entry

    def prepare(self, fingerprint: str, details: Mapping[str, Any]) -> Entry:
        """Record what was prepared, such as uploaded files, before anything paid is sent."""
        return self.write(
            Entry(fingerprint=fingerprint, intent_at=0.0, max_tries=self.max_tries, details=dict(details))
        )

    def intend(self, entry: Entry, now: float) -> Entry:
        """Record that the paid call is about to be sent."""
        return self.write(replace(entry, intent_at=now, max_tries=self.max_tries, job_id="", left=False))

    def settle(self, entry: Entry, job_id: str, *, submitted_at: float, deadline: float = 0.0) -> Entry:
        """Record the job that the paid call started, and that it was paid for."""
        details = {**entry.details, "paid": paid_requests(entry) + 1}
        return self.write(
            replace(
                entry,
                # From here on it is the job of this round: a retry after a clear is no second clear.
                max_tries=self.max_tries,
                job_id=job_id,
                submitted_at=submitted_at,
                deadline=deadline,
                left=False,
                details=details,
            )
        )

    def adopt(
        self,
        fingerprint: str,
        job_id: str,
        *,
        submitted_at: float,
        deadline: float,
        details: Mapping[str, Any],
    ) -> Entry:
        """Record a job that a user has named; nothing was paid for it here."""
        return self.write(
            Entry(
                fingerprint=fingerprint,
                intent_at=submitted_at,
                max_tries=self.max_tries,
                job_id=job_id,
                submitted_at=submitted_at,
                deadline=deadline,
                details=dict(details),
            )
        )

    def amend(self, entry: Entry, **changes: Any) -> Entry:
        """Record a change to the entry; one that was made up from an event alone is not recorded."""
        changed = replace(entry, **changes)
        return self.write(changed) if entry.fingerprint else changed

    def cleared(self, entry: Entry) -> bool:
        """Whether a user has cleared the task since the entry was made; a retry is not a clear."""
        return entry.max_tries != self.max_tries


def paid_requests(entry: Entry) -> int:
    """Return how many jobs, and retries inside them, the task is known to have been given."""
    # An entry that an older version of this package has written has no count.
    return int(entry.details.get("paid", len(entry.details.get("earlier_ids", ())) + bool(entry.job_id)))


def owner_name(context: Context, part: str = "") -> str:
    """Return the name of the running task instance, the same for all its attempts."""
    ti: Any = context["ti"]
    names = [ti.dag_id, ti.run_id, ti.task_id, ti.map_index, part]
    if region := _loop_region(ti):
        names.append(region)
    return "\0".join(str(name) for name in names)


def _loop_region(ti: Any) -> str:
    """Return which iteration of a task loop a task instance is, from Airflow 3.4 on; empty for none."""
    region = getattr(ti, "region_id", None)
    return f"{region} {ti.region_index}" if region is not None and region.int else ""


def request_mark(hook: Any, request: Mapping[str, Any]) -> str:
    """Return the fingerprint of a request on a hook's connection."""
    return fingerprint(request, connection=f"{hook.settings.conn_id} {hook.settings.base_url}")


def fingerprint(request: Mapping[str, Any], *, connection: str) -> str:
    """
    Return the digest of a request on a connection.

    :param request: everything that decides what is asked for; plain JSON.
    :param connection: which connection and server, so that another account's job is never inherited. Not the
        key: a rotated key finds the same job.
    """
    material = json.dumps({"request": request, "connection": connection}, sort_keys=True, default=str)
    return hashlib.sha256(material.encode()).hexdigest()
