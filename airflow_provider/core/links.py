"""
Links from a task to pages outside Airflow.

Airflow asks for them on the worker, whenever an attempt ends or is deferred, and keeps each as an XCom; the
web interface reads those alone. An empty address shows no link.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

    from airflow_provider.core.files.locations import Location


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


AWS_CONSOLES = {
    "aws": "https://console.aws.amazon.com",
    "aws-cn": "https://console.amazonaws.cn",
    "aws-us-gov": "https://console.amazonaws-us-gov.com",
}
"""Console by AWS partition."""

GOOGLE_CONSOLE = "https://console.cloud.google.com"


def web_address(location: Location) -> str:
    """
    Return the console page of a file on Amazon S3 or Google Cloud Storage.

    Opening it asks people to log in; it carries no signature and no credential.

    :param location: the file; its file system says which server it speaks to.
    :return: empty where there is none: local disk, other stores, and servers that only speak S3 or GCS.
    """
    from airflow_provider.core.files.locations import protocols

    if location.fs is None:
        return ""
    bucket, _, key = location.path.partition("/")
    schemes = protocols(location.fs)
    if "s3" in schemes:
        console = _aws_console(location)
        return f"{console}/s3/object/{quote(bucket)}?prefix={quote(key, safe='')}" if console else ""
    if "gs" in schemes and (urlsplit(location.fs.base).hostname or "").endswith(".googleapis.com"):
        return f"{GOOGLE_CONSOLE}/storage/browser/_details/{quote(bucket)}/{quote(key)}"
    return ""


def _aws_console(location: Location) -> str:
    client = location.fs.s3.meta
    hostname = urlsplit(client.endpoint_url).hostname or ""
    amazon = hostname.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return AWS_CONSOLES.get(client.partition, "") if amazon else ""
