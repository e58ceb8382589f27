"""Links from a task to the page of its run, to the vendors' pages, and to the file that was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from airflow_provider.compat import conf
from airflow_provider.core.links import ProviderLink, web_address

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

DASHBOARDS = {
    "api.silentwitness.ai": "https://app.silentwitness.ai",
    "api.staging.silentwitness.ai": "https://app.staging.silentwitness.ai",
}
"""Silent Witness dashboard by host of the API."""


class PageLink(ProviderLink):
    """The page with what the task's run has found; a vendor's page of one job is not documented."""

    def address(self, operator: Any) -> str:
        """Return the address of the page without the run; :meth:`get_link` adds that."""
        return f"{(conf.get('api', 'base_url', fallback='') or '').rstrip('/')}/paid-jobs/review.html"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        run = urlencode({"dag_id": ti_key.dag_id, "run_id": ti_key.run_id}, quote_via=quote)
        return f"{self.address(operator)}?{run}"


class MediaMagicStatusLink(PageLink):
    """What the review has found."""

    name = "Review"


class SilentWitnessStatusLink(PageLink):
    """The report with its case, parties and documents."""

    name = "Report"


class SilentWitnessDashboardLink(ProviderLink):
    """
    The dashboard that shows the account's cases, production or staging as the connection says; no link for
    other hosts. A page of one case or report is not documented.
    """

    name = "Silent Witness dashboard"

    def address(self, operator: Any) -> str:
        settings = operator.settings or operator.hook().settings
        return DASHBOARDS.get(urlsplit(settings.base_url).hostname or "", "")


class FileLink(ProviderLink):
    """The file that the task has written, in the console of its store; no link for local files."""

    name = "File"
    suffixes: tuple[str, ...] = ("",)

    def address(self, operator: Any) -> str:
        from airflow_provider.core.files.locations import locate

        for path in operator.files_written:
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
