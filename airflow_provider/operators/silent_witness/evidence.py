"""Upload evidence to Silent Witness cases."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from airflow_provider.compat import AirflowSkipException
from airflow_provider.core.arguments import IF_NO_FILES, named_files, one_of, required_id, whole_number
from airflow_provider.core.budget.turn_queue import Priority
from airflow_provider.core.budget.turns import TurnAwaitedError
from airflow_provider.core.jobs.dry_run import DryRun
from airflow_provider.core.jobs.ledger import Entry, Ledger, request_mark
from airflow_provider.core.jobs.search import ARRIVES_WITHIN
from airflow_provider.core.naming import names_of_files
from airflow_provider.core.operator import ServiceOperator, in_turn
from airflow_provider.exceptions import InvalidInputError, LedgerError, NotFoundError
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.hooks.silent_witness_case import check_file_role
from airflow_provider.links import SilentWitnessDashboardLink
from airflow_provider.operators.silent_witness.case_files import (
    CaseFiles,
    Uploaded,
    candidates,
    name_and_size,
    present_files,
)
from airflow_provider.operators.silent_witness.new_case import is_new_case

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider.core.files.parallel import Parallel
    from airflow_provider.core.files.sources import Source

    Uploads: TypeAlias = Parallel[SilentWitnessHook, tuple[Source, str], Uploaded]

MAX_FILE_BYTES = 50_000_000
"""Whether 50MB is decimal or binary is not documented; the smaller reading is safe in both."""

IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
DOCUMENTS = ("application/pdf",)
ACCEPTED: dict[str, tuple[str, ...]] = {
    "vehicle_photo": IMAGES,
    "edr_document": DOCUMENTS,
    "tcr_document": DOCUMENTS,
}
"""Media types by file category, after https://docs.silentwitness.ai/api-reference/files/overview."""

