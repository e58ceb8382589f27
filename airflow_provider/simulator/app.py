"""The ASGI application: which service a request is for, what may go wrong, how the answer is sent."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any, Protocol

from airflow_provider.simulator.calls import Call, ClientGone, Message, Receive
from airflow_provider.simulator.connections import Connections
from airflow_provider.simulator.faults import HARMLESS, Fault, Faults, instead, spoil
from airflow_provider.simulator.replies import Refusal, Reply
from airflow_provider.simulator.routing import Route, Router
from airflow_provider.simulator.world import World

Send = Callable[[Message], Awaitable[None]]
_FILE_CHUNK = 256 * 1024


class Service(Protocol):
    """One origin or vendor behind the application."""

    router: Router

    async def answer(self, call: Call, route: Route | None, path_exists: bool) -> Reply:
        """Process a request."""

    def error(self, call: Call, status: int) -> Reply:
        """An error in this vendor's shape, for faults."""


class Application:
    """Dispatches between the control API, the two vendors and the storage origin."""

    def __init__(
        self,
        world: World,
        faults: Faults,
        connections: Connections,
        *,
        control: Service,
        mediamagic: Service,
        silent_witness: Service,
        storage: Service,
        close: Callable[[], Awaitable[None]],
        log_requests: bool = False,
    ) -> None:
        self._world = world
        self._faults = faults
        self._connections = connections
        self._control = control
        self._mediamagic = mediamagic
        self._silent_witness = silent_witness
        self._storage = storage
        self._log_requests = log_requests
        #: lets go of what the services have open
        self.close = close
        #: the HTTP protocol that lets faults break a connection
        self.protocol = connections.protocol()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        call = Call(scope, receive)
        send = self._dated(send)
        service = self._service(scope, call.path)
        if service is self._control:
            reply = await self._control.answer(call, *self._route(service, call))
            await _send(send, reply)
            return
        # A reset while the request is answered begins a new one.
        ledger = self._world.ledger
        fault = self._faults.pick(call.method, call.path) if self._faults else None
        route, path_exists = self._route(service, call)
        label = route.label if route else f"{call.method} (unknown path)"
        try:
            outcome = await self._exchange(call, service, route, path_exists, fault, send)
        except ClientGone:
            outcome = "client gone"
        ledger.count(label, outcome)
        if self._log_requests:
            note = f" fault={fault.kind}" if fault else ""
            print(f"{call.method} {call.path} {outcome}{note}", file=sys.stderr, flush=True)

    def _dated(self, send: Send) -> Send:
        """Send the vendors' time along, which is not this machine's, unless an answer names another."""

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                if not any(name.lower() == b"date" for name, _ in headers):
                    date = self._world.clock.date() + self._world.settings.date_skew
                    headers.append((b"date", formatdate(date, usegmt=True).encode()))
            await send(message)

        return dated

    def _service(self, scope: Message, path: str) -> Service:
        if scope["server"][1] == self._world.storage_port:
            return self._storage
        if path.startswith("/api/integrations/"):
            return self._mediamagic
        return self._control if path.startswith("/_simulator/") else self._silent_witness

    @staticmethod
    def _route(service: Service, call: Call) -> tuple[Route | None, bool]:
        route, call.params, path_exists = service.router.match(call.method, call.path)
        return route, path_exists

    async def _exchange(
        self,
        call: Call,
        service: Service,
        route: Route | None,
        path_exists: bool,
        fault: Fault | None,
        send: Send,
    ) -> str:
        """Process and answer.

        :return: how it ended, for the ledger.
        """
        if fault is None:
            reply = await self._processed(call, service, route, path_exists)
            await self._answer(call, reply, send)
            return str(reply.status)
        if fault.kind == "late":
            await self._lose_then_process(call, service, route, path_exists, fault.delay)
            return "late"
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.kind == "reset":
            await self._abort(call)
            return "reset"
        if fault.before:
            reply = instead(fault, service.error(call, fault.status or 302))
            await self._answer(call, reply, send)
            return str(reply.status)
        reply = await self._processed(call, service, route, path_exists)
        poll, reply.poll = reply.poll, None
        if poll is not None:
            self._world.ledger.poll(poll, seen=fault.kind in HARMLESS)
        if fault.kind == "lost_answer":
            await call.drain()
            await self._abort(call)
            return "lost_answer"
        if fault.kind == "status":
            reply = instead(fault, service.error(call, fault.status or 500))
        reply = spoil(fault, reply)
        if fault.kind in ("truncate", "slow", "wrong_length"):
            await call.drain()
            await _send_badly(send, reply, fault)
            return f"{reply.status}"
        await self._answer(call, reply, send)
        return str(reply.status)

    async def _lose_then_process(
        self, call: Call, service: Service, route: Route | None, path_exists: bool, seconds: float
    ) -> None:
        """Carry a request out after its sender has lost the connection, unless a reset came meanwhile."""
        ledger = self._world.ledger
        messages: list[Message] = []
        while not call.body_done:
            messages.append(await call.receive())
        await self._abort(call)
        await asyncio.sleep(seconds)
        if self._world.ledger is not ledger:
            return

        async def receive() -> Message:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        again = Call(call.scope, receive)
        again.params = call.params
        await self._processed(again, service, route, path_exists)

    async def _processed(self, call: Call, service: Service, route: Route | None, path_exists: bool) -> Reply:
        try:
            return await service.answer(call, route, path_exists)
        except Refusal as refusal:
            return refusal.reply
        except ClientGone:
            raise
        except Exception:
            # A bug of the simulator must not look like one of the client: say it where people look.
            traceback.print_exc(file=sys.stderr)
            return service.error(call, 500)

    async def _answer(self, call: Call, reply: Reply, send: Send) -> None:
        if call.method != "GET" and not await call.drain():
            reply.headers.append(("Connection", "close"))
        if reply.poll is not None:
            self._world.ledger.poll(reply.poll, seen=True)
        await _send(send, reply)

    async def _abort(self, call: Call) -> None:
        self._connections.reset(call.scope)
        try:
            while True:
                await call.receive()
        except ClientGone:
            pass


