"""Task group for a Silent Witness report: upload evidence, report, download."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup

from airflow_provider.operators.silent_witness import (
    SilentWitnessCreateReportOperator,
    SilentWitnessDownloadReportOperator,
    SilentWitnessUploadEvidenceOperator,
)
from airflow_provider.task_groups.given import deferred, given

if TYPE_CHECKING:
    from airflow_provider.core.arguments import PathArgument


class SilentWitnessReportTaskGroup(TaskGroup):
    """
    Report on this case: upload its evidence, have the report written, wait, and download it.

    The tasks are ``evidence`` (only where there is evidence to upload), ``report`` and ``download``. The
    group may stand in a mapped task group: one report per claim. Chain on the group as a whole, or on what
    it holds::

        report = SilentWitnessReportTaskGroup(
            case_id=case.output["case_id"],
            evidence=[{"files": ["s3://evidence/rear.jpg"], "vehicle_role": "plaintiff"}],
            output_path="s3://reports/{{ ds }}",
        )
        mail(report.files)

    - ``report``: the vendor's report without its links.
    - ``files``: ``[{"path", "bytes", "sha256", "media_type", "report_id", "case_id"}, ...]``.
    - ``evidence``: what was uploaded, a list per entry; ``None`` without ``evidence``.

    Everything that a template can be in the operators can be one here.

    :param group_id: of the group, default ``report``.
    :param case_id: the case.
    :param case_name: what people call the case, shown in place of its id; not sent.
    :param output_path: folder to write the documents to, local or an object-storage URL.
    :param evidence: arguments of ``SilentWitnessUploadEvidenceOperator``, one entry per category and vehicle:
        ``[{"files": [...], "category": "vehicle_photo", "vehicle_role": "plaintiff"}, ...]``, or the output
        of a task that returns such a list. Templates are rendered in what the Dag itself says, not in what
        a task returns. Default, or an empty list: the case has its evidence already.
    :param analysis_type: the case's analysis type, which decides the default ``timeout``; not sent.
    :param formats: ``pdf``, ``docx`` or both (default), as a list.
    :param filename: file name without suffix; default the report id.
    :param overwrite: replace files with other content; default false, which makes them an error.
    :param report_retries: how many new, paid reports are started after failures that may pass, default 0.
    :param timeout: seconds that the report may take, or a timedelta; default 600, 300 for ``accident_only``.
    :param deferrable: wait in the triggerer (default).
    :param on_clear: of the report, when a user clears its task: ``attach`` takes the one that was paid for,
        ``new`` pays for another one.
    :param max_paid_requests: most reports that the group pays for, over retries, clears and
        ``report_retries``; the next one is an error. Default: no limit.
    :param if_no_files: ``fail`` (default), or ``skip`` the group when an entry of ``evidence`` has no file;
        an entry may say so for itself.
    :param source_conn_id: connection for object-storage URLs in ``evidence`` that name none.
    :param output_conn_id: connection for an ``output_path`` that names none.
    :param silent_witness_conn_id: Silent Witness connection id, default ``silent_witness_default``.
    :param group: other arguments of ``TaskGroup``, such as ``default_args`` or ``tooltip``. ``default_args``
        of the group or the Dag count for what is not given here.
    """

    def __init__(
        self,
        group_id: str = "report",
        *,
        case_id: str,
        case_name: str | None = None,
        output_path: PathArgument,
        evidence: Any = None,
        analysis_type: str | None = None,
        formats: Sequence[str] | None = None,
        filename: str | None = None,
        overwrite: bool | None = None,
        report_retries: int | None = None,
        timeout: float | timedelta | None = None,
        deferrable: bool | None = None,
        on_clear: str | None = None,
        max_paid_requests: int | None = None,
        if_no_files: str | None = None,
        source_conn_id: str | None = None,
        output_conn_id: str | None = None,
        silent_witness_conn_id: str | None = None,
        **group: Any,
    ) -> None:
        super().__init__(group_id=group_id, **group)
        conn_id = given(silent_witness_conn_id=silent_witness_conn_id)
        with self.dag, self:  # the Dag may be an argument, and no context
            report = SilentWitnessCreateReportOperator(
                task_id="report",
                case_id=case_id,
                **deferred(self, deferrable),
                **given(
                    case_name=case_name,
                    analysis_type=analysis_type,
                    report_retries=report_retries,
                    timeout=timeout,
                    on_clear=on_clear,
                    max_paid_requests=max_paid_requests,
                ),
                **conn_id,
            )
            report_output: Any = report.output
            uploaded: Any = None
            if evidence is not None and evidence != []:
                uploads = SilentWitnessUploadEvidenceOperator(
                    task_id="evidence",
                    case_id=case_id,
                    evidence=evidence,
                    **given(if_no_files=if_no_files, source_conn_id=source_conn_id),
                    **conn_id,
                )
                uploaded = uploads.output
                uploads >> report
            download = SilentWitnessDownloadReportOperator(
                task_id="download",
                report_id=report_output["report_id"],
                output_path=output_path,
                **given(
                    formats=formats,
                    filename=filename,
                    output_conn_id=output_conn_id,
                    overwrite=overwrite,
                ),
                **conn_id,
            )
        self.evidence: Any = uploaded
        self.report = report_output
        self.files: Any = download.output
