"""A real endpoint for webhooks, in the process of the test."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

#: Fails a test that would wait for ever; far more than any of them needs.
GIVE_UP = 60


def until(condition: Callable[[], Any]) -> Any:
    """Wait for something that is bound to come.

    :return: what it is.
    """
    deadline = time.monotonic() + GIVE_UP
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)
    return result


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> dict[str, Any]:
        """The envelope, if the reference library accepts it."""
        return dict(Webhook(secret).verify(self.body, self.headers))


class Receiver:
    """Answers 204, or what ``answers`` says for a path, and keeps what it got."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        #: by path: statuses to come, used up from the front
        self.answers: dict[str, list[int]] = {}
        #: paths that are not answered until :meth:`let_go`
        self.silent: set[str] = set()
        self._let_go = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(Received(self.path, headers, body))
                if self.path in receiver.silent:
                    receiver._let_go.wait(GIVE_UP)
                answers = receiver.answers.get(self.path)
                status = answers.pop(0) if answers else 204
                self.send_response(status)
                if status // 100 == 3:
                    self.send_header("Location", f"{receiver.url}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 200
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A sender that did not wait for the answer is nothing to report."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}).start()

    def let_go(self) -> None:
        """Answer those who have been left waiting."""
        self._let_go.set()

    def close(self) -> None:
        self.let_go()
        self._server.shutdown()
        self._server.server_close()

    def at(self, path: str) -> list[Received]:
        """What came for one path."""
        return [one for one in self.received if one.path == path]

    def wait(self, count: int, path: str = "/hook") -> list[Received]:
        """Wait until so many have come for a path."""
        until(lambda: len(self.at(path)) >= count)
        return self.at(path)
