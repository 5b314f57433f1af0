"""A proxy before a real server that notes what was asked for, and how many bytes of it came."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit


class Asked(NamedTuple):
    """One request.

    Attributes:
        method, path: of the request.
        bytes: of the answer's body.
        copied: where a copy on the server's side comes from; empty for other requests.
    """

    method: str
    path: str
    bytes: int
    copied: str


class Counting(NamedTuple):
    """A running proxy: its address, and all requests so far."""

    url: str
    asked: list[Asked]

    def bytes_of(self, part: str) -> int:
        """How many bytes were read of what has ``part`` in its path."""
        return sum(each.bytes for each in self.asked if each.method == "GET" and part in each.path)


@contextlib.contextmanager
def counting_proxy(target: str) -> Iterator[Counting]:
    """Run a proxy before the server at ``target``."""
    asked: list[Asked] = []
    host = urlsplit(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            upstream = http.client.HTTPConnection(host.hostname or "", host.port, timeout=20)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            with contextlib.closing(upstream):
                upstream.request(self.command, self.path, body, headers)
                found = upstream.getresponse()
                data = found.read()
            asked.append(Asked(self.command, self.path, len(data), self.headers.get("x-amz-copy-source", "")))
            self.send_response(found.status)
            length = found.getheader("Content-Length") if self.command == "HEAD" else None
            for name, value in found.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", length or str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield Counting(f"http://127.0.0.1:{server.server_address[1]}", asked)
        finally:
            server.shutdown()
            thread.join()
