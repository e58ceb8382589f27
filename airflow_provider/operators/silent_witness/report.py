"""Have Silent Witness write reports, and cancel them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider.core.arguments import as_bool, one_of, required_id, whole_number
from airflow_provider.core.budget.turn_queue import Priority
from airflow_provider.core.http.responses import plain_id
from airflow_provider.core.jobs.cancelling import Cancelled, cancel_job
from airflow_provider.core.jobs.dry_run import DryRun
from airflow_provider.core.jobs.ledger import Entry
from airflow_provider.core.jobs.operator import JobOperator
from airflow_provider.core.jobs.paid_request import NAMED
from airflow_provider.core.jobs.pay_once import resend_refused
from airflow_provider.core.jobs.search import ARRIVES_WITHIN, UnclearError
from airflow_provider.core.operator import ServiceOperator, in_turn
from airflow_provider.core.polling.wait import JobState
from airflow_provider.exceptions import (
    ApiError,
    InvalidInputError,
    JobError,
    JobFailedError,
    JobInputError,
    NotFoundError,
)
from airflow_provider.hooks.silent_witness import SilentWitnessHook
from airflow_provider.hooks.silent_witness_case import (
    ANALYSIS_TYPES,
    REPORT_TYPES,
    may_be_of,
    needs_occupants,
)
from airflow_provider.hooks.silent_witness_report import (
    DEMO_DATA,
    REPORT,
    case_of_report,
    observe_report,
    report_failure_is_input,
)
from airflow_provider.links import (
    ReportDocxLink,
    ReportPdfLink,
    SilentWitnessDashboardLink,
    SilentWitnessStatusLink,
)
from airflow_provider.operators.silent_witness.documents import FORMATS, Documents
from airflow_provider.operators.silent_witness.lost import created_since
from airflow_provider.operators.silent_witness.new_case import has_changed_lately, is_new_case
from airflow_provider.triggers.silent_witness import SilentWitnessReportTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.arguments import PathArgument
    from airflow_provider.core.jobs.run import JobRun

EVIDENCE = ("vehicle_photo", "edr_document")
"""Categories of files that a report is made of."""

RETRY_PAUSE = 60.0
"""Seconds the vendor advises to wait before a new report after an internal error."""


class SilentWitnessCreateReportOperator(JobOperator[SilentWitnessHook]):
    """
    Start a report on a case and wait for it. **Paid**, once per task instance.

    Returns the vendor's report (``id``, ``case_id``, ``type``, ``status``, ``progress``, ``created_at``,
    ``updated_at``) without its signed links; :class:`SilentWitnessDownloadReportOperator` fetches fresh ones.
    XCom ``report_id`` is set as soon as it is known.

    A retry re-attaches to the report (Airflow 3.3); after a lost answer it lists the case's reports and
    takes the one created since. Failures for bad photos or incomplete occupants stop Airflow's retries.

    :param case_id: the case; it needs a vehicle and photos or an EDR report of the plaintiff's vehicle.
    :param case_name: what people call the case, shown in place of its id; not sent.
    :param report_id: a report that exists already, to be taken instead: nothing is started or paid for. For
        one whose id was lost, or that was started by hand.
    :param report_type: ``technical_report``, the only one.
    :param use_demo_data: use ready-made crash values, default false. Whether that is billed is not
        documented.
    :param analysis_type: the case's analysis type, which decides the default ``timeout``; not sent.
    :param output_path: download the report's documents too: a folder to write to, local or an object-storage
        URL. The result then has their manifests under ``documents``, as
        :class:`SilentWitnessDownloadReportOperator` returns them, with one request less.
    :param formats: ``pdf``, ``docx`` or both (default), as a list.
    :param filename: file name without suffix; default the report id.
    :param output_conn_id: connection for an object-storage URL that names none.
    :param overwrite: replace a file with other content; default false, which makes it an error.
    :param report_retries: how many new, paid reports are started on the case after failures, one minute
        apart; default 0. Never after a failure for bad photos or occupants.
    :param silent_witness_conn_id: Silent Witness connection id, default ``silent_witness_default``.
    :param wait_for_completion: wait for the report's end (default), or return as soon as it is started.
    :param deferrable: wait in the triggerer. Default: ``[operators] default_deferrable``.
    :param timeout: seconds from submission, or a timedelta; default 600, 300 for ``accident_only``, 120 for
        demo data.
    :param poll_interval: first interval in seconds, or a timedelta; alone it is a fixed interval. Default: a
        schedule that fits the job and the rate limit.
    :param exponential_backoff: let ``poll_interval`` grow, by a factor of 1.5 or the number given here.
        Default: only where there is no ``poll_interval``.
    :param max_wait: longest interval in seconds, or a timedelta; default 15, or ``poll_interval`` where that
        is longer.
    :param cancel_on_kill: cancel the report when the task is killed (default); deferred tasks: Airflow 3.3.
    :param cancel_on_timeout: cancel the report when it exceeds ``timeout``, or when waiting is given up and
        no retry follows (default).
    :param reuse_completed: when a user clears the task after it succeeded, return the same report again.
        Default false.
    :param on_clear: when a user clears the task: ``attach`` takes the report that was paid for, running or
        completed; ``new`` pays for another one and cancels one that runs. Default: a running report is
        cancelled and replaced, unless ``cancel_on_kill=False``; one that was returned is replaced, one that
        never was is taken.
    :param max_paid_requests: most reports that this task starts, over retries, clears and ``report_retries``;
        the next one is an error. Default: no limit.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://docs.silentwitness.ai/api-reference/reports/create
    """

    hook_class = SilentWitnessHook
    trigger_class = SilentWitnessReportTrigger
    turn_priority = Priority.CONTINUE
    job = REPORT
    arrives_within = ARRIVES_WITHIN
    result_arguments = ("output_path", "formats", "filename", "output_conn_id", "overwrite")
    template_fields: Sequence[str] = (
        "case_id",
        "case_name",
        "report_id",
        "report_type",
        "use_demo_data",
        "analysis_type",
        "output_path",
        "formats",
        "filename",
        "output_conn_id",
        "timeout",
        "silent_witness_conn_id",
    )
    ui_color = "#cfc2f0"
    operator_extra_links = (
        SilentWitnessDashboardLink(),
        SilentWitnessStatusLink(),
        ReportPdfLink(),
        ReportDocxLink(),
    )

    def __init__(
        self,
        *,
        case_id: str,
        case_name: str | None = None,
        report_id: str | None = None,
        report_type: str = "technical_report",
        use_demo_data: bool = False,
        analysis_type: str | None = None,
        output_path: PathArgument | None = None,
        formats: Sequence[str] = FORMATS,
        filename: str | None = None,
        output_conn_id: str | None = None,
        overwrite: bool = False,
        report_retries: int = 0,
        silent_witness_conn_id: str = SilentWitnessHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.silent_witness_conn_id = silent_witness_conn_id
        self.case_id = case_id
        self.case_name = case_name
        self.report_id = report_id
        self.report_type = report_type
        self.use_demo_data = use_demo_data
        self.analysis_type = analysis_type
        self.output_path = output_path
        self.formats = formats
        self.filename = filename
        self.output_conn_id = output_conn_id
        self.overwrite = overwrite
        self.report_retries = report_retries
        self._has_case = False

    def check(self) -> None:
        self.case_id = required_id("case_id", self.case_id)
        if self.report_id is not None:
            self.report_id = required_id("report_id", self.report_id)
        self._demo_data()
        whole_number("report_retries", self.report_retries)
        one_of("report_type", self.report_type, REPORT_TYPES)
        if self.analysis_type:
            one_of("analysis_type", self.analysis_type, ANALYSIS_TYPES)
        if self.output_path is not None:
            if not self.wait_for_completion:
                raise InvalidInputError(
                    "output_path needs wait_for_completion=True: there is nothing to download before.",
                    parameter="output_path",
                )
            Documents(self).check()

    def item_name(self) -> str:
        return str(self.case_name or self.case_id or "")

    @property
    def adopts(self) -> str | None:
        return self.report_id

    def fetch(self, hook: SilentWitnessHook, job_id: str) -> dict[str, Any]:
        """
        Return the service's present description of the report.

        :raises InvalidInputError: ``report_id`` names a case, or a report of another one.
        """
        report = super().fetch(hook, job_id)
        if job_id == self.report_id:
            if self.id_of(report) != job_id:
                raise InvalidInputError(
                    f"report_id {job_id!r} is a case; its report {self.id_of(report)} may be meant.",
                    parameter="report_id",
                )
            if case_of_report(report) not in (None, self.case_id):
                raise InvalidInputError(
                    f"report_id {job_id!r} is a report of case {case_of_report(report)}, and case_id is "
                    f"{self.case_id!r}.",
                    parameter="report_id",
                )
        return report

    def sort(self) -> str:
        return DEMO_DATA if self._demo_data() else self.analysis_type or ""

    def request(self) -> dict[str, Any]:
        return {
            "case_id": self.case_id,
            "report_type": self.report_type,
            "use_demo_data": self._demo_data(),
        }

    def trigger_arguments(self, body: dict[str, Any] | None) -> dict[str, Any]:
        return {"case_id": case_of_report(body or {}) or self.case_id}

    def rehearse(self, hook: SilentWitnessHook) -> DryRun:
        """Read the case for what a report needs, see https://docs.silentwitness.ai/api-reference/reports/create"""
        found = DryRun(paid_requests={"POST /api/reports": 1})
        case, files = hook.get_case(self.case_id), hook.list_files(self.case_id)
        analysis_type = case.get("analysis_type") or self.analysis_type or ""
        photos = [one for one in EVIDENCE for file in files if may_be_of(file, one, "plaintiff")]
        # Whether these two need photos is documented both ways.
        unclear = self._demo_data() or analysis_type == "biomechanics_only"
        found.require(case.get("vehicles"), f"Case {self.case_id} has no vehicle.")
        if unclear and not photos:
            found.notes.append("The case has no photos; whether this report needs some is not documented.")
        else:
            found.require(photos, "There is no photo and no EDR report of the plaintiff's vehicle.")
        if needs_occupants(analysis_type):
            found.require(case.get("occupants"), f"A report of {analysis_type} needs occupants.")
        police_report = any(may_be_of(file, "tcr_document", None) for file in files)
        dated = (case.get("accident") or {}).get("date") or police_report
        found.require(dated, "The case has no accident date, and no police report to read it from.")
        for report in hook.list_reports(self.case_id):
            observed = observe_report(report)
            found.notes.append(f"The case has a report {observed.job_id}, {observed.raw_status}.")
        if self.report_retries:
            found.notes.append(f"After failures up to {self.report_retries} more reports are paid for.")
        return found

    def submit(self, hook: SilentWitnessHook, entry: Entry) -> dict[str, Any]:
        run = self._run
        assert run is not None

        def may_pass(error: ApiError) -> bool:
            if isinstance(error, NotFoundError):
                return is_new_case(run.context, self.case_id)
            # 422: what a report needs is missing, or was uploaded a moment ago.
            return error.http_status == 422 and has_changed_lately(hook, self.case_id)

        return resend_refused(
            lambda: hook.create_report(
                self.case_id, report_type=self.report_type, use_demo_data=self._demo_data()
            ),
            may_pass=may_pass,
            hook=hook,
            log=self.task_log,
            pause=run.pause,
        )

    def find_orphaned(
        self, hook: SilentWitnessHook, entry: Entry, *, may_probe: bool, claimed: Collection[str]
    ) -> dict[str, Any] | None:
        def reports() -> Iterator[dict[str, Any]]:
            listed = hook.list_reports(self.case_id)
            if not (listed or self._has_case):  # the list is empty too where the account lacks the case
                hook.get_case(self.case_id)
                self._has_case = True
            yield from (row for row in listed if row.get("type") in (self.report_type, None))
            if listed.total > len(listed):
                raise UnclearError(f"Of {listed.total} reports of the case {len(listed)} are listed.")

        found = created_since(reports, entry, hook, noun=self.noun, argument=REPORT.id_key, claimed=claimed)
        return None if found is None else hook.get_report(found)

    def result(self, hook: SilentWitnessHook, body: dict[str, Any]) -> dict[str, Any]:
        report = REPORT.public(body)
        if self.output_path is None or not observe_report(body).finished:
            return report
        documents = Documents(self)
        documents.check()
        manifests = documents.fetch(hook, self.id_of(body), body)
        assert self._run is not None
        self.record_files(self._run.context, manifests)
        return {**report, "documents": manifests}

    def failed(self, hook: SilentWitnessHook, body: dict[str, Any]) -> dict[str, Any]:
        reason = observe_report(body).message
        report_id = self.id_of(body)
        if report_failure_is_input(reason):
            raise JobInputError(
                f"Report {report_id} failed: {reason}. The same evidence fails again: upload better photos "
                f"or complete the occupants of case {self.case_id}, then clear this task.",
                job_id=report_id,
            )
        retry = f"A retry starts a new report on case {self.case_id}; nothing needs to be uploaded again."
        raise JobFailedError(
            f"Report {report_id} failed: {reason or 'no reason given'}. "
            + (NAMED if report_id == self.report_id else retry),
            job_id=report_id,
        )

    def repair(self, run: JobRun) -> bool:
        """Start a new report on the same case after a transient failure."""
        made = run.entry.details.get("repairs", 0)
        reason = observe_report(run.body).message
        if made >= self.report_retries or report_failure_is_input(reason):
            return False
        run.paying.require_allowance(run.entry, f"Report {run.entry.job_id} failed: {reason}.")
        shortest, _ = self.job.typical_for(self.sort())
        if run.time_left() < RETRY_PAUSE + shortest:
            self.log.warning("No new report is started: execution_timeout leaves no time for one.")
            return False
        self.log.warning(
            "Report %s failed: %s. Starting new report %d of %d in %d s.",
            run.entry.job_id,
            reason,
            made + 1,
            self.report_retries,
            RETRY_PAUSE,
        )
        run.pause(RETRY_PAUSE)
        run.submit_again(repairs=made + 1)
        return True

    def _demo_data(self) -> bool:
        return as_bool("use_demo_data", self.use_demo_data)


