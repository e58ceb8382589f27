"""A storage host for ``transfers.py``: ``GET /<bytes>`` answers with a file that exists nowhere."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = bytes(range(256)) * 4096


class Handler(BaseHTTPRequestHandler):
    """Answers with so many bytes as the path says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        size = int(self.path.partition("?")[0].strip("/"))
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(size))
        self.send_header("ETag", f'"{size}"')
        self.end_headers()
        whole, rest = divmod(size, len(PIECE))
        for _ in range(whole):
            self.connection.sendall(PIECE)
        self.connection.sendall(PIECE[:rest])

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
