"""Links from a task to the vendors' pages, and to the file that was written."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow_provider.core.links import ProviderLink

DASHBOARDS = {
    "api.silentwitness.ai": "https://app.silentwitness.ai",
    "api.staging.silentwitness.ai": "https://app.staging.silentwitness.ai",
}
"""Silent Witness dashboard by host of the API."""


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
        settings = operator.settings or operator.hook().settings
        return DASHBOARDS.get(urlsplit(settings.base_url).hostname or "", "")


class FileLink(ProviderLink):
    """The file that the task has written, in the console of its store; no link for local files."""

    name = "File"
    suffixes: tuple[str, ...] = ("",)

    def address(self, operator: Any) -> str:
        from airflow_provider.core.files.locations import locate, web_address

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
