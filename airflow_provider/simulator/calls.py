"""One request as the handlers see it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from airflow_provider.simulator.keys import Caller

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

#: No JSON body of either API comes near this.
MAX_JSON_BODY = 16 * 1024 * 1024
#: How much of an unread body is swallowed so that the sender gets to see the answer.
MAX_DRAIN = 64 * 1024 * 1024


class ClientGone(Exception):
    """The client hung up while its body was being read."""


class NotJson(Exception):
    """The body is not JSON."""


class BadForm(Exception):
    """The body is not the multipart form that it claims to be."""


class Call:
    """A request: ASGI scope plus what has been found out about it."""

    __slots__ = (
        "_query",
        "_receive",
        "body_done",
        "caller",
        "method",
        "params",
        "path",
        "request_id",
        "scope",
    )

    def __init__(self, scope: Message, receive: Receive) -> None:
        self.scope = scope
        self._receive = receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.params: tuple[str, ...] = ()
        self.caller: Caller | None = None
        self.request_id: str = ""
        self.body_done = False
        self._query: dict[str, str] | None = None

    def header(self, name: bytes) -> str | None:
        """A request header by its lower-case name."""
        for key, value in self.scope["headers"]:
            if key == name:
                return str(value.decode("latin-1"))
        return None

    @property
    def query(self) -> dict[str, str]:
        """Query parameters; of a repeated one the last."""
        if self._query is None:
            raw = self.scope["query_string"].decode("latin-1")
            self._query = dict(parse_qsl(raw, keep_blank_values=True)) if raw else {}
        return self._query

    @property
    def hostname(self) -> str:
        """The host that the client used, without a port: links point back to where it came from."""
        host = self.header(b"host") or "127.0.0.1"
        if host.startswith("["):
            return host[: host.find("]") + 1]
        return host.rsplit(":", 1)[0] if ":" in host else host

    async def receive(self) -> Message:
        """The ASGI ``receive``, watched so that :meth:`drain` knows what is left."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.body_done = True
            raise ClientGone
        if not message.get("more_body", False):
            self.body_done = True
        return message

    async def body(self, limit: int = MAX_JSON_BODY) -> bytes:
        """The whole body, for small ones."""
        chunks: list[bytes] = []
        size = 0
        while not self.body_done:
            chunk = (await self.receive()).get("body", b"")
            size += len(chunk)
            if size > limit:
                raise NotJson(f"body over {limit} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    async def json(self) -> Any:
        """The body as JSON.

        :raises NotJson: it is something else.
        """
        body = await self.body()
        try:
            return json.loads(body)
        except ValueError as error:
            raise NotJson(str(error)) from error

    async def form(self) -> FormData:
        """The body as a form; files are spooled to disk by Starlette.

        :raises BadForm: the multipart body cannot be parsed.
        """
        try:
            return await Request(self.scope, self.receive).form(max_files=20, max_fields=100)
        except (MultiPartException, HTTPException) as error:
            raise BadForm(str(error)) from error

    async def drain(self) -> bool:
        """Swallow what is left of the body.

        :return: whether the connection can still be used.
        """
        if self.body_done:
            return True
        if self.header(b"expect"):
            return False
        if not self.header(b"content-length") and not self.header(b"transfer-encoding"):
            return True
        size = 0
        while size <= MAX_DRAIN:
            message = await self.receive()
            size += len(message.get("body", b""))
            if not message.get("more_body", False):
                return True
        return False


def file_part(form: FormData, name: str) -> UploadFile | None:
    """The file of a form part; ``None`` when it is absent or a plain field."""
    part = form.get(name)
    return part if isinstance(part, UploadFile) else None


def text_part(form: FormData, *names: str) -> str | None:
    """The first of these plain form fields that is there."""
    for name in names:
        part = form.get(name)
        if isinstance(part, str):
            return part
    return None
