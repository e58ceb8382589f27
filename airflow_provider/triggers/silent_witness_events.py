"""Event trigger for Silent Witness reports that end, whoever has ordered them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, Any, Final

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider.core.arguments import positive_seconds
from airflow_provider.core.polling.pages import Pages
from airflow_provider.core.polling.shared_clients import Lease, SharedClients
from airflow_provider.core.polling.wait import JobState, epoch_seconds
from airflow_provider.core.seen import SeenEvents
from airflow_provider.core.text import clean
from airflow_provider.exceptions import ProviderError
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.hooks.silent_witness_report import REPORT, listed_state, observe_report

if TYPE_CHECKING:
    import aiohttp

POLL_INTERVAL = 120.0
"""Seconds between two reads of the list that take two requests: 6 % of a key with 1,000 an hour."""

HINT_INTERVAL = 5.0
"""Seconds between two looks at what waits on the key have read of the list."""

LONGEST = 300.0
"""Seconds after which the reports of a case are read although the list shows one that runs."""

DAY = 86400.0
"""Longest pause in seconds before a case is read again whose reports could not be read, or did not end. Also
the most by which the newest report of a case may be older than the watch, and still make an event."""

MARGIN = 300.0
"""Seconds before the last read of the list within which a change of a case still counts as made since."""

REMEMBERED = 30 * 86400.0
"""Seconds for which a report that has made its event is remembered."""

_UNSEEN: Final = object()

Rows = Mapping[str, Mapping[str, Any]]


class SilentWitnessEventTrigger(BaseEventTrigger):
    """
    Turn the end of any report of an account into an asset event, also of one ordered in the dashboard::

        reports = Asset(
            "silent_witness_reports",
            watchers=[AssetWatcher(name="account", trigger=SilentWitnessEventTrigger())],
        )

    The list of active cases is read, and of a case that has changed its reports. The ``extra["payload"]`` of
    the asset event holds ``report_id``, ``case_id``, ``status`` (``completed``, ``failed`` or ``cancelled``),
    ``created_at`` and ``conn_id``. Reports that had ended before the trigger first ran make no event.

    Each report makes one event. On Airflow 3.3.2 and newer, with one asset for the trigger, the asset's state
    store remembers them: after a restart none is repeated, and reports that ended while no triggerer ran make
    theirs (a second report on an old case only where the API then shows a new ``updated_at``, which is not
    documented). Elsewhere reports that end while no triggerer runs make no event.

    :param conn_id: Silent Witness connection id, default ``silent_witness_default``.
    :param poll_interval: seconds, or a timedelta, between two reads of the list, default 120; longer where a
        read takes more than two requests. Ends are seen sooner while tasks wait for reports on the same key.
    :param queue: of the triggerers that run it (``airflow triggerer --queues``), from Airflow 3.4 on.
    """

    def __init__(
        self,
        *,
        conn_id: str = SilentWitnessHook.default_conn_name,
        poll_interval: float | timedelta = POLL_INTERVAL,
        queue: str | None = None,
    ) -> None:
        super().__init__()
        self.queue = queue
        self.conn_id = conn_id
        self.poll_interval = positive_seconds("poll_interval", poll_interval)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"conn_id": self.conn_id, "poll_interval": self.poll_interval},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Read the list for ever; yield an event for each report that has ended."""
        clients = SharedClients.current()
        account: Account | None = None
        pages = Pages()
        failures = 0
        async with clients.lease(SilentWitnessHook, self.conn_id) as lease:
            while True:
                pause = self.poll_interval
                try:
                    account = account or await self._account()
                    rows, requests = await pages.read_all(_page_reader(lease))
                    failures = 0
                    pause *= max(1.0, requests / 2)
                    states = {case_id: listed_state(row) for case_id, row in rows.items()}
                    changed_at = {case_id: _changed_at(row) for case_id, row in rows.items()}
                    now = await _service_time(lease)
                    for event in await self._ended(lease, account, account.changed(states, changed_at, now)):
                        yield TriggerEvent(event)
                except Exception as error:  # Airflow would start the trigger again within a second, for ever
                    failures += 1
                    pause *= 2.0 ** min(failures, 4)
                    what = error if isinstance(error, ProviderError) else repr(error)
                    self.log.warning("Reports that end cannot be seen; trying again: %s", clean(what))
                until = clients.clock() + pause
                while (left := until - clients.clock()) > 0:
                    await clients.sleep(min(left, HINT_INTERVAL))
                    if account and (cases := account.hinted(await _read_for_waits(lease))):
                        for event in await self._ended(lease, account, cases):
                            yield TriggerEvent(event)

    async def _account(self) -> Account:
        # Airflow 3.3.0 has a store that would block the event loop.
        store = getattr(self, "asset_state_store", None)
        try:
            if hasattr(store, "aget"):
                account = Account(self.conn_id, store)
                await account.load()
                return account
        except ValueError:
            pass  # several assets
        self.log.warning(
            "Airflow keeps no state for this trigger, which needs Airflow 3.3.2 and one asset that it "
            "watches: reports that end while no triggerer runs are not told."
        )
        return Account(self.conn_id)

    async def _ended(self, lease: Lease, account: Account, cases: list[str]) -> list[dict[str, Any]]:
        """Return an event for each report of these cases that has ended; remembered before it is sent."""
        events = []
        for case_id in cases:
            try:
                reports = await _send(lease, "alist_reports", case_id)
                events += account.ended(case_id, reports, await _service_time(lease))
            except ProviderError as error:  # may be of this case only
                account.unreadable(case_id, gone=error.not_found)
                self.log.warning("The reports of case %s cannot be read: %s", clean(case_id), clean(error))
        try:
            await account.save()
        except Exception as error:  # whatever it is, the reports have ended
            self.log.warning(
                "Which reports were told of could not be stored (%s): after a restart they may be told "
                "again.",
                type(error).__name__,
            )
        return events


