"""
The record of a task instance as a small file, on a disk or in a store that all workers reach.

It outlives what Airflow keeps: a retry on 3.1 and 3.2, and a clear on 3.4. The option ``job_records_path`` in
section ``[airflow_provider]`` of Airflow's configuration names the folder; else it is in Airflow's home.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import random
import re
import time
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider.core.budget.store import in_airflow_home
from airflow_provider.core.files.atomic import write_atomic
from airflow_provider.core.files.locations import Location, locate, storage_errors
from airflow_provider.exceptions import InvalidInputError

if TYPE_CHECKING:
    from airflow.sdk import Context

SETTING = "[airflow_provider] job_records_path"

FOLDER_NAME = "airflow_provider_job_records"

DAY = 86400.0

KEPT = 30 * DAY
"""Seconds after its last change for which a record is kept whose job's result was delivered."""

KEPT_UNDELIVERED = 365 * DAY
"""The same for every other record: its job may be wanted by a late clear."""

REMOVED_AT_ONCE = 20
"""How many old records one new record may replace, so that cleaning up takes a task no time."""

AFRESH = "check the service for a job, then delete the file to start afresh"

_DAYS = re.compile(r"\d{4}-\d{2}-\d{2}")

log = logging.getLogger(__name__)


def own_folder() -> str | None:
    """Return the folder in Airflow's home for those who name none; ``None`` where it cannot be written to."""
    path = in_airflow_home(FOLDER_NAME)
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        log.debug("No folder for job records: %s", error)
        return None
    return path if os.access(path, os.W_OK | os.X_OK) else None


class RecordFile:
    """
    The record of one task instance: ``<folder>/<day of the run>/<2 digits>/<digest of its ids>.json``.

    :param folder: local path or URL of a store, with or without ``conn_id@``. A local one must exist: that of
        a share that is not mounted would hold no records.
    :param context: of the running task instance.
    :param part: tells the record of an operator that the task calls itself; empty for the task's own.
    :param region: of an iteration of a task loop; empty for none.
    """

    def __init__(self, folder: str, context: Context, part: str = "", region: str = "") -> None:
        ti: Any = context["ti"]
        run_after: datetime = context["dag_run"].run_after  # a clear leaves it as it is
        self._folder_path = folder
        self._day = f"{run_after:%Y-%m-%d}"
        self._ids = {
            "dag_id": ti.dag_id,
            "run_id": ti.run_id,
            "task_id": ti.task_id,
            "map_index": -1 if ti.map_index is None else ti.map_index,
        }
        if region:
            self._ids["region"] = region
        if part:
            self._ids["part"] = part
        self._is_new = False

    @cached_property
    def _folder(self) -> Location:
        folder = locate(self._folder_path, argument=SETTING)
        if folder.is_local and not os.path.isdir(folder.path):
            raise InvalidInputError(f"{SETTING}: there is no folder {folder}; make or mount it")
        return folder

    @cached_property
    def _location(self) -> Location:
        # Ids may hold anything, and be longer than a file's name; a digest needs no quoting.
        digest = hashlib.sha256(json.dumps(list(self._ids.values())).encode()).hexdigest()
        return self._folder.child(self._day).child(digest[:2]).child(f"{digest}.json")

    def __str__(self) -> str:
        return str(self._location)

    def get(self) -> Any:
        """
        Return the record; ``None`` when there is none.

        :raises ProviderError: the folder cannot be read.
        :raises ValueError: what is there is no record of this task instance.
        """
        kept = _read(self._location)
        self._is_new = kept is None
        if kept is None:
            return None
        if {name: kept.get(name) for name in self._ids} != self._ids or "record" not in kept:
            raise ValueError(f"{self} is no record of this task; {AFRESH}")
        return kept["record"]

    def set(self, value: dict[str, Any]) -> None:
        """
        Write the record, whole or not at all; a new one removes some that have served their time.

        :raises ProviderError: it was not written.
        """
        kept = {**self._ids, "written_at": time.time(), "record": value}
        with write_atomic(self._location) as file:
            file.write(json.dumps(kept).encode())
        if self._is_new:
            self._is_new = False
            remove_old_records(self._folder, now=time.time())


def _read(location: Location) -> dict[str, Any] | None:
    """Return what a file of records holds; ``None`` when there is no file."""
    if location.stat() is None:
        return None
    with storage_errors("cannot read", location), location.open() as stream:
        text = stream.read()
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{location} is no record ({error}); {AFRESH}") from error


def remove_old_records(folder: Location, *, now: float) -> None:
    """
    Remove some records that have served their time, of one day and a 256th of its tasks.

    What goes wrong is logged; the next new record tries again.

    :param folder: of all records.
    :param now: epoch seconds.
    """
    newest = f"{datetime.fromtimestamp(now - KEPT, UTC):%Y-%m-%d}"
    try:
        days = [name for name in folder.names() if _DAYS.fullmatch(name) and name < newest]
        if not days:
            return
        day = folder.child(random.choice(days))  # noqa: S311 - any day will do, guessed or not
        for part in random.sample(parts := day.names(), min(1, len(parts))):
            _remove_served(day.child(part), now)
        if folder.is_local:
            # Fails where something is left, or has come.
            with contextlib.suppress(OSError):
                os.rmdir(day.path)
    except Exception as error:
        log.warning("Old job records in %s could not be removed: %s", folder, error)


def _remove_served(part: Location, now: float) -> None:
    names = part.names()
    for name in random.sample(names, min(REMOVED_AT_ONCE, len(names))):
        file = part.child(name)
        with contextlib.suppress(ValueError, LookupError, TypeError):  # no record, and not ours to remove
            if _has_served(_read(file), now):
                file.remove()
    if part.is_local:
        with contextlib.suppress(OSError):
            os.rmdir(part.path)


def _has_served(kept: dict[str, Any] | None, now: float) -> bool:
    if kept is None:
        return False
    record = kept["record"]
    unpaid = not record["intent_at"]
    kept_for = KEPT if unpaid or record["details"].get("delivered") else KEPT_UNDELIVERED
    return now - float(kept["written_at"]) > kept_for
