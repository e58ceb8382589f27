"""The made-up render service: a small server on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PDF = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"


class RenderFarm:
    """
    What the service knows, and how it behaves.

    :param url: where it listens.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = "render-key"
        self.takes = 0.2
        self.outcome = "done"
        self.loses_answers = 0
        self.renders: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.stopped: list[str] = []

    def create(self, scene: str) -> dict[str, Any]:
        render_id = f"render-{len(self.renders) + 1}"
        self.renders[render_id] = {"scene": scene, "ends_at": time.monotonic() + self.takes}
        return self.show(render_id)

    def show(self, render_id: str) -> dict[str, Any]:
        render = self.renders[render_id]
        ended = time.monotonic() >= render["ends_at"]
        state = "stopped" if render_id in self.stopped else self.outcome if ended else "rendering"
        shown = {"render_id": render_id, "scene": render["scene"], "state": state}
        return shown | (
            {"file_url": f"{self.url}/files/{render_id}.pdf?sig=secret"} if state == "done" else {}
        )

    def posts(self) -> int:
        return self.requests.count("POST /renders")


@contextmanager
def running() -> Iterator[RenderFarm]:
    """Serve on a free port of loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        farm: RenderFarm

        def do_GET(self) -> None:
            self._handle()

        do_POST = do_DELETE = do_GET

        def _handle(self) -> None:
            farm, path = self.farm, self.path.partition("?")[0]
            farm.requests.append(f"{self.command} {path}")
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            render_id = path.rpartition("/")[2].removesuffix(".pdf")
            if path.startswith("/files/"):
                assert "X-API-Key" not in self.headers
                self._send(200, PDF, "application/pdf")
            elif self.headers.get("X-API-Key") != farm.key:
                self._send_json(401, {"error": "unknown key"})
            elif path == "/renders" and self.command == "POST":
                created = farm.create(json.loads(sent)["scene"])
                if farm.loses_answers:
                    farm.loses_answers -= 1
                    self.close_connection = True
                else:
                    self._send_json(201, created)
            elif path == "/renders":
                self._send_json(200, [farm.show(one) for one in farm.renders])
            elif render_id not in farm.renders:
                self._send_json(404, {"error": "no such render"})
            else:
                if self.command == "DELETE":
                    farm.stopped.append(render_id)
                self._send_json(200, farm.show(render_id))

        def _send_json(self, status: int, body: Any) -> None:
            self._send(status, json.dumps(body).encode(), "application/json")

        def _send(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.farm = RenderFarm(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Handler.farm
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