def _start(reply: Reply, length: int) -> dict[str, Any]:
    headers = [(b"content-length", str(length).encode())]
    if reply.content_type:
        headers.append((b"content-type", reply.content_type.encode()))
    headers.extend((name.encode(), value.encode("latin-1", "replace")) for name, value in reply.headers)
    return {"type": "http.response.start", "status": reply.status, "headers": headers}


async def _send(send: Send, reply: Reply) -> None:
    if reply.file is not None:
        await _send_file(send, reply)
        return
    if reply.stated_length is not None:
        await send(_start(reply, reply.stated_length))
        await send({"type": "http.response.body", "body": b""})
        return
    if reply.status == 204:
        reply.content_type = None
    await send(_start(reply, len(reply.body)))
    await send({"type": "http.response.body", "body": reply.body})


async def _send_file(send: Send, reply: Reply) -> None:
    part = reply.file
    assert part is not None
    await send(_start(reply, part.length))
    left = part.length
    with part.path.open("rb") as stream:
        stream.seek(part.start)
        while left > 0:
            chunk = stream.read(min(_FILE_CHUNK, left))
            left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
            if not chunk:
                return
    if part.length == 0:
        await send({"type": "http.response.body", "body": b""})


async def _send_badly(send: Send, reply: Reply, fault: Fault) -> None:
    """Answers whose framing is wrong: the connection ends before the stated length is reached."""
    body = _bytes_of(reply)
    if fault.kind == "truncate":
        await send(_start(reply, len(body)))
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        return
    if fault.kind == "wrong_length":
        stated = max(0, len(body) + fault.offset)
        await send(_start(reply, stated))
        await send({"type": "http.response.body", "body": body[:stated], "more_body": stated > len(body)})
        return
    await send(_start(reply, len(body)))
    for position in range(0, len(body), fault.chunk):
        await send(
            {"type": "http.response.body", "body": body[position : position + fault.chunk], "more_body": True}
        )
        await asyncio.sleep(fault.interval)
    await send({"type": "http.response.body", "body": b""})


def _bytes_of(reply: Reply) -> bytes:
    if reply.file is None:
        return reply.body
    with reply.file.path.open("rb") as stream:
        stream.seek(reply.file.start)
        return stream.read(reply.file.length)
