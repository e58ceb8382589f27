"""Where people can look at a stored file: the page of the store's own web console."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from airflow_provider.core.files.location import Location, protocols

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
