"""Sentry's side: where its envelopes go."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def sink() -> Iterator[tuple[str, list[tuple[dict[str, Any], dict[str, Any]]]]]:
    """Where Sentry's envelopes go: the DSN, and the items that came, each with its header."""
    items: list[tuple[dict[str, Any], dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            lines = [json.loads(line) for line in body.splitlines() if line]
            items.extend(zip(lines[1::2], lines[2::2], strict=True))  # after the envelope's own header
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://key@127.0.0.1:{server.server_port}/1", items
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
