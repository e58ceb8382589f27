"""Things that go wrong, switched on per path."""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
from fnmatch import fnmatchcase
from typing import Any

from airflow_provider.simulator.replies import JSON, Reply, json_body

#: Kinds that answer without the service having seen the request.
BEFORE = {"status", "reset", "redirect"}
#: Kinds that spoil the answer of a request that was processed.
AFTER = {
    "lost_answer",
    "truncate",
    "garbage",
    "html",
    "empty",
    "null_data",
    "drop_field",
    "set_field",
    "slow",
    "wrong_length",
    "late",
}
KINDS = BEFORE | AFTER | {"delay"}
#: Kinds after which the client has nevertheless received what the service said.
HARMLESS = {"delay", "slow"}


@dataclasses.dataclass(slots=True)
class Fault:
    """One rule."""

    id: int
    kind: str
    #: glob on the method and on the real path, on either origin
    method: str = "*"
    path: str = "*"
    #: how often it strikes; ``None`` is until cleared
    times: int | None = None
    #: how many matching requests pass before it starts
    skip: int = 0
    probability: float = 1.0
    seed: int = 0
    #: ``status``, ``redirect``, ``html``: the status code
    status: int | None = None
    #: ``status``: text, what is no UTF-8 in it as ``os.fsdecode`` writes it, or JSON; left out, the vendor's
    #: own error body
    body: Any = None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    #: ``status``: let the service process the request first
    after: bool = False
    #: real seconds before anything else happens, with every kind; ``late``: between the loss of the answer
    #: and the processing of the request
    delay: float = 0.0
    #: ``drop_field``, ``set_field``: dotted, list positions as numbers
    field: str = ""
    value: Any = None
    location: str = ""
    #: ``slow``: bytes at a time, and real seconds between
    chunk: int = 16
    interval: float = 0.02
    #: ``wrong_length``: what is added to the true length; what is beyond it is not sent
    offset: int = -10
    matched: int = 0
    hits: int = 0
    random: random.Random = dataclasses.field(default_factory=random.Random, repr=False)

    def strikes(self, method: str, path: str) -> bool:
        """Whether it happens to this request; counts."""
        if not (fnmatchcase(method, self.method) and fnmatchcase(path, self.path)):
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.matched += 1
        if self.matched <= self.skip or self.random.random() >= self.probability:
            return False
        self.hits += 1
        return True

    @property
    def before(self) -> bool:
        """Whether the service never sees the request."""
        return self.kind in BEFORE and not self.after

    def shown(self) -> dict[str, Any]:
        """As the control API lists it."""
        names = ("id", "kind", "method", "path", "times", "skip", "probability", "seed", "matched", "hits")
        return {name: getattr(self, name) for name in names}


_PARAMETERS = {
    "method", "path", "kind", "times", "skip", "probability", "seed", "status", "body", "headers",
    "after", "delay", "field", "value", "location", "chunk", "interval", "offset",
}  # fmt: skip


class Faults:
    """All faults; the first that strikes a request is the only one that does."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, data: dict[str, Any]) -> Fault:
        """A fault as the control API writes it.

        :raises ValueError: unknown kind or parameter, or one that the kind needs is missing.
        """
        unknown = set(data) - _PARAMETERS
        if unknown:
            raise ValueError(
                f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(_PARAMETERS))}"
            )
        kind = data.get("kind")
        if kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(sorted(KINDS))}")
        if kind == "status" and not isinstance(data.get("status"), int):
            raise ValueError("kind 'status' needs 'status'")
        if kind in ("drop_field", "set_field") and not data.get("field"):
            raise ValueError(f"kind {kind!r} needs 'field'")
        if kind == "redirect" and not data.get("location"):
            raise ValueError("kind 'redirect' needs 'location'")
        if kind in ("delay", "late") and not data.get("delay"):
            raise ValueError(f"kind {kind!r} needs 'delay', in real seconds")
        fault = Fault(id=next(self._ids), **data)
        fault.random.seed(fault.seed)
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Switch all off."""
        self._faults.clear()

    def listed(self) -> list[dict[str, Any]]:
        """All, with what they hit."""
        return [fault.shown() for fault in self._faults]

    def pick(self, method: str, path: str) -> Fault | None:
        """The fault that strikes this request."""
        return next((fault for fault in self._faults if fault.strikes(method, path)), None)


def instead(fault: Fault, default: Reply) -> Reply:
    """The answer of a ``status`` or ``redirect`` fault.

    :param default: the vendor's own body for that status.
    """
    if fault.kind == "redirect":
        reply = Reply(fault.status or 302, b"", None, [("Location", fault.location)])
    elif fault.body is None:
        reply = default
    elif isinstance(fault.body, str):
        reply = Reply(fault.status or 500, fault.body.encode(errors="surrogateescape"), "text/plain")
    else:
        reply = Reply(fault.status or 500, json_body(fault.body))
    named = {name.lower() for name in fault.headers}
    reply.headers = [(n, v) for n, v in reply.headers if n.lower() not in named]
    reply.headers.extend(fault.headers.items())
    return reply


def spoil(fault: Fault, reply: Reply) -> Reply:
    """What an ``AFTER`` fault makes of the content of an answer (not of how it is sent)."""
    kind = fault.kind
    if kind == "garbage":
        return Reply(reply.status, fault.random.randbytes(200), JSON)
    if kind == "html":
        page = b"<html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
        return Reply(fault.status or reply.status, page, "text/html")
    if kind == "empty":
        return Reply(reply.status, b"", reply.content_type)
    if kind not in ("null_data", "drop_field", "set_field"):
        return reply
    try:
        data = json.loads(reply.body)
    except ValueError:
        return reply
    if kind == "null_data":
        data = {**data, "data": None} if isinstance(data, dict) and "data" in data else None
    else:
        _edit(data, fault)
    return Reply(reply.status, json_body(data), reply.content_type, reply.headers)


def _edit(data: Any, fault: Fault) -> None:
    *parents, last = fault.field.split(".")
    for name in parents:
        data = _member(data, name)
    drop = fault.kind == "drop_field"
    if isinstance(data, dict):
        if drop:
            data.pop(last, None)
        else:
            data[last] = fault.value
    elif isinstance(data, list) and last.isdigit() and int(last) < len(data):
        if drop:
            del data[int(last)]
        else:
            data[int(last)] = fault.value


def _member(data: Any, name: str) -> Any:
    if isinstance(data, dict):
        return data.get(name)
    if isinstance(data, list) and name.isdigit() and int(name) < len(data):
        return data[int(name)]
    return None
