"""A gateway in front of a vendor that takes a request in and passes it on later, as load balancers do."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from urllib.parse import urlsplit


class Gateway:
    """
    Passes requests on to a server; ``POST`` requests to one path only when the test says so.

    A held request reaches the server even when the client that sent it is gone.

    :param url: of the server.
    :param path: ``POST`` requests to it are held.
    """

    def __init__(self, url: str, path: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 80)
        self._held_line = f"POST {path} ".encode()
        self._go_on = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.held = 0
        self.passed = 0
        #: ``GET`` requests that were answered
        self.read = 0

    def __enter__(self) -> Gateway:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._go_on.set()
        self._listener.close()

    def release(self) -> None:
        """Pass on what is held, and hold nothing again."""
        self._go_on.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One connection, one request at a time: read it whole, hold it, pass it on, copy the answer."""
        with client:
            while request := _read_message(client):
                held = request.startswith(self._held_line) and not self._go_on.is_set()
                if held:
                    self.held += 1
                    self._go_on.wait()
                with socket.create_connection(self._server) as server:
                    server.sendall(request)
                    answer = _read_message(server)
                self.passed += held
                self.read += request.startswith(b"GET ")
                try:
                    client.sendall(answer)
                except OSError:
                    return


def _read_message(peer: socket.socket) -> bytes:
    """One HTTP message with a ``Content-Length``, or none; empty at the end of the connection."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            part = peer.recv(65536)
            if not part:
                return b""
            data += part
        head = data.split(b"\r\n\r\n", 1)[0]
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(data) < len(head) + 4 + length:
            part = peer.recv(65536)
            if not part:
                return b""
            data += part
    except OSError:
        return b""
    return data
