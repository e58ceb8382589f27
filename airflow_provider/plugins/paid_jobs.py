"""
Airflow plugin with two pages in Airflow's web interface: paid jobs, and what a Dag run has found.

The pages are static files. In the browser they read Airflow's public API as the user who is logged in there,
so that a page shows what its user may see and needs no key, no database and no right of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow import __version__
from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

URL_PREFIX = "/paid-jobs"
"""Where the API server mounts the pages."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""What the pages may load: nothing that this server does not serve, and no script between the lines."""

HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
)

WITH_A_REVIEW = [
    "MediaMagicComplianceGateOperator",
    "MediaMagicCreateSubmissionOperator",
    "MediaMagicGetIssuesOperator",
    "MediaMagicGetTopicsOperator",
    "SilentWitnessCreateReportOperator",
    "SilentWitnessDownloadReportOperator",
]
"""Operators whose task instances have a tab with the review of their run, from Airflow 3.4 on."""


class Pages:
    """The static files as an ASGI application that is made when it is first asked for one."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            from starlette.staticfiles import StaticFiles

            self._app = StaticFiles(directory=Path(__file__).with_name("static"))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)


# Relative to Airflow's own address, which may have a path. Airflow fills the braces in.
REVIEW = "paid-jobs/review.html?dag_id={DAG_ID}&run_id={RUN_ID}"

VIEWS: list[dict[str, Any]] = [
    {
        "name": "Paid jobs",
        "href": "paid-jobs/jobs.html",
        "destination": "nav",
        "category": "browse",
        "url_route": "paid-jobs",
    },
    {"name": "Review", "href": REVIEW, "destination": "dag_run", "url_route": "review"},
]


def views(version: str) -> list[dict[str, Any]]:
    """
    Return the pages for a version of Airflow.

    :param version: before 3.4 a tab of task instances would be on those of all operators.
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    if (major, minor) < (3, 4):
        return VIEWS
    tab = {
        "destination": "task_instance",
        "url_route": "task-review",
        "applies_to": {"operator_name": WITH_A_REVIEW},
    }
    return [*VIEWS, {"name": "Review", "href": REVIEW, **tab}]


class PaidJobsPlugin(AirflowPlugin):
    """Registered by the entry point ``airflow.plugins`` alone, as :class:`MediaMagicWebhooksPlugin` is."""

    name = "paid_jobs"
    fastapi_apps = [{"app": Pages(), "url_prefix": URL_PREFIX, "name": "Paid jobs"}]
    external_views = views(__version__)
