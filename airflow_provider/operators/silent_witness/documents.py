"""Fetch the documents of a Silent Witness report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider.core.arguments import one_of, required_id, switch
from airflow_provider.core.operator import ServiceOperator
from airflow_provider.core.outlets import tell_outlets
from airflow_provider.core.polling.wait import JobState
from airflow_provider.exceptions import InvalidInputError, JobError, MalformedResponseError, TransferError
from airflow_provider.hooks.silent_witness import SilentWitnessHook, observe_report
from airflow_provider.links import ReportDocxLink, ReportPdfLink, SilentWitnessDashboardLink

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.files.download import DownloadLink

FORMATS = ("pdf", "docx")
LINK_LIFETIME = 3600.0
"""Seconds that a signed link lives, after https://docs.silentwitness.ai/guides/polling-best-practices."""


class SilentWitnessDownloadReportOperator(ServiceOperator[SilentWitnessHook]):
    """
    Download a report as PDF, DOCX or both: each file whole or not at all, resumed where the storage can.

    Links are always fetched afresh, and again when they expire on the way. Returns one manifest per file:
    ``[{"path", "bytes", "sha256", "media_type", "report_id", "case_id"}, ...]``. The events of ``outlets``
    carry them too, as ``extra={"manifests": [...]}``: other Dags can be scheduled on a new report.

    :param report_id: a completed report.
    :param output_path: folder to write to, local or an object-storage URL.
    :param formats: ``pdf``, ``docx`` or both (default), as a list.
    :param filename: file name without suffix; default the report id.
    :param output_conn_id: connection for an object-storage URL that names none.
    :param overwrite: replace a file with other content. Without it that is an error; a file with the same
        content is always left as it is.
    :param silent_witness_conn_id: Silent Witness connection id.

    See https://docs.silentwitness.ai/guides/polling-best-practices
    """

    hook_class = SilentWitnessHook
    template_fields: Sequence[str] = (
        "report_id",
        "output_path",
        "formats",
        "filename",
        "output_conn_id",
        "silent_witness_conn_id",
    )
    ui_color = "#f1edfb"
    operator_extra_links = (SilentWitnessDashboardLink(), ReportPdfLink(), ReportDocxLink())

    def __init__(
        self,
        *,
        report_id: str,
        output_path: str,
        formats: Sequence[str] = FORMATS,
        filename: str | None = None,
        output_conn_id: str | None = None,
        overwrite: bool = False,
        silent_witness_conn_id: str = SilentWitnessHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.silent_witness_conn_id = silent_witness_conn_id
        self.report_id = report_id
        self.output_path = output_path
        self.formats = formats
        self.filename = filename
        self.output_conn_id = output_conn_id
        self.overwrite = overwrite

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Check the target, then fetch each format."""
        from airflow_provider.core.files.locations import path_text, probe_writable, safe_name, target_path

        report_id = required_id("report_id", self.report_id)
        if isinstance(self.formats, str) or not self.formats:
            raise InvalidInputError(
                f"formats must be a list such as ['pdf', 'docx']; got {self.formats!r}.", parameter="formats"
            )
        formats = [one_of("formats", item, FORMATS) for item in self.formats]
        self.output_path = path_text("output_path", self.output_path)
        switch("overwrite", self.overwrite)
        # The name may come from a template: looked at before anything is fetched.
        if self.filename:
            safe_name(self.filename)
        target_path(self.output_path, f"{self.filename or report_id}.pdf", conn_id=self.output_conn_id)
        probe_writable(self.output_path, conn_id=self.output_conn_id, argument="output_path")
        with self.hook() as hook:
            report = self._completed(hook, report_id)
            ids = {"report_id": report_id, "case_id": report.get("case_id")}
            manifests = []
            self.files_written = []
            for item in formats:
                manifests.append({**self._download(hook, report_id, item), **ids})
                self.files_written.append(manifests[-1]["path"])
        tell_outlets(self.outlets, context, manifests)
        return manifests

    def lineage_job(self, task_instance: Any) -> dict[str, Any]:
        return {"kind": "report", "jobId": self.report_id}

    def _download(self, hook: SilentWitnessHook, report_id: str, file_format: str) -> dict[str, Any]:
        from airflow_provider.core.files.download import download
        from airflow_provider.core.files.locations import target_path
        from airflow_provider.core.files.storage_http import transfer_options

        name = f"{self.filename or report_id}.{file_format}"
        target = target_path(self.output_path, name, conn_id=self.output_conn_id)
        try:
            return download(
                hook.storage_session,
                self._links(hook, report_id, file_format),
                target,
                expected_type="pdf" if file_format == "pdf" else "docx",
                overwrite=self.overwrite,
                conn_id=self.output_conn_id,
                **transfer_options(hook.settings),
                log=self.task_log,
            )
        except TransferError as error:
            raise TransferError(
                f"Report {report_id}: {error}", http_status=error.http_status, job_id=report_id
            ) from error

    def _completed(self, hook: SilentWitnessHook, report_id: str) -> Mapping[str, Any]:
        report = hook.get_report(report_id)
        observation = observe_report(report)
        if observation.state is not JobState.SUCCEEDED:
            raise JobError(
                f"Report {report_id} is {observation.raw_status!r}, so there is nothing to download. "
                f"{observation.message}",
                job_id=report_id,
            )
        return report

    def _links(self, hook: SilentWitnessHook, report_id: str, file_format: str) -> Callable[[], DownloadLink]:
        from airflow_provider.core.files.download import DownloadLink

        def link() -> DownloadLink:
            asked_at = time.time()
            output = hook.get_report(report_id).get("output") or {}
            url = output.get(f"{file_format}_url")
            if not url:
                raise MalformedResponseError(
                    f"GET /api/reports/{report_id}: the completed report has no output.{file_format}_url.",
                    endpoint=f"GET /api/reports/{report_id}",
                    job_id=report_id,
                )
            return DownloadLink(url, expires_at=asked_at + LINK_LIFETIME)

        return link
