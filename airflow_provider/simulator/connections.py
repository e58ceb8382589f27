"""Reaching the TCP connection behind a request, to break it."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import struct
from typing import Any

from airflow_provider.simulator.calls import Message


class Connections:
    """Open connections by the addresses of their two ends.

    ASGI hides the transport, and a reset is not something that an application can answer with.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[Any, Any], asyncio.Transport] = {}

    def reset(self, scope: Message) -> None:
        """Break the connection of a request so that its client sees ``ECONNRESET``."""
        transport = self._open.get((tuple(scope["client"]), tuple(scope["server"])))
        if transport is None:
            return
        sock = transport.get_extra_info("socket")
        if sock is not None:
            # Without lingering, closing sends RST instead of FIN.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    def protocol(self) -> Any:
        """uvicorn's HTTP protocol, registering its connections here."""
        base: Any
        if importlib.util.find_spec("httptools"):
            from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as base
        else:
            from uvicorn.protocols.http.h11_impl import H11Protocol as base
        registered = self._open

        class RegisteredProtocol(base):
            def connection_made(self, transport: asyncio.Transport) -> None:
                super().connection_made(transport)
                self.registered_as = (_address(self.client), _address(self.server))
                registered[self.registered_as] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                registered.pop(self.registered_as, None)
                super().connection_lost(exc)

        return RegisteredProtocol


def _address(pair: Any) -> Any:
    return tuple(pair) if pair else pair
