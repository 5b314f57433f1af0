"""A small HTTP proxy before a real server: it passes requests on, and fails those that a test picks."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Failure(NamedTuple):
    """What happens to a request; the first that is set.

    Attributes:
        reset: the connection is reset, without an answer.
        status, code, more: answered so, with an XML body as S3's that also has ``more`` in it.
        cut: half of the body comes, then the end of the connection.
        seconds: the answer waits so long.
    """

    reset: bool = False
    status: int = 0
    code: str = ""
    more: str = ""
    cut: bool = False
    seconds: float = 0.0


SLOW_DOWN = Failure(status=503, code="SlowDown")
RESET = Failure(reset=True)
CUT = Failure(cut=True)
Plan = Callable[[str, str], Failure | None]


class Asked(NamedTuple):
    """A request that came.

    Attributes:
        signed: its Authorization header, or empty.
        copied: what it asks the server to copy, or empty.
    """

    method: str
    path: str
    signed: str
    copied: str


class Proxy:
    """A running proxy.

    Attributes:
        url: its address.
        asked: every request.
        most: how many there were at once.
        sent, received: bytes of bodies that were answered, and that were asked with, by path without query.
    """

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.most = self._now = 0
        self.sent: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        self._lock = threading.Lock()

    def gets(self, part: str = "") -> int:
        """How many objects or lists were asked for."""
        return sum(each.method == "GET" and part in each.path for each in self.asked)

    def bytes_of(self, part: str) -> int:
        """How many bytes came of objects with ``part`` in their path."""
        return sum(count for path, count in self.sent.items() if part in path)

    def bytes_to(self, part: str) -> int:
        """How many bytes went to objects with ``part`` in their path."""
        return sum(count for path, count in self.received.items() if part in path)

    def add_bytes(self, path: str, sent: int = 0, received: int = 0) -> None:
        with self._lock:
            self.sent[path] += sent
            self.received[path.partition("?")[0]] += received

    @contextlib.contextmanager
    def count(self, asked: Asked) -> Iterator[None]:
        with self._lock:
            self.asked.append(asked)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1


def always(failure: Failure, part: str = "") -> Plan:
    """Every request with ``part`` in its path."""
    return lambda _, path: failure if part in path else None


def first(times: int, failure: Failure, part: str = "") -> Plan:
    """The first requests of each path with ``part`` in it."""
    seen: dict[str, int] = {}

    def plan(_: str, path: str) -> Failure | None:
        if part not in path:
            return None
        seen[path] = seen.get(path, 0) + 1
        return failure if seen[path] <= times else None

    return plan


@contextlib.contextmanager
def proxy(target: str, plan: Plan = lambda _method, _path: None, mend_put: bool = False) -> Iterator[Proxy]:
    """Run a proxy.

    Args:
        target: the server's address.
        plan: asked with method and path of each request.
        mend_put: for fake-gcs-server, which takes PUTs only with a query, and answers them without an etag.
    """
    found = Proxy()

    class Handler(_Handler):
        def do(self) -> None:
            headers = (self.headers.get(name, "") for name in ("Authorization", "x-amz-copy-source"))
            with found.count(Asked(self.command, self.path, *headers)):
                self.answer(target, plan(self.command, self.path), mend_put and self.command == "PUT")

        def count_body(self, sent: int = 0, received: int = 0) -> None:
            found.add_bytes(self.path, sent, received)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PROPFIND = do  # noqa: N815

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, *_: Any) -> None:
        """A client that left is none."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20

    def answer(self, target: str, failure: Failure | None, mend: bool) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.count_body(received=len(body))
        failure = failure or Failure()
        time.sleep(failure.seconds)
        if failure.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        if failure.status:
            data = f"<Error><Code>{failure.code}</Code>{failure.more}</Error>".encode() if failure.code else b""
            self._send(failure.status, {}, data)
            return
        host = urlsplit(target)
        upstream = http.client.HTTPConnection(host.hostname or "", host.port, timeout=20)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        query = "?X-Goog-Algorithm=any" if mend else ""
        with contextlib.closing(upstream):
            upstream.request(self.command, host.path + self.path + query, body, headers)
            found = upstream.getresponse()
            added = {"ETag": '"none"'} if mend else {}
            status, answered, data = found.status, dict(found.getheaders()) | added, found.read()
        self._send(status, answered, data, cut=failure.cut)

    def _send(self, status: int, headers: dict[str, str], data: bytes, cut: bool = False) -> None:
        self.send_response(status)
        length = str(len(data))
        for name, value in headers.items():
            if self.command == "HEAD" and name.lower() == "content-length":
                length = value
            elif name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.count_body(sent=len(data))
            self.wfile.write(data[: len(data) // 2] if cut else data)
        self.close_connection = self.close_connection or cut

    def count_body(self, sent: int = 0, received: int = 0) -> None:
        """Called with the bytes of each body."""

    def log_message(self, *_: Any) -> None:
        pass
