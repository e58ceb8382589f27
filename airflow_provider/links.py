"""
Links from a task to where people look next: the vendor's pages, and the file that was written.

Airflow asks for them on the worker, whenever an attempt ends or is deferred, and keeps each as an XCom; the
web interface reads those alone. An empty address shows no link.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

DASHBOARDS = {
    "api.silentwitness.ai": "https://app.silentwitness.ai",
    "api.staging.silentwitness.ai": "https://app.staging.silentwitness.ai",
}
"""Silent Witness dashboard by host of the API."""


class ProviderLink(BaseOperatorLink):
    """What the links of this package share: a link that cannot be made anew stays what it was."""

    @abstractmethod
    def address(self, operator: Any) -> str:
        """
        Return the web address; empty when there is none.

        :param operator: with its templates rendered, as far as the attempt came.
        """

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the web address; empty when there is none.

        :param operator: the task.
        :param ti_key: its running task instance.
        """
        try:
            return self.address(operator)
        except Exception as error:  # whatever it is, a task does not end differently for want of a link
            operator.log.info("No new link %r: %s", self.name, error)
            ti: Any = ti_key
            found = ti.xcom_pull(task_ids=ti.task_id, key=self.xcom_key, map_indexes=ti.map_index)
            return str(found or "")


class MediaMagicStatusLink(ProviderLink):
    """The vendor's description of a submission's status. A page of one submission is not documented."""

    name = "MediaMagic docs: submission status"

    def address(self, operator: Any) -> str:
        return "https://docs.mediamagic-lite.northell.io/api-reference/submissions/get-submission-status"


class SilentWitnessStatusLink(ProviderLink):
    """The vendor's description of a report's status and progress."""

    name = "Silent Witness docs: report status"

    def address(self, operator: Any) -> str:
        return "https://docs.silentwitness.ai/guides/polling-best-practices"


class SilentWitnessDashboardLink(ProviderLink):
    """
    The dashboard that shows the account's cases, production or staging as the connection says; no link for
    other hosts. A page of one case or report is not documented.
    """

    name = "Silent Witness dashboard"

    def address(self, operator: Any) -> str:
        settings = operator.hook_class(
            operator.conn_id, settings=getattr(operator, "_settings", None)
        ).settings
        return DASHBOARDS.get(urlsplit(settings.base_url).hostname or "", "")


class FileLink(ProviderLink):
    """The file that the task has written, in the console of its store; no link for local files."""

    name = "File"
    suffixes: tuple[str, ...] = ("",)

    def address(self, operator: Any) -> str:
        from airflow_provider.core.files.locations import locate, web_address

        for path in operator._written:
            if path.endswith(self.suffixes):
                return web_address(locate(path))
        return ""


class ReportPdfLink(FileLink):
    """The downloaded report as PDF."""

    name = "Report (PDF)"
    suffixes = (".pdf",)


class ReportDocxLink(FileLink):
    """The downloaded report as DOCX."""

    name = "Report (DOCX)"
    suffixes = (".docx",)


def show_links(operator: BaseOperator, ti: Any) -> None:
    """
    Show the links of a task that will keep its worker for long; Airflow itself shows them at the end only.

    :param operator: the task.
    :param ti: its running task instance.
    """
    try:
        for link in operator.operator_extra_links:
            ti.xcom_push(key=link.xcom_key, value=link.get_link(operator, ti_key=ti))
    except Exception as error:  # a wait does not fail for want of a link
        operator.log.warning("Links are not shown before the task ends: %s", error)
