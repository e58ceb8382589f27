"""What a handler answers, before faults and before the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

JSON = "application/json"


@dataclass(slots=True)
class FileSlice:
    """Bytes of a file on disk that become a body."""

    path: Path
    start: int
    length: int


@dataclass(slots=True)
class Poll:
    """Marks an answer to a status question, for the ledger."""

    job_id: str
    terminal: bool


@dataclass(slots=True)
class Reply:
    """One answer."""

    status: int
    body: bytes = b""
    content_type: str | None = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)
    file: FileSlice | None = None
    poll: Poll | None = None
    #: what ``Content-Length`` says when it is not the length of the body (answers to ``HEAD``)
    stated_length: int | None = None


class Refusal(Exception):
    """Ends a handler early with an error answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def json_body(data: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(data, separators=(",", ":")).encode()


def json_reply(status: int, data: Any, headers: Iterable[tuple[str, str]] = ()) -> Reply:
    """A JSON answer."""
    return Reply(status, json_body(data), headers=list(headers))
