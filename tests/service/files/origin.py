"""
A storage host behind signed links, with the faults that storage hosts have. Real sockets, one thread each.
"""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SIGNATURE = "c2VjcmV0LXNpZ25hdHVyZQ"


@dataclass
class Stored:
    """One object and how its host behaves."""

    body: bytes
    media_type: str = "application/octet-stream"
    etag: str | None = None
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """
    What happens to one answer. Faults are taken from the list in order, one per request; then none.

    :param status: answer this instead.
    :param reset_at: break the connection after so many bytes of the body.
    :param close_at: end the connection quietly after so many bytes.
    :param length: announce this many bytes.
    :param redirect: answer 302 to this place.
    :param gate: called before each piece of 64 KiB goes out.
    :param chunked: send without a length, in chunks; with ``close_at``, break off in the middle.
    :param no_length: send without a length, ended by the end of the connection.
    :param headers: added or replaced; ``None`` leaves one out.
    """

    status: int | None = None
    reset_at: int | None = None
    close_at: int | None = None
    length: int | None = None
    redirect: str | None = None
    gate: Callable[[int], None] | None = None
    chunked: bool = False
    no_length: bool = False
    headers: dict[str, str | None] = field(default_factory=dict)


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""
    client: tuple[str, int] = ("", 0)


class Origin:
    """
    Serves ``GET /<name>?sig=...`` and takes Azure-style ``PUT``.

    :ivar objects: by path, for example ``/report.pdf``.
    :ivar faults: for the next requests.
    :ivar seen: every request so far.
    :ivar blobs: what was uploaded, by path.
    :ivar expired: signatures that are refused.
    :ivar discard: read uploads and forget them.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.blobs: dict[str, bytes] = {}
        self.blocks: dict[str, dict[str, bytes]] = {}
        self.expired: set[str] = set()
        self.refusal = 403
        self.max_single_put: int | None = None
        self.discard = False
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.origin = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def put(self, name: str, body: bytes, **more: Any) -> Stored:
        etag = more.pop("etag", f'"{hashlib.md5(body).hexdigest()}"')
        stored = self.objects[f"/{name}"] = Stored(body, etag=etag, **more)
        return stored

    def link(self, name: str, signature: str = SIGNATURE) -> str:
        return f"{self.url}/{name}?sig={signature}&se=2026-01-01"

    def reset(self) -> None:
        self.__dict__.update(
            objects={},
            faults=[],
            seen=[],
            blobs={},
            blocks={},
            expired=set(),
            refusal=403,
            max_single_put=None,
            discard=False,
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    origin: Origin

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        origin = self.server.origin
        seen, path = self._note(b"")
        fault = origin.faults.pop(0) if origin.faults else Fault()
        if fault.redirect is not None:
            self._plain(302, {"Location": fault.redirect})
            return
        if fault.status is not None:
            self._plain(fault.status, {k: v for k, v in fault.headers.items() if v is not None})
            return
        if seen.query.get("sig") in origin.expired:
            self._plain(origin.refusal, {})
            return
        stored = origin.objects.get(path)
        if stored is None:
            self._plain(404, {})
            return
        self._answer(stored, seen, fault)

    def _answer(self, stored: Stored, seen: Seen, fault: Fault) -> None:
        body, status = stored.body, 200
        headers: dict[str, str | None] = {"Content-Type": stored.media_type, "ETag": stored.etag}
        headers |= stored.headers
        match = re.match(r"bytes=(\d+)-$", seen.headers.get("range", ""))
        wanted = seen.headers.get("if-range")
        if match and stored.ranges and wanted in (None, stored.etag):
            start = int(match[1])
            if start >= len(body):
                self._plain(416, {"Content-Range": f"bytes */{len(body)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body, status = body[start:], 206
        if fault.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif fault.no_length:
            headers["Connection"] = "close"
        else:
            headers["Content-Length"] = str(len(body) if fault.length is None else fault.length)
        self.send_response(status)
        for name, value in (headers | fault.headers).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self._send(body, fault)

    def _send(self, body: bytes, fault: Fault) -> None:
        end = fault.reset_at if fault.reset_at is not None else fault.close_at
        sent = 0
        for start in range(0, len(body), 65536):
            piece = body[start : start + 65536]
            if end is not None:
                piece = piece[: max(end - sent, 0)]
            if fault.gate is not None:
                fault.gate(sent)
            if piece:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if fault.chunked else piece)
                sent += len(piece)
        if end is not None:
            if fault.reset_at is not None:
                # Linger 0 turns close() into RST.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        if fault.chunked:
            self.wfile.write(b"0\r\n\r\n")
        if fault.no_length or fault.length is not None:
            self.close_connection = True

    def do_PUT(self) -> None:
        origin = self.server.origin
        fault = origin.faults.pop(0) if origin.faults else Fault()
        length = int(self.headers["Content-Length"])
        if fault.reset_at is not None:
            self.rfile.read(fault.reset_at)
            self._note(b"")
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        if origin.discard:
            while length := length - len(self.rfile.read(min(length, 1 << 20))):
                pass
            self._plain(201, {})
            return
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        seen, path = self._note(body)
        if fault.status is not None:
            self._plain(fault.status, {k: v for k, v in fault.headers.items() if v is not None})
            return
        if seen.query.get("sig") in origin.expired:
            self._plain(origin.refusal, {"x-ms-error-code": "AuthenticationFailed"})
            return
        self._take(path, seen, body)

    def _take(self, path: str, seen: Seen, body: bytes) -> None:
        origin = self.server.origin
        operation = seen.query.get("comp")
        if operation == "block":
            ids = {len(name) for name in origin.blocks.setdefault(path, {})}
            if ids and ids != {len(seen.query["blockid"])}:
                self._plain(400, {"x-ms-error-code": "InvalidBlobOrBlock"})
                return
            origin.blocks[path][seen.query["blockid"]] = body
        elif operation == "blocklist":
            names = re.findall(r"<Latest>(.+?)</Latest>", body.decode())
            if any(name not in origin.blocks.get(path, {}) for name in names):
                self._plain(400, {"x-ms-error-code": "InvalidBlockList"})
                return
            # As Azure does: blocks of the list stay known, all others are dropped.
            staged = origin.blocks[path] = {name: origin.blocks[path][name] for name in names}
            origin.blobs[path] = b"".join(staged[name] for name in names)
        else:
            if seen.headers.get("x-ms-blob-type") != "BlockBlob":
                self._plain(400, {"x-ms-error-code": "MissingRequiredHeader"})
                return
            if origin.max_single_put is not None and len(body) > origin.max_single_put:
                self._plain(413, {"x-ms-error-code": "RequestBodyTooLarge"})
                return
            origin.blobs[path] = body
        self._plain(201, {})

    def _note(self, body: bytes) -> tuple[Seen, str]:
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, parts.path, query, headers, body, self.client_address)
        self.server.origin.seen.append(seen)
        return seen, parts.path

    def _plain(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()
