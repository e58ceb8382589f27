"""The files of a case, as one attempt uploads them: none twice, and each with its own bytes."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from logging import Logger
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider.core.files.sent import DigestReader, is_unchanged, sent_file
from airflow_provider.core.http.retry import may_have_started
from airflow_provider.core.jobs.pay_once import resend_refused
from airflow_provider.core.jobs.search import ARRIVES_WITHIN, SEARCH_PAUSES, SHOWN_WITHIN, longest
from airflow_provider.core.text import comparable
from airflow_provider.exceptions import (
    ApiError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    TransferError,
)
from airflow_provider.hooks.silent_witness_case import may_be_of

if TYPE_CHECKING:
    from airflow_provider.core.files.sources import Source
    from airflow_provider.hooks.silent_witness import SilentWitnessHook
    from airflow_provider.operators.silent_witness.evidence import Part

Uploaded: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
"""``file_id``, ``file_name`` and ``status`` of a file that a case has, and what is known of its bytes."""

_ESCAPES = (("%22", '"'), ("%0A", "\n"), ("%0D", "\r"))
"""How forms write what would end a file name, after the HTML standard; a service may show it so."""


class CaseFiles:
    """
    The files of one case in one attempt.

    ``done`` and ``sent`` are what the record says of uploads; ``known`` are ids of files that are accounted
    for, so that none of them is taken for an upload whose answer was lost.

    :param is_new: whether this run has made the case, so that it may not be known everywhere yet.
    :param is_killed: whether the task is killed, so that nothing is searched for any more.
    :param broken_off_at: when an earlier attempt that broke off was last known to upload, epoch seconds;
        ``None`` when none did.
    :param pace: 1, and less in tests, whose time runs faster.
    """

    def __init__(
        self,
        case_id: str,
        details: Mapping[str, Any],
        *,
        is_new: Callable[[], bool],
        is_killed: Callable[[], bool],
        broken_off_at: float | None,
        pace: float,
        log: Logger,
    ) -> None:
        self.case_id = case_id
        self.is_new = is_new
        self.is_killed = is_killed
        self.broken_off_at = broken_off_at
        self.pace = pace
        self.log = log
        self.done: dict[str, dict[str, Any]] = dict(details.get("uploaded", {}))
        self.sent: dict[str, dict[str, Any]] = dict(details.get("sent", {}))
        self.known: set[str] = set()

    def find(
        self, hook: SilentWitnessHook, part: Part, sources: Sequence[Source]
    ) -> list[dict[str, Any] | None]:
        """
        Return what the case has of each file; ``None`` for one that is to be uploaded.

        What an attempt that broke off has sent may still arrive: it is waited for.
        """
        until = 0.0
        if self.broken_off_at is not None:
            until = self.broken_off_at + self.pace * (longest(hook.settings.read_timeout) + SHOWN_WITHIN)
        found: list[dict[str, Any] | None] = [None] * len(sources)
        for pause in itertools.chain(SEARCH_PAUSES, itertools.repeat(SEARCH_PAUSES[-1])):
            present = present_files(hook, self.case_id, part)
            taken = {record["file_id"] for record in found if record}
            self.known |= {*present, *taken}
            for file_id in taken:
                present.pop(file_id, None)
            for number, source in enumerate(sources):
                if found[number] is None:
                    found[number] = self._find(hook, part, source, present)
            remaining = until - time.time()
            if None not in found or remaining <= 0 or self.is_killed():
                break
            self.log.info("An earlier attempt broke off; what it has sent may arrive for %.0f s.", remaining)
            time.sleep(min(self.pace * pause, remaining))
        self.known |= {record["file_id"] for record in found if record}
        return found

    def _find(
        self, hook: SilentWitnessHook, part: Part, source: Source, present: dict[str, dict[str, Any]]
    ) -> dict[str, Any] | None:
        """Return what the case has of a file with just these bytes, and take it out of ``present``."""
        recorded = self.done.get(part.record + source.path)
        if (
            recorded
            and is_unchanged(source, self.sent.get(part.record + source.path))
            and (present.pop(recorded["file_id"], None) or self._is_there(hook, recorded["file_id"]))
        ):
            return dict(recorded)
        ours = {record["file_id"] for record in self.done.values()}
        for file_id, record in candidates(source, present).items():
            if file_id not in ours and self._has_bytes(hook, file_id, source.location.sha256()):
                del present[file_id]
                return record
        return None

    def _is_there(self, hook: SilentWitnessHook, file_id: str) -> bool:
        """Whether the service still has a file that its list does not show, for a list may be behind."""
        try:
            return hook.get_file_status(file_id).get("status") != "error"
        except NotFoundError:
            return False

    def _has_bytes(self, hook: SilentWitnessHook, file_id: str, sha256: str, *, named: bool = True) -> bool:
        digest = hashlib.sha256()
        try:
            for piece in hook.get_file(file_id):
                digest.update(piece)
        except (NotFoundError, PermissionDeniedError) as error:
            if not named:
                return False
            self.log.warning(
                "File %s is taken by its name and size: its bytes cannot be read. %s", file_id, error
            )
            return True
        return digest.hexdigest() == sha256

    def upload(self, hook: SilentWitnessHook, part: Part, source: Source, media_type: str) -> Uploaded:
        """
        Upload a file; return it when it arrived though the answer was lost.

        :raises TransferError: the service did not take it.
        """
        try:
            uploaded, sha256 = resend_refused(
                lambda: self._send(hook, part, source, media_type),
                may_pass=lambda error: isinstance(error, NotFoundError) and self.is_new(),
                hook=hook,
                log=self.log,
                pause=time.sleep,
            )
        except ApiError as error:
            # A 409 may be about the upload itself, which something on the way has sent twice.
            if not (may_have_started(error) or isinstance(error, ConflictError)):
                raise
            sha256 = source.location.sha256()
            found = self._find_lost(hook, part, source, sha256)
            if found is None:
                raise
            self.log.warning("The answer to an upload was lost (%s); %s arrived.", error, source.shown)
            self.known.add(found["file_id"])
            return found, sent_file(source, sha256)
        self.known.add(uploaded["file_id"])
        if uploaded.get("status") == "error":
            raise TransferError(
                f"Case {self.case_id} did not take {source.name}: the upload was answered with status "
                "'error'. A retry uploads it again."
            )
        self.log.info("Uploaded %s (%d bytes) to case %s", source.shown, source.size, self.case_id)
        record = {
            "file_id": uploaded["file_id"],
            "file_name": uploaded.get("file_name", source.name),
            "status": uploaded.get("status"),
        }
        return record, sent_file(source, sha256)

    def _send(
        self, hook: SilentWitnessHook, part: Part, source: Source, media_type: str
    ) -> tuple[dict[str, Any], str]:
        """Upload one file; return the answer and the digest of what was sent."""
        with DigestReader(source.open()) as stream, source.named_in_errors():
            uploaded = hook.upload_file(
                self.case_id,
                source.name,
                stream,
                category=part.category,
                vehicle_role=part.vehicle_role,
                content_type=media_type,
            )
        return uploaded, stream.sha256

    def _find_lost(
        self, hook: SilentWitnessHook, part: Part, source: Source, sha256: str
    ) -> dict[str, Any] | None:
        """Search for a file whose answer was lost, for as long as it may still arrive."""
        until = time.time() + self.pace * (ARRIVES_WITHIN + hook.settings.read_timeout + SHOWN_WITHIN)
        for pause in itertools.chain(SEARCH_PAUSES, itertools.repeat(SEARCH_PAUSES[-1])):
            present = present_files(hook, self.case_id, part)
            named = candidates(source, present)
            # It may be kept under another name than it was sent with.
            for file_id, record in {**named, **candidates(source, present, any_name=True)}.items():
                new = file_id not in self.known
                if new and self._has_bytes(hook, file_id, sha256, named=file_id in named):
                    return record
            remaining = until - time.time()
            if remaining <= 0 or self.is_killed():
                break
            time.sleep(min(pause, remaining))
        return None


def present_files(hook: SilentWitnessHook, case_id: str, part: Part) -> dict[str, dict[str, Any]]:
    """Return what a case has that may be of this category and vehicle, by id."""
    return {
        file["id"]: file
        for file in hook.list_files(case_id)
        if file.get("status") != "error" and may_be_of(file, part.category, part.vehicle_role)
    }


def candidates(
    source: Source, present: dict[str, dict[str, Any]], *, any_name: bool = False
) -> dict[str, dict[str, Any]]:
    """Return the records of files that may be the source: by its name, or any, and by its size."""
    name, size = name_and_size(source)
    return {
        file_id: {"file_id": file_id, "file_name": file.get("file_name"), "status": file.get("status")}
        for file_id, file in present.items()
        if any_name or _comparable_name(file.get("file_name") or "") == name
        if file.get("file_size") in (size, None)
    }


def name_and_size(source: Source) -> tuple[str, int]:
    """Return what a case's record of a file can be compared by."""
    return _comparable_name(source.name), source.size


def _comparable_name(name: str) -> str:
    for escape, char in _ESCAPES:
        name = name.replace(escape, char)
    return comparable(name)
