"""A server that misbehaves to order: it writes every request down and answers from a list."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass
class Received:
    """One request as it arrived."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


Play = Callable[[socket.socket], bool]
"""Answers one request; returns whether the connection stays open."""


def answer(status: int = 200, body: Any = b"", *, keep: bool = True, **headers: str) -> Play:
    """A whole answer; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"Content-Length": str(len(content))} | {k.replace("_", "-"): v for k, v in headers.items()}

    def play(connection: socket.socket) -> bool:
        connection.sendall(_head(status, named) + content)
        return keep

    return play


def raw(content: bytes) -> Play:
    """These bytes, whatever they are; then the connection is closed."""

    def play(connection: socket.socket) -> bool:
        connection.sendall(content)
        return False

    return play


def after_interim(play: Play) -> Play:
    """An answer that interim ones come before."""

    def both(connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
        return play(connection)

    return both


def cut(status: int = 200, body: bytes = b'{"submissionId": "s', missing: int = 50) -> Play:
    """An answer that ends before its announced length."""

    def play(connection: socket.socket) -> bool:
        connection.sendall(_head(status, {"Content-Length": str(len(body) + missing)}) + body)
        return False

    return play


def hang_up(connection: socket.socket) -> bool:
    """Close without an answer."""
    return False


def reset(connection: socket.socket) -> bool:
    """Break the connection off hard."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def tunnel_to(server: OddServer) -> Play:
    """Agree to a ``CONNECT`` and carry bytes to and from a server until both ends are closed."""

    def play(connection: socket.socket) -> bool:
        with socket.create_connection(("127.0.0.1", server.port)) as onward:
            connection.sendall(_head(200, {}))
            back = threading.Thread(target=_carry, args=(onward, connection), daemon=True)
            back.start()
            _carry(connection, onward)
            back.join()
        return False

    return play


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(64 * 1024):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class OddServer:
    """
    Listens on a loopback port for the length of a ``with`` block.

    :param plays: one per request, in order; a request beyond the last one gets a 599.
    :param port: 0 picks a free one.
    :param tls: speak https with this certificate.
    """

    def __init__(self, *plays: Play, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.plays = list(plays)
        self.requests: list[Received] = []
        self.silent = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self._tls = tls
        self._connections = 0
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.silent.set()
        self._listener.close()
        with self._lock:
            for connection in self._open:
                connection.close()

    def silence(self, connection: socket.socket) -> bool:
        """Play: never answer, until the server is closed."""
        self.silent.wait()
        return False

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections += 1
                number = self._connections
                self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                while self._answer_one(connection, stream, number):
                    pass
        except (OSError, ValueError):
            return

    def _answer_one(self, connection: socket.socket, stream: Any, number: int) -> bool:
        line = stream.readline().decode("latin-1")
        if not line:
            return False
        method, target, _ = line.split(" ", 2)
        headers: dict[str, str] = {}
        while (header := stream.readline().decode("latin-1").strip()) != "":
            name, _, value = header.partition(":")
            headers[name.strip().lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", "0")))
        with self._lock:
            self.requests.append(Received(number, method, target, headers, body))
            play = self.plays.pop(0) if self.plays else answer(599, {"error": "the script has ended"})
        return play(connection)


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Odd", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