UNDER_WAY = "under_way"
"""Key in the record: when uploads were last known to be under way, epoch seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """
    Files of one category and vehicle.

    :param where: the argument that names them, for errors.
    :param record: what their names in the task's record begin with.
    """

    files: Any
    category: str
    vehicle_role: str | None
    source_conn_id: str | None
    max_parallel: int
    if_no_files: str
    where: str = "files"
    record: str = ""

    @classmethod
    def of(cls, arguments: Mapping[str, Any], number: int | None = None) -> Part:
        """
        Return checked arguments.

        :param number: of the entry of ``evidence``; ``None`` for the operator's own arguments.
        """
        role = check_file_role(arguments["category"], arguments["vehicle_role"])
        whole_number("max_parallel", arguments["max_parallel"], least=1)
        one_of("if_no_files", arguments["if_no_files"], IF_NO_FILES)
        place = {} if number is None else {"where": f"evidence[{number}].files", "record": f"{number} "}
        return cls(**{**arguments, "vehicle_role": role, **place})

    def request(self) -> dict[str, Any]:
        """Return what is asked for, for a fingerprint."""
        return {
            "files": named_files(self.files),
            "category": self.category,
            "vehicle_role": self.vehicle_role,
        }


class SilentWitnessUploadEvidenceOperator(ServiceOperator[SilentWitnessHook]):
    """
    Upload evidence to a case: photos, an EDR report, a police report.

    Give ``files`` of one category and vehicle, or ``evidence``, a list of such entries. Returns
    ``[{"file_id", "file_name", "status"}, ...]`` in the order of ``files``; of ``evidence`` a list per entry.
    All files are checked before the first is sent. A file that the case has already, with the same name,
    bytes and category, is not uploaded again; bytes that this task has no record of are read back and
    compared.

    :param case_id: the case.
    :param files: paths, globs or object-storage URLs, as a list; at most 50 MB each.
    :param evidence: instead of ``files``: ``[{"files": [...], "category": ..., "vehicle_role": ...}, ...]``,
        also with ``source_conn_id`` and ``max_parallel``; what an entry does not say is as for the operator.
        An empty list uploads nothing.
    :param category: ``vehicle_photo`` (images), ``edr_document`` or ``tcr_document`` (PDF).
    :param vehicle_role: ``plaintiff`` (default) or ``defendant``; none for a ``tcr_document``.
    :param source_conn_id: connection for object-storage URLs that name none.
    :param if_no_files: ``fail`` (default) or ``skip`` the task when ``files`` is empty or its globs match
        nothing.
    :param max_parallel: how many files are uploaded at a time, default 4; EDR reports go one by one, because
        each replaces the one before, and so do files of one name and size, which the case cannot tell apart.
    :param silent_witness_conn_id: Silent Witness connection id, default ``silent_witness_default``.
    :param deferrable: wait for the rate limit in the triggerer. Default ``[operators] default_deferrable``.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://docs.silentwitness.ai/guides/uploading-evidence
    """

    hook_class = SilentWitnessHook
    turn_priority = Priority.CONTINUE
    arrives_within = ARRIVES_WITHIN
    template_fields: Sequence[str] = (
        "case_id",
        "files",
        "evidence",
        "category",
        "vehicle_role",
        "source_conn_id",
        "silent_witness_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"evidence": "json"}
    ui_color = "#f1edfb"
    operator_extra_links = (SilentWitnessDashboardLink(),)

    def __init__(
        self,
        *,
        case_id: str,
        files: Sequence[Any] | XComArg | None = None,
        evidence: Sequence[Mapping[str, Any]] | None = None,
        category: str = "vehicle_photo",
        vehicle_role: str | None = None,
        source_conn_id: str | None = None,
        if_no_files: str = "fail",
        max_parallel: int = 4,
        silent_witness_conn_id: str = SilentWitnessHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.silent_witness_conn_id = silent_witness_conn_id
        self.case_id = case_id
        self.files = files
        self.evidence = evidence
        self.category = category
        self.vehicle_role = vehicle_role
        self.source_conn_id = source_conn_id
        self.if_no_files = if_no_files
        self.max_parallel = max_parallel
        self._uploads: Uploads | None = None
        self._killed = False

    def item_name(self) -> str:
        return names_of_files(self.files) or str(self.case_id or "")

    @in_turn
    def execute(self, context: Context) -> list[Any]:
        """Check every file, then upload those the case does not have."""
        case_id = required_id("case_id", self.case_id)
        checked = [(part, self._sources(part)) for part in self._parts()]
        self.files_read = [source.path for _, sources in checked for source, _ in sources]
        if not checked:
            return []
        parts = [part for part, _ in checked]
        ledger = self.ledger(context, lambda: self._asked(case_id, parts))
        with self.hook() as hook:
            tried_in = context["ti"].try_number
            entry, broken_off_at = self._begin(ledger, hook, case_id, parts, tried_in)
            # In the first attempt, a case that this run has made has no files yet.
            first = entry.details.get("tried_in") == tried_in and "uploaded" not in entry.details
            files = CaseFiles(
                case_id,
                entry.details,
                is_new=lambda: is_new_case(context, case_id),
                is_killed=lambda: self._killed,
                broken_off_at=broken_off_at,
                pace=self.arrives_within / ARRIVES_WITHIN,
                log=self.task_log,
            )
            empty = first and files.is_new()

            def arrived(record: str, uploaded: Uploaded) -> None:
                nonlocal entry
                files.done[record], files.sent[record] = uploaded
                known = {"uploaded": files.done, "sent": files.sent, UNDER_WAY: time.time()}
                entry = ledger.amend(entry, details={**entry.details, **known})
                self.turns.recorded()

            try:
                results = [
                    self._upload_part(hook, files, part, sources, arrived, empty=empty)
                    for part, sources in checked
                ]
            except (Exception, TurnAwaitedError):
                if not self._killed:  # none of this attempt's uploads is under way any more
                    try:
                        ledger.amend(entry, details={**entry.details, UNDER_WAY: broken_off_at})
                    except LedgerError as error:
                        self.log.warning("A retry will search for files that may be under way. %s", error)
                raise
        return results[0] if self.evidence is None else results

    def dry_run(self) -> dict[str, Any]:  # type: ignore[override]
        """Say what a first attempt would send; upload nothing. See :meth:`.JobOperator.dry_run`."""
        case_id = required_id("case_id", self.case_id)
        found = DryRun()
        there = 0
        try:
            checked = [(part, self._sources(part)) for part in self._parts()]
        except AirflowSkipException as skipped:
            checked = []
            found.notes.append(f"The task would be skipped: {skipped}")
        with self.hook_of_dry_run() as hook:
            try:
                hook.get_case(case_id)
                for part, sources in checked:
                    present = present_files(hook, case_id, part)
                    there += sum(bool(candidates(source, present)) for source, _ in sources)
            except NotFoundError as error:
                found.missing.append(f"There is no case {case_id}: {error}")
        for _, sources in checked:
            found.add_files(sources)
        if found.files:
            found.other_requests["POST /api/files/upload"] = len(found.files)
        if there:
            found.notes.append(
                f"The case has files of the name and size of {there}: what it has is read back, and sent "
                "again only where the bytes differ."
            )
        return found.report(self.task_log)

    def _parts(self) -> list[Part]:
        own = {
            "files": self.files,
            "category": self.category,
            "vehicle_role": self.vehicle_role,
            "source_conn_id": self.source_conn_id,
            "max_parallel": self.max_parallel,
            "if_no_files": self.if_no_files,
        }
        if self.evidence is None:
            return [Part.of(own)]
        if self.files is not None:
            raise InvalidInputError("Give either files or evidence.", parameter="evidence")
        given_evidence: Any = self.evidence
        if isinstance(given_evidence, str | Mapping) or not isinstance(given_evidence, Iterable):
            raise InvalidInputError(f"evidence must be a list; got {self.evidence!r}.", parameter="evidence")
        parts = []
        for number, given in enumerate(given_evidence):
            if not isinstance(given, Mapping) or "files" not in given or not given.keys() <= own.keys():
                raise InvalidInputError(
                    f"evidence[{number}] must have files, and may have {', '.join(sorted(own))}; got "
                    f"{given!r}.",
                    parameter="evidence",
                )
            parts.append(Part.of({**own, **given}, number))
        return parts

    def _sources(self, part: Part) -> list[tuple[Source, str]]:
        from airflow_provider.core.files.sources import Limits, check_limits, resolve_sources

        accepted = dict.fromkeys(ACCEPTED[part.category], MAX_FILE_BYTES)
        limits = Limits(max_bytes=accepted, service="Silent Witness")
        return [
            (source, check_limits(source, limits, argument=part.where))
            for source in resolve_sources(
                part.files, conn_id=part.source_conn_id, argument=part.where, if_none=part.if_no_files
            )
        ]

    def _upload_part(
        self,
        hook: SilentWitnessHook,
        files: CaseFiles,
        part: Part,
        sources: Sequence[tuple[Source, str]],
        arrived: Callable[[str, Uploaded], None],
        *,
        empty: bool,
    ) -> list[dict[str, Any]]:
        from airflow_provider.core.files.parallel import Parallel

        named = [source for source, _ in sources]
        found = [None] * len(named) if empty else files.find(hook, part, named)
        left = [item for item, record in zip(sources, found, strict=True) if record is None]
        twins = len({name_and_size(source) for source, _ in left}) < len(left)
        self._uploads = Parallel(
            self.hook,
            lambda own, item: files.upload(own, part, *item),
            arrived=lambda item, uploaded: arrived(part.record + item[0].path, uploaded),
            max_parallel=1 if twins or part.category == "edr_document" else part.max_parallel,
        )
        self.turns.expect(len(left))
        uploaded = iter(self._uploads.run(left))
        return [record or next(uploaded)[0] for record in found]

    def _begin(
        self,
        ledger: Ledger,
        hook: SilentWitnessHook,
        case_id: str,
        parts: Sequence[Part],
        tried_in: int,
    ) -> tuple[Entry, float | None]:
        """
        Record that uploads are under way; return the record of those before, and when, if ever, an attempt
        has broken off in the middle of them.
        """
        mark = request_mark(hook, self._asked(case_id, parts))
        now = time.time()
        entry = ledger.read()
        if entry is None or entry.fingerprint != mark:
            return ledger.prepare(mark, {"tried_in": tried_in, UNDER_WAY: now}), None
        return (
            ledger.amend(entry, details={**entry.details, UNDER_WAY: now}),
            entry.details.get(UNDER_WAY),
        )

    def _asked(self, case_id: str, parts: Sequence[Part]) -> dict[str, Any]:
        if self.evidence is None:
            return {"case_id": case_id, **parts[0].request()}
        return {"case_id": case_id, "evidence": [part.request() for part in parts]}

    def lineage_job(self, task_instance: Any) -> dict[str, Any]:
        return {"kind": "case", "jobId": self.case_id}

    def on_kill(self) -> None:
        """Begin no further upload, and end."""
        self._killed = True
        if self._uploads is not None:
            self._uploads.stop()
