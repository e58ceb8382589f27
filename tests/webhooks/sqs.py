"""A real SQS API on localhost, and what an API gateway in front of it puts there."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from typing import Any

import boto3  # type: ignore[import-untyped]
from moto.server import ThreadedMotoServer

ACCOUNT = {"region_name": "us-east-1", "aws_access_key_id": "testing", "aws_secret_access_key": "testing"}


class Queue:
    """One queue on a server of its own, which runs until :meth:`close`."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        #: of an Airflow connection of type ``aws`` that reaches it
        self.extra = {"endpoint_url": f"http://{host}:{port}", **ACCOUNT}
        self._client: Any = boto3.client("sqs", **self.extra)
        # All servers of a process share their queues.
        self.url: str = self._client.create_queue(QueueName=f"webhooks-{uuid.uuid4()}")["QueueUrl"]

    def put(self, text: str) -> None:
        """Put a message there, whatever it says."""
        self._client.send_message(QueueUrl=self.url, MessageBody=text)

    def receive(self, body: bytes, headers: Mapping[str, str], *, encoded: bool = False) -> None:
        """
        Put a request there as a gateway does.

        :param encoded: the body in base64.
        """
        text = base64.b64encode(body).decode() if encoded else body.decode()
        request = {"headers": {name.title(): value for name, value in headers.items()}, "body": text}
        self.put(json.dumps(request | {"isBase64Encoded": encoded}))

    @property
    def length(self) -> int:
        """How many messages wait."""
        asked = self._client.get_queue_attributes(
            QueueUrl=self.url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(asked["Attributes"]["ApproximateNumberOfMessages"])

    def close(self) -> None:
        """Stop the server."""
        self._server.stop()
