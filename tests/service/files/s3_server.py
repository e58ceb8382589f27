"""S3 on localhost: moto's server, real HTTP, with what Airflow needs to reach it."""

from __future__ import annotations

import atexit
import json
from functools import cache
from typing import Any

import boto3  # type: ignore[import-untyped]
from moto.server import ThreadedMotoServer

BUCKET = "bucket"
CONN_ID = "files_s3"


@cache
def s3_server() -> S3Server:
    """
    The one server of the test run, started on first use, over with it.

    One, because Airflow keeps a file system per connection id and process, with the endpoint it had first.
    """
    return S3Server()


class S3Server:
    """
    A server with one bucket; use :func:`s3_server`.

    :ivar client: looks into it past everything that is tested.
    """

    def __init__(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        atexit.register(self._server.stop)
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    @property
    def connection(self) -> str:
        """An Airflow connection to it, as JSON."""
        extra = {"endpoint_url": self.endpoint, "region_name": "us-east-1"}
        fields = {"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra}
        return json.dumps(fields)

    def names(self) -> list[str]:
        """The keys in the bucket."""
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def uploads(self) -> list[dict[str, Any]]:
        """Multipart uploads that were begun and neither completed nor aborted."""
        found: list[dict[str, Any]] = self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return found

    def put(self, key: str, body: bytes) -> str:
        """Store an object; return its URL."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{CONN_ID}@{BUCKET}/{key}"

    def read(self, key: str) -> bytes:
        """The content of an object."""
        content: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return content

    def fill(self) -> None:
        """Make the bucket."""
        self.client.create_bucket(Bucket=BUCKET)

    def clear(self) -> None:
        """Remove the bucket and all in it."""
        for key in self.names():
            self.client.delete_object(Bucket=BUCKET, Key=key)
        for upload in self.uploads():
            self.client.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
        self.client.delete_bucket(Bucket=BUCKET)
