"""Upload evidence to Silent Witness cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider.core.arguments import required_id, whole_number
from airflow_provider.core.operator import ServiceOperator
from airflow_provider.exceptions import TransferError, TransportError
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.hooks.silent_witness_case import check_file_role
from airflow_provider.links import SilentWitnessDashboardLink

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.files.parallel import Parallel
    from airflow_provider.core.files.sources import Limits, Source

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


class SilentWitnessUploadEvidenceOperator(ServiceOperator[SilentWitnessHook]):
    """
    Upload evidence to a case: photos, an EDR report, a police report.

    Returns ``[{"file_id", "file_name", "status"}, ...]`` in the order of ``files``. A file of the same name,
    size and category that the case already has is not uploaded again; of two such files, both arrive.

    :param case_id: the case.
    :param files: paths, globs or object-storage URLs, as a list; at most 50 MB each.
    :param category: ``vehicle_photo`` (images), ``edr_document`` or ``tcr_document`` (PDF).
    :param vehicle_role: ``plaintiff`` (default) or ``defendant``; none for a ``tcr_document``.
    :param source_conn_id: connection for object-storage URLs that name none.
    :param max_parallel: how many files are uploaded at a time, default 4; EDR reports go one by one, because
        each replaces the one before, and so do files of one name and size, which the case cannot tell apart.
    :param silent_witness_conn_id: Silent Witness connection id.

    See https://docs.silentwitness.ai/guides/uploading-evidence
    """

    hook_class = SilentWitnessHook
    template_fields: Sequence[str] = (
        "case_id",
        "files",
        "category",
        "vehicle_role",
        "source_conn_id",
        "silent_witness_conn_id",
    )
    ui_color = "#f1edfb"
    operator_extra_links = (SilentWitnessDashboardLink(),)

    def __init__(
        self,
        *,
        case_id: str,
        files: Sequence[Any],
        category: str = "vehicle_photo",
        vehicle_role: str | None = None,
        source_conn_id: str | None = None,
        max_parallel: int = 4,
        silent_witness_conn_id: str = SilentWitnessHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.silent_witness_conn_id = silent_witness_conn_id
        self.case_id = case_id
        self.files = files
        self.category = category
        self.vehicle_role = vehicle_role
        self.source_conn_id = source_conn_id
        self.max_parallel = max_parallel
        self._uploads: Parallel[SilentWitnessHook, tuple[Source, str], dict[str, Any]] | None = None
        self._known: set[str] = set()

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Check every file, then upload those the case does not have."""
        from airflow_provider.core.files.parallel import Parallel
        from airflow_provider.core.files.sources import check_limits, resolve_sources

        max_parallel = whole_number("max_parallel", self.max_parallel, least=1)
        case_id = required_id("case_id", self.case_id)
        role = check_file_role(self.category, self.vehicle_role)
        limits = self._limits()
        sources = [
            (source, check_limits(source, limits, argument="files"))
            for source in resolve_sources(self.files, conn_id=self.source_conn_id, argument="files")
        ]
        self.files_read = [source.path for source, _ in sources]
        with self.hook() as hook:
            present = self._present(hook, case_id, role)
        self._known = {record["file_id"] for records in present.values() for record in records}
        found = [records.pop(0) if (records := present.get(_key(source))) else None for source, _ in sources]
        left = [item for item, record in zip(sources, found, strict=True) if record is None]
        one_by_one = self.category == "edr_document" or len({_key(source) for source, _ in left}) < len(left)
        self._uploads = Parallel(
            self.hook,
            lambda own, item: self._upload(own, case_id, role, *item),
            max_parallel=1 if one_by_one else max_parallel,
        )
        uploaded = iter(self._uploads.run(left))
        return [record or next(uploaded) for record in found]

    def lineage_job(self, task_instance: Any) -> dict[str, Any]:
        return {"kind": "case", "jobId": self.case_id}

    def on_kill(self) -> None:
        """Begin no further upload, and end."""
        if self._uploads is not None:
            self._uploads.stop()

    def _upload(
        self, hook: SilentWitnessHook, case_id: str, role: str | None, source: Source, media_type: str
    ) -> dict[str, Any]:
        try:
            with source.open() as stream:
                uploaded = hook.upload_file(
                    case_id,
                    source.name,
                    stream,
                    category=self.category,
                    vehicle_role=role,
                    content_type=media_type,
                )
        except TransportError as error:
            records = self._present(hook, case_id, role).get(_key(source), [])
            arrived = next((record for record in records if record["file_id"] not in self._known), None)
            if arrived is None:
                raise
            self.log.warning("The answer to an upload was lost (%s); %s arrived.", error, source.name)
            self._known.add(arrived["file_id"])
            return arrived
        self._known.add(uploaded["file_id"])
        if uploaded.get("status") == "error":
            raise TransferError(
                f"Case {case_id} did not take {source.name}: the upload was answered with status 'error'. A "
                "retry uploads it again."
            )
        self.log.info("Uploaded %s (%d bytes) to case %s", source.name, source.size, case_id)
        return {
            "file_id": uploaded["file_id"],
            "file_name": uploaded.get("file_name", source.name),
            "status": uploaded.get("status"),
        }

    def _present(
        self, hook: SilentWitnessHook, case_id: str, role: str | None
    ) -> dict[tuple[str, int], list[dict[str, Any]]]:
        """Return what the case has of this category and vehicle, by name and size."""
        vehicle_index = {"plaintiff": 0, "defendant": 1}.get(role or "")
        present: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for record in hook.list_files(case_id):
            if (
                record.get("file_category") in (self.category, None)
                and (vehicle_index is None or record.get("vehicle_index") in (vehicle_index, None))
                and record.get("status") != "error"
                and "file_name" in record
                and "file_size" in record
            ):
                name, size = record["file_name"], record["file_size"]
                present.setdefault((name, size), []).append(
                    {"file_id": record["id"], "file_name": name, "status": record.get("status")}
                )
        return present

    def _limits(self) -> Limits:
        from airflow_provider.core.files.sources import Limits

        return Limits(
            max_bytes=dict.fromkeys(ACCEPTED[self.category], MAX_FILE_BYTES), service="Silent Witness"
        )


def _key(source: Source) -> tuple[str, int]:
    """What a case's record of a file says of it."""
    return source.name, source.size
