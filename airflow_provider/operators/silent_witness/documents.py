"""Download the PDF and DOCX of a Silent Witness report."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from logging import Logger
from typing import TYPE_CHECKING, Any

from airflow_provider.core.arguments import one_of, required_id, switch
from airflow_provider.core.jobs.waiting import read_patiently
from airflow_provider.core.operator import ServiceOperator, in_turn
from airflow_provider.core.polling.wait import JobState
from airflow_provider.exceptions import InvalidInputError, JobError, MalformedResponseError, TransferError
from airflow_provider.hooks.silent_witness import SilentWitnessHook, observe_report
from airflow_provider.links import ReportDocxLink, ReportPdfLink, SilentWitnessDashboardLink

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.arguments import PathArgument
    from airflow_provider.core.files.download import DownloadLink

FORMATS = ("pdf", "docx")
OUTPUT_POLLS = 5
OUTPUT_PAUSE = 3.0
"""Seconds between polls of a report that is completed and has no output yet."""

LINK_LIFETIME = 3600.0
"""Seconds that a signed link lives, after https://docs.silentwitness.ai/guides/polling-best-practices."""


class SilentWitnessDownloadReportOperator(ServiceOperator[SilentWitnessHook]):
    """
    Download a report as PDF, DOCX or both: each file whole or not at all, resumed where the storage can.

    Links are always fetched afresh, one answer for both formats, and again when they expire on the way; a
    report that is completed and has none yet is asked for again for some seconds. The events of ``outlets``
    carry the manifests, as ``extra={"manifests": [...]}``: other Dags can be scheduled on a new report.

    Returns one manifest per file:
    ``[{"path", "bytes", "sha256", "media_type", "report_id", "case_id"}, ...]``.

    :param report_id: a completed report.
    :param output_path: folder to write to, local or an object-storage URL.
    :param formats: ``pdf``, ``docx`` or both (default), as a list.
    :param filename: file name without suffix; default the report id.
    :param output_conn_id: connection for an object-storage URL that names none.
    :param overwrite: replace a file with other content. Without it that is an error; a file with the same
        content is always left as it is.
    :param silent_witness_conn_id: Silent Witness connection id, default ``silent_witness_default``.
    :param deferrable: wait for the rate limit in the triggerer. Default ``[operators] default_deferrable``.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

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
        output_path: PathArgument,
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

    def item_name(self) -> str:
        return str(self.filename or self.report_id or "")

    @in_turn
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Check the target, then fetch each format."""
        report_id = required_id("report_id", self.report_id)
        documents = Documents(self)
        documents.check()
        with self.hook() as hook:
            manifests = documents.fetch(hook, report_id)
        self.record_files(context, manifests)
        return manifests

    def lineage_job(self, task_instance: Any) -> dict[str, Any]:
        return {"kind": "report", "jobId": self.report_id}


class Documents:
    """
    The PDF and the DOCX of a report, and where they go.

    :param task: the operator: ``output_path``, ``formats``, ``filename``, ``output_conn_id``, ``overwrite``.
    """

    def __init__(self, task: Any) -> None:
        self.output_path: Any = task.output_path
        self.formats: Any = task.formats
        self.filename: str | None = task.filename
        self.conn_id: str | None = task.output_conn_id
        self.overwrite: bool = task.overwrite
        self._log: Logger = task.task_log

    def check(self) -> None:
        """
        Check all arguments, and that the folder can be written to.

        :raises InvalidInputError: names the argument; nothing was sent.
        """
        from airflow_provider.core.files.locations import locate, path_text, probe_writable, safe_name

        if isinstance(self.formats, str) or not isinstance(self.formats, Collection) or not self.formats:
            raise InvalidInputError(
                f"formats must be a list such as ['pdf', 'docx']; got {self.formats!r}.", parameter="formats"
            )
        self.formats = [one_of("formats", item, FORMATS) for item in self.formats]
        self.output_path = path_text("output_path", self.output_path)
        locate(self.output_path, conn_id=self.conn_id, argument="output_path")
        switch("overwrite", self.overwrite)
        # The name may come from a template: checked before anything is fetched.
        if self.filename is not None:
            self.filename = required_id("filename", self.filename)
            safe_name(self.filename)
        self._target(f"{self.filename or 'report'}.pdf")
        probe_writable(self.output_path, conn_id=self.conn_id, argument="output_path")

    def fetch(
        self, hook: SilentWitnessHook, report_id: str, report: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """
        Download them, each whole or not at all; return a manifest of each.

        :param report: the service's answer, when it was read just now.
        """
        report, links = self._completed(hook, report_id, self.formats, report)
        ids = {"report_id": report_id, "case_id": report.get("case_id")}
        return [{**self._download(hook, report_id, item, links[item]), **ids} for item in self.formats]

    def _target(self, name: str) -> str:
        from airflow_provider.core.files.locations import target_path

        return target_path(self.output_path, name, conn_id=self.conn_id)

    def _download(
        self, hook: SilentWitnessHook, report_id: str, file_format: str, link: DownloadLink
    ) -> dict[str, Any]:
        from airflow_provider.core.files.download import download
        from airflow_provider.core.files.storage_http import transfer_options

        unused = [link]

        def fresh() -> DownloadLink:
            return unused.pop() if unused else self._completed(hook, report_id, [file_format])[1][file_format]

        try:
            return download(
                hook.storage_session,
                fresh,
                self._target(f"{self.filename or report_id}.{file_format}"),
                expected_type="pdf" if file_format == "pdf" else "docx",
                overwrite=self.overwrite,
                conn_id=self.conn_id,
                **transfer_options(hook.settings, log=self._log),
            )
        except TransferError as error:
            raise TransferError(
                f"Report {report_id}: {error}", http_status=error.http_status, job_id=report_id
            ) from error

    def _completed(
        self,
        hook: SilentWitnessHook,
        report_id: str,
        formats: Sequence[str],
        report: Mapping[str, Any] | None = None,
    ) -> tuple[Mapping[str, Any], dict[str, DownloadLink]]:
        """Return the report and a link for each of ``formats``, of one answer where it has them all."""
        for polls_left in range(OUTPUT_POLLS, -1, -1):
            asked_at = time.time()
            if report is None:
                report = read_patiently(lambda: hook.get_report(report_id), pause=time.sleep, log=self._log)
            observation = observe_report(report)
            if observation.state is not JobState.SUCCEEDED:
                raise JobError(
                    f"Report {report_id} is {observation.raw_status!r}, so there is nothing to download. "
                    f"{observation.message}",
                    job_id=report_id,
                )
            links = _links_of(report, expires_at=asked_at + LINK_LIFETIME)
            if links or not polls_left:
                break
            self._log.info("Report %s has no links yet; asking again in %.0f s.", report_id, OUTPUT_PAUSE)
            time.sleep(OUTPUT_PAUSE)
            report = None
        for file_format in formats:
            if file_format not in links:
                raise MalformedResponseError(
                    f"GET /api/reports/{report_id}: the completed report has no output.{file_format}_url"
                    + (f"; it has {' and '.join(links)}." if links else "."),
                    endpoint=f"GET /api/reports/{report_id}",
                    job_id=report_id,
                )
        assert report is not None
        return report, links


def _links_of(report: Mapping[str, Any], *, expires_at: float) -> dict[str, DownloadLink]:
    from airflow_provider.core.files.download import DownloadLink

    output = report.get("output")
    urls = {name: output.get(f"{name}_url") for name in FORMATS} if isinstance(output, Mapping) else {}
    return {name: DownloadLink(url, expires_at) for name, url in urls.items() if url}