class Account:
    """
    What is known of the reports of an account. Times are the service's, in epoch seconds.

    :param store: the trigger's ``asset_state_store``; ``None`` remembers in memory.
    """

    def __init__(self, conn_id: str, store: Any = None) -> None:
        name = f"silent_witness_reports_{conn_id}"
        self._conn_id = conn_id
        self._key = f"{name}_running"
        self._store = store
        self._reported = SeenEvents(name, REMEMBERED, store)
        self._states: dict[str, JobState | None] = {}
        self._shown_at: dict[str, float] = {}  # by case, when the list first showed that a report runs
        self._unlisted: set[str] = set()
        self._unreadable: dict[str, tuple[float, float]] = {}  # by case, since when, and when last
        self._running: dict[str, float] = {}  # by case, when its reports were last read
        self._active: dict[str, list[str]] = {}  # by case, reports that ran then
        self._since: float | None = None
        self._read_at: float | None = None

    async def load(self) -> None:
        """
        Read what was stored.

        :raises ValueError: several assets share the trigger, and Airflow gives them no store in common.
        """
        await self._reported.load()
        stored = await self._store.aget(self._key, default=None)
        if isinstance(stored, dict):
            self._since, self._read_at = stored["since"], stored["read_at"]
            self._active = stored["running"]
            self._running = dict.fromkeys(self._active, 0.0)

    async def save(self) -> None:
        await self._reported.save()
        if self._store is not None:
            running = {case_id: self._active.get(case_id, []) for case_id in self._running}
            stored = {"since": self._since, "read_at": self._read_at, "running": running}
            await self._store.aset(self._key, stored)

    def changed(
        self,
        states: Mapping[str, JobState | None],
        changed_at: Mapping[str, float],
        now: float,
    ) -> list[str]:
        """
        Learn what the list shows; return the cases whose reports have to be read.

        :param states: of the report of each case.
        :param changed_at: when the case was created or last changed.
        """
        if self._since is None:
            self._since = now
        to_read = []
        for case_id, state in states.items():
            before = self._states.get(case_id, _UNSEEN)
            runs = state is JobState.ACTIVE
            if runs and before is not state:
                self._shown_at[case_id] = now
            if case_id in self._running:
                due = not runs or self._unread_for_long(case_id, now)
            elif runs:
                due = False
                self._running[case_id] = now
            elif before is _UNSEEN:  # a report may have been ordered and have ended between two reads
                since = self._read_at
                due = state is not None and since is not None and changed_at[case_id] >= since - MARGIN
            else:
                due = state not in (None, before)
            if due:
                to_read.append(case_id)
                self._running.setdefault(case_id, now)
        self._unlisted = self._running.keys() - states.keys()
        # A row without a state does not change the state that was shown before.
        self._states |= {
            case_id: state
            for case_id, state in states.items()
            if state is not None or case_id not in self._states
        }
        self._read_at = now
        to_read += [case_id for case_id in self._unlisted if self._unread_for_long(case_id, now)]
        return [case_id for case_id in to_read if self._may_be_readable(case_id, now)]

    def _unread_for_long(self, case_id: str, now: float) -> bool:
        read_at = self._running[case_id]
        shown_for = 0.0 if case_id in self._active else read_at - self._shown_at.get(case_id, read_at)
        return now - read_at >= min(DAY, max(LONGEST, shown_for))

    def _may_be_readable(self, case_id: str, now: float) -> bool:
        first, last = self._unreadable.get(case_id, (now, now))
        return now - last >= min(DAY, last - first)

    def hinted(self, states: Mapping[str, JobState | None]) -> list[str]:
        """
        Return the cases whose report runs no longer, by what waits on the key have read of the list.

        :param states: of the reports of some cases.
        """
        ended = [
            case_id
            for case_id in self._running
            if self._states.get(case_id) is JobState.ACTIVE
            and states.get(case_id, JobState.ACTIVE) is not JobState.ACTIVE
        ]
        self._states |= {case_id: states[case_id] for case_id in ended}
        return ended

    def unreadable(self, case_id: str, *, gone: bool) -> None:
        """
        Learn that the reports of a case could not be read.

        :param gone: whether the service knows no such case; believed when the list does not show it either.
        """
        if gone and case_id in self._unlisted:
            self._running.pop(case_id, None)
            self._active.pop(case_id, None)
            self._unreadable.pop(case_id, None)
        else:
            assert self._read_at is not None
            first, _ = self._unreadable.get(case_id, (self._read_at, self._read_at))
            self._unreadable[case_id] = first, self._read_at

    def ended(self, case_id: str, reports: list[dict[str, Any]], now: float) -> list[dict[str, Any]]:
        """
        Return an event for each report of a case that has ended and has made none.

        :param reports: of the case, newest first.
        """
        events = []
        active, seen_active = [], self._active.pop(case_id, [])
        self._unreadable.pop(case_id, None)
        for place, report in enumerate(report for report in reports if report.get("status")):
            observed = observe_report(report)
            if not observed.finished:
                active.append(observed.job_id)
                continue
            created_at = epoch_seconds(report.get("created_at"))
            # The newest may have changed the case's row; others may have ended before anybody watched.
            since = (self._since or now) - (DAY if place == 0 else 0.0)
            watched = observed.job_id in seen_active or (
                place == 0 if created_at is None else created_at >= since
            )
            if watched and self._reported.add(observed.job_id, now):
                events.append(
                    {
                        "report_id": observed.job_id,
                        "case_id": case_id,
                        "status": observed.raw_status,
                        "created_at": report.get("created_at"),
                        "conn_id": self._conn_id,
                    }
                )
        if active:
            self._running[case_id] = now
            self._active[case_id] = active
        else:
            self._running.pop(case_id, None)
        return events


def _changed_at(case: Mapping[str, Any]) -> float:
    times = (epoch_seconds(case.get(name)) for name in ("created_at", "updated_at"))
    return max((at for at in times if at is not None), default=inf)


async def _service_time(lease: Lease) -> float:
    return (await lease.key_state()).hook.service_time(lease.clients.clock())


async def _send(lease: Lease, method: str, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
    """Call a method of the hook when the key has a turn for it."""

    async def request(hook: Any, client: aiohttp.ClientSession) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await getattr(hook, method)(client, *args, **kwargs)
        return rows

    now = lease.clients.clock()
    rows = await lease.on_key(lambda state: state.send(request, since=now, listing=True))
    assert rows is not None
    return rows


def _page_reader(lease: Lease) -> Callable[..., Awaitable[Rows]]:
    async def read(*, offset: int, limit: int, page: int | None) -> Rows:
        rows = await _send(
            lease, "alist_cases", status="active", limit=limit, offset=offset or None, page=page
        )
        return {row["id"]: row for row in rows}

    return read


async def _read_for_waits(lease: Lease) -> Mapping[str, JobState | None]:
    assert REPORT.listing is not None
    try:
        return (await lease.key_state()).sweep(REPORT.listing).listed
    except ProviderError:
        return {}