class SilentWitnessCancelReportOperator(ServiceOperator[SilentWitnessHook]):
    """
    Cancel a report that is pending or processing; for teardown tasks too.

    Returns the report's summary. A report that has ended already is left as it is, and the task succeeds. One
    that cannot be read is cancelled all the same.

    :param report_id: the report.
    :param silent_witness_conn_id: Silent Witness connection id, default ``silent_witness_default``.
    :param deferrable: wait for the rate limit in the triggerer. Default ``[operators] default_deferrable``.
    :param max_turn_wait: longest wait for the rate limit, in seconds; default the connection's, 43,200.

    See https://docs.silentwitness.ai/api-reference/reports/delete
    """

    hook_class = SilentWitnessHook
    turn_priority = Priority.CANCEL
    template_fields: Sequence[str] = ("report_id", "silent_witness_conn_id")
    ui_color = "#f1edfb"
    operator_extra_links = (SilentWitnessDashboardLink(), SilentWitnessStatusLink())

    def __init__(
        self,
        *,
        report_id: str,
        silent_witness_conn_id: str = SilentWitnessHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.silent_witness_conn_id = silent_witness_conn_id
        self.report_id = report_id

    @in_turn
    def execute(self, context: Context) -> dict[str, Any]:
        """Cancel the report unless it has ended; return how it stands."""
        report_id = plain_id("report_id", required_id("report_id", self.report_id))
        with self.hook() as hook:
            cancelled = cancel_job(REPORT, hook, report_id, log=self.task_log)
            try:
                body = hook.get_report(report_id)
            except ApiError:
                if cancelled is not Cancelled.DONE:
                    raise
                body = {"id": report_id, "status": str(JobState.CANCELLED)}
            observed = observe_report(body)
            if cancelled is Cancelled.FAILED and not observed.finished:
                raise JobError(
                    f"Report {report_id} could not be cancelled and is {observed.raw_status}; the log above "
                    "says why. A retry tries again.",
                    job_id=report_id,
                )
            self.log.info("Report %s is %s", report_id, observed.raw_status)
            return REPORT.public(body)
